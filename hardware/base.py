"""What a chip is to neurosim: limits, each with its source, and what breaks them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limit:
    """One figure of a chip.

    Attributes
    ----------
    name, value, unit, source
        What it is called, how much it is, of what, and who says so.
    firm : bool
        Whether a network beyond it does not fit. One that is only likely is a warning.
    """

    name: str
    value: float
    unit: str
    source: str
    firm: bool = True


@dataclass(frozen=True)
class Violation:
    """A limit that a network breaks, where, by how much, and what to do."""

    limit: Limit
    where: str
    value: float
    cure: str

    def __str__(self) -> str:
        word = "does not fit" if self.limit.firm else "may not fit"
        return (f"{self.where} {word}: {self.value:,.0f} {self.limit.unit}, the limit is {self.limit.value:,.0f} "
                f"({self.limit.source}); {self.cure}")  # fmt: skip


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
