"""Neuromorphic chips: their arithmetic, limits and costs."""
