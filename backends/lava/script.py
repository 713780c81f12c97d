"""A network as a script for Lava: text that a person can read, and one file of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.backends.lava.lower import Cells, Connection, Lowered

SCRIPT, ARRAYS, RESULT = "network.py", "network.npz", "result.npz"

_HEAD = '''"""{title}, for Lava 0.10 in fixed point (tag `fixed_pt`); Python 3.10.

    python {script}          runs it, and compares its spikes with those that neurosim found

Written by neurosim {version}. Row n of a result is neurosim's step n and Lava's time step n + 1.
"""

import os
import sys
import traceback
from pathlib import Path

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.process import Dense, DelayDense
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

HERE = Path(__file__).resolve().parent
DATA = np.load(HERE / "{arrays}")
STEPS = {steps}
STATES = {states}


class Sinks(AbstractProcess):
    """Writes the spikes of all populations to files as they come; reading them from Lava costs 30 us for every value.

    It also makes one network of populations that are not connected: Lava runs what hangs together.
    """

    def __init__(self, sizes, paths):
        super().__init__(sizes=sizes, paths=paths, steps=STEPS)
{ports}

@implements(proc=Sinks, protocol=LoihiProtocol)
@requires(CPU)
class PySinks(PyLoihiProcessModel):
{models}

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.files = [
            np.lib.format.open_memmap(path, mode="w+", dtype=np.bool_, shape=(proc_params["steps"], size))
            for path, size in zip(proc_params["paths"], proc_params["sizes"])
        ]

    def run_spk(self):
        try:
            self.write()
        except BaseException:
            traceback.print_exc()  # Lava would not show it
            raise

    def write(self):
        for k, rows in enumerate(self.files):
            rows[self.time_step - 1] = getattr(self, f"in_{{k}}").recv() != 0
            if self.time_step == len(rows):
                rows.flush()


def matrix(name):
    """Return the weights of a connection and its delays, [post, pre]."""
    at = DATA[name + ".rows"], DATA[name + ".columns"]
    both = "weights", "late"
    weights, delays = (csr_matrix((DATA[f"{{name}}.{{what}}"], at), DATA[name + ".shape"]) for what in both)
    delays.data -= 1  # a delay of 0 would be no entry
    return weights, delays


def build():
    """Return population -> process."""
    pop = {{}}
'''

_TAIL = '''    return pop


def main():
    """Run, write {result}, and return how many spikes differ from neurosim's."""
    pop = build()
    paths = {{name: HERE / f"spikes_{{k}}.npy" for k, name in enumerate(pop)}}
    sinks = Sinks([int(np.prod(p.s_out.shape)) for p in pop.values()], [str(p) for p in paths.values()])
    for k, process in enumerate(pop.values()):
        process.s_out.connect(getattr(sinks, f"in_{{k}}"))
    monitors = {{}}
    for name, variable in STATES:
        monitors[name, variable] = Monitor()
        monitors[name, variable].probe(getattr(pop[name], variable), STEPS)
    sinks.run(condition=RunSteps(num_steps=STEPS), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    result = {{}}
    for (name, variable), monitor in monitors.items():
        found = monitor.get_data()[pop[name].name][variable]
        result[f"{{name}}.{{variable}}"] = np.asarray(found).reshape(STEPS, -1).astype(np.int64)
    sinks.stop()
    different = total = 0
    for name, path in paths.items():
        spikes = np.load(path)
        path.unlink()
        step, neuron = np.nonzero(spikes)
        result[f"{{name}}.steps"], result[f"{{name}}.neurons"] = step, neuron
        if f"{{name}}.expected" in DATA:
            expected = np.zeros_like(spikes)
            expected[tuple(DATA[f"{{name}}.expected"])] = True
            different += int((expected != spikes).sum())
            total += int(expected.sum())
    np.savez(HERE / "{result}", **result)
    print(f"{{total}} spikes expected, {{different}} differ" if total or different else "done", flush=True)
    return different


if __name__ == "__main__":
    code = 3
    try:
        code = 2 if main() else 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Lava's own processes may keep an interpreter that failed from ending
'''


def script(lowered: Lowered, title: str, steps: int, states: list[tuple[str, str]], version: str) -> str:
    """Return the script's text."""
    lines = []
    for source in lowered.sources:
        lines.append(f"    pop[{source.name!r}] = Source(data=DATA[{source.name + '.spikes'!r}])")
    for cells in lowered.cells:
        lines.append(f"    pop[{cells.name!r}] = {_process(cells)}")
    for c in lowered.connections:
        lines += ["", f"    # {c.pre} to {c.post}: {len(c.weights)} synapses", *_connection(c)]
    count = len(lowered.sources) + len(lowered.cells)
    ports = "".join(f"        self.in_{k} = InPort(shape=(sizes[{k}],))\n" for k in range(count))
    models = "\n".join(f"    in_{k}: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)" for k in range(count))
    head = _HEAD.format(title=title, script=SCRIPT, version=version, arrays=ARRAYS, steps=steps, states=states,
                        ports=ports, models=models)  # fmt: skip
    return head + "\n".join(lines) + "\n" + _TAIL.format(result=RESULT)


def _process(cells: Cells) -> str:
    given = []
    for key, value in cells.parameters.items():
        text = f"DATA[{f'{cells.name}.{key}'!r}]" if value.ndim else str(int(value))
        given.append(f"{key}={text}")
    return f"LIF(shape=({cells.size},), {', '.join(given)})"


def _connection(c: Connection) -> list[str]:
    kind = ("Delay" if c.delayed else "") + ("Dense" if c.dense else "Sparse")
    values = ("weights.toarray()", "delays.toarray()") if c.dense else ("weights", "delays")
    delays = f", delays={values[1]}" if c.delayed else ""
    return [
        f"    weights, delays = matrix({c.name!r})",
        f"    synapses = {kind}(weights={values[0]}{delays}, weight_exp={c.exponent}, num_weight_bits=8,",
        f"    {' ' * len('synapses = ' + kind)}sign_mode=SignMode.{c.sign.upper()})",
        f"    pop[{c.pre!r}].s_out.connect(synapses.s_in)",
        f"    synapses.a_out.connect(pop[{c.post!r}].a_in)",
    ]


def arrays(lowered: Lowered) -> dict[str, Any]:
    """Return what the script reads."""
    out: dict[str, Any] = {f"{s.name}.spikes": s.spikes for s in lowered.sources}
    for cells in lowered.cells:
        out |= {f"{cells.name}.{key}": value for key, value in cells.parameters.items() if value.ndim}
    for c in lowered.connections:
        out |= {
            f"{c.name}.rows": c.rows, f"{c.name}.columns": c.columns, f"{c.name}.weights": c.weights.astype(np.int32),
            f"{c.name}.late": c.delays + 1, f"{c.name}.shape": np.array(c.shape),
        }  # fmt: skip
    return out
