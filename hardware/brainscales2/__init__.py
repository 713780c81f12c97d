"""BrainScaleS-2: six-bit weights, the fixed pattern of an analogue chip, and its circuits."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from neurosim.hardware.brainscales2.placement import partitions, place
    from neurosim.hardware.brainscales2.quantisation import Quantised, quantise
    from neurosim.hardware.brainscales2.variation import CALIBRATED, UNCALIBRATED, Spread, Varied, fixed_pattern

_HOMES = {"Quantised": "quantisation", "quantise": "quantisation", "CALIBRATED": "variation",
          "UNCALIBRATED": "variation", "Spread": "variation", "Varied": "variation", "fixed_pattern": "variation",
          "partitions": "placement", "place": "placement"}  # fmt: skip

__all__ = ["CALIBRATED", "UNCALIBRATED", "Quantised", "Spread", "Varied", "fixed_pattern", "partitions", "place",
           "quantise"]  # fmt: skip


def __getattr__(name: str) -> typing.Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neurosim.hardware.brainscales2' has no attribute '{name}'")
    globals()[name] = found = getattr(importlib.import_module(f"neurosim.hardware.brainscales2.{_HOMES[name]}"), name)
    return found
