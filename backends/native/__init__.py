"""The embedded engine: the programs of the graph, printed as numba and compiled."""
