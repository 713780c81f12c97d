"""Populations and views by PyNN's names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest
from neurosim.pynn import recording, space
from neurosim.pynn.assembly import Assembly
from neurosim.pynn.cells import ID, BasePopulation
from neurosim.pynn.celltypes import SpikeSourceArray, StandardCellType, check_timestep
from neurosim.pynn.control import current
from neurosim.pynn.values import per_neuron, times_per_neuron

__all__ = ["Assembly", "Population", "PopulationView"]


class Population(BasePopulation):
    """Cells of one type.

    Parameters
    ----------
    size : int or tuple of int
        Number of cells; a tuple also puts them on a line or grid.
    cellclass : cell type
        Such as ``IF_curr_exp(tau_m=15.0)``; a class with ``cellparams`` beside it is the old spelling.
    structure : structure, optional
        Where the cells are; on a line by default.
    initial_values : dict, optional
        As :meth:`initialize` takes them.
    label : str, optional
        A name.
    """

    def __init__(self, size: Any, cellclass: Any, cellparams: Any = None, structure: Any = None,
                 initial_values: Any = None, label: str | None = None) -> None:  # fmt: skip
        self.where = where = caller()
        self.simulation = sim = current(where)
        sim.changing("a new Population", where)
        if isinstance(size, tuple):
            if structure is not None:
                raise ParameterError("a tuple of sizes is a structure already: leave structure out", where)
            size, structure = _grid(size, where)
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise ParameterError(f"a population needs a whole number of cells, at least 1; got {size!r}", where)
        if isinstance(cellclass, type) and issubclass(cellclass, StandardCellType):
            cellclass = cellclass(**(cellparams or {}))
        elif isinstance(cellclass, type):
            cellclass = cellclass(**(cellparams or {}))  # a type that is lacking says so
        elif cellparams is not None:
            raise ParameterError("a cell type that has its parameters takes no cellparams", where)
        if not isinstance(cellclass, StandardCellType):
            raise ParameterError(f"a population needs a cell type such as IF_curr_exp(), got {cellclass!r}", where)
        self.grandparent = self
        self.indices = np.arange(int(size))
        self.label = label or f"population{len(sim.populations)}"
        self.name = sim.name_of(self.label)
        self._celltype = cellclass
        self._structure = structure or space.Line()
        if not hasattr(self._structure, "generate_positions"):
            raise ParameterError(f"structure must be a Line, Grid2D, … got {structure!r}", where)
        self._positions: np.ndarray | None = None
        self.annotations: dict[str, Any] = {}
        first = sim.cells + 1
        sim.cells += int(size)
        self._cells = np.empty(int(size), dtype=object)
        self._cells[:] = [ID(first + k, self) for k in range(int(size))]
        self._values: dict[str, Any] = {}
        self.history: dict[str, list[tuple[int, Any]]] = {}
        self._initials: dict[str, Any] = dict(cellclass.default_initial_values)
        for name, value in cellclass.parameters.items():
            self._values[name] = self._checked(name, value, self.size, where)
        check_timestep(cellclass, self._values, sim.timestep, where)
        self.recorder = recording.Recorder(self)
        self.initialize(**(initial_values or {}))
        sim.populations.append(self)

    @property
    def first_id(self) -> ID:
        """The first cell."""
        return self._cells[0]

    @property
    def last_id(self) -> ID:
        """The last cell."""
        return self._cells[-1]

    @property
    def initial_values(self) -> dict[str, Any]:
        """Initial values of the state variables."""
        return dict(self._initials)

    def initial(self, variable: str) -> Any:
        """Return the initial value of a variable: one, or one per cell."""
        return self._initials[variable]

    @property
    def positions(self) -> np.ndarray:
        """Positions [3, n]."""
        return self._located()

    @positions.setter
    def positions(self, values: Any) -> None:
        values = np.array(values, dtype=float)
        if values.shape != (3, self.size):
            raise ParameterError(
                f"positions of '{self.label}' are [3, {self.size}], got {list(values.shape)}", caller()
            )
        self._positions = values

    def _located(self) -> np.ndarray:
        if self._positions is None:
            self._positions = np.asarray(self._structure.generate_positions(self.size), dtype=float)
        return self._positions

    def _checked(self, name: str, value: Any, n: int, where: str | None) -> Any:
        what = f"{name} of '{self.label}'"
        if name == "spike_times":
            return times_per_neuron(value, n, what, where)
        return per_neuron(value, n, what, where)

    def _set(self, name: str, value: Any, indices: np.ndarray, where: str | None) -> None:
        self._mine(where)
        new = self._checked(name, value, len(indices), where)
        if name == "spike_times":
            self._reschedule(new, indices)
            return
        if name not in self._celltype.changeable:
            self.simulation.changing(f"set({name}=…) of '{self.label}'", where)
        before = self._values[name]
        everyone = len(indices) == self.size and np.array_equal(indices, self.indices)
        if everyone:
            self._values[name] = new
        else:
            values = np.broadcast_to(self._values[name], (self.size,)).astype(float)
            values[indices] = new
            self._values[name] = values
        if self.simulation.begun and not np.array_equal(before, self._values[name]):
            self._keep(name, before)
        check_timestep(self._celltype, self._values, self.simulation.timestep, where)

    def _keep(self, name: str, before: Any) -> None:
        """Keep what a parameter was until now: the next run simulates that past again."""
        held = self.history.get(name, [])
        if self.simulation.steps > (held[-1][0] if held else 0):
            self.history[name] = [*held, (self.simulation.steps, before)]
        self.simulation.anew()

    def _reschedule(self, new: list[np.ndarray], indices: np.ndarray) -> None:
        """Spikes up to now stay as they were; later ones are those of the new list."""
        now = self.simulation.t + self.simulation.timestep / 2 if self.simulation.begun else -1.0
        for k, times in zip(indices, new, strict=True):
            past = self._values["spike_times"][k]
            self._values["spike_times"][k] = np.concatenate([past[past <= now], times[times > now]])
        self.simulation.anew()

    def _initialize(self, name: str, value: Any, indices: np.ndarray, where: str | None) -> None:
        self._mine(where)
        self.simulation.changing(f"initialize({name}=…) of '{self.label}'", where)
        known = self._celltype.default_initial_values
        if name not in known:
            raise UnknownNameError(
                f"{type(self._celltype).__name__} has no state variable '{name}'{suggest(name, known)}", where
            )
        values = np.broadcast_to(self._initials[name], (self.size,)).astype(float)
        values[indices] = per_neuron(value, len(indices), f"initial {name} of '{self.label}'", where)
        self._initials[name] = values

    @property
    def is_source(self) -> bool:
        """Whether the cells spike at given times."""
        return isinstance(self._celltype, SpikeSourceArray)


class PopulationView(BasePopulation):
    """A part of a population (or of a view): a slice, a mask, or a list of indices."""

    def __init__(self, parent: BasePopulation, selector: Any, label: str | None = None) -> None:
        where = caller()
        if isinstance(selector, slice):
            chosen = np.arange(len(parent))[selector]
        else:
            chosen = np.asarray(selector)
            if chosen.dtype == bool:
                if chosen.shape != (len(parent),):
                    raise ParameterError(f"a mask of '{parent.label}' needs {len(parent)} values", where)
                chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise ParameterError("index a population by a number, a slice, a mask or a list of whole numbers", where)
        if chosen.size == 0:
            raise ParameterError(f"the selection from '{parent.label}' is empty", where)
        if chosen.min() < -len(parent) or chosen.max() >= len(parent):
            raise ParameterError(f"an index is outside '{parent.label}' of {len(parent)} cells", where)
        chosen = chosen.astype(np.int64) % len(parent)
        if len(np.unique(chosen)) != len(chosen):
            raise ParameterError(f"the selection from '{parent.label}' names a cell twice", where)
        self.parent, self.mask = parent, selector
        self.grandparent = parent.grandparent
        self.indices = parent.indices[chosen]
        self.label = label or f"view of '{parent.label}' with size {len(chosen)}"

    def index_in_grandparent(self, indices: Any) -> np.ndarray:
        """Return the indices in the whole population."""
        return self.indices[np.asarray(indices)]


def _grid(size: tuple[Any, ...], where: str | None) -> tuple[int, Any]:
    if not 1 <= len(size) <= 3 or not all(isinstance(k, (int, np.integer)) and k > 0 for k in size):
        raise ParameterError(f"a size is a whole number or up to three of them, got {size!r}", where)
    nx = float(size[0])
    shape = {1: lambda: space.Line(), 2: lambda: space.Grid2D(nx / size[1]),
             3: lambda: space.Grid3D(nx / size[1], nx / size[2])}[len(size)]()  # fmt: skip
    return math.prod(size), shape
