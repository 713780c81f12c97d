"""Loihi 2: its integer arithmetic, cells in it, and networks brought to it."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from neurosim.hardware.loihi2.cells import LIF, Dense
    from neurosim.hardware.loihi2.connections import connect
    from neurosim.hardware.loihi2.quantisation import Quantised, quantise

_HOMES = {"LIF": "cells", "Dense": "cells", "connect": "connections", "Quantised": "quantisation",
          "quantise": "quantisation"}  # fmt: skip

__all__ = ["LIF", "Dense", "Quantised", "connect", "quantise"]


def __getattr__(name: str) -> typing.Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neurosim.hardware.loihi2' has no attribute '{name}'")
    globals()[name] = found = getattr(importlib.import_module(f"neurosim.hardware.loihi2.{_HOMES[name]}"), name)
    return found
