"""Run one benchmark network in NEST and print what it took.

NEST as fast as it goes without changing the work: one synapse model with a homogeneous weight per kind of synapse,
``fixed_total_number`` for the sparse networks, and spikes recorded from the inhibitory fifth only: the kernel counts
all spikes anyway, so that the excitatory count is a difference (checked: equal to a recorder's, on 1 and 2 threads).
``Prepare`` (which sorts the connections) counts as building, ``Run`` alone as simulating.

``fixed_total_number`` instead of a probability per pair spares NEST the N^2 draws of ``pairwise_bernoulli`` (a build of
about 4 s instead of 75 s at 40,000). It allows multapses, 1 % of the synapses at 4,000 and fewer above; over 20 seeds
of CUBA 4,000 the inhibitory rate was 5.70 +- 0.01 Hz with it, 5.68 +- 0.02 Hz with pairs, 5.67 +- 0.01 Hz in Brian2.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from benchmarks.networks import (
    BRUNEL,
    BRUNEL_STDP,
    COBA,
    CUBA,
    DT_MS,
    CobaNetwork,
    DeltaNetwork,
    PlasticNetwork,
    SparseNetwork,
)
from benchmarks.peers.worker import Measurement, Task, main, measurement

CAPACITANCE_PF = 200.0
"""Any value gives the same dynamics in mV; with tau_m = 20 ms this one gives the usual leak of 10 nS."""


class Built(NamedTuple):
    """The populations of a built network and the number of its recurrent synapses."""

    exc: Any
    inh: Any
    synapses: int


def _sparse(
    nest: ModuleType, task: Task, network: SparseNetwork, model: str, params: dict[str, float], unit: float
) -> Built:
    """Build a Vogels-Abbott network of ``model`` cells; ``unit`` converts a weight of the table to NEST's."""
    exc, inh = (nest.Create(model, count, params=params) for count in network.split(task.size))
    exc.V_m = nest.random.uniform(network.v_init_low_mv, network.v_init_high_mv)
    inh.V_m = nest.random.uniform(network.v_init_low_mv, network.v_init_high_mv)
    sign_inh = -1.0 if network.weight_inh > 0 else 1.0  # NEST tells inhibition by the sign of the weight
    total = 0
    for kind, sources, weight in (("exc", exc, network.weight_exc), ("inh", inh, sign_inh * network.weight_inh)):
        nest.CopyModel("static_synapse_hom_w", kind, {"weight": weight * unit, "delay": network.delay_ms})
        count = round(network.probability(task.size) * len(sources) * task.size)
        nest.Connect(sources, exc + inh, {"rule": "fixed_total_number", "N": count}, kind)
        total += count
    return Built(exc, inh, total)


def cuba(nest: ModuleType, task: Task, network: SparseNetwork = CUBA) -> Built:
    """Current-based network of ``iaf_psc_exp``, integrated exactly."""
    params = {
        "C_m": CAPACITANCE_PF,
        "tau_m": network.tau_m_ms,
        "E_L": network.v_rest_mv,
        "V_th": network.v_th_mv,
        "V_reset": network.v_reset_mv,
        "t_ref": network.t_ref_ms,
        "tau_syn_ex": network.tau_exc_ms,
        "tau_syn_in": network.tau_inh_ms,
    }
    return _sparse(nest, task, network, "iaf_psc_exp", params, unit=CAPACITANCE_PF / network.tau_m_ms)


def coba(nest: ModuleType, task: Task, network: CobaNetwork = COBA) -> Built:
    """Conductance-based network of ``iaf_cond_exp``, integrated by NEST's only method, adaptive RKF45."""
    leak_ns = CAPACITANCE_PF / network.tau_m_ms
    params = {
        "C_m": CAPACITANCE_PF,
        "g_L": leak_ns,
        "E_L": network.v_rest_mv,
        "E_ex": network.e_exc_mv,
        "E_in": network.e_inh_mv,
        "V_th": network.v_th_mv,
        "V_reset": network.v_reset_mv,
        "t_ref": network.t_ref_ms,
        "tau_syn_ex": network.tau_exc_ms,
        "tau_syn_in": network.tau_inh_ms,
        "I_e": network.drive_mv * leak_ns,
    }
    return _sparse(nest, task, network, "iaf_cond_exp", params, unit=leak_ns)


def brunel(nest: ModuleType, task: Task, network: DeltaNetwork = BRUNEL) -> Built:
    """Delta-synapse network of ``iaf_psc_delta``, as in NEST's own ``brunel_delta_nest.py``."""
    params = {
        "C_m": 1.0,
        "tau_m": network.tau_m_ms,
        "E_L": network.v_rest_mv,
        "V_th": network.v_th_mv,
        "V_reset": network.v_reset_mv,
        "t_ref": network.t_ref_ms,
        "V_m": 0.0,
    }
    exc, inh = (nest.Create("iaf_psc_delta", count, params=params) for count in network.split(task.size))
    everyone = exc + inh
    nest.CopyModel("static_synapse_hom_w", "exc", {"weight": network.weight_exc_mv, "delay": network.delay_ms})
    nest.CopyModel("static_synapse_hom_w", "inh", {"weight": network.weight_inh_mv, "delay": network.delay_ms})
    rate = network.external_rate_hz * network.in_degree_exc
    nest.Connect(nest.Create("poisson_generator", params={"rate": rate}), everyone, syn_spec="exc")
    if isinstance(network, PlasticNetwork):
        # mu_plus = mu_minus = 1 is the multiplicative rule; this synapse keeps its constants once for all of a kind
        exc.tau_minus = network.tau_stdp_ms
        rule = {"weight": network.weight_exc_mv, "delay": network.delay_ms, "Wmax": network.weight_max_mv,
                "lambda": network.stdp_rate, "alpha": network.stdp_alpha, "tau_plus": network.tau_stdp_ms,
                "mu_plus": 1.0, "mu_minus": 1.0}  # fmt: skip
        nest.CopyModel("stdp_synapse_hom", "learning", rule)
        nest.Connect(exc, exc, {"rule": "fixed_indegree", "indegree": network.in_degree_exc}, "learning")
        nest.Connect(exc, inh, {"rule": "fixed_indegree", "indegree": network.in_degree_exc}, "exc")
    else:
        nest.Connect(exc, everyone, {"rule": "fixed_indegree", "indegree": network.in_degree_exc}, "exc")
    nest.Connect(inh, everyone, {"rule": "fixed_indegree", "indegree": network.in_degree_inh}, "inh")
    return Built(exc, inh, task.size * (network.in_degree_exc + network.in_degree_inh))


BUILDERS: dict[str, Callable[[ModuleType, Task], Built]] = {
    "cuba": cuba,
    "coba": coba,
    "brunel": brunel,
    "brunel_stdp": lambda nest, task: brunel(nest, task, BRUNEL_STDP),
}


def run(task: Task) -> Measurement:
    """Build and simulate the task's network."""
    start = time.perf_counter()
    import nest

    imported = time.perf_counter()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.set(resolution=DT_MS, local_num_threads=task.threads, rng_seed=task.seed)
    built = BUILDERS[task.network](nest, task)
    recorder = nest.Create("spike_recorder")
    nest.Connect(built.inh, recorder)
    nest.Prepare()
    ready = time.perf_counter()
    nest.Run(task.duration_ms)
    done = time.perf_counter()
    spikes, inh = int(nest.local_spike_counter), int(recorder.n_events)
    nest.Cleanup()
    return measurement(
        task,
        import_s=imported - start,
        build_s=ready - imported,
        compile_s=0.0,
        simulate_s=done - ready,
        counts={"exc": spikes - inh, "inh": inh},
        sizes={"exc": len(built.exc), "inh": len(built.inh)},
        synapses=built.synapses,
    )


if __name__ == "__main__":
    sys.exit(main("nest", "pip install nest-simulator", run))
