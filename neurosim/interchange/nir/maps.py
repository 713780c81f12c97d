"""NIR's linear nodes as sparse matrices, and what they make of the signals that run through a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.errors import UnsupportedError

WIRES = ("Input", "Output", "Flatten")
"""Nodes that hand on what they get."""

LINEAR = (*WIRES, "Linear", "Affine", "Scale", "Delay", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d")

MAX_ENTRIES = 200_000_000
"""Entries of a matrix that are made at most: 3.2 GB."""


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
        return sparse.diags(np.asarray(node.scale, np.float64).ravel(), format="csr")
    if kind in ("Linear", "Affine"):
        weight = np.asarray(node.weight, np.float64)
        if weight.ndim != 2:
            raise UnsupportedError(f"{what} has weights of shape {list(weight.shape)}; a matrix is read")
        return sparse.csr_matrix(weight)
    if kind == "Conv1d":
        shape = (1, int(np.asarray(node.input_shape).ravel()[0]))
        made = convolution(np.asarray(node.weight, np.float64)[:, :, None, :], shape, _padding(node, (1, 0)),
                            (1, _one(node.stride)), (1, _one(node.dilation)), int(node.groups), what)  # fmt: skip
    elif kind == "Conv2d":
        made = convolution(np.asarray(node.weight, np.float64), _pair(node.input_shape), _padding(node, (0, 0)),
                            _pair(node.stride), _pair(node.dilation), int(node.groups), what)  # fmt: skip
    else:
        channels, *shape = (int(k) for k in node.input_type["input"])
        size = _pair(node.kernel_size)
        value = 1.0 if kind == "SumPool2d" else 1.0 / (size[0] * size[1])
        pad = _pair(node.padding)
        made = convolution(np.full((channels, 1, *size), value), _pair(shape), ((pad[0],) * 2, (pad[1],) * 2),
                            _pair(node.stride), (1, 1), channels, what)  # fmt: skip
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
    values = np.asarray(node.bias, np.float64).ravel()
    shape = [int(k) for k in node.output_type["output"]]
    if len(values) != shape[0]:
        raise UnsupportedError(f"{what} has {len(values)} biases for {shape[0]} outputs or channels")
    if kind != "Affine":  # one for each channel
        values = np.repeat(values, int(np.prod(shape[1:])))
    values = np.broadcast_to(values, (int(np.prod(shape)),))
    return values if np.any(values) else None


def convolution(weight: np.ndarray, shape: tuple[int, int], padding: Any, stride: tuple[int, int],
                 dilation: tuple[int, int], groups: int, what: str) -> Any:  # fmt: skip
    """Return a convolution (a correlation, as torch has it) over [channels, rows, columns], flattened.

    Parameters
    ----------
    weight : array
        [outputs, inputs of a group, rows, columns].
    padding : pair of pairs
        Zeros before and after, for rows and for columns.
    """
    from scipy import sparse

    c_out, per_group, *kernel = weight.shape
    if groups < 1 or c_out % groups:
        raise UnsupportedError(f"{what} has {c_out} output channels in {groups} groups")
    out = [(shape[a] + sum(padding[a]) - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)]
    if min(out) < 1:
        raise UnsupportedError(f"{what}: its kernel of {kernel[0]} x {kernel[1]} is larger than its input")
    entries = weight.size * out[0] * out[1]
    if entries > MAX_ENTRIES:
        raise UnsupportedError(f"{what} makes {entries:,} connections; at most {MAX_ENTRIES:,} are read")
    # for every axis: the input that output y sees through element k of the kernel
    seen = [np.arange(out[a])[:, None] * stride[a] - padding[a][0] + np.arange(kernel[a])[None, :] * dilation[a]
            for a in (0, 1)]  # fmt: skip
    o, c, ky, kx = (a.ravel() for a in np.indices(weight.shape))
    channel = (o // (c_out // groups)) * per_group + c
    y, x = (a.ravel() for a in np.indices(out))
    row_in, col_in = seen[0][y[:, None], ky[None, :]], seen[1][x[:, None], kx[None, :]]
    inside = (row_in >= 0) & (row_in < shape[0]) & (col_in >= 0) & (col_in < shape[1])
    target = (o[None, :] * out[0] + y[:, None]) * out[1] + x[:, None]
    origin = (channel[None, :] * shape[0] + row_in) * shape[1] + col_in
    values = np.broadcast_to(weight.ravel()[None, :], inside.shape)
    size = (c_out * out[0] * out[1], groups * per_group * shape[0] * shape[1])
    return sparse.csr_matrix((values[inside], (target[inside], origin[inside])), shape=size)


def _padding(node: Any, fixed: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return zeros before and after the rows and the columns; ``fixed`` is (1, 0) where there is only one row."""
    given = node.padding
    given = given.decode() if isinstance(given, bytes) else given
    kernel = np.shape(node.weight)[2:]
    if isinstance(given, (str, np.str_)):
        if given == "valid":
            return ((0, 0), (0, 0))
        dilation = (_one(node.dilation),) if fixed[0] else _pair(node.dilation)
        total = [int(d * (k - 1)) for d, k in zip(dilation, kernel, strict=True)]
        pads: list[tuple[int, int]] = [(t // 2, t - t // 2) for t in total]
        return ((0, 0), pads[0]) if fixed[0] else (pads[0], pads[1])
    if fixed[0]:
        columns = _one(given)
        return ((0, 0), (columns, columns))
    rows, columns = _pair(given)
    return ((rows, rows), (columns, columns))


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
