"""Who draws, and what can be drawn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

T = TypeVar("T")


class Chooser(Protocol):
    """Draws whole numbers."""

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        ...


class Seeded:
    """Draws from a seed."""

    def __init__(self, seed: int) -> None:
        self.generator = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        return self.generator.randint(low, high)


class Dice:
    """What is drawn, in terms of a chooser."""

    def __init__(self, chooser: Chooser) -> None:
        self.integer = chooser.integer

    def pick(self, options: Sequence[T]) -> T:
        """Return one of several."""
        return options[self.integer(0, len(options) - 1)]

    def number(self, low: float, high: float) -> float:
        """Return one of 1001 values from ``low`` to ``high``."""
        return low + (high - low) * self.integer(0, 1000) / 1000

    def flag(self) -> bool:
        """Return yes or no."""
        return bool(self.integer(0, 1))

    def arrays(self) -> np.random.Generator:
        """Return a generator for arrays of data."""
        return np.random.default_rng(self.integer(0, 2**31))
