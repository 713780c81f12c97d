"""snnTorch's layers as populations, and back."""

from neurosim.interchange.snntorch.cells import leaky, synaptic
from neurosim.interchange.snntorch.read import Layers, read_model
from neurosim.interchange.snntorch.write import write_model

__all__ = ["Layers", "leaky", "read_model", "synaptic", "write_model"]
