"""Spike-timing-dependent plasticity by PyNN's names: a timing dependence and a weight dependence make a mechanism.

They mean what they mean with pyNN.nest: delays on the dendrite, no pairing of spikes that are at the synapse at the
same time, and delivery of the weight after the change by the arriving spike (docs/semantics.md, "Learning").
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest
from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.pynn.synapses import StaticSynapse
from neurosim.units import ms


class _Dependence:
    """What both dependences share: named numbers, one for the whole projection."""

    default_parameters: dict[str, float] = {}
    limits: dict[str, str] = {}

    def __init__(self, *values: float, **parameters: float) -> None:
        self.where = where = caller()
        name = type(self).__name__
        given = dict(zip(self.default_parameters, values, strict=False))
        if len(values) > len(self.default_parameters) or given.keys() & parameters.keys():
            raise ParameterError(f"{name} takes {', '.join(self.default_parameters)}, each once", where)
        for key in parameters:
            if key not in self.default_parameters:
                raise UnknownNameError(f"{name} has no parameter '{key}'{suggest(key, self.default_parameters)}", where)
        self.parameters = {**self.default_parameters, **given, **parameters}
        for key, value in self.parameters.items():
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and np.isfinite(value)
            if not number:
                raise ParameterError(
                    f"{key} of {name} must be one number for the whole projection, got {value!r}: make a projection "
                    "for each value",
                    where,
                )
            limit = self.limits.get(key, "0 or more")
            if value < 0 or (limit == "above 0" and value == 0) or (limit == "0" and value != 0):
                more = " (as with pyNN.nest)" if limit == "0" else ""
                raise ParameterError(f"{key} of {name} must be {limit}{more}, got {value:g}", where)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.parameters.items())})"


class SpikePairRule(_Dependence):
    """All pairs of spikes count.

    Parameters
    ----------
    tau_plus, tau_minus : float
        Time constants of potentiation and depression, ms.
    A_plus, A_minus : float
        Changes by a pair without a lag, as fractions of the greatest weight.
    """

    default_parameters = {"tau_plus": 20.0, "tau_minus": 20.0, "A_plus": 0.01, "A_minus": 0.01}
    limits = {"tau_plus": "above 0", "tau_minus": "above 0"}


class WeightDependence(_Dependence):
    """How the changes depend on the weight: by ``(1 - w/w_max)**mu_plus`` and ``(w/w_max)**mu_minus``.

    Parameters
    ----------
    w_min, w_max : float
        Bounds of the weight, in its unit; ``w_min`` is 0, as NEST has it.
    """

    default_parameters = {"w_min": 0.0, "w_max": 1.0}
    limits = {"w_min": "0", "w_max": "above 0"}
    mu: tuple[float, float] = (0.0, 0.0)

    def exponents(self) -> tuple[float, float]:
        """Return ``mu_plus`` and ``mu_minus``."""
        return self.mu


class AdditiveWeightDependence(WeightDependence):
    """The weight does not matter, but for its bounds."""


class MultiplicativeWeightDependence(WeightDependence):
    """Potentiation in proportion to the distance from ``w_max``, depression to the weight."""

    mu = (1.0, 1.0)


class AdditivePotentiationMultiplicativeDepression(WeightDependence):
    """Depression in proportion to the weight, potentiation independent of it."""

    mu = (0.0, 1.0)


class GutigWeightDependence(WeightDependence):
    """Powers of both: ``mu_plus``, ``mu_minus``.

    References
    ----------
    R. Gütig, R. Aharonov, S. Rotter, H. Sompolinsky, J. Neurosci. 23 (2003).
    """

    default_parameters = {"w_min": 0.0, "w_max": 1.0, "mu_plus": 0.5, "mu_minus": 0.5}

    def exponents(self) -> tuple[float, float]:
        """Return ``mu_plus`` and ``mu_minus``."""
        return self.parameters["mu_plus"], self.parameters["mu_minus"]


class STDPMechanism(StaticSynapse):
    """A synapse that learns from pairs of spikes.

    Parameters
    ----------
    timing_dependence : SpikePairRule
        Which pairs count, and how much.
    weight_dependence : AdditiveWeightDependence or another one of this module
        How a change depends on the weight, and its bounds.
    voltage_dependence : None
        PyNN has none yet.
    dendritic_delay_fraction : {1, 0}
        1: the delay is on the dendrite, as pyNN.nest has it; 0: on the axon. Then a spike delivers the weight before
        its own change.
    weight, delay
        As of :class:`~neurosim.pynn.synapses.StaticSynapse`; the weight at the start, within the bounds.
    """

    def __init__(
        self,
        timing_dependence: Any = None,
        weight_dependence: Any = None,
        voltage_dependence: None = None,
        dendritic_delay_fraction: float = 1.0,
        weight: Any = 0.0,
        delay: Any = None,
    ) -> None:
        super().__init__(weight=weight, delay=delay)
        self.where = where = caller()
        for what, value, kind in (("timing", timing_dependence, SpikePairRule),
                                  ("weight", weight_dependence, WeightDependence)):  # fmt: skip
            if not isinstance(value, kind):
                example = "SpikePairRule(…)" if what == "timing" else "AdditiveWeightDependence(…)"
                raise ParameterError(f"{what}_dependence of STDPMechanism must be one such as {example}, got {value!r}",
                                     where)  # fmt: skip
        if voltage_dependence is not None:
            raise ParameterError("STDPMechanism has no voltage_dependence, as PyNN has none yet", where)
        fraction = dendritic_delay_fraction
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or fraction not in (0, 1):
            raise ParameterError(
                "dendritic_delay_fraction must be 1 (the delay is on the dendrite) or 0 (on the axon); a delay that is "
                f"divided is not there, got {dendritic_delay_fraction!r}",
                where,
            )
        self.timing_dependence, self.weight_dependence = timing_dependence, weight_dependence
        self.dendritic_delay_fraction = float(dendritic_delay_fraction)

    def get_parameter_names(self) -> list[str]:
        """Return the names of the parameters, those of the dependences included."""
        own = [*self.timing_dependence.parameters, *self.weight_dependence.parameters]
        return [*super().get_parameter_names(), "dendritic_delay_fraction", *own]

    def plasticity(self, unit: Any) -> Plasticity:
        """Return the learning rule; ``unit`` is that of the weights."""
        timing, weight = self.timing_dependence.parameters, self.weight_dependence.parameters
        up, down = self.weight_dependence.exponents()
        potentiation = {0.0: "w_max", 1.0: "(w_max - w)"}.get(up, "w_max*(1 - w/w_max)**mu_plus")
        depression = {0.0: "w_max", 1.0: "w"}.get(down, "w_max*(w/w_max)**mu_minus")
        exponents = {k: v for k, v in (("mu_plus", up), ("mu_minus", down)) if k in potentiation + depression}
        dendritic = self.dendritic_delay_fraction == 1.0
        return Plasticity(
            pre="dx/dt = -x/tau_plus",
            post="dy/dt = -y/tau_minus",
            on_pre=f"w -= A_minus*{depression}*y; x += 1",
            on_post=f"w += A_plus*{potentiation}*x; y += 1",
            lower=0,
            upper="w_max",
            delay_type="dendritic" if dendritic else "axonal",
            coincidence="apart",
            delivers="after" if dendritic else "before",
            name="STDPMechanism",
            tau_plus=timing["tau_plus"] * ms,
            tau_minus=timing["tau_minus"] * ms,
            w_max=Param(weight["w_max"] * unit, None, "greatest weight"),
            A_plus=float(timing["A_plus"]),
            A_minus=float(timing["A_minus"]),
            **exponents,
        )

    def __repr__(self) -> str:
        return (f"STDPMechanism(timing_dependence={self.timing_dependence!r}, "
                f"weight_dependence={self.weight_dependence!r}, "
                f"dendritic_delay_fraction={self.dendritic_delay_fraction:g}, weight={self.parameters['weight']!r}, "
                f"delay={self.parameters['delay']!r})")  # fmt: skip
