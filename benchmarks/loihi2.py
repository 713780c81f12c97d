"""Loihi 2's integers: time per step of native, of Lava 0.10 itself, and of the same arithmetic in NumPy.

::

    python benchmarks/loihi2.py                        # 100, 1,000 and 10,000 neurons, about 100 synapses each
    python benchmarks/loihi2.py --sizes 100 --repeat 1

A recurrent population of LIF cells in integers, driven by biases, with about 1 % of the neurons spiking in a step. The
three take turns (A B C A B C) in one run; each figure is the median of its turns, a ratio the median of the ratios of
a turn. What is timed are steps alone, after the first ones: no compiling, no start of processes. Lava runs in the
environment of ``neurosim lava install``, its connection as ``Sparse``; nothing is recorded but our spikes. All three
have the same sum of v after 420 steps, or a line says so.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from scipy.sparse import csr_matrix

import neurosim as ns
from neurosim.backends.base import Options
from neurosim.backends.lava.environment import python
from neurosim.backends.lava.export import export
from neurosim.backends.lava.worker import run_script
from neurosim.compile import compile_network
from neurosim.hardware.loihi2 import LIF, connect
from neurosim.hardware.loihi2.arithmetic import decayed, saturated, wrapped
from neurosim.registry import load_backend
from neurosim.units import ms

FIRST = 20
STEPS = {"native": 20_000, "lava": 400, "numpy": 400}
PEER = '''
import os, time, network
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
cells = network.build()["cells"]
cells.run(condition=RunSteps(num_steps={first}), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
start = time.perf_counter()
cells.run(condition=RunSteps(num_steps={steps}), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
taken = time.perf_counter() - start
print(taken / {steps}, int(cells.v.get().astype("int64").sum()), flush=True)
os._exit(0)
'''


def network(n: int) -> ns.Network:
    """Return a population with about 100 synapses a neuron and spread biases."""
    g = np.random.default_rng(n)
    net = ns.Network("integers", dt=1 * ms)
    bias = g.integers(100, 400, n)
    cells = net.population("cells", n, LIF(du=1500, dv=60, vth=300, bias_mant=bias))
    in_degree = min(100, n - 1)
    pre = np.concatenate([g.choice(n, in_degree, replace=False) for _ in range(n)])
    weights = csr_matrix((g.choice([-6, 4], len(pre)), (np.repeat(np.arange(n), in_degree), pre)), shape=(n, n))
    connect(net, cells, cells, weights, name="recurrent")
    return net


def of_native(net: ns.Network) -> tuple[float, int, float]:
    """Return seconds per step, the sum of v after the peers' steps, and the part of the neurons that spikes a step."""
    net.record(net["cells"], "spikes")
    engine = load_backend("native").build(compile_network(net), Options(threads=1))
    engine.advance(FIRST + STEPS["lava"])
    total = int(engine.state("cells")["v"].sum())
    engine.drain()
    start = time.perf_counter()
    engine.advance(STEPS["native"])
    taken = time.perf_counter() - start
    spikes = engine.drain().counts["cells"]
    return taken / STEPS["native"], total, spikes / STEPS["native"] / len(net["cells"])


def of_lava(net: ns.Network) -> tuple[float, int]:
    """Return seconds per step, and the sum of v."""
    found = python()
    assert found is not None, "Lava is not installed: neurosim lava install"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "lava"
        export(net, str(place), duration=1 * ms)
        (place / "peer.py").write_text(PEER.format(first=FIRST, steps=STEPS["lava"]), encoding="utf-8")
        taken, total = run_script(found, place, "peer.py", 600).split()
    return float(taken), int(total)


def of_numpy(net: ns.Network) -> tuple[float, int]:
    """Return the same of a loop over the integer functions."""
    c = net.projections["recurrent"]
    n, cell = len(net["cells"]), net["cells"].cell
    weights = csr_matrix((np.asarray(c.weight, np.int64), (c.rule.post, c.rule.pre)), shape=(n, n))
    du, dv, vth, bias = (np.asarray(cell.value(key), dtype=np.int64) for key in ("du", "dv", "vth", "bias"))
    u = v = s = np.zeros(n, dtype=np.int64)
    for step in range(FIRST + STEPS["numpy"]):
        if step == FIRST:
            start = time.perf_counter()
        u = wrapped(decayed(u, du, 1) + 64 * (weights @ s))
        v = saturated(decayed(v, dv, 0) + u + bias)
        fired = v > 64 * vth
        v, s = np.where(fired, 0, v), fired.astype(np.int64)
    return (time.perf_counter() - start) / STEPS["numpy"], int(v.sum())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    print(f"{'neurons':>8}{'synapses':>11}{'spiking':>9}{'native':>12}{'Lava':>12}{'NumPy':>12}{'Lava/ours':>11}"
          f"{'NumPy/ours':>12}")  # fmt: skip
    for n in map(int, given.sizes.split(",")):
        rows = []
        for _ in range(given.repeat):
            ours, theirs, plain = of_native(network(n)), of_lava(network(n)), of_numpy(network(n))
            rows.append((ours[0], theirs[0], plain[0], ours[2]))
            if not ours[1] == theirs[1] == plain[1]:
                print(f"UNEQUAL: the sums of v are {ours[1]}, {theirs[1]} and {plain[1]}")
        synapses = len(network(n).projections["recurrent"].weight)
        a, b, c, rate = (median(column) for column in zip(*rows, strict=True))
        lava, numpy = (median(r[k] / r[0] for r in rows) for k in (1, 2))
        print(f"{n:>8,}{synapses:>11,}{rate:>9.2%}{a * 1e6:>9.2f} us{b * 1e6:>9.0f} us{c * 1e6:>9.0f} us{lava:>11.0f}"
              f"{numpy:>12.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
