"""Memristive synapses: how their conductance moves, is written, drifts and is read; networks and training on them."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from neurosim.hardware.memristor.devices import PCM, Device
    from neurosim.hardware.memristor.ion_drift import IonDrift, drifted_state
    from neurosim.hardware.memristor.placement import place
    from neurosim.hardware.memristor.programming import Programmed, program
    from neurosim.hardware.memristor.pulses import AG_A_SI, PulseCurve, normalised_a
    from neurosim.hardware.memristor.training import pulsed

_HOMES = {"PCM": "devices", "Device": "devices", "IonDrift": "ion_drift", "drifted_state": "ion_drift",
          "place": "placement", "Programmed": "programming", "program": "programming", "AG_A_SI": "pulses",
          "PulseCurve": "pulses", "normalised_a": "pulses", "pulsed": "training"}  # fmt: skip

__all__ = ["AG_A_SI", "PCM", "Device", "IonDrift", "Programmed", "PulseCurve", "drifted_state", "normalised_a", "place",
           "program", "pulsed"]  # fmt: skip


def __getattr__(name: str) -> typing.Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neurosim.hardware.memristor' has no attribute '{name}'")
    globals()[name] = found = getattr(importlib.import_module(f"neurosim.hardware.memristor.{_HOMES[name]}"), name)
    return found
