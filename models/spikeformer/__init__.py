"""Meta-SpikeFormer: a transformer whose attention is made of spikes and additions, in PyTorch."""

from neurosim.models.spikeformer.spikeformer import SpikeAttention, SpikeFormer, spike_attention, train_images

__all__ = ["SpikeAttention", "SpikeFormer", "spike_attention", "train_images"]
