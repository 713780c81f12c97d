"""Lava 0.10: integer networks as its process graphs, written as a script, and run in an environment of their own."""
