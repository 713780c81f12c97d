"""Assemblies: populations and views, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest
from neurosim.pynn import recording
from neurosim.pynn.cells import ID, BasePopulation
from neurosim.pynn.control import current
from neurosim.pynn.random import own_rng

_numbers = itertools.count()


class Assembly:
    """Populations and views, one after the other."""

    def __init__(self, *populations: Any, label: str | None = None) -> None:
        where = caller()
        self.populations: list[BasePopulation] = []
        for one in populations:
            if not isinstance(one, (BasePopulation, Assembly)):
                raise ParameterError(f"an assembly is made of populations, got {one!r}", where)
            self.populations += one.populations if isinstance(one, Assembly) else [one]
        self.label = label or f"assembly{next(_numbers)}"

    @property
    def size(self) -> int:
        """Number of cells."""
        return sum(len(p) for p in self.populations)

    def __len__(self) -> int:
        return self.size

    @property
    def all_cells(self) -> np.ndarray:
        """The cells."""
        return np.concatenate([p.all_cells for p in self.populations])

    local_cells = all_cells

    @property
    def positions(self) -> np.ndarray:
        """Positions [3, n]."""
        return np.hstack([p.positions for p in self.populations])

    @property
    def position_generator(self) -> Callable[[Any], np.ndarray]:
        """A function of the index of a cell, or of several: its position, or one a row."""
        return lambda i: self.positions.T[i]

    @property
    def receptor_types(self) -> tuple[str, ...]:
        """Receptor types that all members have."""
        common = [set(p.receptor_types) for p in self.populations]
        return tuple(r for r in self.populations[0].receptor_types if all(r in c for c in common))

    @property
    def injectable(self) -> bool:
        """Whether currents can be injected into all members."""
        return all(p.injectable for p in self.populations)

    def members(self) -> list[tuple[Any, np.ndarray]]:
        """Return (population, indices in it) of every member."""
        return [m for p in self.populations for m in p.members()]

    def __iter__(self) -> Iterator[ID]:
        return itertools.chain(*self.populations)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)):
            return self.all_cells[key]
        chosen = np.arange(len(self))[list(key) if isinstance(key, tuple) else key]
        ends = np.cumsum([len(p) for p in self.populations])
        starts = ends - [len(p) for p in self.populations]
        parts = [
            p[chosen[(chosen >= a) & (chosen < b)] - a]
            for p, a, b in zip(self.populations, starts, ends, strict=True)
            if np.any((chosen >= a) & (chosen < b))
        ]
        return Assembly(*parts)

    def __add__(self, other: Any) -> Assembly:
        return Assembly(self, other)

    def __iadd__(self, other: Any) -> Assembly:
        self.populations += Assembly(other).populations
        return self

    def get_population(self, label: str) -> BasePopulation:
        """Return the member of that label."""
        for p in self.populations:
            if p.label == label:
                return p
        raise UnknownNameError(
            f"the assembly has no '{label}'{suggest(label, [p.label for p in self.populations])}", caller()
        )

    def get(self, parameter_names: Any, gather: bool = False, simplify: bool = True) -> Any:
        """Return a parameter of all cells, or a list of several."""
        names = [parameter_names] if isinstance(parameter_names, str) else list(parameter_names)
        joined = [np.concatenate([p.get(n, simplify=False) for p in self.populations]) for n in names]
        out = [v[0] if simplify and v.dtype != object and np.all(v == v[0]) else v for v in joined]
        return out[0] if isinstance(parameter_names, str) else out

    def set(self, **parameters: Any) -> None:
        """Change parameters of all members."""
        for p in self.populations:
            p.set(**parameters)

    def initialize(self, **initial_values: Any) -> None:
        """Set initial values of all members."""
        for p in self.populations:
            p.initialize(**initial_values)

    def record(self, variables: Any, to_file: Any = None, sampling_interval: float | None = None) -> None:
        """Record variables of all members."""
        for p in self.populations:
            p.record(variables, None, sampling_interval)
        if isinstance(to_file, str):
            current().write_on_end.append((self, variables, to_file))

    def get_data(
        self, variables: Any = "all", gather: bool = True, clear: bool = False, annotations: Any = None
    ) -> Any:
        """Return one Neo block of what all members recorded."""
        offsets = np.cumsum([0, *(len(p) for p in self.populations)])[:-1].tolist()
        blocks = [p.get_data(variables, gather, clear, annotations) for p in self.populations]
        return recording.merged(blocks, self.label, offsets)

    def write_data(self, io: Any, variables: Any = "all", gather: bool = True, clear: bool = False,
                   annotations: Any = None) -> None:  # fmt: skip
        """Write what all members recorded."""
        recording.write(self.get_data(variables, gather, clear, annotations), io)

    def get_spike_counts(self, gather: bool = True) -> dict[int, int]:
        """Return the number of spikes of every recorded cell, by its ID."""
        return {k: v for p in self.populations for k, v in p.get_spike_counts().items()}

    def mean_spike_count(self, gather: bool = True) -> float:
        """Return the mean number of spikes of the recorded cells."""
        counts = self.get_spike_counts()
        return sum(counts.values()) / len(counts) if counts else 0.0

    def inject(self, current_source: Any) -> None:
        """Inject a current into all cells."""
        current_source.inject_into(self)

    def sample(self, n: int, rng: Any = None) -> Assembly:
        """Return an assembly of ``n`` cells chosen at random."""
        return self[own_rng(rng).choice(len(self), n, replace=False)]

    def describe(self, template: Any = None, engine: Any = None) -> str:
        """Return a line per member."""
        return "\n".join(p.describe() for p in self.populations)

    def __repr__(self) -> str:
        return f"<Assembly '{self.label}': {', '.join(p.label for p in self.populations)}>"

    def _mine(self, where: str | None) -> None:
        for p in self.populations:
            p._mine(where)


def members_of(cells: Any, where: str | None) -> list[tuple[Any, np.ndarray]]:
    """Return (population, indices) for a population, view, assembly, cell, or list of cells."""
    if isinstance(cells, (BasePopulation, Assembly)):
        return cells.members()
    listed = [cells] if isinstance(cells, ID) else list(cells) if isinstance(cells, (list, tuple, np.ndarray)) else None
    if not listed or not all(isinstance(c, ID) for c in listed):
        raise ParameterError(f"cells are a population, a view, an assembly or a list of cells; got {cells!r}", where)
    return [(c.parent, np.array([c.parent.id_to_index(c)])) for c in listed]
