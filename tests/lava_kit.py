"""Random networks of Loihi 2's integers, and the same arithmetic once more in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim.hardware.loihi2 import LIF, Dense, connect
from neurosim.hardware.loihi2.arithmetic import decayed, saturated, shifted, wrapped
from neurosim.ir.rules import EdgeList
from neurosim.models import SpikeSource
from neurosim.units import ms

KEYS = ("spikes", "u", "v", "wraps", "low", "high", "u_sum", "v_sum")
SIGNS = ("excitatory", "inhibitory", "mixed", None)


def random_network(seed: int, steps: int = 60) -> ns.Network:
    """Draw a network: a source, one to three populations, connections of every kind, some that overflow."""
    g = np.random.default_rng(seed)
    net = ns.Network(f"random{seed}", dt=1 * ms, seed=seed)
    n_source = int(g.integers(1, 12))
    at, ids = np.nonzero(g.random((steps, n_source)) < g.uniform(0.05, 0.6))
    pops = [net.population("source", n_source, SpikeSource(at * ms, ids))]
    wild = g.random() < 0.2
    wiring: list[tuple[int, int, str, int]] = []
    count = int(g.integers(1, 4))
    for k in range(1, count + 1):
        into = [j for j in range(count + 1) if j == k - 1 or g.random() < 0.4]
        exponents = {f"r{j}": int(g.integers(5, 8) if wild else g.integers(-4, 5)) for j in into}
        size = int(g.integers(1, 30))
        each = size if g.random() < 0.5 else ()
        vth = g.integers(1, 131072 if wild else 2000, each)
        cell = LIF(
            du=g.integers(0, 4096, each), dv=g.integers(0, 4096, each) if g.random() < 0.8 else 0,
            vth=vth, bias_mant=g.integers(-300, 600, each) if g.random() < 0.5 else 0, bias_exp=int(g.integers(-3, 7)),
            receptors={name: Dense(scale=2.0**e) for name, e in exponents.items()},
        )  # fmt: skip
        init = {
            "u": g.integers(-(2**20), 2**20, size).astype(float),
            "v": g.integers(-(2**20), 2**20, size).astype(float),
        }
        pops.append(net.population(f"p{k}", size, cell, init=init if g.random() < 0.3 else None))
        wiring += [(j, k, f"r{j}", exponents[f"r{j}"]) for j in into]
    for j, k, receptor, exponent in wiring:
        shape = len(pops[k]), len(pops[j])
        lo, hi = ((0, 300), (-300, 1), (-300, 300))[int(g.integers(3))]
        weights = g.integers(lo, hi, shape) * (g.random(shape) < g.uniform(0.1, 1.0))
        late = exponent >= 0 and g.random() < 0.5
        if exponent >= 0 and g.random() < 0.3:  # any weights and multapses, as the language has them
            edges = int(g.integers(1, 3 * weights.size + 2))
            post, pre = (g.integers(0, side, edges) for side in shape)
            net.connect(pops[j], pops[k], receptor=receptor, rule=EdgeList(pre, post), name=f"c{j}{k}",
                        weight=g.integers(-255, 256, edges).astype(float),
                        delay=g.integers(1, 12, edges) * ms if late else 1 * ms)  # fmt: skip
        else:
            delays: Any = g.integers(0, 12, shape) if late else int(g.integers(0, 3))
            connect(net, pops[j], pops[k], weights, receptor=receptor, bits=int(g.integers(1, 9)),
                    sign=SIGNS[int(g.integers(4))], delays=delays, name=f"c{j}{k}")  # fmt: skip
    for pop in pops:
        net.record(pop, "spikes")
    for pop in pops[1:]:
        for variable in ("u", "v"):
            net.record(pop, variable)
    return net


def emulated(net: ns.Network, steps: int) -> dict[str, dict[str, np.ndarray]]:
    """Return population -> spikes, u and v [steps, neurons], by the integer functions alone; and what overflowed.

    ``wraps``, ``low`` and ``high`` are 1 where u wrapped round and where v was clipped, ``u_sum`` and ``v_sum`` what it
    was before.
    """
    from neurosim.compile import compile_network
    from neurosim.ir.edges import iter_edges

    graph = compile_network(net)
    offsets, state, out = graph.offsets(), {}, {}
    edges = {
        p.name: [np.concatenate([np.broadcast_to(getattr(e, f), (len(e),)) for e in iter_edges(graph, p)] or [[]])
                 for f in ("pre", "post", "weight", "delay")]
        for p in graph.projections
    }  # fmt: skip
    for pop in graph.populations[1:]:
        state[pop.name] = {
            s.name: np.broadcast_to(np.asarray(s.init), (pop.size,)).astype(np.int64) for s in pop.states
        }
    history = np.zeros((steps, graph.size), dtype=bool)
    source = graph.populations[0]
    schedule = source.schedules[next(iter(source.schedules))]
    keep = schedule.steps < steps
    history[schedule.steps[keep], schedule.neurons[keep]] = True
    out[source.name] = {"spikes": history[:, : source.size]}
    for pop in graph.populations[1:]:
        out[pop.name] = {key: np.zeros((steps, pop.size), np.int64) for key in KEYS}
    for n in range(steps):
        for pop in graph.populations[1:]:
            assert pop.model is not None
            params, lo = pop.model.params, offsets[pop.name]
            total = np.zeros(pop.size, np.int64)
            for receptor in pop.receptors:
                acc = np.zeros(pop.size, np.int64)
                for p in graph.projections:
                    if p.receptor != receptor or p.post[0].population != pop.name:
                        continue
                    pre, post, weight, delay = (np.asarray(x, dtype=np.int64) for x in edges[p.name])
                    sent = n - delay
                    hit = (sent >= 0) & history[np.maximum(sent, 0), pre]
                    np.add.at(acc, post[hit] - lo, weight[hit])
                total += shifted(acc, int(np.log2(params[f"{receptor}.scale"])))
            s = state[pop.name]
            u_sum = decayed(s["u"], np.asarray(params["du"], np.int64), 1) + 64 * total
            s["u"] = wrapped(u_sum)
            v_left = decayed(s["v"], np.asarray(params["dv"], np.int64), 0)
            v_sum = v_left + s["u"] + np.asarray(params["bias"], np.int64)
            v = saturated(v_sum)
            fired = v > 64 * np.asarray(params["vth"], np.int64)
            s["v"] = np.where(fired, 0, v)
            history[n, lo : lo + pop.size] = fired
            found = (fired, s["u"], s["v"], s["u"] != u_sum, v > v_sum, v < v_sum, u_sum, v_sum)
            for key, value in zip(KEYS, found, strict=True):
                out[pop.name][key][n] = value
    return out


def compared(result: Any, other: dict[str, dict[str, np.ndarray]], steps: int) -> dict[str, int]:
    """Return how many spikes there are, and how many values of spikes, u and v differ from a result."""
    found = {"spikes": 0, "different": 0, "values": 0}
    for name, values in other.items():
        spikes = np.zeros(values["spikes"].shape, dtype=np.int64)
        spikes[result.spikes[name].steps, result.spikes[name].ids] = 1
        found["spikes"] += int(values["spikes"].sum())
        found["different"] += int((spikes != values["spikes"]).sum())
        for key in ("u", "v"):
            if key in values:
                traced = result.state[name][key].values
                assert traced.shape == values[key].shape
                found["values"] += traced.size
                found["different"] += int((traced != values[key]).sum())
    return found


def as_tables(result: Any, net: ns.Network, steps: int) -> dict[str, dict[str, np.ndarray]]:
    """Return a result as :func:`emulated` does."""
    out: dict[str, dict[str, np.ndarray]] = {}
    for name, pop in net.populations.items():
        spikes = np.zeros((steps, len(pop)), dtype=np.int64)
        spikes[result.spikes[name].steps, result.spikes[name].ids] = 1
        out[name] = {"spikes": spikes}
        if name != "source":
            out[name] |= {key: result.state[name][key].values.astype(np.int64) for key in ("u", "v")}
    return out
