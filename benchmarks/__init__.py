"""The performance suite: neurosim and its peers on the same networks, one command (``python benchmarks/run.py``)."""
