"""Programs as torch operations: run like any backend, and differentiable."""
