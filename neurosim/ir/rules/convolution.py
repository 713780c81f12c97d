"""Convolutions: edges that share the elements of a kernel as their weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import ConnectivityError, caller
from neurosim.ir.rules.base import BLOCK, GROUP_LIMIT, Piece, Rule, batched, check_sizes
from neurosim.ir.rules.context import I64, U32, EdgeContext
from neurosim.ir.rules.listed import EdgeList

_AXES = {1: ("width",), 2: ("height", "width"), 3: ("depth", "height", "width")}

_KEPT = 1 << 22  # edges of one output channel up to which they are kept, at 12 bytes each

Pair = tuple[int, int]
Sizes = int | Sequence[int]


@dataclass(frozen=True)
class Convolution(Rule):
    """Every target sees a window of the sources through a kernel, which is the same at all places.

    As in PyTorch (``torch.nn.Conv2d`` and its kin; a correlation: the kernel is not flipped), with the neurons of both
    groups in C order of (channel, row, column): neuron ``(c * height + y) * width + x``. One axis of space (channel,
    x) or three (channel, z, y, x) work alike. The edges share their weights: there is one for each element of the
    kernel, given as an array of :attr:`kernel_shape`, as one number for all, or as a distribution from which every
    element is drawn once.

    Order: by target, then by element of the kernel (input channel, row, column); elements that lie on the padding make
    no edge. (PyTorch ``Conv1d`` to ``Conv3d``, NIR ``Conv1d`` and ``Conv2d``, ANNarchy ``Convolution``.)

    Attributes
    ----------
    shape : tuple of int
        Of the sources: channels, then the sizes of one to three axes.
    channels_out : int
        Channels of the targets.
    kernel, stride, dilation : int or tuple of int
        For all axes, or for each: elements of the kernel, from one target to the next, from one element to the next.
    padding : int, tuple, "valid" or "same"
        Zeros before and after each axis: for all, for each, or as pairs (before, after). ``"same"`` (with a stride of
        1) makes the targets as many as the sources, with the odd zero after; kept as pairs.
    groups : int
        Parts into which the channels of both sides are divided; each sees its own only.

    Raises
    ------
    ConnectivityError
        Sizes that are not whole numbers in range, a kernel larger than what it sees, groups that do not divide the
        channels.
    """

    shape: tuple[int, ...]
    channels_out: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    padding: tuple[Pair, ...] = ((0, 0),)
    dilation: tuple[int, ...] = (1,)
    groups: int = 1

    if TYPE_CHECKING:  # what is given may be shorter than what is kept

        def __init__(
            self, shape: Sequence[int], channels_out: int, kernel: Sizes, stride: Sizes = 1,
            padding: Sizes | Sequence[Pair] | str = 0, dilation: Sizes = 1, groups: int = 1,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        shape = self.shape
        if not _is_row(shape) or len(shape) - 1 not in _AXES:
            raise _wrong(f"the shape of what is convolved is (channels, one to three sizes), not {shape!r}")
        axes = len(shape) - 1
        given = {
            "shape": tuple(_whole("every size in shape", k) for k in shape),
            "channels_out": _whole("channels_out", self.channels_out),
            "groups": _whole("groups", self.groups),
            **{key: _each(key, getattr(self, key), axes) for key in ("kernel", "stride", "dilation")},
        }
        for key, value in given.items():
            object.__setattr__(self, key, value)
        object.__setattr__(self, "padding", self._padding(axes))
        for what, channels in (("input", self.shape[0]), ("output", self.channels_out)):
            if channels % self.groups:
                raise _wrong(f"{self.groups} groups do not divide the {channels} {what} channels of a convolution")
        for a, name in enumerate(_AXES[axes]):
            if self.space_out[a] < 1:
                raise _wrong(
                    f"the kernel of a convolution spans {self._span(a)} places of the {name}, and the input with its "
                    f"padding has {self.shape[1 + a] + sum(self.padding[a])}"
                )
        for what, sizes in (("sources", self.shape), ("targets", self.shape_out), ("elements", self.kernel_shape)):
            if math.prod(sizes) >= GROUP_LIMIT:
                raise _wrong(f"a convolution has fewer than 2^31 {what}, not {_times(sizes)}")

    def _padding(self, axes: int) -> tuple[Pair, ...]:
        given: Any = self.padding
        if isinstance(given, str):
            if given == "valid":
                return ((0, 0),) * axes
            if given != "same":
                raise _wrong(f"padding is 'same', 'valid' or numbers, not {given!r}")
            if max(self.stride) > 1:
                raise _wrong(f"padding='same' needs a stride of 1, not {_times(self.stride)}: give it as numbers")
            zeros = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
            return tuple((z // 2, z - z // 2) for z in zeros)
        pairs = list(given) if _is_row(given) else [given] * axes
        if len(pairs) == 1:
            pairs = pairs * axes
        if len(pairs) != axes:
            raise _wrong(f"padding is one number, or one for each of {axes} axes, not {given!r}")
        both = [list(p) if _is_row(p) else [p, p] for p in pairs]
        if any(len(p) != 2 for p in both):
            raise _wrong(f"padding of an axis is one number, or a pair (before, after), not {given!r}")
        return tuple((_whole("padding", p[0], 0), _whole("padding", p[1], 0)) for p in both)

    def _span(self, axis: int) -> int:
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    @property
    def space_out(self) -> tuple[int, ...]:
        """Sizes of the axes of the targets."""
        return tuple(
            (size + sum(self.padding[a]) - self._span(a)) // self.stride[a] + 1 for a, size in enumerate(self.shape[1:])
        )

    @property
    def shape_out(self) -> tuple[int, ...]:
        """Of the targets: channels, then the sizes of the axes."""
        return (self.channels_out, *self.space_out)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Of the weights: output channels, input channels of a group, then the elements along each axis."""
        return (self.channels_out, self.shape[0] // self.groups, *self.kernel)

    @cached_property
    def _windows(self) -> list[tuple[I64, I64, I64]]:
        """For every axis and place of a target: the first element on the input, how many are, where that one lies."""
        out = []
        for a, size in enumerate(self.shape[1:]):
            start = np.arange(self.space_out[a], dtype=np.int64) * self.stride[a] - self.padding[a][0]
            step = self.dilation[a]
            first = np.maximum(0, -(start // step))  # the least k with start + k step >= 0
            last = np.minimum(self.kernel[a], (size - 1 - start) // step + 1)
            out.append((first, np.maximum(0, last - first), start + first * step))
        return out

    def edges(self, ctx: EdgeContext) -> Iterator[Piece]:
        self.check(ctx.n_pre, ctx.n_post)
        return batched(self._generate(), ctx.chunk)

    def _generate(self) -> Iterator[Piece]:
        places, sources = math.prod(self.space_out), self.kernel_shape[1] * math.prod(self.shape[1:])
        for channel in range(self.channels_out):
            first = np.uint32(channel * self.groups // self.channels_out * sources)
            for pre, place, _ in self._plane or self._blocks():
                yield pre + first, place + np.uint32(channel * places)

    @cached_property
    def _plane(self) -> list[tuple[U32, U32, U32]] | None:
        """The edges of one output channel, which the others repeat; None where they are too many to be kept."""
        return list(self._blocks()) if self.expected(0, 0) <= _KEPT * self.channels_out else None

    @cached_property
    def _elements(self) -> U32 | None:
        return np.concatenate([each for _, _, each in self._plane]) if self._plane else None

    def _blocks(self) -> Iterator[tuple[U32, U32, U32]]:
        """Yield the edges of an output channel: sources, counted from the first of its group, places of the targets,
        and elements of the channel's part of the kernel."""
        size, total = max(1, BLOCK // self.most), math.prod(self.space_out)
        for begin in range(0, total, size):
            places = np.arange(begin, min(begin + size, total), dtype=np.int64)
            at = np.unravel_index(places, self.space_out)
            counts = [each[1][here] for each, here in zip(self._windows, at, strict=True)]
            number = self.kernel_shape[1] * np.prod(counts, axis=0)
            rest = np.arange(int(number.sum()), dtype=np.int64) - np.repeat(np.cumsum(number) - number, number)
            pre, element = np.zeros(len(rest), np.int64), np.zeros(len(rest), np.int64)
            size_pre = size_kernel = 1
            for a in reversed(range(len(at))):  # the last axis is the fastest, as in the kernel
                rest, k = np.divmod(rest, np.repeat(counts[a], number))
                first, _, where = (each[at[a]] for each in self._windows[a])
                pre += (np.repeat(where, number) + k * self.dilation[a]) * size_pre
                element += (np.repeat(first, number) + k) * size_kernel
                size_pre, size_kernel = size_pre * self.shape[1 + a], size_kernel * self.kernel[a]
            pre, element = pre + rest * size_pre, element + rest * size_kernel
            post = np.repeat(places, number)
            yield pre.astype(np.uint32), post.astype(np.uint32), element.astype(np.uint32)

    def element(self, pre: NDArray[Any], post: NDArray[Any], start: int | None = None) -> I64:
        if start is not None and self._elements is not None:
            return self._consecutive(self._elements, start, len(pre))
        channel, *place = np.unravel_index(np.asarray(pre, np.int64), self.shape)
        out, *window = np.unravel_index(np.asarray(post, np.int64), self.shape_out)
        index = out * self.kernel_shape[1] + channel % self.kernel_shape[1]
        for a, size in enumerate(self.kernel):
            k = (place[a] - window[a] * self.stride[a] + self.padding[a][0]) // self.dilation[a]
            index = index * size + k
        return np.asarray(index, dtype=np.int64)

    def _consecutive(self, plane: U32, start: int, count: int) -> I64:
        """Return the elements of edges that follow one another: those of a channel are those of the one before it,
        a channel's part of the kernel further on."""
        part, out, at = math.prod(self.kernel_shape[1:]), np.empty(count, np.int64), 0
        while at < count:
            channel, first = divmod(start + at, len(plane))
            some = plane[first : first + count - at]
            np.add(some, channel * part, out=out[at : at + len(some)], casting="unsafe")
            at += len(some)
        return out

    def edge_list(self) -> tuple[EdgeList, I64]:
        """Return the edges one by one, and which element of the kernel, flattened, is the weight of each."""
        none = np.zeros(0, np.uint32)
        parts = [(none, none), *self._generate()]
        pre, post = (np.concatenate(side) for side in zip(*parts, strict=True))
        return EdgeList(pre, post), self.element(pre, post, 0)

    @property
    def most(self) -> int:
        """Edges of the target that has most."""
        return max(1, self.kernel_shape[1] * math.prod(int(each[1].max()) for each in self._windows))

    def expected(self, n_pre: int, n_post: int) -> float:
        across = self.channels_out * self.kernel_shape[1]
        return float(across * math.prod(int(each[1].sum()) for each in self._windows))

    def check(self, n_pre: int, n_post: int) -> None:
        check_sizes(n_pre, n_post)
        names = " x ".join(("channels", *_AXES[len(self.kernel)]))
        for side, shape, n, how in (("source", self.shape, n_pre, "sees"), ("target", self.shape_out, n_post, "makes")):
            if math.prod(shape) != n:
                raise ConnectivityError(
                    f"the convolution {how} {names} = {_times(shape)} = {math.prod(shape)} neurons, and the {side} "
                    f"group has {n}"
                )

    def describe(self) -> str:
        pads = " x ".join(str(a) if a == b else f"({a}, {b})" for a, b in self.padding)
        more = f", groups {self.groups}" if self.groups > 1 else ""
        return (
            f"Convolution({_times(self.shape)} to {_times(self.shape_out)}, kernel {_times(self.kernel)}, "
            f"stride {_times(self.stride)}, padding {pads}, dilation {_times(self.dilation)}{more})"
        )


def pooling(
    shape: Sequence[int], kernel: Sizes, stride: Sizes | None = None, padding: Sizes | Sequence[Pair] | str = 0
) -> Convolution:
    """Return the rule of a pool, which joins every channel to itself: a convolution with as many groups as channels.

    With ``weight=w`` a target gets w times the sum of its window (NIR ``SumPool2d``); with w divided by the size of the
    kernel, the average, zeros of the padding included (PyTorch ``AvgPool2d``).

    Parameters
    ----------
    shape : tuple of int
        Of the sources: channels, then the sizes of one to three axes.
    kernel : int or tuple of int
        Sizes of a window.
    stride : int or tuple of int, optional
        From one window to the next; by default they lie side by side.
    padding : int, tuple or str
        As of :class:`Convolution`.
    """
    channels = shape[0] if _is_row(shape) and len(shape) else 1
    return Convolution(shape, channels, kernel, kernel if stride is None else stride, padding, 1, channels)


def _wrong(text: str) -> ConnectivityError:
    return ConnectivityError(text, caller())


def _whole(what: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < GROUP_LIMIT:
        raise _wrong(f"{what} of a convolution must be a whole number, from {least} to 2^31 - 1, not {value!r}")
    return int(value)


def _is_row(value: Any) -> bool:
    return isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _each(what: str, value: Any, axes: int) -> tuple[int, ...]:
    """Return a whole number for each axis."""
    numbers = list(value) if _is_row(value) else [value] * axes
    if len(numbers) == 1:
        numbers = numbers * axes
    if len(numbers) != axes:
        raise _wrong(f"{what} of a convolution is one number, or one for each of {axes} axes, not {value!r}")
    return tuple(_whole(what, k) for k in numbers)


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
