"""Random numbers for building, compiled: those of :class:`neurosim.ir.random.Draws`, some ten times faster."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.backends.compiled.cache import load, ready
from neurosim.backends.compiled.expressions import function_sources
from neurosim.backends.native import tables
from neurosim.ir.ops import OPS
from neurosim.ir.random import Draws

_SMALL, _WORTH = 20_000, 2_000_000
"""A compiled function is worth loading for so many numbers at once, worth compiling for so many in one process."""

_tally: dict[str, int] = {}


@cache
def _build_source(name: str) -> tuple[str, str, tuple[str, ...]]:
    text = [Path(__file__).with_name(f"{part}.py").read_text(encoding="utf-8") for part in ("philox", "build_kernels")]
    spec = tables.BUILD_ENTRIES.get(name)
    if spec is None:  # place_edges by the types it writes
        _, target, weight = name.split("_")
        names = ", ".join(f"x{k}" for k in range(len(tables.PLACE)))
        text.append(
            f"@njit(error_model='numpy', inline='always')\ndef {name}({names}):\n    return place_edges({names})\n"
        )
        spec = tuple(a.format(target=target, weight=weight) for a in tables.PLACE)
    return "\n\n".join(text), name, spec


@cache
def _vector_source(name: str) -> tuple[str, str, tuple[str, ...]]:
    loop = (
        f"@njit(error_model='numpy', inline='always')\ndef vector_{name}(x, out):\n    for k in range(x.shape[0]):\n"
        f"        out[k] = {name}_f64(x[k])\n    return 0\n"
    )
    return "\n\n".join([*function_sources([name], "f64"), loop]), f"vector_{name}", ("f8:1", "f8:1")


@cache
def build_kernel(name: str) -> Any:
    """Return one compiled helper of building: ``philox_fill``, ``count_edges``, ``place_u2_f8`` and so on."""
    return load(*_build_source(name))


@cache
def _vector(name: str) -> Any:
    return load(*_vector_source(name))


def _pays(count: int, source: str, name: str, spec: tuple[str, ...]) -> bool:
    """Tell whether to take the compiled way: both give the same bits."""
    if count < _SMALL:
        return False
    _tally[name] = _tally.get(name, 0) + count
    return _tally[name] >= _WORTH or ready(source, name, spec)


class NativeDraws(Draws):
    """Draws through compiled kernels, where that pays."""

    def _words(self, start: int, count: int, steps: np.ndarray) -> np.ndarray:
        if not _pays(count * len(steps), *_build_source("philox_fill")):
            return super()._words(start, count, steps)
        first, last = start >> 2, (start + count + 3) >> 2
        out = np.empty((len(steps), 4 * (last - first)), dtype=np.uint32)
        build_kernel("philox_fill")(self.key[0], self.key[1], first, steps, out)
        return out[:, start - 4 * first : start - 4 * first + count]

    def _words_at(self, block: np.ndarray, step: np.ndarray) -> np.ndarray:
        if not _pays(block.size, *_build_source("philox_at")):
            return super()._words_at(block, step)
        out = np.empty((block.size, 4), dtype=np.uint32)
        build_kernel("philox_at")(
            self.key[0], self.key[1], np.ascontiguousarray(block), np.ascontiguousarray(step), out
        )
        return out

    def fn(self, name: str, *x: Any) -> Any:
        """Evaluate one of the IR's functions."""
        array = np.asarray(x[0], dtype=np.float64)
        if OPS[name].arity != 1 or not _pays(array.size, *_vector_source(name)):
            return super().fn(name, *x)
        flat = np.ascontiguousarray(array).reshape(-1)
        out = np.empty_like(flat)
        _vector(name)(flat, out)
        return out.reshape(array.shape)
