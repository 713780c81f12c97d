"""What a chip is to neurosim: limits, each with its source, and what breaks them."""

from __future__ import annotations

import importlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from neurosim.errors import UnknownNameError, caller, suggest
from neurosim.lang.network import Network

CHIPS: dict[str, str] = {
    "loihi2": "neurosim.hardware.loihi2.placement",
    "brainscales2": "neurosim.hardware.brainscales2.placement",
    "memristor": "neurosim.hardware.memristor.placement",
}
"""Name of a chip -> the module whose ``place(network, order=...)`` puts a network on it."""


@dataclass(frozen=True)
class Limit:
    """One figure of a chip.

    Attributes
    ----------
    name, value, unit, source
        What it is called, how much it is, of what, and who says so.
    firm : bool
        Whether a network beyond it does not fit. One that is only likely is a warning.
    least : bool
        Whether it is the least that there may be, rather than the most.
    """

    name: str
    value: float
    unit: str
    source: str
    firm: bool = True
    least: bool = False


@dataclass(frozen=True)
class Violation:
    """A limit that a network breaks, where, by how much, and what to do."""

    limit: Limit
    where: str
    value: float
    cure: str

    def __str__(self) -> str:
        word = "does not fit" if self.limit.firm else "may not fit"
        end = "the least is" if self.limit.least else "the limit is"
        return (f"{self.where} {word}: {number(self.value)} {self.limit.unit}, {end} {number(self.limit.value)} "
                f"({self.limit.source}); {self.cure}")  # fmt: skip


def number(value: float) -> str:
    """Return a figure as text: whole numbers with thousands apart, others with four digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


@dataclass(frozen=True)
class Chip:
    """A chip: its name, and its limits and costs by name."""

    name: str
    limits: dict[str, Limit]

    def __getitem__(self, name: str) -> float:
        return self.limits[name].value


def read_chip(path: Path) -> Chip:
    """Read a chip's file of limits."""
    with path.open("rb") as file:
        data = tomllib.load(file)
    return Chip(data["name"], {entry["name"]: Limit(**entry) for entry in data["limit"]})


class Placed(Protocol):
    """A network on a chip, as every chip's ``place`` returns it; ``str`` of it is the report."""

    violations: list[Violation]


def place(network: Network, chip: str, *, order: str = "given") -> Placed:
    """Put a network on a chip.

    Parameters
    ----------
    network : Network
        What to place.
    chip : str
        One of :data:`CHIPS`.
    order : str
        In which the neurons are dealt out; what there is, the chip says.

    Raises
    ------
    UnknownNameError
        No such chip.
    UnsupportedError
        The network has what the chip has no counterpart of; all of it is listed.
    """
    if chip not in CHIPS:
        raise UnknownNameError(f"no chip '{chip}'{suggest(chip, CHIPS)}", caller())
    placed: Placed = importlib.import_module(CHIPS[chip]).place(network, order=order)
    return placed
