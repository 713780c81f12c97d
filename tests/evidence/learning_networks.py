"""The compiled engine against the reference on 300 random networks that learn: spikes, weights and states, bit
for bit.
"""

from __future__ import annotations

from typing import Any

import neurosim.conformance.random_networks as rn

SOURCES = [
    "neurosim/compile.py", "neurosim/ir/**/*.py", "neurosim/lang/**/*.py", "neurosim/passes/**/*.py",
    "backends/base.py", "backends/reference_backend/*.py", "backends/native/**/*.py",
    "backends/compiled/*.py", "models/cells/*.py",
    "models/inputs/*.py", "models/plasticity/*.py", "models/short_term.py", "models/synapses/*.py",
    "neurosim/conformance/random_networks/*.py",
]  # fmt: skip


def run(log: Any) -> dict[str, Any]:
    """Compare all networks; compiling takes most of an hour."""
    return rn.survey(log, 300, plastic=True)
