"""Recordings of events, written as the formats are described."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.datasets import Events


def some(
    n: int = 200, width: int = 34, height: int = 34, seed: int = 0, longest: int = 300_000
) -> dict[str, np.ndarray]:
    """Events in the order of their times, in microseconds."""
    g = np.random.default_rng(seed)
    return {"t": np.sort(g.integers(0, 300_000, n)), "x": g.integers(0, width, n), "y": g.integers(0, height, n),
            "p": g.integers(0, 2, n)}  # fmt: skip


def same(found: Events, t: Any, x: Any, y: Any, p: Any) -> bool:
    pairs = ((found.t, np.asarray(t) * 1e-6), (found.x, x), (found.y, y), (found.p, p))
    return all(np.array_equal(a, b) for a, b in pairs)


# -- files, as their descriptions say --------------------------------------------------------------------------------


def atis(t: Any, x: Any, y: Any, p: Any) -> bytes:
    """N-MNIST's 40 bits; an event in row 240 wherever the clock of 13 bits begins anew."""
    out, again = bytearray(), 0
    for time, *event in zip(t.tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True):
        while time - (again << 13) >= 1 << 13:
            again += 1
            out += bytes([0, 240, 0, 0, 0])
        rest = time - (again << 13)
        out += bytes([event[0], event[1], (event[2] << 7) | (rest >> 16), (rest >> 8) & 255, rest & 255])
    return bytes(out)


def plain_atis(t: Any, x: Any, y: Any, p: Any) -> bytes:
    """The same with times of 23 bits, as in N-MNIST itself."""
    return b"".join(bytes([a, b, (c << 7) | (u >> 16), (u >> 8) & 255, u & 255])
                    for u, a, b, c in zip(t.tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True))  # fmt: skip


def aedat2(t: Any, x: Any, y: Any, p: Any, chip: str = "Davis240C", extra: tuple[int, ...] = ()) -> bytes:
    head = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    head += f"# AEChip: eu.seebetter.ini.chips.davis.{chip}\r\n".encode() if chip else b""
    if chip == "DVS128":
        address = (x << 1) | (y << 8) | (1 - p)
    else:
        address = (y << 22) | (x << 12) | (p << 11)
    rows = np.stack([address, t], 1).astype(">u4")
    frames = np.array([[a, t[0]] for a in extra], dtype=">u4").reshape(-1, 2)
    return head + frames.tobytes() + rows.tobytes()


HEAD3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS240C\r\n#Start-Time: 2020-10-30 17:33:59 (TZ+0300)\r\n"


def packet3(t: Any, x: Any, y: Any, p: Any, kind: int = 1, size: int = 8, valid: Any = 1, overflow: int = 0) -> bytes:
    words = (np.asarray(x) << 17) | (np.asarray(y) << 2) | (np.asarray(p) << 1) | valid
    body = np.stack([words, t], 1).astype("<u4").tobytes()
    n = len(body) // size
    return struct.pack("<HHIIIIII", kind, 1, size, 4, overflow, n, n, n) + body


def aedat3(t: Any, x: Any, y: Any, p: Any) -> bytes:
    half = len(t) // 2
    special = struct.pack("<HHIIIIII", 0, 1, 8, 4, 0, 2, 2, 2) + bytes(16)
    a, b = ({"t": t[part], "x": x[part], "y": y[part], "p": p[part]} for part in (slice(half), slice(half, None)))
    return HEAD3 + b"#!END-HEADER\r\n" + packet3(**a) + special + packet3(**b)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def idx(array: np.ndarray) -> bytes:
    kind = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}[array.dtype.name]
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, kind, array.ndim]) + shape + array.astype(array.dtype.newbyteorder(">")).tobytes()


ROW = {"t": [0.1, 0.2], "x": [0, 1], "y": [0, 0], "p": [0, 1], "sensor": (2, 1)}
