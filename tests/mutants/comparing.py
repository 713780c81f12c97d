"""What ``neurosim compare`` says of a mutant: a backend with a planted fault against ``reference``, in one process.

Run as ``python -m mutants.comparing PLAN`` with the mutant's tree on the path; the plan is a JSON file with ``tree``,
``network`` (a function below), ``target`` and ``report`` (where the answer goes).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS = 1500
"""How many steps are compared."""


@dataclass(frozen=True)
class Shown:
    """A mutant, a network that shows it, and words that the diagnosis has to have."""

    mutant: str
    network: str
    says: str


SHOWN = (
    Shown("native_delay_longer", "circuit", "comes 1 step late: delays"),
    Shown("native_ge_is_gt", "counters", "'>' for '>='"),
    Shown("native_border_neuron_silent", "circuit", "native does not follow the program"),
    Shown("native_weight_of_the_first_edge", "circuit", "weights, or which connections there are"),
    Shown("native_table_held_too_long", "circuit", "it takes stimuli and random numbers one step late"),
    Shown("native_seed_plus_one", "circuit", "first in step 1"),
    Shown("native_autapse_dropped", "circuit", "which connections there are"),
    Shown("brian2_arrivals_not_added", "circuit", "which connections there are"),
    Shown("brian2_receptors_swapped", "circuit", "only steps in which spikes arrive are off"),
    Shown("brian2_clock_late", "circuit", "it takes stimuli and random numbers one step late"),
    Shown("brian2_delays_longer", "circuit", "late: delays"),
    Shown("brian2_ge_is_gt", "counters", "'>' for '>='"),
)
"""Ten kinds of faults and more."""


def circuit() -> Any:
    """Cells with two receptors, recurrent and driven by listed spikes, chance and a current in steps."""
    import numpy as np

    import neurosim as ns
    from neurosim.models import LIF, DeltaCurrent, ExpCurrent, PoissonInput, SpikeSource, StepCurrent
    from neurosim.units import Hz, ms, mV

    net = ns.Network("circuit", dt=0.1 * ms, seed=5)
    times = [np.arange(3.0 + k, 140.0, 7.0 + k) * ms for k in range(8)]
    source = net.population("source", 8, SpikeSource(times))
    receptors = {"exc": ExpCurrent(tau=5 * ms), "inh": DeltaCurrent}
    common = {"tau_m": 20 * ms, "v_rest": -60 * mV, "v_th": -50 * mV, "v_reset": -62 * mV, "receptors": receptors}
    p = net.population("p", 6, LIF(t_ref=2 * ms, **common), init={"v": np.linspace(-60, -51, 6) * mV})
    q = net.population("q", 4, LIF(t_ref=3 * ms, **common), init={"v": np.linspace(-60, -52, 4) * mV})
    weights = np.linspace(0.5, 4.0, 48).reshape(8, 6) * mV
    net.connect(source, p, receptor="exc", weight=weights, delay=0.5 * ms, name="in")
    net.connect(p, q, receptor="exc", weight=3 * mV, delay=1 * ms, name="on")
    net.connect(p, p, receptor="inh", weight=-0.3 * mV, delay=2.6 * ms, name="loop")
    net.stimulate(p, StepCurrent([0, 20, 60, 100] * ms, [6, 11, 3, 14] * mV))
    net.stimulate(q, PoissonInput(2000 * Hz, weight=0.8 * mV, receptor="inh"))
    return net


def counters() -> Any:
    """Cells that count up in eighths and spike where they meet a whole number."""
    import neurosim as ns
    from neurosim.units import ms

    net = ns.Network("counters", dt=0.1 * ms, seed=5)
    net.population("p", 3, ns.Cell("v[n+1] = v + step", threshold="v >= 1", reset="v = 0", step=[0.125, 0.25, 0.0625]))
    return net


NETWORKS: dict[str, Callable[[], Any]] = {"circuit": circuit, "counters": counters}


def parting(a: dict[str, Any], b: dict[str, Any]) -> tuple[int, set[tuple[str, int]]] | None:
    """Return the first step in which two sets of spikes differ, and who does, by comparing them as sets."""

    def all_of(spikes: dict[str, Any]) -> set[tuple[int, str, int]]:
        return {(int(n), name, int(i)) for name, s in spikes.items() for n, i in zip(s.steps, s.ids, strict=True)}

    apart = all_of(a) ^ all_of(b)
    if not apart:
        return None
    step = min(n for n, _, _ in apart)
    return step, {(name, i) for n, name, i in apart if n == step}


def main(path: str) -> None:
    plan = json.loads(Path(path).read_text(encoding="utf-8"))
    from mutants.watch import strangers_to
    from neurosim.comparison import compare

    net = NETWORKS[plan["network"]]()
    duration = STEPS * 0.1
    from neurosim.units import ms

    comparison = compare(net, duration * ms, ["reference", plan["target"]])
    pair = comparison.pairs[0]
    out: dict[str, Any] = {"verdict": pair.verdict, "refusals": [s.refusal for s in comparison.sides if s.refusal]}
    if pair.difference is not None and pair.diagnosis is not None:
        d = pair.difference
        found = parting(pair.a.result.spikes, pair.b.result.spikes)
        out |= {"population": d.population, "neuron": d.neuron, "step": d.step,
                "only_in": (pair.a, pair.b)[d.only_in == "b"].label, "kind": pair.diagnosis.kind,
                "hint": pair.diagnosis.hint,
                "right": found is not None and found[0] == d.step and (d.population, d.neuron) in found[1]}  # fmt: skip
    out["strangers"] = strangers_to(plan["tree"])
    Path(plan["report"]).write_text(json.dumps(out), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
