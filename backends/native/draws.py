"""Random numbers for building, compiled: the same numbers as :class:`neurosim.ir.random.Draws`, some ten times faster."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.backends.native import tables
from neurosim.backends.native.cache import load
from neurosim.backends.native.expressions import function_sources
from neurosim.ir.ops import OPS
from neurosim.ir.random import Draws

_SMALL = 20_000
"""Below so many numbers a compiled function is not worth loading."""


@cache
def build_module() -> Any:
    """Return the compiled helpers of building; ``place_u2_f8`` and its kin by the types they write."""
    entries: dict[str, Any] = dict(tables.BUILD_ENTRIES)
    text = [Path(__file__).with_name("build_kernels.py").read_text(encoding="utf-8")]
    for target in ("u2", "u4"):
        for weight in ("f8", "f4"):
            name = f"place_{target}_{weight}"
            names = ", ".join(f"x{k}" for k in range(len(tables.PLACE)))
            text.append(f"@njit(error_model='numpy')\ndef {name}({names}):\n    return place_edges({names})\n")
            entries[name] = tuple(a.format(target=target, weight=weight) for a in tables.PLACE)
    return load("\n\n".join(text), "build", entries)


@cache
def _vector(name: str) -> Any:
    loop = (
        f"@njit(error_model='numpy')\ndef vector(x, out):\n    for k in range(x.shape[0]):\n"
        f"        out[k] = {name}_f64(x[k])\n    return 0\n"
    )
    return load("\n\n".join([*function_sources([name], "f64"), loop]), name, {"vector": ("f8:1", "f8:1")}).vector


class NativeDraws(Draws):
    """Draws through compiled kernels."""

    def _words(self, start: int, count: int, steps: np.ndarray) -> np.ndarray:
        if count * len(steps) < _SMALL:
            return super()._words(start, count, steps)
        first, last = start >> 2, (start + count + 3) >> 2
        out = np.empty((len(steps), 4 * (last - first)), dtype=np.uint32)
        build_module().philox_fill(self.key[0], self.key[1], first, steps, out)
        return out[:, start - 4 * first : start - 4 * first + count]

    def _words_at(self, block: np.ndarray, step: np.ndarray) -> np.ndarray:
        if block.size < _SMALL:
            return super()._words_at(block, step)
        out = np.empty((block.size, 4), dtype=np.uint32)
        build_module().philox_at(self.key[0], self.key[1], np.ascontiguousarray(block), np.ascontiguousarray(step), out)
        return out

    def fn(self, name: str, *x: Any) -> Any:
        """Evaluate one of the IR's functions."""
        array = np.asarray(x[0], dtype=np.float64)
        if OPS[name].arity != 1 or array.size < _SMALL:
            return super().fn(name, *x)
        flat = np.ascontiguousarray(array).reshape(-1)
        out = np.empty_like(flat)
        _vector(name)(flat, out)
        return out.reshape(array.shape)
