"""Synapse types by PyNN's names. What is lacking is refused by name: it never runs as something else."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest
from neurosim.lang.plasticity import Plasticity
from neurosim.lang.short_term import ShortTerm
from neurosim.pynn.celltypes import lacking
from neurosim.units import ms


class StaticSynapse:
    """A synapse that does not change.

    Parameters
    ----------
    weight : float, RandomDistribution, array [pre, post], str or callable
        nA for current-based cells (negative if inhibitory), uS for conductances, mV for jumps of the potential. A text
        is Python in ``d``, the distance; a callable gets distances.
    delay : the same, optional
        ms; ``min_delay`` of ``setup`` by default.
    """

    default_parameters: dict[str, Any] = {"weight": 0.0, "delay": None}

    def __init__(self, **parameters: Any) -> None:
        where = caller()
        for name in parameters:
            if name not in self.default_parameters:
                raise UnknownNameError(
                    f"{type(self).__name__} has no parameter '{name}'{suggest(name, self.default_parameters)}", where
                )
        self.where = where
        self.parameters = {**self.default_parameters, **parameters}

    def get_parameter_names(self) -> list[str]:
        """Return the names of the parameters."""
        return list(self.default_parameters)

    def short_term(self, tau_syn: float | None) -> ShortTerm | None:
        """Return what a spike of the source releases; None: all of it, always.

        Parameters
        ----------
        tau_syn : float or None
            Time constant of the target's receptor in ms, None where a spike is a jump.
        """
        return None

    def plasticity(self, unit: Any) -> Plasticity | None:
        """Return how the weights change, which are in ``unit``; None: not at all."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.parameters.items())})"


class TsodyksMarkramSynapse(StaticSynapse):
    """A synapse with facilitation and depression.

    As with pyNN.nest, what a spike releases is inactivated with the time constant of the receptor that it reaches, from
    where it recovers; at a cell without one (jumps of the potential), recovery begins at once.

    Parameters
    ----------
    weight, delay
        As of :class:`StaticSynapse`.
    U : float
        Fraction that a spike of a rested source releases.
    tau_rec, tau_facil : float
        Time constants of recovery and of facilitation in ms; 0: no facilitation. One value for the projection.

    References
    ----------
    M. Tsodyks, A. Uziel, H. Markram, J. Neurosci. 20 (2000) RC50.
    """

    default_parameters: dict[str, Any] = {"weight": 0.0, "delay": None, "U": 0.5, "tau_rec": 100.0, "tau_facil": 0.0}

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.where = caller()
        for name, limit in (("U", "from 0 to 1"), ("tau_rec", "above 0"), ("tau_facil", "0 or more")):
            value = self.parameters[name]
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and np.isfinite(value)
            if not number:
                raise ParameterError(
                    f"{name} of TsodyksMarkramSynapse must be one number for the whole projection, got {value!r}: "
                    "make a projection for each value",
                    self.where,
                )
            if value < 0 or (name == "U" and value > 1) or (name == "tau_rec" and value == 0):
                raise ParameterError(f"{name} of TsodyksMarkramSynapse must be {limit}, got {value:g}", self.where)

    def short_term(self, tau_syn: float | None) -> ShortTerm:
        """Return what a spike of the source releases."""
        models = importlib.import_module("neurosim.models")
        big, rec, facil = (float(self.parameters[k]) for k in ("U", "tau_rec", "tau_facil"))
        facil = facil or NO_FACILITATION
        if tau_syn is None:
            return models.TsodyksMarkram(U=big, tau_rec=rec * ms, tau_facil=facil * ms)
        return models.TsodyksUzielMarkram(U=big, tau_rec=rec * ms, tau_facil=facil * ms, tau_psc=tau_syn * ms)


NO_FACILITATION = 1e-9
"""Time constant in ms that stands for 0: nothing is left of such a facilitation after a step."""
_THERE = "StaticSynapse, TsodyksMarkramSynapse and STDPMechanism are what it has"
_CHANCE = f"neurosim's PyNN module has no synapses that transmit by chance; {_THERE}"
_WHY = {
    "StochasticTsodyksMarkramSynapse": _CHANCE,
    "MultiQuantalSynapse": _CHANCE,
    "SimpleStochasticSynapse": _CHANCE,
    "ElectricalSynapse": "neurosim's PyNN module has no gap junctions",
    "Vogels2011Rule": "neurosim's PyNN module has no timing dependence but SpikePairRule (pyNN.nest neither)",
}
LACKING = {name: lacking(name, "synapse type", why) for name, why in _WHY.items()}
