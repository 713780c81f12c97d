"""JEPA: learning to predict features of hidden patches, in images and video, in PyTorch."""

from neurosim.models.jepa.encoder import Encoder, Predictor
from neurosim.models.jepa.jepa import JEPA, train_jepa
from neurosim.models.jepa.masks import Masks, MultiBlock
from neurosim.models.jepa.measures import Spread, features, principal, probe, spread

__all__ = [
    "Encoder", "JEPA", "Masks", "MultiBlock", "Predictor", "Spread", "features", "principal", "probe", "spread",
    "train_jepa",
]  # fmt: skip
