"""NIR's linear nodes as sparse matrices, and what they make of the signals that run through a graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurosim.errors import UnsupportedError
from neurosim.ir.rules import Convolution

WIRES = ("Input", "Output", "Flatten")
"""Nodes that hand on what they get."""

LINEAR = (*WIRES, "Linear", "Affine", "Scale", "Delay", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d")

MAX_ENTRIES = 200_000_000
"""Entries of a matrix that are made at most: 3.2 GB."""


def numbers(node: Any, key: str, what: str) -> np.ndarray:
    """Return an array of a node, which may be anything that a file can hold."""
    given = np.asarray(getattr(node, key))
    if given.dtype.kind not in "fiub":
        raise UnsupportedError(f"{key} of {what} is no array of numbers")
    return given.astype(np.float64)


def matrix(node: Any, what: str) -> Any:
    """Return the matrix [outputs, inputs] of a linear node (a Delay's is the identity).

    Parameters
    ----------
    node : nir.NIRNode
        With its types inferred.
    what : str
        How it is called in an error.
    """
    from scipy import sparse

    kind = type(node).__name__
    n_in = int(np.prod(node.input_type["input"]))
    if kind in (*WIRES, "Delay"):
        return sparse.identity(n_in, format="csr")
    if kind == "Scale":
        return sparse.diags(numbers(node, "scale", what).ravel(), format="csr")
    if kind in ("Linear", "Affine"):
        weight = numbers(node, "weight", what)
        if weight.ndim != 2:
            raise UnsupportedError(f"{what} has weights of shape {list(weight.shape)}; a matrix is read")
        return sparse.csr_matrix(weight)
    made = unrolled(*kernel(node, what))
    expected = tuple(int(np.prod(t)) for t in (node.output_type["output"], node.input_type["input"]))
    if made.shape != expected:
        raise UnsupportedError(f"{what} maps {made.shape[1]} inputs to {made.shape[0]} outputs, but its types say "
                               f"{expected[1]} and {expected[0]}")  # fmt: skip
    return made


def bias(node: Any, what: str) -> np.ndarray | None:
    """Return what a linear node adds to each of its outputs, or None."""
    kind = type(node).__name__
    if kind not in ("Affine", "Conv1d", "Conv2d"):
        return None
    values = numbers(node, "bias", what).ravel()
    shape = [int(k) for k in node.output_type["output"]]
    if len(values) != shape[0]:
        raise UnsupportedError(f"{what} has {len(values)} biases for {shape[0]} outputs or channels")
    if kind != "Affine":  # one for each channel
        values = np.repeat(values, int(np.prod(shape[1:])))
    values = np.broadcast_to(values, (int(np.prod(shape)),))
    return values if np.any(values) else None


def convolution(weight: np.ndarray, shape: tuple[int, ...], padding: Any, stride: tuple[int, ...],
                dilation: tuple[int, ...], groups: int, what: str) -> Convolution:  # fmt: skip
    """Return the rule of a convolution (a correlation, as torch has it) over [channels, ...], flattened.

    Parameters
    ----------
    weight : array
        [outputs, inputs of a group, ...]: an axis of the kernel for each one in ``shape``.
    padding : sequence of pairs
        Zeros before and after, for each axis.
    """
    c_out, per_group, *kernel = weight.shape
    if groups < 1 or c_out % groups:
        raise UnsupportedError(f"{what} has {c_out} output channels in {groups} groups")
    seen = [n + sum(padding[a]) - dilation[a] * (kernel[a] - 1) for a, n in enumerate(shape)]
    if min(seen) < 1:
        raise UnsupportedError(f"{what}: its kernel of {' x '.join(map(str, kernel))} is larger than its input")
    rule = Convolution((groups * per_group, *shape), c_out, kernel, stride, padding, dilation, groups)
    entries = int(rule.expected(0, 0))
    if entries > MAX_ENTRIES:
        raise UnsupportedError(f"{what} makes {entries:,} connections; at most {MAX_ENTRIES:,} are read")
    return rule


def unrolled(rule: Convolution, weight: np.ndarray) -> Any:
    """Return a convolution as a sparse matrix [outputs, inputs]."""
    from scipy import sparse

    edges, element = rule.edge_list()
    size = math.prod(rule.shape_out), math.prod(rule.shape)
    ends = edges.post.astype(np.int64), edges.pre.astype(np.int64)
    return sparse.csr_matrix((weight.reshape(-1)[element], ends), shape=size)


def kernel(node: Any, what: str) -> tuple[Convolution, np.ndarray]:
    """Return rule and weights of a ``Conv1d``, a ``Conv2d`` or a pool."""
    kind = type(node).__name__
    if kind == "Conv1d":
        weight, shape = numbers(node, "weight", what), (int(np.asarray(node.input_shape).ravel()[0]),)
        pads, stride, dilation = _padding(node, 1), (_one(node.stride),), (_one(node.dilation),)
    elif kind == "Conv2d":
        weight, shape = numbers(node, "weight", what), _pair(node.input_shape)
        pads, stride, dilation = _padding(node, 2), _pair(node.stride), _pair(node.dilation)
    else:
        channels, *sizes = (int(k) for k in node.input_type["input"])
        size, pad, shape = _pair(node.kernel_size), _pair(node.padding), _pair(sizes)
        weight = np.full((channels, 1, *size), 1.0 if kind == "SumPool2d" else 1.0 / (size[0] * size[1]))
        pads = ((pad[0],) * 2, (pad[1],) * 2)
        return convolution(weight, shape, pads, _pair(node.stride), (1, 1), channels, what), weight
    return convolution(weight, shape, pads, stride, dilation, int(node.groups), what), weight


def _padding(node: Any, axes: int) -> tuple[tuple[int, int], ...]:
    """Return zeros before and after each axis."""
    given = node.padding
    given = given.decode() if isinstance(given, bytes) else given
    if isinstance(given, (str, np.str_)):
        if given == "valid":
            return ((0, 0),) * axes
        dilation = (_one(node.dilation),) if axes == 1 else _pair(node.dilation)
        total = [int(d * (k - 1)) for d, k in zip(dilation, np.shape(node.weight)[2:], strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((k, k) for k in ((_one(given),) if axes == 1 else _pair(given)))


def _one(value: Any) -> int:
    return int(np.asarray(value).ravel()[0])


def _pair(value: Any) -> tuple[int, int]:
    flat = np.asarray(value).ravel()
    return int(flat[0]), int(flat[-1])


class Signals:
    """What arrives at a node through linear nodes: a sum of matrices times the outputs of sources, each some time ago.

    Attributes
    ----------
    terms : dict
        (source, delay in steps) -> matrix [size of the node, size of the source]; the source None, of size 1, is the
        constant 1, which biases are multiples of.
    via : dict
        The same keys -> names of the linear nodes on the way, wires left out.
    """

    def __init__(self, terms: dict[tuple[str | None, int], Any] | None = None) -> None:
        self.terms = terms or {}
        self.via: dict[tuple[str | None, int], tuple[str, ...]] = {key: () for key in self.terms}

    def add(self, other: Signals) -> None:
        """Add another signal of the same node."""
        for key, each in other.terms.items():
            self.terms[key] = self.terms[key] + each if key in self.terms else each
            self.via[key] = self.via.get(key, ()) + other.via[key]

    def through(self, name: str, node: Any, delays: np.ndarray | None) -> Signals:
        """Return the signal behind a linear node.

        Parameters
        ----------
        delays : array of int, optional
            Of a Delay node, in steps.
        """
        from scipy import sparse

        out = Signals()
        passed = () if type(node).__name__ in WIRES else (name,)
        if delays is None:
            m = matrix(node, f"the node '{name}'")
            out.terms = {key: (m @ each).tocsr() for key, each in self.terms.items()}
            out.via = {key: each + passed for key, each in self.via.items()}
            constant = bias(node, f"the node '{name}'")
            if constant is not None:
                own = Signals({(None, 0): sparse.csr_matrix(constant[:, None])})
                own.via[None, 0] = passed
                out.add(own)
            return out
        for steps in np.unique(delays):
            chosen = sparse.diags((delays == steps).astype(np.float64), format="csr")
            for (source, d), each in self.terms.items():
                late = Signals({(source, d + int(steps)): (chosen @ each).tocsr()})
                late.via[source, d + int(steps)] = self.via[source, d] + passed
                out.add(late)
        return out
