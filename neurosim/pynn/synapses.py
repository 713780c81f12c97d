"""Synapse types by PyNN's names. Plasticity is refused by name: it never runs as something else."""

from __future__ import annotations

from typing import Any

from neurosim.errors import UnknownNameError, caller, suggest
from neurosim.pynn.celltypes import lacking


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
                    f"StaticSynapse has no parameter '{name}'{suggest(name, self.default_parameters)}", where
                )
        self.where = where
        self.parameters = {**self.default_parameters, **parameters}

    def get_parameter_names(self) -> list[str]:
        """Return the names of the parameters."""
        return list(self.default_parameters)

    def __repr__(self) -> str:
        return f"StaticSynapse({', '.join(f'{k}={v!r}' for k, v in self.parameters.items())})"


_SHORT_TERM = "neurosim's PyNN module has no short-term plasticity; StaticSynapse is what it has"
_STDP = "neurosim's PyNN module has no spike-timing-dependent plasticity; StaticSynapse is what it has"
_CHANCE = "neurosim's PyNN module has no synapses that transmit by chance; StaticSynapse is what it has"
_WHY = {
    "TsodyksMarkramSynapse": _SHORT_TERM,
    "StochasticTsodyksMarkramSynapse": _SHORT_TERM,
    "MultiQuantalSynapse": _CHANCE,
    "SimpleStochasticSynapse": _CHANCE,
    "ElectricalSynapse": "neurosim's PyNN module has no gap junctions",
    "STDPMechanism": _STDP,
    "SpikePairRule": _STDP,
    "Vogels2011Rule": _STDP,
    "AdditiveWeightDependence": _STDP,
    "MultiplicativeWeightDependence": _STDP,
    "AdditivePotentiationMultiplicativeDepression": _STDP,
    "GutigWeightDependence": _STDP,
}
LACKING = {name: lacking(name, "synapse type", why) for name, why in _WHY.items()}
