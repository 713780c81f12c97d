"""Encoding: numbers and sounds become spikes, in the layout that networks take.

Every encoder gives 0s and 1s, ``[batch, time, neurons]`` of a batch and ``[time, neurons]`` of one sample: batch first,
as ``module({"population": spikes})`` takes them (snnTorch has time first). ``SpikeSource(*source(spikes, dt))`` makes
the same spikes come from a population on any backend. What is given as a tensor comes back as a tensor on its device;
what is given as an array or as lists, as an array. Random spikes are a function of the seed, the number of the sample,
the neuron and the step, whatever else is drawn anywhere.
"""

from neurosim.encoding.changes import delta
from neurosim.encoding.cochlea import Cochlea, erb, erb_number
from neurosim.encoding.fields import population, receptive_fields
from neurosim.encoding.latencies import latency
from neurosim.encoding.nerve import Fibres, sound
from neurosim.encoding.rates import rate, regular_rate
from neurosim.encoding.recordings import Recording, at_level, read_wav
from neurosim.encoding.sources import SourceSpikes, source

__all__ = [
    "Cochlea", "Fibres", "Recording", "SourceSpikes", "at_level", "delta", "erb", "erb_number", "latency", "population",
    "rate", "read_wav", "receptive_fields", "regular_rate", "sound", "source",
]  # fmt: skip
