"""The cache of compiled code: processes that share it, damage, and what its key covers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from native_kit import DT, quiet

import neurosim as ns
from neurosim.backends.compiled import cache
from neurosim.backends.native import tables as K
from neurosim.backends.native.printer import arguments, module_source, shape_of
from neurosim.compile import compile_network
from neurosim.ir.functions import FUNCTIONS
from neurosim.units import ms

SCRIPT = """
import json, sys
import numpy as np
import neurosim as ns
from neurosim.models import SpikeSource
from neurosim.units import ms
net = ns.Network(dt=0.1*ms, seed=1)
cell = ns.Cell("dx/dt = -x/tau", threshold="x > 1", reset="x = 0*x", tau=5*ms,
               receptors={"exc": ns.Receptor(event="x += w", name="Add")})
a = net.population("a", 70, cell, init={"x": ns.uniform(0.0, 1.5)})
net.connect(a, a, rule=ns.FixedProbability(0.1), weight=0.3, delay=0.1*ms)
net.record(a, "spikes")
result = net.run(3*ms, threads=2)
spikes = result.spikes["a"]
print(json.dumps({"numba": "numba" in sys.modules, "sum": int(spikes.steps.sum()), "n": len(spikes)}))
"""


def start(folder: Path) -> subprocess.Popen[str]:
    """Start a process that runs a small network, with the cache in a folder."""
    env = {**os.environ, "NEUROSIM_CACHE_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the process found."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert not err, err
    return json.loads(out)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A cache that two processes filled at once, from nothing; and their result."""
    folder = tmp_path_factory.mktemp("cache") / "kernels"
    one, two = (finish(p) for p in [start(folder), start(folder)])
    assert one == two and one["numba"] and one["n"] > 70
    return folder, one


def test_second_process_does_without_numba(warm: tuple[Path, dict[str, Any]]) -> None:
    folder, first = warm
    assert finish(start(folder)) == {**first, "numba": False}
    assert not list(folder.glob("*.tmp"))


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data))


def _symbol(file: Path) -> None:
    head = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**head, "symbol": "nothing"}), encoding="utf-8")


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".o", _cut),
        (".o", _flip),
        (".o", Path.unlink),
        (".json", _cut),
        (".json", _symbol),
        (".json", lambda f: f.write_text("[]")),
    ],
    ids=["cut", "flipped", "missing", "head cut", "other symbol", "no head"],
)
def test_damaged_file_is_compiled_again(
    warm: tuple[Path, dict[str, Any]], tmp_path: Path, suffix: str, damage: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "kernels"
    shutil.copytree(warm[0], folder)
    (whole,) = folder.glob("place_*.json")  # the kernel that compiles fastest
    before = json.loads(whole.read_text(encoding="utf-8"))
    damage(whole.with_suffix(suffix))
    assert cache._read(whole.with_suffix("")) is None
    source, name, spec = _placing(whole.name)
    with mock.patch.dict(os.environ, NEUROSIM_CACHE_DIR=str(folder)), mock.patch.dict(cache._loaded, clear=True):
        assert callable(cache.load(source, name, spec))
    assert cache._read(whole.with_suffix("")) is not None
    assert json.loads(whole.read_text(encoding="utf-8")).keys() == before.keys()


def _placing(file: str) -> tuple[str, str, tuple[str, ...]]:
    from neurosim.backends.native.draws import _build_source

    return _build_source(file.split("-")[0])


def test_cache_that_cannot_be_written(warm: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert finish(start(tmp_path / "file" / "kernels")) == warm[1]


def test_the_key_covers_what_is_called() -> None:
    graph = compile_network(quiet(70))
    shapes = [shape_of(p, False) for p in graph.populations]
    spec = arguments("double", False, False)
    classes = frozenset({K.DUE16_SHARED})
    keys = {cache.key(module_source(shapes, [], "double", classes), "run", spec)}
    keys.add(cache.key(module_source(shapes, [], "double", frozenset({K.RING_SHARED})), "run", spec))
    text = Path(K.__file__).with_name("kernels.py").read_text(encoding="utf-8")
    read = Path.read_text
    with mock.patch.object(
        Path, "read_text", lambda p, **kw: text + "# edited" if p.name == "kernels.py" else read(p, **kw)
    ):
        keys.add(cache.key(module_source(shapes, [], "double", classes), "run", spec))
    entry = cache._entry
    with mock.patch.object(cache, "_entry", lambda *a: entry(*a) + "  # edited"):
        keys.add(cache.key(module_source(shapes, [], "double", classes), "run", spec))
    with mock.patch.dict(os.environ, NUMBA_OPT="1"):
        cache._machine.cache_clear()
        keys.add(cache.key(module_source(shapes, [], "double", classes), "run", spec))
    cache._machine.cache_clear()
    assert len(keys) == 5
    escape = ns.Cell("dx/dt = -exp(x)*x/tau", threshold="x > 1", method="euler", tau=1 * ms)
    net = ns.Network(dt=DT)
    net.population("p", 1, escape)
    shapes = [shape_of(compile_network(net).populations[0], False)]
    before = cache.key(module_source(shapes, [], "double", classes), "run", spec)
    other = replace(FUNCTIONS["exp"], body=FUNCTIONS["expm1"].body)
    with mock.patch.dict(FUNCTIONS, exp=other):
        assert cache.key(module_source(shapes, [], "double", classes), "run", spec) != before
