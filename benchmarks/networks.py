"""The benchmark networks: every parameter that the peers use is written here and nowhere else.

Times are in ms, potentials in mV, rates in Hz; the field names say which. The grid is ``DT_MS`` for all engines, all
arithmetic is double, and time is counted as DESIGN.md section 3 does: a spike of step n arrives at step n + delay/dt,
and the refractory clamp lasts t_ref/dt whole steps. Workers translate to their engine's own convention.

Ours is built by ``neurosim.models.networks``, which has parameters of its own; that the two have not drifted apart is
what the rates and the synapse counts in the table are for (`expected_hz`, and the comparison in ``report.py``).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

DT_MS = 0.1
SPREAD_MS = 500.0
"""Duration at which `Network.spread_hz` was measured."""


@dataclass(frozen=True)
class Network:
    """What the suite needs to know of any network: its name, its sizes and the rates that show it is the right one."""

    name: str
    summary: str
    sizes: tuple[int, ...]
    """Numbers of neurons that are run unless ``--sizes`` says otherwise."""
    quick_size: int
    duration_ms: float
    quick_ms: float
    expected_hz: tuple[float, float]
    """Mean rate of all neurons over the default duration, transient included, at every default size."""
    spread_hz: Mapping[str, float]
    """Standard deviation of a population's rate from seed to seed in one engine: at the smallest default size, over
    `SPREAD_MS`, measured in NEST and Brian2 (the larger of the two). Larger networks and longer runs vary less."""
    tau_m_ms: float
    v_rest_mv: float
    v_th_mv: float
    v_reset_mv: float
    t_ref_ms: float
    delay_ms: float

    def tolerance_hz(self, population: str, rate: float, duration_ms: float) -> float:
        """How far two engines' rates may lie apart when both are right: three standard deviations of one draw of the
        network, more in a short run, and 2 % for what the integration methods differ by."""
        shorter = max(1.0, math.sqrt(SPREAD_MS / duration_ms))
        return 3.0 * self.spread_hz[population] * shorter + 0.02 * rate

    def split(self, size: int) -> tuple[int, int]:
        """Numbers of excitatory and inhibitory neurons, 4 to 1."""
        exc = size * 4 // 5
        return exc, size - exc


@dataclass(frozen=True)
class SparseNetwork(Network):
    """A Vogels-Abbott network: each pair is connected with probability ``in_degree / size``, initial v is uniform.

    A synaptic weight is added to ge or gi of the target: a potential (mV) with current synapses, a multiple of the
    leak conductance with conductance synapses.
    """

    in_degree: float = 80.0
    tau_exc_ms: float = 5.0
    tau_inh_ms: float = 10.0
    weight_exc: float = 1.0
    weight_inh: float = 1.0
    v_init_low_mv: float = -60.0
    v_init_high_mv: float = -50.0

    def probability(self, size: int) -> float:
        """Probability of a connection, which keeps the mean in-degree the same at every size."""
        return min(1.0, self.in_degree / size)


@dataclass(frozen=True)
class CobaNetwork(SparseNetwork):
    """The conductance-based sibling: dv/dt = (ge (Ee - v) + gi (Ei - v) - (v - v_rest) + drive) / tau_m."""

    e_exc_mv: float = 0.0
    e_inh_mv: float = -80.0
    drive_mv: float = 20.0
    """Constant drive, as a potential. Without it the activity dies after the initial transient."""


@dataclass(frozen=True)
class DeltaNetwork(Network):
    """Brunel 2000: delta synapses, fixed in-degrees (multapses and autapses allowed), one Poisson input per neuron."""

    in_degree_exc: int = 1000
    in_degree_inh: int = 250
    weight_exc_mv: float = 0.1
    g: float = 5.0
    eta: float = 2.0

    @property
    def weight_inh_mv(self) -> float:
        """Weight of an inhibitory synapse, negative."""
        return -self.g * self.weight_exc_mv

    @property
    def external_rate_hz(self) -> float:
        """Rate of each of the ``in_degree_exc`` external Poisson sources of a neuron; their weight is weight_exc_mv."""
        threshold_rate = self.v_th_mv / (self.weight_exc_mv * self.in_degree_exc * self.tau_m_ms)
        return 1000.0 * self.eta * threshold_rate


@dataclass(frozen=True)
class PlasticNetwork(DeltaNetwork):
    """Brunel's network whose excitatory synapses among excitatory neurons learn.

    A spike of the target adds ``rate (w_max - w) x``, an arrival takes ``alpha rate w y``; x and y are traces of the
    arrivals and of the target's spikes with one time constant. The weights begin in the middle, where both balance.
    NEST's synapses have their delay on the dendrite: the work is the same, the weights differ.
    """

    stdp_rate: float = 0.01
    stdp_alpha: float = 1.0
    tau_stdp_ms: float = 20.0

    @property
    def weight_max_mv(self) -> float:
        """Greatest weight."""
        return 2.0 * self.weight_exc_mv


CUBA = SparseNetwork(
    name="cuba",
    summary="Vogels-Abbott / Brette 2007, exponential currents, delay 0.1 ms, in-degree 80",
    sizes=(4_000, 10_000, 40_000),
    quick_size=4_000,
    duration_ms=2_000.0,
    quick_ms=500.0,
    expected_hz=(5.0, 6.0),
    spread_hz={"exc": 0.30, "inh": 0.08},
    tau_m_ms=20.0,
    v_rest_mv=-49.0,
    v_th_mv=-50.0,
    v_reset_mv=-60.0,
    t_ref_ms=5.0,
    delay_ms=0.1,
    weight_exc=1.62,
    weight_inh=-9.0,
)

COBA = CobaNetwork(
    name="coba",
    summary="the same with conductances (we 0.6, wi 6.7 of the leak) and a constant drive of 20 mV",
    sizes=(4_000, 10_000, 40_000),
    quick_size=4_000,
    duration_ms=500.0,
    quick_ms=200.0,
    expected_hz=(18.0, 25.0),
    spread_hz={"exc": 1.2, "inh": 0.6},
    tau_m_ms=20.0,
    v_rest_mv=-60.0,
    v_th_mv=-50.0,
    v_reset_mv=-60.0,
    t_ref_ms=5.0,
    delay_ms=0.1,
    weight_exc=0.6,
    weight_inh=6.7,
)

BRUNEL = DeltaNetwork(
    name="brunel",
    summary="Brunel 2000, g 5, eta 2, delta synapses, delay 1.5 ms, in-degree 1000 + 250",
    sizes=(2_500, 12_500),
    quick_size=2_500,
    duration_ms=500.0,
    quick_ms=200.0,
    expected_hz=(29.0, 36.0),
    spread_hz={"exc": 0.4, "inh": 0.3},
    tau_m_ms=20.0,
    v_rest_mv=0.0,
    v_th_mv=20.0,
    v_reset_mv=0.0,
    t_ref_ms=2.0,
    delay_ms=1.5,
)

BRUNEL_STDP = PlasticNetwork(
    **{f.name: getattr(BRUNEL, f.name) for f in dataclasses.fields(BRUNEL)}
    | {"name": "brunel_stdp", "summary": "the same with STDP (multiplicative, all pairs) on the excitatory synapses of "
       "excitatory cells", "sizes": (12_500,)},
)  # fmt: skip

NETWORKS: dict[str, Network] = {network.name: network for network in (CUBA, COBA, BRUNEL, BRUNEL_STDP)}
