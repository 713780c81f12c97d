"""Every network of the library and of the examples in Loihi 2's integers, or why not; three of them with their figures.

Of an example the first network that it runs, or hands to PyTorch, is taken, with the arguments that its test has.
Nobody is told what ought to be refused: the lists of those that were quantised and of the refusals are the result,
which passes if all of them were judged, nothing overflowed unseen, and the three networks below are what they were.

``cuba``
    The whole benchmark, a second of it. It is chaotic, so that spikes part at once; rates are what there is to compare.
    Its two synaptic time constants become one, which is what costs.
``optic lobe``
    As it is, it is refused: its cells adapt. Quantised is what is left of it without adaptation, with the spikes of the
    photoreceptors as its input; the direction that T4 and T5 cells prefer is its metric. The slow synapses that make
    them selective share their cells' one time constant with the fast ones.
``digits``
    N-MNIST's event camera recordings, learned by example 21's network: accuracy over the test set.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import operator
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCES = [
    "backends/loihi2*.py", "backends/native/*.py", "backends/compiled/*.py", "hardware/loihi2/*.py",
    "models/networks/*.py", "neurosim/comparison/integers.py", "neurosim/ir/**/*.py", "neurosim/passes/**/*.py",
    "neurosim/lang/**/*.py", "examples/*.py", "tests/evidence/quantisation.py",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NEUROSIM_SHARED_DATA") or ROOT.parent / "shared" / "data")
LOBE = SHARED / "fly_optic_lobe" / "fib25-fib19_v2.2.json"

LIBRARY: dict[str, dict[str, Any]] = {
    "cuba": {}, "coba": {}, "brunel": {"n": 2500}, "dendritic": {"n": 100}, "c_elegans": {},
    "mushroom_body": {"path": str(SHARED / "fly_mushroom_body" / "mb_fafb783.npz")},
    "optic_lobe": {"path": str(LOBE), "extent": 4}, "potjans_diesmann": {"scale": 0.05}, "song": {}, "masquelier": {},
    "diehl_cook": {},
}  # fmt: skip
EXAMPLES: dict[str, dict[str, Any]] = {
    "11": {"steps": (8,)}, "12": {"steps": 2, "path": None}, "13": {"iterations": 1},
    "16": {"connectome": str(LOBE), "extent": 4},
    "17": {"connectome": LIBRARY["mushroom_body"]["path"], "seeds": (1,), "similarities": (0.75,)},
    "18": {"generations": 1, "trials": 1, "fitted_to": ("grasshopper_2",)}, "19": {"poles": 20},
    "21": {"data": SHARED / "nmnist_small" / "nmnist_small.npz", "epochs": 1},
    "22": {"epochs": 1, "count": 50}, "23": {"epochs": 1, "fraction": 0.1, "folder": SHARED / "fsdd"},
    "24": {"variants": ()}, "25": {"spikes": SHARED / "fly_brain_reference" / "shiu_sugar_spikes.npz", "trials": 1},
    "26": {"n": 10, "images": 1, "file": SHARED / "mnist" / "mnist.npz"},
}  # fmt: skip
OVERFLOWS = ("wraps", "clipped_low", "clipped_high")
MOST_STEPS = 5_000
EXTENT, EPOCHS = 3, 8


def run(log: Any) -> dict[str, Any]:
    """Judge all of them."""
    from neurosim.registry import NETWORKS

    found: dict[str, Any] = {"library": {}, "examples": {}}
    for name in LIBRARY:
        found["library"][name] = log.step(f"library {name}", lambda name=name: of_library(name))
        log(f"{name}: {said(found['library'][name])}")
    for number in numbers():
        found["examples"][number] = log.step(f"example {number}", lambda number=number: of_example(number))
        log(f"example {number}: {said(found['examples'][number])}")
    for name, judge in {"cuba": cuba, "optic lobe": optic_lobe, "digits": digits}.items():
        found[name] = log.step(name, judge)
        log(f"{name}: {said(found[name])}")
    every = [*found["library"].values(), *found["examples"].values()]
    done = [one for one in every if one["quantised"]]
    ours = [found[name] for name in ("cuba", "digits")]
    accuracy = found["digits"]["metrics"]["accuracy"]
    passed = (
        set(found["library"]) == set(NETWORKS) and sorted(found["examples"]) == numbers()
        and all(one["quantised"] or one["refused"] for one in every)
        and all(one["uncounted"] is None for one in [*done, *ours]) and not any(one["woken"] for one in ours)
        and sum(found["cuba"]["overflows"].values()) == 0 and found["cuba"]["largest rate change"] < 0.1
        and abs(accuracy["native"] - accuracy["loihi2"]) <= 0.03 and accuracy["native"] > 0.7
    )  # fmt: skip
    return {**found, "quantised": len(done), "refused": len(every) - len(done), "passed": bool(passed)}


def numbers() -> list[str]:
    """Return the numbers of the examples that there are."""
    return sorted(p.name[:2] for p in (ROOT / "examples").glob("[0-9][0-9]_*.py"))


def said(one: dict[str, Any]) -> str:
    """Return a line about a verdict."""
    if not one["quantised"]:
        return f"refused: {'; '.join(one['refused'])[:160]}"
    if not any(one["spikes"].values()):
        return f"quantised; nothing spikes yet, weights change by up to {one['largest weight error']:.2%}"
    woken = f"; no longer silent: {', '.join(one['woken'])}" if one["woken"] else ""
    return (f"{one['spikes']['native']:,} spikes, {one['spikes']['loihi2']:,} in integers; rates change by up to "
            f"{one['largest rate change']:.1%}, weights by {one['largest weight error']:.2%}{woken}")  # fmt: skip


def judged(net: Any, duration: Any, metrics: Any = None) -> dict[str, Any]:
    """Return why a network is refused, or what its integers did to it: over at most 5,000 steps, unless measured."""
    from neurosim import compare
    from neurosim.comparison.integers import as_dict
    from neurosim.comparison.table import plain
    from neurosim.compile import compile_network
    from neurosim.hardware.loihi2.quantisation import complaints
    from neurosim.units import TIME, Quantity

    net.probes = []
    refused = [f"no {what}" for what, _ in complaints(compile_network(net))]
    if refused:
        return {"quantised": False, "refused": refused}
    if metrics is None:
        duration = Quantity(min(float(duration.value), MOST_STEPS * net.dt), TIME)
    result = compare(net, duration, ["native", "loihi2"], metrics=metrics)
    for side in result.sides:
        if side.refusal:
            return {"quantised": False, "refused": [side.refusal]}
    (pair,), (integers,) = result.pairs, result.integers
    told = plain(as_dict(integers))
    rates = {r.population: [r.a.rate, r.b.rate] for r in pair.populations}
    changes = [abs(b / a - 1) for a, b in rates.values() if a > 0]
    at = pair.difference
    return plain({
        "quantised": True, "network": net.name, "neurons": sum(len(p) for p in net.populations.values()),
        "steps": pair.a.result.provenance.n_steps, "identical": pair.identical,
        "spikes": {s.label: sum(len(x) for x in s.result.spikes.values()) for s in result.sides},
        "in the same step": sum(r.spikes.common for r in pair.populations),
        "first difference": None if at is None else {"population": at.population, "neuron": at.neuron, "step": at.step},
        "rates in Hz, before and after": rates if len(rates) <= 12 else {},
        "largest rate change": max(changes, default=0.0),
        "woken": [name for name, (a, b) in rates.items() if a == 0 < b],  # which no relative change tells of
        "van Rossum distances": {r.population: r.distance.value for r in pair.populations if r.distance}
        if len(rates) <= 12 else {},
        "largest weight error": max((p["rms_error"] for p in told["projections"].values()), default=0.0),
        "weights lost": sum(p["lost"] for p in told["projections"].values()),
        "largest error of tau_m": _largest(told, "tau_m"), "largest error of tau_syn": _largest_syn(told),
        "overflows": {k: sum(o[k] for o in told["overflow"].values()) for k in OVERFLOWS},
        "uncounted": told["overflow_uncounted"], "cores": told["cores"],
        "energy of a step, an estimate in J": told["estimate_per_step"]["energy"], "changes": told["changes"][:12],
        "metrics": {} if metrics is None else
        {name: {s.label: s.metrics[name] for s in result.sides} for name in metrics},
    })  # fmt: skip


def _largest(told: dict[str, Any], name: str) -> float:
    import numpy as np

    return max((float(np.max(np.abs(np.divide(p[name], p[f"{name}_was"]) - 1))) for p in told["populations"].values()),
               default=0.0)  # fmt: skip


def _largest_syn(told: dict[str, Any]) -> float:
    return max((abs(p["tau_syn"] / was - 1) for p in told["populations"].values() for was in p["tau_syn_was"].values()),
               default=0.0)  # fmt: skip


# -- where networks come from ----------------------------------------------------------------------------------------


def of_library(name: str) -> dict[str, Any]:
    """Judge a network of the library."""
    import neurosim as ns
    from neurosim.errors import NeurosimError
    from neurosim.units import ms

    try:
        net = ns.network(name)(**LIBRARY[name])
    except NeurosimError as e:
        return {"quantised": False, "refused": [f"it cannot be built here: {e.message}"]}
    return judged(net, net.default_duration or 500 * ms)


class _Reached(BaseException):
    """An example has come to a network of its."""

    def __init__(self, net: Any, duration: Any) -> None:
        self.net, self.duration = net, duration


@contextlib.contextmanager
def _caught() -> Iterator[None]:
    """End an example where it runs a network, starts one to step it, or makes a module of it."""
    from neurosim.lang.network import Network
    from neurosim.units import Quantity, second

    def reached(net: Any, *args: Any, **options: Any) -> Any:
        raise _Reached(net, args[0] if args and isinstance(args[0], Quantity) else 0.1 * second)

    before = {name: getattr(Network, name) for name in ("run", "run_trials", "start", "to_torch")}
    for name in before:
        setattr(Network, name, reached)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Network, name, method)


def of_example(number: str) -> dict[str, Any]:
    """Judge the first network of an example."""
    from neurosim.errors import NeurosimError

    found: _Reached | None = None
    module, given = script(number), dict(EXAMPLES.get(number, {}))
    if number == "25":
        given["ids"] = [module.MN9]
    try:
        with _caught(), contextlib.redirect_stdout(io.StringIO()):
            module.main(**given)
    except _Reached as reached:
        found = reached
    except (NeurosimError, TypeError) as e:
        return {"quantised": False, "refused": [f"it cannot be built here: {e}"]}
    if found is None:
        return {"quantised": False, "refused": ["no network: its model is a module of PyTorch from the start"]}
    return judged(found.net, found.duration)


def script(number: str) -> ModuleType:
    """Import an example."""
    path = next((ROOT / "examples").glob(f"{number}_*.py"))
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# -- three of them ---------------------------------------------------------------------------------------------------


def cuba() -> dict[str, Any]:
    """Judge the benchmark, with both synaptic time constants, over a second."""
    import neurosim as ns
    from neurosim.units import second

    return judged(ns.network("cuba")(), 1 * second, {"rate of exc": lambda r: r.rates("exc")})


def optic_lobe() -> dict[str, Any]:
    """Judge the optic lobe without adaptation, driven by the spikes of its photoreceptors, by what T4 and T5 prefer."""
    import numpy as np

    import neurosim as ns
    from neurosim.ir.rules import EdgeList
    from neurosim.models import LIF, ExpCurrent, SpikeSource
    from neurosim.models.networks.connectomes import read_optic_lobe
    from neurosim.units import TIME, VOLTAGE, Quantity, mV

    lobes = importlib.import_module("neurosim.models.networks.optic_lobe")  # not the function of that name
    whole = ns.network("optic_lobe")(path=str(LOBE), extent=EXTENT, adaptation=0.0, record="all")
    lobe, edges = read_optic_lobe(LOBE, EXTENT), lobes.moving_edges(extent=EXTENT)
    eyes = {lobes.population(name) for name in lobes.RECEPTORS}
    seen = whole.run(edges.duration).spikes
    net = ns.Network("optic lobe without adaptation", dt=Quantity(whole.dt, TIME), seed=whole.seed)
    for name, pop in whole.populations.items():
        if name in eyes:
            cell: Any = SpikeSource(Quantity(seen[name].steps * whole.dt, TIME), seen[name].ids)
            net.population(name, len(pop), cell)
            continue
        given = {key: pop.cell.value(key) for key in ("tau_m", "v_rest", "v_th", "bias")}
        rest = Quantity(np.asarray(given["v_rest"].value) + np.asarray(given["bias"].value), VOLTAGE)
        cell = LIF(tau_m=given["tau_m"], v_rest=rest, v_reset=given["v_rest"], v_th=given["v_th"],
                   receptors={r: ExpCurrent(tau=x.value("tau")) for r, x in pop.cell.receptors.items()})  # fmt: skip
        net.population(name, len(pop), cell, init={"v": pop.init["v"]})
    pops = list(net.populations.values())
    inner = np.repeat([p.name not in eyes for p in pops], [len(p) for p in pops])
    targets = functools.reduce(operator.add, [p for p in pops if p.name not in eyes])
    place = np.cumsum(inner) - 1  # of a cell among the targets
    for name, wire in whole.projections.items():
        pre, post = np.asarray(wire.rule.pre), np.asarray(wire.rule.post)
        here = inner[post]
        net.connect(functools.reduce(operator.add, pops), targets, receptor=name, name=name,
                    rule=EdgeList(pre[here], place[post[here]]), weight=np.asarray(wire.weight)[here] * 1e3 * mV,
                    delay=Quantity(whole.dt, TIME))  # fmt: skip
    angles = np.array(edges.angles[:12])

    def astray(result: Any) -> float:
        """Return the mean error of the direction that a type prefers, in degrees: 90 by chance."""
        errors = []
        for name in lobes.DETECTORS:
            spikes, cells = result.spikes[name], lobe.cells(name)
            answers = edges.responses(spikes.t, spikes.ids, lobe.x[cells], lobe.y[cells], max(EXTENT - 3, 1))
            on, off = answers.reshape(2, 12)
            direction = lobes.selectivity(angles, on if name.startswith("T4") else off)[1]
            errors.append(abs((direction - lobes.PREFERRED[name[2]] + 180) % 360 - 180))
        return float(np.nanmean(errors))

    return judged(net, edges.duration, {"error of direction": astray})


def digits() -> dict[str, Any]:
    """Judge the trained classifier of example 21 by its answers to the test set."""
    import numpy as np
    import torch

    from neurosim import datasets, encoding

    torch.set_num_threads(1)
    example = script("21")
    recordings = datasets.read_recordings(EXAMPLES["21"]["data"])
    coded = recordings.map(lambda events: events.downsample(2).spikes(example.DT, example.STEPS))
    module = example.train(*coded.train.arrays(), EPOCHS)
    spikes, labels = coded.test.arrays()
    net = example.network(*encoding.source(spikes, example.DT, silence=example.SILENCE))
    net.load_torch(module)
    period = example.STEPS + example.SILENCE

    def accuracy(result: Any) -> float:
        of, counts = result.spikes["digits"], np.zeros((len(spikes), 10))
        seen = of.steps % period < example.STEPS
        np.add.at(counts, (of.steps[seen] // period, of.ids[seen] // example.EACH), 1)
        return float((counts.argmax(1) == labels).mean())

    return judged(net, len(spikes) * period * example.DT, {"accuracy": accuracy})
