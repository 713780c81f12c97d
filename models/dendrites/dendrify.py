"""Dendrify's words: a model written for Dendrify 2.2 becomes a cell by changing the imports.

::

    soma = Soma("soma", cm_abs=200*pF, gl_abs=10*nS)
    dend = Dendrite("dend", cm_abs=50*pF, gl_abs=2.5*nS)
    dend.synapse("AMPA", tag="x", g=3*nS, t_decay=2*ms)
    dend.dspikes("Na", g_rise=30*nS, g_fall=14*nS)
    model = NeuronModel([(soma, dend, 15*nS)], v_rest=-60*mV)
    model.config_dspikes("Na", threshold=-35*mV, duration_rise=1.2*ms, duration_fall=2.4*ms, offset_fall=0.2*ms,
                         refractory=5*ms, reversal_rise="E_Na", reversal_fall="E_K")
    cell = model.cell(threshold="V_soma > -40*mV", reset="V_soma = 40*mV", second_reset="V_soma = -50*mV",
                      spike_width=0.8*ms, refractory=4*ms)

``make_neurongroup(N, …)`` is ``net.population(name, N, model.cell(…))`` here. ``V_soma`` is recorded as ``v_soma``, a
dendritic spike as ``spike_Na_dend``; the receptor of the synapse above is ``AMPA_x_dend`` (a weight of 1 opens ``g``),
and ``I_ext_dend`` is the port ``i_dend``. Two conventions differ: a neuron of Brian2's may spike again in the last step
of its refractory period, which :meth:`NeuronModel.cell` corrects for; and a spike that reaches a synapse there without
a delay acts a step earlier than the shortest delay does here.

Definitions of models are taken over: compartments, synapses, dendritic spikes. Networks, monitors and runs are written
as always here; ``noise()`` is a stimulus (``OUNoise(…).at("dend")``), equations of one's own are channels
(``cell.insert()``), and the constants of the NMDA block are Dendrify's defaults.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable
from typing import Any

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest
from neurosim.lang.compartments import compartments
from neurosim.lang.components import Cell, Receptor
from neurosim.lang.event import Event
from neurosim.models.dendrites.passive import Passive, axial, cylinder
from neurosim.models.dendrites.spikes import DendriticSpike
from neurosim.params import Param
from neurosim.units import Quantity, ms, mV, nS

REVERSAL = {"E_AMPA": 0 * mV, "E_NMDA": 0 * mV, "E_GABA": -80 * mV, "E_Na": 70 * mV, "E_K": -89 * mV, "E_Ca": 136 * mV}
"""Reversal potentials by Dendrify's names."""

_MODELS = ("passive", "leakyIF", "adaptiveIF", "adex")
_BLOCK = "/(1 + 1.0*exp(-0.062*(v/mV))/3.57)"
_SPIKE = {
    "threshold": "v_th", "g_rise": "g_rise", "g_fall": "g_fall", "reversal_rise": "e_rise", "reversal_fall": "e_fall",
    "duration_rise": "duration_rise", "duration_fall": "duration_fall", "offset_fall": "offset_fall",
    "refractory": "refractory",
}  # fmt: skip


class Compartment:
    """A compartment by Dendrify's parameters; :class:`Soma` and :class:`Dendrite` are what one makes.

    Parameters
    ----------
    name : str
        Put behind the names of all that belongs to it.
    model : {"passive", "leakyIF", "adaptiveIF", "adex"}
        Equation of the membrane. The parameters of the last two have Dendrify's names, with the compartment's behind
        (``a_soma``, ``tauw_soma``, ``DeltaT_soma``, ``Vth_soma``), and are given to :meth:`NeuronModel.cell`.
    length, diameter, cm, gl, r_axial, scale_factor, spine_factor
        Geometry and specific properties; or else
    cm_abs, gl_abs : Quantity
        Capacitance and leak conductance.
    v_rest : Quantity
        Resting potential.
    """

    dendrite = True

    def __init__(
        self,
        name: str,
        model: str = "passive",
        length: Quantity | None = None,
        diameter: Quantity | None = None,
        cm: Quantity | None = None,
        gl: Quantity | None = None,
        cm_abs: Quantity | None = None,
        gl_abs: Quantity | None = None,
        r_axial: Quantity | None = None,
        v_rest: Quantity | None = None,
        scale_factor: float = 1.0,
        spine_factor: float = 1.0,
    ) -> None:
        self.where = caller()
        if model not in _MODELS:
            raise ParameterError(
                f"the model of a compartment is one of {', '.join(_MODELS)}; got {model!r}", self.where
            )
        if (cm_abs or gl_abs) and any(x is not None for x in (length, diameter, cm, gl, r_axial)):
            raise ParameterError(
                f"'{name}' has cm_abs or gl_abs, so it has no size: leave out length, diameter, cm, gl and r_axial",
                self.where,
            )
        self.name, self.model = name, model
        self.given: dict[str, Any] = {
            "length": length, "diameter": diameter, "cm": cm, "gl": gl, "cm_abs": cm_abs, "gl_abs": gl_abs,
            "r_axial": r_axial, "v_rest": v_rest, "scale_factor": scale_factor, "spine_factor": spine_factor,
        }  # fmt: skip
        self.receptors: dict[str, Receptor] = {}
        self.spikes: dict[str, dict[str, Any]] = {}

    def synapse(
        self,
        channel: str,
        tag: str,
        g: Quantity,
        t_rise: Quantity | None = None,
        t_decay: Quantity | None = None,
        scale_g: bool = False,
    ) -> None:
        """Add a receptor ``{channel}_{tag}``: ``AMPA``, ``NMDA`` or ``GABA``, with or without a time to rise."""
        where = caller()
        if t_decay is None:
            raise ParameterError(f"the synapse '{channel}_{tag}' needs t_decay", where)
        if channel not in ("AMPA", "NMDA", "GABA"):
            raise ParameterError(f"the channel of a synapse is AMPA, NMDA or GABA; got {channel!r}", where)
        key = f"{channel}_{tag}"
        if key in self.receptors:
            raise ParameterError(f"'{self.name}' has a synapse '{key}' already: give it another tag", where)
        block = _BLOCK if channel == "NMDA" else ""
        common = {"name": key, "tau": t_decay, "e_rev": REVERSAL[f"E_{channel}"]}
        if t_rise is None:
            self.receptors[key] = Receptor(
                "ds/dt = -s/tau", event="s += w", output=f"g*(e_rev - v)*s{block}", g=g, **common
            )
            return
        if scale_g:
            rise, decay = t_rise.value, t_decay.value
            if rise == decay:
                raise ParameterError(
                    f"t_rise and t_decay of the synapse '{key}' are equal: scale_g divides by their difference", where
                )
            peak = decay * rise / (decay - rise) * math.log(decay / rise)
            g = g / (decay * rise / (decay - rise) * (math.exp(-peak / decay) - math.exp(-peak / rise)) / 1e-3)
        self.receptors[key] = Receptor(
            "dx/dt = -x/tau + s/ms\nds/dt = -s/tau_rise", event="s += w", output=f"g*(e_rev - v)*x{block}", g=g,
            tau_rise=t_rise, **common,
        )  # fmt: skip

    def dspikes(self, name: str, **properties: Any) -> None:
        """Add dendritic spikes; what is not given here :meth:`NeuronModel.config_dspikes` may say."""
        where = caller()
        if not self.dendrite:
            raise ParameterError(f"'{self.name}' is a soma: dendritic spikes belong to a Dendrite", where)
        if name in self.spikes:
            raise ParameterError(f"'{self.name}' has dendritic spikes '{name}' already", where)
        self.spikes[name] = _spike(properties, where)

    # -- what the numbers say ---------------------------------------------------------------------------------------

    def sized(self) -> bool:
        """Tell whether the compartment has length and diameter."""
        return self.given["length"] is not None

    def _need(self, keys: Iterable[str]) -> list[Any]:
        lacking = [key for key in keys if self.given[key] is None]
        if lacking:
            raise ParameterError(
                f"'{self.name}' lacks {', '.join(lacking)}: give the compartment or the NeuronModel a value", self.where
            )
        return [self.given[key] for key in keys]

    def part(self) -> Cell:
        """Return the compartment as a cell."""
        given = self.given
        if given["cm_abs"] is not None or given["gl_abs"] is not None:
            c_m, g_l, e_l = self._need(("cm_abs", "gl_abs", "v_rest"))
            one = Passive(c_m=c_m, g_l=g_l, e_l=e_l)
        else:
            length, diameter, c, g, e_l = self._need(("length", "diameter", "cm", "gl", "v_rest"))
            factors = {k: given[k] for k in ("scale_factor", "spine_factor")}
            one = cylinder(length, diameter, cm=c, gl=g, v_rest=e_l, **factors)
        values = {k: one.value(k) for k in ("c_m", "g_l", "e_l")}
        if self.model == "adaptiveIF":
            one = Cell(
                "dv/dt = (g_l*(e_l - v) + i - w)/c_m\ndw/dt = (a*(v - e_l) - w)/tauw", init={"v": "e_l"},
                name="adaptiveIF", a=Param(0 * nS, nS, "adaptation"), tauw=Param(100 * ms, ms, "its time constant"),
                **values,
            )  # fmt: skip
        elif self.model == "adex":
            one = Cell(
                "dv/dt = (g_l*(e_l - v) + g_l*DeltaT*exp((v - Vth)/DeltaT) + i - w)/c_m\n"
                "dw/dt = (a*(v - e_l) - w)/tauw", init={"v": "e_l"}, name="adex",
                a=Param(0 * nS, nS, "adaptation"), tauw=Param(100 * ms, ms, "its time constant"),
                DeltaT=Param(2 * mV, mV, "sharpness of the take-off"), Vth=Param(-50 * mV, mV, "where it begins"),
                **values,
            )  # fmt: skip
        for name, properties in self.spikes.items():
            lacking = sorted({k for k, ours in _SPIKE.items() if ours not in properties})
            if lacking:
                raise ParameterError(
                    f"dendritic spikes '{name}' of '{self.name}' lack {', '.join(lacking)}", self.where
                )
            one = one.insert(**{name: DendriticSpike(**properties)})
        return one(receptors=self.receptors) if self.receptors else one


class Soma(Compartment):
    """The compartment with the spikes of the cell."""

    dendrite = False

    def __init__(self, name: str, model: str = "leakyIF", **properties: Any) -> None:
        super().__init__(name, model, **properties)


class Dendrite(Compartment):
    """A compartment that may have dendritic spikes."""


class NeuronModel:
    """Compartments and what joins them.

    Parameters
    ----------
    connections : list of (Compartment, Compartment[, Quantity or str])
        With a conductance, or ``"half_cylinders"`` (the default) or ``"cylinder_NAME"``, which compute one.
    cm, gl, r_axial, v_rest, scale_factor, spine_factor
        For all compartments (the last for dendrites only), in place of their own.
    """

    def __init__(self, connections: Iterable[tuple[Any, ...]], **properties: Any) -> None:
        self.where = caller()
        known = ("cm", "gl", "r_axial", "v_rest", "scale_factor", "spine_factor")
        for key in properties:
            if key not in known:
                raise UnknownNameError(f"a NeuronModel has no property '{key}'{suggest(key, known)}", self.where)
        originals: dict[str, Compartment] = {}
        self.links: dict[tuple[str, str], Any] = {}
        for row in connections:
            if not (len(row) in (2, 3) and all(isinstance(end, Compartment) for end in row[:2])):
                raise ParameterError(
                    f"a connection is (compartment, compartment) or (compartment, compartment, 10*nS); got {row!r}",
                    self.where,
                )
            for end in row[:2]:
                if originals.setdefault(end.name, end) is not end:
                    raise ParameterError(f"two compartments are called '{end.name}'", self.where)
            ends = row[0].name, row[1].name
            if ends in self.links or ends[::-1] in self.links:
                raise ParameterError(f"'{ends[0]}' and '{ends[1]}' are connected twice", self.where)
            self.links[ends] = row[2] if len(row) == 3 else "half_cylinders"
        self.parts = {name: copy.deepcopy(part) for name, part in originals.items()}  # a compartment may be used again
        sized = [part for part in self.parts.values() if part.sized()]
        areas = [key for key in properties if key != "v_rest"]
        if areas and len(sized) < len(self.parts):
            raise ParameterError(f"{', '.join(areas)} are for compartments with a length and a diameter", self.where)
        for part in self.parts.values():
            mine = {key: x for key, x in properties.items() if part.dendrite or key != "spine_factor"}
            if areas:  # as in Dendrify, which takes factors that are not given here for 1
                mine = {"scale_factor": 1.0, **({"spine_factor": 1.0} if part.dendrite else {}), **mine}
            part.given.update(mine)

    def config_dspikes(self, name: str, **properties: Any) -> None:
        """Give properties to all dendritic spikes of a name, also in place of those that their compartments gave."""
        found = _spike(properties, caller())
        named = [part.spikes[name] for part in self.parts.values() if name in part.spikes]
        if not named:
            raise UnknownNameError(f"no compartment has dendritic spikes '{name}'", caller())
        for spikes in named:
            spikes.update(found)

    def _conductance(self, ends: tuple[str, str], g: Any) -> Any:
        if isinstance(g, Quantity):
            return g
        a, b = self.parts[ends[0]], self.parts[ends[1]]
        if g == "half_cylinders":
            (la, da, ra), (lb, db, rb) = (p._need(("length", "diameter", "r_axial")) for p in (a, b))
            return axial(la, da, lb * (rb / ra), db, ra)
        if isinstance(g, str) and g.removeprefix("cylinder_") in ends and g.startswith("cylinder_"):
            length, diameter, r = self.parts[g.removeprefix("cylinder_")]._need(("length", "diameter", "r_axial"))
            return math.pi * diameter**2 / (4 * r * length)
        raise ParameterError(
            f"a connection has a conductance, 'half_cylinders' or 'cylinder_{ends[0]}'; got {g!r}", self.where
        )

    def cell(
        self,
        *,
        threshold: str | None = None,
        reset: str | None = None,
        second_reset: str | None = None,
        spike_width: Quantity | None = None,
        refractory: Any = None,
        method: str = "euler",
        **params: Any,
    ) -> Cell:
        """Return the cell, with the arguments of ``make_neurongroup``.

        Parameters
        ----------
        threshold, reset : str
            As for Brian2; nothing stands still while the neuron is refractory.
        second_reset, spike_width : str, Quantity
            A reset that follows the first after so much time.
        refractory : Quantity
            As Brian2 counts it: the neuron may spike again in the last step of this time.
        **params
            Parameters of compartments (``tauw_soma=40*ms``), and new ones that the texts read.
        method : str
            ``"euler"``, as there, or another of :class:`neurosim.Cell`: ``"tree"`` allows larger steps.
        """
        where = caller()
        if second_reset is not None and threshold is None:
            raise ParameterError("second_reset follows a spike, and without threshold= there is none", where)
        if (second_reset is None) != (spike_width is None):
            raise ParameterError("second_reset and spike_width belong together: give both, or neither", where)
        texts = [None if text is None else self._lower(text) for text in (threshold, reset, second_reset)]
        events: dict[str, Event] = {}
        quiet = None
        if refractory is False:
            refractory = None
        if spike_width is not None and (refractory is None or refractory.value < spike_width.value):
            raise ParameterError(
                "spike_width must not be longer than the refractory period: the second reset of a spike would get lost "
                "if another one came before it",
                where,
            )
        if refractory is not None and refractory.value > 0:
            params["t_refractory"], quiet = refractory, "t_refractory - dt"
        if second_reset is not None and threshold is not None:
            params["spike_width"] = spike_width
            # the threshold once more, as an event: a spike has no age that a condition could read
            events["spiked"] = Event(str(texts[0]), refractory=quiet)
            events["repolarised"] = Event("spiked == in_steps(spike_width)", texts[2])
        parts = {name: part.part() for name, part in self.parts.items()}
        known = {f"{key}_{name}" for name, part in parts.items() for key in part.params}
        cell = compartments(
            parts, {ends: self._conductance(ends, g) for ends, g in self.links.items()}, threshold=texts[0],
            reset=texts[1], refractory=quiet, clamp=(), events=events, method=method, name="NeuronModel",
            **{key: value for key, value in params.items() if key not in known},
        )  # fmt: skip
        given = {key: value for key, value in params.items() if key in known}
        return cell(**given) if given else cell

    def _lower(self, text: str) -> str:
        """Write potentials and properties of compartments as they are called here."""
        ours = {"V": "v", "EL": "e_l", "gL": "g_l", "C": "c_m"}
        found = rf"\b({'|'.join(ours)})_(\w+)"
        return re.sub(found, lambda m: f"{ours[m[1]]}_{m[2]}" if m[2] in self.parts else m[0], text)


def _spike(properties: dict[str, Any], where: str | None) -> dict[str, Any]:
    out = {}
    for key, value in properties.items():
        if key not in _SPIKE:
            raise UnknownNameError(f"dendritic spikes have no property '{key}'{suggest(key, _SPIKE)}", where)
        if isinstance(value, str):
            if value not in REVERSAL:
                raise UnknownNameError(f"no reversal potential '{value}'{suggest(value, REVERSAL)}", where)
            value = REVERSAL[value]
        if value is not None:
            out[_SPIKE[key]] = value
    return out


__all__ = ["REVERSAL", "Compartment", "Dendrite", "NeuronModel", "Soma"]
