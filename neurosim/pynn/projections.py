"""Projections by PyNN's name: connections of one kind between two groups, made when the projection is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from neurosim.errors import ConnectivityError, ParameterError, UnknownNameError, caller, suggest
from neurosim.pynn.build import weights
from neurosim.pynn.connectors import Connector
from neurosim.pynn.control import current
from neurosim.pynn.populations import Assembly, BasePopulation
from neurosim.pynn.random import distribution_of
from neurosim.pynn.space import Space
from neurosim.pynn.stdp import STDPMechanism
from neurosim.pynn.synapses import StaticSynapse, TsodyksMarkramSynapse
from neurosim.pynn.values import of_distance, whole

_MERGE = {"sum": np.add, "min": np.fmin, "max": np.fmax}
_LONGEST = 65535


class Projection:
    """Connections between two populations, views or assemblies.

    Parameters
    ----------
    presynaptic_neurons, postsynaptic_neurons : Population, PopulationView or Assembly
        Where spikes come from and go to.
    connector : Connector
        Which cells are joined.
    synapse_type : StaticSynapse, TsodyksMarkramSynapse or STDPMechanism, optional
        Weights and delays, what a spike releases, how the weights change.
    receptor_type : str, optional
        "excitatory" or "inhibitory"; by default what the sign of the weight says.
    space : Space, optional
        How distances are measured.
    label : str, optional
        A name.
    """

    def __init__(
        self,
        presynaptic_neurons: Any,
        postsynaptic_neurons: Any,
        connector: Any,
        synapse_type: Any = None,
        source: Any = None,
        receptor_type: str | None = None,
        space: Any = None,
        label: str | None = None,
    ) -> None:
        self.where = where = caller()
        self.simulation = sim = current(where)
        sim.changing("a new Projection", where)
        for side, group in (("pre", presynaptic_neurons), ("post", postsynaptic_neurons)):
            if not isinstance(group, (BasePopulation, Assembly)):
                raise ParameterError(
                    f"{side}synaptic_neurons must be a population, view or assembly, got {group!r}", where
                )
            group._mine(where)
        if not isinstance(connector, Connector):
            raise ParameterError(f"connector must be one such as AllToAllConnector(), got {connector!r}", where)
        synapse_type = StaticSynapse() if synapse_type is None else synapse_type
        if not isinstance(synapse_type, StaticSynapse):
            raise ParameterError(
                "synapse_type must be a StaticSynapse, a TsodyksMarkramSynapse or an STDPMechanism, got "
                f"{synapse_type!r}",
                where,
            )
        self.pre, self.post, self.synapse_type = presynaptic_neurons, postsynaptic_neurons, synapse_type
        self.space = Space() if space is None else space
        self.label = label or f"{self.pre.label}→{self.post.label}"
        known = self.post.receptor_types
        if not known:
            raise ConnectivityError(f"'{self.post.label}' has no synapses: a spike source cannot be a target", where)
        kinds = {str(p.celltype.weight_unit()) for p, _ in self.post.members()}
        if len(kinds) > 1:
            raise ConnectivityError(f"'{self.post.label}' mixes cells whose weights have different units", where)
        self._connector = connector
        sources, targets, columns = connector.edges(self)
        self._sources, self._targets = np.asarray(sources, np.int64), np.asarray(targets, np.int64)
        self._weights = self._delays = np.zeros(0)
        given: dict[str, Any] = {**synapse_type.parameters, **columns}
        self._weights = self._values("weight", given["weight"], where)
        self._delays = self._in_steps(given["delay"], where)
        if receptor_type in (None, "default"):
            receptor_type = known[1] if len(self._weights) and self._weights[-1] < 0 and len(known) > 1 else known[0]
        if receptor_type not in known:
            raise UnknownNameError(
                f"'{self.post.label}' has no receptor '{receptor_type}'{suggest(str(receptor_type), known)}", where
            )
        self.receptor_type = receptor_type
        conductances = self.post.members()[0][0].celltype.conductance_based
        if isinstance(synapse_type, STDPMechanism) and receptor_type == "inhibitory" and not conductances:
            raise ParameterError(
                f"'{self.label}': the weights of an STDPMechanism are positive, those onto the inhibitory receptor of "
                "a current-based cell negative; take a cell with conductances, or the excitatory receptor",
                where,
            )
        self._check_signs(self._weights, given["weight"], where)
        self._check_bounds(self._weights, where)
        sim.projections.append(self)

    @property
    def shape(self) -> tuple[int, int]:
        """Sizes of both groups."""
        return len(self.pre), len(self.post)

    def __len__(self) -> int:
        return len(self._sources)

    def size(self, gather: bool = True) -> int:
        """Return the number of connections."""
        return len(self)

    def __repr__(self) -> str:
        return f"<Projection '{self.label}': {len(self)} connections>"

    # -- values -----------------------------------------------------------------------------------------------------

    def _values(self, name: str, value: Any, where: str | None) -> np.ndarray:
        """Return one value per connection."""
        count, what = len(self), f"the {name} of '{self.label}'"
        drawn = distribution_of(value)
        if drawn is not None:
            out = np.asarray(drawn.next(count), dtype=float)
        elif isinstance(value, str) or callable(value):
            out = self._of_distance(value, where)
        else:
            try:
                out = np.asarray(value, dtype=float)
            except (TypeError, ValueError):
                raise ParameterError(f"{what} must be a number, an array, a distribution or an expression of d, "
                                     f"got {value!r}", where) from None  # fmt: skip
            if out.ndim == 2 and out.shape == self.shape:
                out = out[self._sources, self._targets]
            if out.ndim and out.shape != (count,):
                raise ParameterError(
                    f"{what} needs one value, {count} (one a connection) or {list(self.shape)}; got {list(out.shape)}",
                    where,
                )
            out = np.broadcast_to(out, (count,))
        if not np.isfinite(out).all():
            raise ParameterError(f"{what} must be finite", where)
        return np.array(out, dtype=float)

    def _of_distance(self, expression: Any, where: str | None) -> np.ndarray:
        function = of_distance(expression, where)
        out = np.empty(len(self))
        a, b = self.pre.positions.T, self.post.positions.T
        order = np.argsort(self._sources, kind="stable")
        ends = np.searchsorted(self._sources[order], np.arange(self.shape[0] + 1))
        for i in range(self.shape[0]):
            mine = order[ends[i] : ends[i + 1]]
            if len(mine):
                out[mine] = function(self.space.distances(a[i], b[self._targets[mine]])[0])
        return out

    def _in_steps(self, value: Any, where: str | None) -> np.ndarray:
        """Return delays in steps. Given ones are rounded with a warning, drawn and computed ones without."""
        sim, what = self.simulation, f"a delay of '{self.label}'"
        if value is None:
            value = sim.min_delay
        values = self._values("delay", value, where)
        computed = distribution_of(value) is not None or isinstance(value, str) or callable(value)
        single = isinstance(value, (int, float, np.generic))
        if not len(values):
            return np.zeros(0, np.int64)
        if single:
            steps = np.broadcast_to(sim.rounded(float(values[0]), what, where), values.shape)
        else:
            steps = whole(values, sim.timestep)[0] if computed else sim.rounded(values, what, where)
        least = max(1, int(whole(sim.min_delay, sim.timestep)[0]))
        most = _LONGEST if sim.max_delay is None else int(whole(sim.max_delay, sim.timestep)[0])
        for bad, limit in ((steps.min(), least), (steps.max(), most)):
            if bad < least if limit == least else bad > most:
                raise ConnectivityError(
                    f"{what} is {bad * sim.timestep:g} ms; the {'shortest' if limit == least else 'longest'} of this "
                    f"simulation is {limit * sim.timestep:g} ms (setup's min_delay and max_delay)"
                    f"{_bounded(value)}", where)  # fmt: skip
        return np.array(steps, dtype=np.int64)

    def _check_signs(self, weights: np.ndarray, value: Any, where: str | None) -> None:
        """PyNN's convention: inhibitory currents have negative weights, everything else positive ones."""
        kind = self.post.members()[0][0].celltype
        negative = self.receptor_type == "inhibitory" and not kind.conductance_based
        if len(weights) and (weights.max() > 0 if negative else weights.min() < 0):
            worst = weights.max() if negative else weights.min()
            more = _bounded(value)
            if not more and self.receptor_type == "inhibitory":
                more = f"; write weight={-worst:g}, receptor_type='inhibitory'"
            raise ConnectivityError(
                f"'{self.label}' has a weight of {worst:g}: weights onto the {self.receptor_type} receptor of "
                f"{type(kind).__name__} are {'at most' if negative else 'at least'} 0{more}", where)  # fmt: skip

    def _check_bounds(self, weights: np.ndarray, where: str | None) -> None:
        """Weights that learn start within their bounds."""
        if not isinstance(self.synapse_type, STDPMechanism):
            return
        top = self.synapse_type.weight_dependence.parameters["w_max"]
        if len(weights) and (weights.min() < 0 or weights.max() > top):
            worst = weights.min() if weights.min() < 0 else weights.max()
            raise ParameterError(
                f"'{self.label}' has a weight of {worst:g}: those of an STDPMechanism are from 0 to w_max = {top:g}",
                where)  # fmt: skip

    def set(self, **attributes: Any) -> None:
        """Change weights or delays before the first run; refused with a reason once the network runs."""
        where = caller()
        self.simulation.changing(f"set() of the projection '{self.label}'", where)
        for name, value in attributes.items():
            if name not in ("weight", "delay"):
                raise UnknownNameError(
                    f"'{self.label}' has no parameter '{name}' to be set{suggest(name, ('weight', 'delay'))}", where
                )
            if name == "delay":
                self._delays = self._in_steps(value, where)
            else:
                weights = self._values(name, value, where)
                self._check_signs(weights, value, where)
                self._check_bounds(weights, where)
                self._weights = weights

    def _present(self) -> np.ndarray:
        """Return the weights of now: those that were learned, where there are any."""
        sim = self.simulation
        return weights(self, sim.projections.index(self), sim.learned) if sim.learned else self._weights

    def _attribute(self, name: str, where: str | None) -> np.ndarray:
        held = {"weight": self._present(), "delay": self._delays * self.simulation.timestep,
                "presynaptic_index": self._sources, "postsynaptic_index": self._targets}  # fmt: skip
        if isinstance(self.synapse_type, TsodyksMarkramSynapse):
            held |= {k: np.full(len(self), self.synapse_type.parameters[k]) for k in ("U", "tau_rec", "tau_facil")}
        if name not in held:
            raise UnknownNameError(f"'{self.label}' has no attribute '{name}'{suggest(name, held)}", where)
        return held[name]

    def get(self, attribute_names: Any, format: str, gather: bool = True, with_address: bool = True,
            multiple_synapses: str = "sum") -> Any:  # fmt: skip
        """Return attributes of the connections.

        Parameters
        ----------
        attribute_names : str or list of str
            "weight" and "delay"; of a TsodyksMarkramSynapse "U", "tau_rec" and "tau_facil" too.
        format : {"list", "array"}
            Rows ``(i, j, value, …)``, or a matrix [pre, post] for each name, nan where there is no connection.
        with_address : bool
            Whether rows begin with ``(i, j)``.
        multiple_synapses : {"sum", "min", "max", "first", "last"}
            What stands in the matrix where a pair has several connections.
        """
        where = caller()
        single = isinstance(attribute_names, str)
        names = [attribute_names] if single else list(attribute_names)
        columns = [self._attribute(name, where) for name in names]
        if format == "list":
            if with_address:
                columns = [self._sources, self._targets, *columns]
            elif single:
                return columns[0].tolist()
            return list(zip(*(c.tolist() for c in columns), strict=True))
        if format != "array":
            raise ParameterError(f"format must be 'list' or 'array', got {format!r}", where)
        out = [self._matrix(values, multiple_synapses, where) for values in columns]
        return out[0] if single else out

    def _matrix(self, values: np.ndarray, several: str, where: str | None) -> np.ndarray:
        matrix = np.full(self.shape, np.nan)
        at = (self._sources, self._targets)
        if several in ("first", "last"):
            pairs = self._sources * self.shape[1] + self._targets
            pairs, values = (pairs, values) if several == "first" else (pairs[::-1].copy(), values[::-1].copy())
            kept, which = np.unique(pairs, return_index=True)
            matrix.flat[kept] = values[which]
        elif several in _MERGE:
            if several == "sum":
                matrix[at] = 0.0
            _MERGE[several].at(matrix, at, values)
        else:
            raise ParameterError(f"multiple_synapses must be one of {', '.join([*_MERGE, 'first', 'last'])}", where)
        return matrix

    def save(
        self, attribute_names: Any, file: str, format: str = "list", gather: bool = True, with_address: bool = True
    ) -> None:
        """Write attributes as text, which :class:`FromFileConnector` reads; in matrices 0 stands for no connection."""
        names = ["weight", "delay"] if attribute_names in ("all", "connections") else attribute_names
        names = [names] if isinstance(names, str) else list(names)
        values = self.get(names, format, with_address=with_address)
        rows = np.array(values, dtype=float) if format == "list" else np.nan_to_num(np.vstack(values))
        head = f"columns = {(['i', 'j'] if with_address else []) + names}" if format == "list" else f"names = {names}"
        np.savetxt(file, rows, fmt="%.17g", delimiter="\t", header=head)

    def __getitem__(self, k: int) -> SimpleNamespace:
        return self._connection(k, self._present())

    def _connection(self, k: int, present: np.ndarray) -> SimpleNamespace:
        i, j = int(self._sources[k]), int(self._targets[k])
        return SimpleNamespace(
            presynaptic_index=i,
            postsynaptic_index=j,
            presynaptic_cell=self.pre.all_cells[i],
            postsynaptic_cell=self.post.all_cells[j],
            weight=float(present[k]),
            delay=float(self._delays[k] * self.simulation.timestep),
        )

    def __iter__(self) -> Iterator[SimpleNamespace]:
        present = self._present()
        return (self._connection(k, present) for k in range(len(self)))

    connections = property(__iter__)

    def weightHistogram(self, min: float | None = None, max: float | None = None, nbins: int = 10) -> Any:
        """Return counts and edges of a histogram of the weights."""
        warnings.warn("weightHistogram() is deprecated in PyNN: use numpy.histogram", DeprecationWarning, stacklevel=2)
        present = self._present()
        low = present.min() if min is None else min
        high = present.max() if max is None else max
        return np.histogram(present, np.linspace(low, high, nbins + 1))

    def describe(self, template: Any = None, engine: Any = None) -> str:
        """Return a line about the projection."""
        return (f"{self.label}: {len(self)} connections by {type(self._connector).__name__} onto "
                f"{self.receptor_type}, {self.synapse_type!r}")  # fmt: skip


def _bounded(value: Any) -> str:
    """Return the end of a message about a drawn value that is out of bounds; empty where it was not drawn."""
    drawn = distribution_of(value)
    if drawn is None:
        return ""
    if drawn.name == "normal":
        return "; RandomDistribution('normal_clipped', mu=…, sigma=…, low=…, high=…) draws within bounds"
    return f"; bound the distribution '{drawn.name}'"
