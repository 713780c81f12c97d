"""Run one benchmark network in neurosim's native backend and print what it took."""

from __future__ import annotations

import sys
import time

from benchmarks.networks import NETWORKS, PlasticNetwork
from benchmarks.peers.worker import Measurement, Task, main, measurement


def run(task: Task) -> Measurement:
    """Build and simulate the task's network."""
    start = time.perf_counter()
    from neurosim.models import networks
    from neurosim.units import ms

    imported = time.perf_counter()
    network = NETWORKS[task.network]
    more = {}
    if isinstance(network, PlasticNetwork):
        more = {"stdp_rate": network.stdp_rate, "stdp_alpha": network.stdp_alpha}
    net = getattr(networks, task.network.removesuffix("_stdp"))(n=task.size, seed=task.seed, **more)
    described = time.perf_counter()
    result = net.run(task.duration_ms * ms, backend="native", threads=task.threads)
    walls = result.provenance
    exc, inh = NETWORKS[task.network].split(task.size)
    return measurement(
        task,
        import_s=imported - start,
        build_s=described - imported + walls.wall_build_s,
        compile_s=walls.wall_compile_s,
        simulate_s=walls.wall_simulate_s,
        counts={name: int(result.spikes[name].count) for name in ("exc", "inh")},
        sizes={"exc": exc, "inh": inh},
        synapses=int(result.edges),
    )


if __name__ == "__main__":
    sys.exit(main("neurosim", "pip install -e '.[native]'", run))
