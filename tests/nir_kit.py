"""NIR graphs carried out step by step, layer by layer, from their definition: no neurosim, no sparse matrices."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import nir
import numpy as np


class Direct:
    """A graph and its state.

    Parameters
    ----------
    graph : nir.NIRGraph
        Flat.
    dt : float
        Step in seconds.
    scheme, reset : str
        As neurosim calls them.
    """

    def __init__(self, graph: Any, dt: float, scheme: str = "euler", reset: str = "value") -> None:
        self.graph, self.dt, self.scheme, self.reset = graph, dt, scheme, reset
        self.before: dict[str, list[str]] = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
        self.state: dict[str, Any] = {}
        self.spikes: dict[str, np.ndarray] = {}

    def _late(self, a: str, b: str) -> bool:
        """Whether an edge closes a loop: its source can be reached from its target, and is a neuron."""
        seen, todo = set(), [b]
        while todo:
            name = todo.pop()
            if name == a:
                return True
            if name not in seen:
                seen.add(name)
                todo += [y for x, y in self.graph.edges if x == name]
        return False

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of all nodes, [steps, ...]."""
        steps = len(next(iter(inputs.values())))
        out: dict[str, list[np.ndarray]] = {name: [] for name in self.graph.nodes}
        last: dict[str, np.ndarray] = {}
        for n in range(steps):
            now: dict[str, np.ndarray] = {}

            def value(name: str, n: int = n, now: Any = now, last: Any = last) -> np.ndarray:
                if name not in now:
                    now[name] = self._step(name, n, inputs, value, last)
                return now[name]

            for name in self.graph.nodes:
                out[name].append(value(name))
            last = now
        return {name: np.array(values) for name, values in out.items()}

    def _step(self, name: str, n: int, inputs: dict[str, np.ndarray], value: Any, last: Any) -> np.ndarray:
        node = self.graph.nodes[name]
        if name in inputs:
            return inputs[name][n]
        total: Any = 0.0
        for other in self.before[name]:
            neuron = isinstance(self.graph.nodes[other], (nir.IF, nir.LIF, nir.CubaLIF, nir.Threshold))
            if neuron and self._late(other, name):
                total = total + (last[other] if other in last else np.zeros(self.graph.nodes[other].v_threshold.shape))
            else:
                total = total + value(other)
        return self._node(name, node, total)

    def _node(self, name: str, node: Any, x: Any) -> np.ndarray:
        kind = type(node).__name__
        if kind == "Linear":
            return node.weight @ x
        if kind == "Affine":
            return node.weight @ x + node.bias
        if kind == "Scale":
            return node.scale * x
        if kind in ("Flatten", "Output", "Input"):
            return np.reshape(x, [int(k) for k in node.output_type["output"]])
        if kind == "Threshold":
            return (x > node.threshold).astype(float)
        if kind == "Delay":
            steps = np.rint(node.delay / self.dt).astype(int)
            kept = self.state.setdefault(name, deque(maxlen=int(steps.max()) + 1))
            kept.appendleft(np.array(x))
            return np.array([kept[d][i] if d < len(kept) else 0.0 for i, d in enumerate(steps)])
        if kind in ("Conv2d", "SumPool2d", "AvgPool2d"):
            return _windows(node, kind, x)
        return self._neuron(name, node, kind, x)

    def _neuron(self, name: str, node: Any, kind: str, x: Any) -> np.ndarray:
        if name not in self.state:
            leak = getattr(node, "v_leak", None)
            self.state[name] = [np.zeros(np.shape(x)), np.array(leak) if leak is not None else np.zeros(np.shape(x))]
        i, v = self.state[name]

        def decay(tau: Any) -> Any:
            return 1 - self.dt / tau if self.scheme == "euler" else np.exp(-self.dt / tau)

        if kind.startswith("Cuba"):
            a, b = decay(node.tau_syn), decay(node.tau_mem)
            target = node.w_in * x
            if self.scheme == "euler":
                i = a * i + (1 - a) * target
                v = b * v + (1 - b) * (node.v_leak + node.r * i)
            else:  # i(s) = target + (i - target) exp(-s/tau_syn), held against the membrane's own decay
                ratio = node.tau_syn / (node.tau_syn - node.tau_mem)
                v = b * v + (1 - b) * (node.v_leak + node.r * target) + node.r * (i - target) * ratio * (a - b)
                i = a * i + (1 - a) * target
        elif kind in ("I", "IF"):
            v = v + node.r * x
        else:
            b = decay(node.tau)
            v = b * v + (1 - b) * (node.v_leak + node.r * x)
        if kind in ("I", "LI", "CubaLI"):
            self.state[name] = [i, v]
            return v
        spike = v > node.v_threshold
        v = np.where(spike, node.v_reset if self.reset == "value" else v - node.v_threshold, v)
        self.state[name] = [i, v]
        return spike.astype(float)


def _windows(node: Any, kind: str, x: np.ndarray) -> np.ndarray:
    """A convolution or a pool, window by window."""
    pad, stride = np.broadcast_to(node.padding, 2), np.broadcast_to(node.stride, 2)
    x = np.pad(x, ((0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    size = node.weight.shape[2:] if kind == "Conv2d" else np.broadcast_to(node.kernel_size, 2)
    dilation = np.broadcast_to(node.dilation, 2) if kind == "Conv2d" else (1, 1)
    reach = [dilation[a] * (size[a] - 1) + 1 for a in (0, 1)]
    rows, columns = ((x.shape[1 + a] - reach[a]) // stride[a] + 1 for a in (0, 1))
    out = []
    for r in range(rows):
        for c in range(columns):
            top, left = r * stride[0], c * stride[1]
            window = x[:, top : top + reach[0] : dilation[0], left : left + reach[1] : dilation[1]]
            if kind == "Conv2d":
                out.append(np.einsum("oikl,ikl->o", node.weight, window) + node.bias)
            else:
                out.append(window.sum((1, 2)) / (1 if kind == "SumPool2d" else size[0] * size[1]))
    return np.array(out).T.reshape(-1, rows, columns)


def neuron(kind: str, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """A neuron with random parameters."""

    def drawn(lo: float, hi: float) -> np.ndarray:
        return rng.uniform(lo, hi, shape)

    values = {"r": drawn(0.5, 2)}
    if kind.startswith("Cuba"):
        values |= {"tau_syn": drawn(2e-3, 5e-3), "tau_mem": drawn(6e-3, 2e-2), "w_in": drawn(1, 3)}
    elif kind in ("LI", "LIF"):
        values["tau"] = drawn(2e-3, 2e-2)
    if kind not in ("I", "IF"):
        values["v_leak"] = drawn(-0.1, 0.1)
    if kind in ("IF", "LIF", "CubaLIF"):
        values |= {"v_threshold": drawn(0.1, 0.5), "v_reset": drawn(-0.1, 0.05)}
    return getattr(nir, kind)(**values)


def write(path: Path, nodes: dict[str, Any], edges: list[tuple[str, str]], **more: Any) -> str:
    """Write a graph, and return its path."""
    nir.write(path / "graph.nir", nir.NIRGraph(nodes, edges, **more))
    return str(path / "graph.nir")


def size(n: Any) -> dict[str, np.ndarray]:
    """Return the shape of a node that takes n values."""
    return {"input": np.atleast_1d(n)}


def lif_graph(**changes: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return nodes and edges of a layer of LIF behind a linear map, and others in their place."""
    nodes = {"in": nir.Input(size(2)), "w": nir.Linear(np.ones((3, 2))),
             "lif": neuron("LIF", np.random.default_rng(0), (3,)),
             "out": nir.Output({"output": np.array([3])})}  # fmt: skip
    return nodes | changes, [("in", "w"), ("w", "lif"), ("lif", "out")]
