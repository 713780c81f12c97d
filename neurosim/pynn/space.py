"""Where neurons are, by PyNN's names: structures that give positions, and spaces that measure distances.

Positions are plain numbers in whatever unit the script means (PyNN: micrometres by custom), [3, n].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.pynn.random import own_rng

AXES = {"x": (0,), "y": (1,), "z": (2,), "xy": (0, 1), "yz": (1, 2), "xz": (0, 2), "xyz": (0, 1, 2), None: (0, 1, 2)}


class Space:
    """How distances are measured.

    Parameters
    ----------
    axes : str, optional
        Which coordinates count, such as ``"x"`` or ``"yz"``; all three by default.
    scale_factor, offset : float
        Positions of the target are taken as ``scale_factor*(position + offset)``.
    periodic_boundaries : tuple, optional
        ``((x_min, x_max), None, (z_min, z_max))``: None where an axis is open.
    """

    def __init__(self, axes: str | None = None, scale_factor: float = 1.0, offset: Any = 0.0,
                 periodic_boundaries: Any = None) -> None:  # fmt: skip
        if axes not in AXES:
            raise ParameterError(f"axes must be one of {', '.join(k for k in AXES if k)}, got {axes!r}", caller())
        self.axes, self.scale_factor, self.offset = AXES[axes], scale_factor, offset
        if periodic_boundaries is not None and len(periodic_boundaries) != 3:
            raise ParameterError("periodic_boundaries needs an entry for x, y and z: a pair or None", caller())
        self.periodic_boundaries = periodic_boundaries

    def distances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the matrix of distances from points ``a`` [n, 3] to points ``b`` [m, 3]."""
        a, b = np.atleast_2d(np.asarray(a, float)), np.atleast_2d(np.asarray(b, float))
        b = self.scale_factor * (b + np.asarray(self.offset, dtype=float))
        total = np.zeros((len(a), len(b)))
        for axis in self.axes:
            d = np.abs(a[:, None, axis] - b[None, :, axis])
            bounds = None if self.periodic_boundaries is None else self.periodic_boundaries[axis]
            if bounds is not None:
                d = np.minimum(d, (bounds[1] - bounds[0]) - d)
            total += d * d
        return np.sqrt(total)


class BaseStructure:
    """Gives positions to neurons."""

    def generate_positions(self, n: int) -> np.ndarray:
        """Return [3, n] positions."""
        raise NotImplementedError(f"{type(self).__name__} says no positions")

    def __repr__(self) -> str:
        values = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if k != "rng")
        return f"{type(self).__name__}({values})"


class Line(BaseStructure):
    """Neurons on a line along x, ``dx`` apart."""

    def __init__(self, dx: float = 1.0, x0: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        self.dx, self.x0, self.y, self.z = dx, x0, y, z

    def generate_positions(self, n: int) -> np.ndarray:
        x = self.x0 + self.dx * np.arange(n)
        return np.stack([x, np.full(n, float(self.y)), np.full(n, float(self.z))])


class Grid2D(BaseStructure):
    """Neurons on a grid in the plane, y running fastest.

    Parameters
    ----------
    aspect_ratio : float
        Points along x for every point along y.
    dx, dy, x0, y0, z : float
        Distances between points, the corner, and the height of the plane.
    fill_order : {"sequential", "random"}
        Whether neuron 0 is at the corner, or the neurons are shuffled.
    """

    def __init__(self, aspect_ratio: float = 1.0, dx: float = 1.0, dy: float = 1.0, x0: float = 0.0, y0: float = 0.0,
                 z: float = 0.0, fill_order: str = "sequential", rng: Any = None) -> None:  # fmt: skip
        self.aspect_ratio, self.dx, self.dy, self.x0, self.y0, self.z = aspect_ratio, dx, dy, x0, y0, z
        self.fill_order, self.rng = _order(fill_order), rng

    def calculate_size(self, n: int) -> tuple[int, int]:
        """Return how many points lie along x and y."""
        nx = round(math.sqrt(n * self.aspect_ratio))
        if nx < 1 or n % nx or not math.isclose(nx / (n // nx), self.aspect_ratio, rel_tol=1e-9):
            raise ParameterError(f"{n} neurons do not fill a grid of aspect ratio {self.aspect_ratio:g}", caller())
        return nx, n // nx

    def generate_positions(self, n: int) -> np.ndarray:
        x, y = (a.ravel() for a in np.indices(self.calculate_size(n), dtype=float))
        out = np.stack([self.x0 + self.dx * x, self.y0 + self.dy * y, np.full(n, float(self.z))])
        return _filled(out, self.fill_order, self.rng)


class Grid3D(BaseStructure):
    """Neurons on a grid in space, z running fastest; aspect ratios are points along x per point along y and z."""

    def __init__(self, aspect_ratioXY: float = 1.0, aspect_ratioXZ: float = 1.0, dx: float = 1.0, dy: float = 1.0,
                 dz: float = 1.0, x0: float = 0.0, y0: float = 0.0, z0: float = 0.0, fill_order: str = "sequential",
                 rng: Any = None) -> None:  # fmt: skip
        self.aspect_ratios = (aspect_ratioXY, aspect_ratioXZ)
        self.spacing, self.corner = (dx, dy, dz), (x0, y0, z0)
        self.fill_order, self.rng = _order(fill_order), rng

    def calculate_size(self, n: int) -> tuple[int, int, int]:
        """Return how many points lie along x, y and z."""
        a, b = self.aspect_ratios
        nx = round((n * a * b) ** (1 / 3))
        ny, nz = round(nx / a), round(nx / b)
        if nx * ny * nz != n:
            raise ParameterError(f"{n} neurons do not fill a grid of aspect ratios {a:g} and {b:g}", caller())
        return nx, ny, nz

    def generate_positions(self, n: int) -> np.ndarray:
        axes = np.indices(self.calculate_size(n), dtype=float).reshape(3, n)
        out = np.stack([c + s * k for c, s, k in zip(self.corner, self.spacing, axes, strict=True)])
        return _filled(out, self.fill_order, self.rng)


class Cuboid:
    """A box: ``width`` along x, ``height`` along y, ``depth`` along z, its centre at the origin."""

    def __init__(self, width: float, height: float, depth: float) -> None:
        self.width, self.height, self.depth = width, height, depth

    def __repr__(self) -> str:
        return f"Cuboid({self.width}, {self.height}, {self.depth})"

    def sample(self, n: int, rng: Any) -> np.ndarray:
        """Return [n, 3] points."""
        return (own_rng(rng).uniform(-0.5, 0.5, (n, 3))) * np.array([self.width, self.height, self.depth])


class Sphere:
    """A ball around the origin."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def __repr__(self) -> str:
        return f"Sphere({self.radius})"

    def sample(self, n: int, rng: Any) -> np.ndarray:
        """Return [n, 3] points: those of a cube that lie in the ball."""
        rng, held = own_rng(rng), np.zeros((0, 3))
        while len(held) < n:
            points = rng.uniform(-1.0, 1.0, (2 * n + 8, 3))
            held = np.concatenate([held, points[(points**2).sum(axis=1) < 1.0]])
        return self.radius * held[:n]


class RandomStructure(BaseStructure):
    """Neurons anywhere in a volume (:class:`Cuboid` or :class:`Sphere`) around ``origin``."""

    def __init__(self, boundary: Any, origin: Any = (0.0, 0.0, 0.0), rng: Any = None) -> None:
        if not hasattr(boundary, "sample"):
            raise ParameterError(f"the boundary is a Cuboid or a Sphere, got {boundary!r}", caller())
        self.boundary, self.origin, self.rng = boundary, tuple(origin), own_rng(rng)

    def generate_positions(self, n: int) -> np.ndarray:
        return (np.asarray(self.origin, float) + np.asarray(self.boundary.sample(n, self.rng))).T


def _order(given: str) -> str:
    if given not in ("sequential", "random"):
        raise ParameterError(f"fill_order must be 'sequential' or 'random', got {given!r}", caller())
    return given


def _filled(points: np.ndarray, order: str, rng: Any) -> np.ndarray:
    return points if order == "sequential" else points[:, own_rng(rng).permutation(points.shape[1])]
