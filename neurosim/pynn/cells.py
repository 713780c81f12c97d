"""One cell, and what populations and views of PyNN share: parameters, recording, data."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller
from neurosim.pynn import recording
from neurosim.pynn.celltypes import Sequence, StandardCellType
from neurosim.pynn.control import current
from neurosim.pynn.random import own_rng


def _views() -> Any:
    return importlib.import_module("neurosim.pynn.populations")  # which stands on this file


class ID(int):
    """One cell: a number that knows its population. Parameters are attributes: ``p[3].tau_m = 15.0``."""

    parent: Any

    def __new__(cls, number: int, parent: Any) -> ID:
        self = int.__new__(cls, number)
        object.__setattr__(self, "parent", parent)
        return self

    def as_view(self) -> Any:
        """Return a view of this cell alone."""
        return self.parent[[self.parent.id_to_index(self)]]

    @property
    def celltype(self) -> StandardCellType:
        """The cell type."""
        return self.parent.celltype

    @property
    def local(self) -> bool:
        """Whether the cell is on this process: always."""
        return True

    @property
    def position(self) -> np.ndarray:
        """x, y, z."""
        return self.parent.positions[:, self.parent.id_to_index(self)]

    def get_parameters(self) -> dict[str, Any]:
        """Return the cell's parameters."""
        return {name: self.as_view().get(name) for name in self.celltype.get_parameter_names()}

    def set_parameters(self, **parameters: Any) -> None:
        """Change parameters of this cell."""
        self.as_view().set(**parameters)

    def inject(self, source: Any) -> None:
        """Inject a current into this cell."""
        source.inject_into([self])

    def get_initial_value(self, variable: str) -> float:
        """Return the initial value of a state variable."""
        values = np.broadcast_to(self.parent.initial(variable), (self.parent.size,))
        return float(values[self.parent.id_to_index(self)])

    def set_initial_value(self, variable: str, value: float) -> None:
        """Change the initial value of a state variable."""
        self.as_view().initialize(**{variable: value})

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and self.parent.celltype.has_parameter(name):
            return self.as_view().get(name)
        raise AttributeError(f"a cell of type {type(self.parent.celltype).__name__} has no parameter '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        StandardCellType.check_name.__func__(type(self.celltype), name, caller())  # type: ignore[attr-defined]
        self.as_view().set(**{name: value})

    def __reduce__(self) -> Any:
        return int, (int(self),)


class BasePopulation:
    """What populations and views share: cells of one type, in order. ``indices`` are those in the population."""

    grandparent: Any
    indices: np.ndarray
    label: str

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.indices)

    local_size = size

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def celltype(self) -> StandardCellType:
        """The cell type, an instance."""
        return self.grandparent._celltype

    @property
    def all_cells(self) -> np.ndarray:
        """The cells, an array of :class:`ID`."""
        return self.grandparent._cells[self.indices]

    local_cells = all_cells

    @property
    def conductance_based(self) -> bool:
        """Whether weights onto the cells are conductances."""
        return self.celltype.conductance_based

    @property
    def receptor_types(self) -> tuple[str, ...]:
        """Names for ``receptor_type``."""
        return self.celltype.receptor_types

    @property
    def injectable(self) -> bool:
        """Whether currents can be injected."""
        return self.celltype.injectable

    @property
    def positions(self) -> np.ndarray:
        """Positions [3, n]."""
        return self.grandparent._located()[:, self.indices]

    @property
    def position_generator(self) -> Callable[[Any], np.ndarray]:
        """A function of the index of a cell, or of several: its position, or one a row."""
        return lambda i: self.positions.T[i]

    @property
    def structure(self) -> Any:
        """Where the cells are: the structure that the population was given."""
        return self.grandparent._structure

    def members(self) -> list[tuple[Any, np.ndarray]]:
        """Return (population, indices in it): what projections and currents are made from."""
        return [(self.grandparent, self.indices)]

    def __iter__(self) -> Iterator[ID]:
        return iter(self.all_cells)

    def all(self) -> Iterator[ID]:
        """Iterate over the cells."""
        return iter(self)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            if not -len(self) <= key < len(self):
                raise ParameterError(f"index {key} is outside '{self.label}' of {len(self)} cells", caller())
            return self.all_cells[key]
        return _views().PopulationView(self, list(key) if isinstance(key, tuple) else key)

    def __add__(self, other: Any) -> Any:
        return _views().Assembly(self, other)

    def id_to_index(self, cell: Any) -> Any:
        """Return the place of a cell (or cells) in this population or view."""
        ids = np.atleast_1d(np.asarray(cell, dtype=np.int64))
        mine = self.indices + int(self.grandparent.first_id)
        order = np.argsort(mine)
        at = np.minimum(np.searchsorted(mine, ids, sorter=order), len(mine) - 1)
        if not np.array_equal(mine[order[at]], ids):
            raise ParameterError(f"'{self.label}' does not hold the cell {ids[mine[order[at]] != ids][0]}", caller())
        return int(order[at][0]) if np.ndim(cell) == 0 else order[at]

    # -- parameters -------------------------------------------------------------------------------------------------

    def get(self, parameter_names: Any, gather: bool = False, simplify: bool = True) -> Any:
        """Return a parameter, or a list of several: one number where all cells agree, else an array."""
        where = caller()
        if isinstance(parameter_names, str):
            return self._get(parameter_names, simplify, where)
        return [self._get(name, simplify, where) for name in parameter_names]

    def _get(self, name: str, simplify: bool, where: str | None) -> Any:
        self.celltype.check_name(name, where)
        held = self.grandparent._values[name]
        if name == "spike_times":
            rows = np.empty(len(self), dtype=object)
            rows[:] = [Sequence(held[k]) for k in self.indices]
            same = all(np.array_equal(row.value, rows[0].value) for row in rows)
            return rows[0] if same and simplify else rows
        values = np.broadcast_to(held, (self.grandparent.size,))[self.indices]
        return float(values[0]) if simplify and np.all(values == values[0]) else values.copy()

    def set(self, **parameters: Any) -> None:
        """Change parameters: a number, an array, a RandomDistribution, or a function of the index."""
        where = caller()
        for name in parameters:
            self.celltype.check_name(name, where)
        for name, value in parameters.items():
            self.grandparent._set(name, value, self.indices, where)

    def tset(self, parametername: str, value_array: Any) -> None:
        """Change a parameter to the values of an array; PyNN prefers :meth:`set`."""
        _old("tset()", "set()")
        self.set(**{parametername: value_array})

    def rset(self, parametername: str, rand_distr: Any) -> None:
        """Change a parameter to random values; PyNN prefers :meth:`set`."""
        _old("rset()", "set()")
        self.set(**{parametername: rand_distr})

    def initialize(self, **initial_values: Any) -> None:
        """Set initial values of state variables, given like parameters."""
        where = caller()
        for name, value in initial_values.items():
            self.grandparent._initialize(name, value, self.indices, where)

    # -- recording --------------------------------------------------------------------------------------------------

    def can_record(self, variable: str) -> bool:
        """Tell whether the cells have a variable that can be recorded."""
        return self.celltype.can_record(variable)

    def find_units(self, variable: str) -> str:
        """Return the unit of a parameter or variable."""
        return self.celltype.units[variable]

    def record(self, variables: Any, to_file: Any = None, sampling_interval: float | None = None) -> None:
        """Record variables from now on.

        Parameters
        ----------
        variables : str, list of str, "all" or None
            Of ``celltype.recordable``; None stops all recording of the population.
        to_file : str or Neo IO, optional
            Written when ``end`` is called.
        sampling_interval : float, optional
            ms, a whole number of steps; one for all variables of a population.
        """
        where = caller()
        self._mine(where)
        if variables is None:
            self.grandparent.recorder.stop()
            return
        self.grandparent.recorder.record(variables, self.indices, sampling_interval, where)
        if to_file is not None and to_file is not True and to_file is not False:
            self.grandparent.simulation.write_on_end.append((self, variables, to_file))

    def get_data(
        self, variables: Any = "all", gather: bool = True, clear: bool = False, annotations: Any = None
    ) -> Any:
        """Return a Neo block of what was recorded; with ``clear`` it is forgotten afterwards."""
        out = recording.block(self.grandparent, variables, self.indices, self.label, annotations)
        if clear:
            self.grandparent.recorder.clear()
        return out

    def write_data(self, io: Any, variables: Any = "all", gather: bool = True, clear: bool = False,
                   annotations: Any = None) -> None:  # fmt: skip
        """Write what was recorded to a file (.pkl, .nix, .h5, .nwb, .mat) or a Neo IO object."""
        recording.write(self.get_data(variables, gather, clear, annotations), io)

    def get_spike_counts(self, gather: bool = True) -> dict[int, int]:
        """Return the number of spikes of every recorded cell, by its ID."""
        recorder = self.grandparent.recorder
        if "spikes" not in recorder.recorded:
            raise UnknownNameError(f"'{self.label}' has no spikes: call record('spikes') before the run", caller())
        ids = np.intersect1d(self.indices, recorder.recorded["spikes"])
        counts = recorder.counts(ids)
        return {self.grandparent._cells[k]: int(c) for k, c in zip(ids, counts, strict=True)}

    def mean_spike_count(self, gather: bool = True) -> float:
        """Return the mean number of spikes of the recorded cells."""
        counts = self.get_spike_counts()
        return sum(counts.values()) / len(counts) if counts else 0.0

    # -- the rest ---------------------------------------------------------------------------------------------------

    def inject(self, current_source: Any) -> None:
        """Inject a current into all cells."""
        current_source.inject_into(self)

    def sample(self, n: int, rng: Any = None) -> Any:
        """Return a view of ``n`` cells chosen at random."""
        return _views().PopulationView(
            self, own_rng(rng).choice(len(self), n, replace=False), label=f"{n} of {self.label}"
        )

    def nearest(self, position: Any) -> ID:
        """Return the cell nearest to a position."""
        d = self.positions - np.asarray(position, dtype=float)[:, None]
        return self.all_cells[int(np.argmin((d * d).sum(axis=0)))]

    def save_positions(self, file: str) -> None:
        """Write ``index x y z`` as text."""
        rows = np.column_stack([np.arange(len(self)), self.positions.T])
        np.savetxt(
            file, rows, fmt=["%d", "%.17g", "%.17g", "%.17g"], delimiter="\t", header=f"population = '{self.label}'"
        )

    def annotate(self, **annotations: Any) -> None:
        """Keep notes that go into the data."""
        self.grandparent.annotations.update(annotations)

    def describe(self, template: Any = None, engine: Any = None) -> str:
        """Return a line about the population."""
        return f"{self.label}: {len(self)} cells, {self.celltype.describe()}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.label}': {len(self)} cells of {type(self.celltype).__name__}>"

    def _mine(self, where: str | None) -> None:
        """Refuse a population that was made before the last setup()."""
        if self.grandparent.simulation is not current(where):
            raise ParameterError(
                f"'{self.label}' was made before the last setup(), which began a new simulation", where
            )


def _old(name: str, instead: str) -> None:
    warnings.warn(f"{name} is deprecated in PyNN: use {instead}", DeprecationWarning, stacklevel=3)
