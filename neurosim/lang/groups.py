"""Populations, and the parts and unions of them that projections, stimuli and probes take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim.errors import ParameterError, UnknownAttributeError, caller
from neurosim.habits import GROUP, elsewhere
from neurosim.lang.components import Cell
from neurosim.lang.scope import Scope
from neurosim.units import LENGTH, Quantity, quantity, scalar


class Group:
    """Neurons in a fixed order: parts of one or several populations.

    Indexing by a number, a slice, a boolean mask or a list of indices gives a part; ``a + b`` gives the union, in
    which the neurons of ``b`` follow those of ``a``.
    """

    def __init__(self, parts: Sequence[tuple[Population, np.ndarray | None]]) -> None:
        self.parts = tuple(parts)

    if not TYPE_CHECKING:  # which shall go on to refuse what is not there

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):  # copy and pickle ask for these before there is anything
                raise AttributeError(name)
            raise UnknownAttributeError(f"'{self.name}' has no '{name}'{elsewhere(name, GROUP)}", caller())

    def __len__(self) -> int:
        return sum(pop.n if ids is None else len(ids) for pop, ids in self.parts)

    @property
    def name(self) -> str:
        """A name made from the populations'."""
        return "+".join(dict.fromkeys(pop.label for pop, _ in self.parts))

    def __add__(self, other: Group) -> Group:
        if not isinstance(other, Group):
            return NotImplemented
        where = caller()
        if self.parts[0][0].network is not other.parts[0][0].network:
            raise ParameterError("populations of two networks cannot be joined", where)
        for pop, ids in self.parts:
            for same, others in other.parts:
                if pop is same and (ids is None or others is None or np.intersect1d(ids, others).size):
                    raise ParameterError(f"a neuron of '{pop.label}' is in both groups: a union holds each once", where)
        return Group((*self.parts, *other.parts))

    def __iter__(self) -> Iterator[Group]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, key: Any) -> Group:
        where, n = caller(), len(self)
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            if not -n <= key < n:
                raise ParameterError(f"index {key} is outside '{self.name}' of {n} neurons", where)
            chosen = np.array([key % n])
        elif isinstance(key, slice):
            chosen = np.arange(n)[key]
        else:
            chosen = np.asarray(key)
            if chosen.dtype == bool:
                if chosen.shape != (n,):
                    raise ParameterError(f"a mask of '{self.name}' needs {n} values, got shape {chosen.shape}", where)
                chosen = np.flatnonzero(chosen)
            elif chosen.size and (chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer)):
                raise ParameterError(
                    "index a population by a number, a slice, a mask or a list of whole numbers", where
                )
            elif chosen.size and (chosen.min() < -n or chosen.max() >= n):
                bad = chosen[(chosen < -n) | (chosen >= n)][0]
                raise ParameterError(f"index {bad} is outside '{self.name}' of {n} neurons", where)
            chosen = chosen.astype(np.int64) % n if chosen.size else np.zeros(0, np.int64)
        if len(chosen) == 0:
            raise ParameterError(f"the selection from '{self.name}' is empty", where)
        if len(np.unique(chosen)) != len(chosen):
            raise ParameterError(f"the selection from '{self.name}' names a neuron twice", where)
        parts: list[tuple[Population, np.ndarray | None]] = []
        start = 0
        for pop, ids in self.parts:
            size = pop.n if ids is None else len(ids)
            local = chosen[(chosen >= start) & (chosen < start + size)] - start
            if len(local):
                some = local if ids is None else ids[local]
                parts.append((pop, None if np.array_equal(some, np.arange(pop.n)) else some))
            start += size
        if len(self.parts) > 1 and np.any(np.diff(chosen) < 0):
            raise ParameterError("a selection from a union must keep the order of its neurons", where)
        return Group(parts)

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self)} neurons>"


_OWN = frozenset({"parts", "network", "label", "n", "cell", "where", "scope", "init", "positions", "stimuli"})


class Population(Group):
    """Neurons of one cell type. Made by :meth:`Network.population`.

    Attributes
    ----------
    label, n, cell : str, int, Cell
        Name, number of neurons, and model.
    positions : ndarray or None
        [n, 3] in metres.
    """

    def __init__(self, network: Any, label: str, n: int, cell: Cell, init: dict[str, Any], positions: Any) -> None:
        super().__init__([(self, None)])
        self.network, self.label, self.n, self.cell, self.where = network, label, n, cell, caller()
        self.scope = Scope(label, cell, self.where)
        self.init = init
        self.positions = _positions(positions, n, label, self.where)
        self.stimuli: list[tuple[str, Any, np.ndarray | None, str | None]] = []  # key, component, ids, receptor

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _OWN:  # it would be kept, and nothing would read it
            raise UnknownAttributeError(self._not_set(name), caller())
        super().__setattr__(name, value)

    def _not_set(self, name: str) -> str:
        what = f"population '{self.label}' has no '{name}' to be set"
        if name in self.cell.variables:
            return f"{what}: initial values are given where it is made, as net.population(…, init={{'{name}': …}})"
        if name in self.cell.params:
            return f"{what}: a parameter is given with the cell, as cell({name}=…)"
        return what

    @property
    def name(self) -> str:
        """The population's name."""
        return self.label


def intermediates(pop: Population) -> set[str]:
    """Return the names of what is computed in a step and not kept."""
    return {
        f"{prefix}.{eq.var}" if prefix else eq.var
        for prefix, part in pop.scope.parts.items()
        for eq in part.equations
        if eq.kind == "let"
    }


def _positions(value: Any, n: int, label: str, where: str | None) -> np.ndarray | None:
    if value is None:
        return None
    array = np.array(quantity(value, LENGTH, f"positions of population '{label}'", where), dtype=float)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[0] != n or array.shape[1] > 3:
        raise ParameterError(f"positions of population '{label}' must be [{n}, 1 to 3], got {list(array.shape)}", where)
    return np.hstack([array, np.zeros((n, 3 - array.shape[1]))])


def grid_positions(shape: tuple[int, ...], spacing: Quantity) -> Quantity:
    """Return positions of a regular grid, row by row: ``grid_positions((20, 20), 10*um)``."""
    step = scalar(spacing, LENGTH, "spacing", caller())
    axes = np.meshgrid(*(np.arange(k) for k in shape), indexing="ij")
    return Quantity(np.stack([a.ravel() for a in axes], axis=1) * step, LENGTH)
