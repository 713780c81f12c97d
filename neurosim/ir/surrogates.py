"""Surrogates: what stands for the derivative of the step function at the threshold, as programs of one argument.

They are snnTorch's, under its names and with its default slopes. ``SSO`` draws at random and is not among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from neurosim.ir.program import Builder, Program


def _atan(b: Builder, x: int) -> int:
    """alpha/2 / (1 + (pi/2 alpha x)^2), alpha = 2 (W. Fang et al., ICCV 2021)."""
    z = b.emit("mul", b.const(math.pi), x)
    return b.emit("div", b.const(1.0), b.emit("add", b.const(1.0), b.emit("mul", z, z)))


def _fast_sigmoid(b: Builder, x: int) -> int:
    """1/(25 |x| + 1)^2 (F. Zenke, S. Ganguli, Neural Comput. 30:1514, 2018)."""
    z = b.emit("add", b.emit("mul", b.const(25.0), b.emit("abs", x)), b.const(1.0))
    return b.emit("div", b.const(1.0), b.emit("mul", z, z))


def _sigmoid(b: Builder, x: int) -> int:
    """25 s (1 - s) with s the logistic function of 25 x (F. Zenke, S. Ganguli)."""
    s = b.emit("sigmoid", b.emit("mul", b.const(25.0), x))
    return b.emit("mul", b.const(25.0), b.emit("mul", s, b.emit("sub", b.const(1.0), s)))


def _straight_through(b: Builder, x: int) -> int:
    """1 everywhere (Y. Bengio, N. Leonard, A. Courville, arXiv 1308.3432)."""
    return b.const(1.0)


def _spike_rate_escape(b: Builder, x: int) -> int:
    """25 exp(-|x - 1|) (W. Gerstner, W. Kistler, Spiking Neuron Models, 2002)."""
    z = b.emit("abs", b.emit("sub", x, b.const(1.0)))
    return b.emit("mul", b.const(25.0), b.emit("exp", b.emit("neg", z)))


def _triangular(b: Builder, x: int) -> int:
    """1 below the threshold, -1 above it."""
    return b.emit("select", b.emit("ge", x, b.const(0.0)), b.const(-1.0), b.const(1.0))


def _heaviside(b: Builder, x: int) -> int:
    """1 above the threshold, 0 below it."""
    return b.emit("select", b.emit("gt", x, b.const(0.0)), b.const(1.0), b.const(0.0))


def _sfs(b: Builder, x: int) -> int:
    """The fast sigmoid's where x > 1, else 0 (N. Perez-Nieves, D. Goodman, NeurIPS 2021)."""
    return b.emit("select", b.emit("gt", x, b.const(1.0)), _fast_sigmoid(b, x), b.const(0.0))


_BODIES: dict[str, Callable[[Builder, int], int]] = {
    "atan": _atan,
    "fast_sigmoid": _fast_sigmoid,
    "sigmoid": _sigmoid,
    "straight_through_estimator": _straight_through,
    "spike_rate_escape": _spike_rate_escape,
    "triangular": _triangular,
    "heaviside": _heaviside,
    "SFS": _sfs,
}


def _program(body: Callable[[Builder, int], int]) -> Program:
    b = Builder()
    return b.build(body(b, b.emit("arg", attr=0)))


SURROGATE_SLOPES: dict[str, Program] = {name: _program(body) for name, body in _BODIES.items()}
"""Name of a surrogate -> its derivative."""
