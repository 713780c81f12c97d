"""Cases of rules of the library that keep something at the synapse: a reward that comes later, a surprise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance.kit import DT, case, network
from neurosim.models import ArrayCurrent, ErrorUnit, Modulator, RateUnit, RewardSTDP, SpikeSource, Surprise
from neurosim.units import Hz, Quantity, ms

# -- a reward ------------------------------------------------------------------------------------------------------

_STEPS, _PAIRS, _DELAY, _EVERY = 3000, 20, 7, 50
_REWARDS = (400, 401, 2000)


def _trains(seed: int) -> list[list[int]]:
    g = np.random.default_rng(seed)
    return [np.unique(g.integers(0, _STEPS - 100, g.integers(3, 60))).tolist() for _ in range(_PAIRS)]


def _rewarded(r: Any) -> None:
    got = r.weight_traces["ab"].values[-1]
    for pre, post, w in zip(_trains(1), _trains(2), got, strict=True):
        x = y = c = d = 0.0
        want, arrivals = 0.5, {s + _DELAY for s in pre}
        for n in range(_STEPS):
            x, y, c = x * math.exp(-DT / 20), y * math.exp(-DT / 20), c * math.exp(-DT / 150)
            d *= math.exp(-DT / 80)
            if n in arrivals:
                c -= 0.15 * y
                x += 1
            if n in post:
                c += 0.1 * x
                y += 1
            d += 0.5 * ((n - 1) in _REWARDS)  # the concentration after its jump
            if (n + 1) % _EVERY == 0:
                want = min(max(want + c * d * _EVERY * DT * 1e-3 * 40, 0.0), 1.0)
        assert abs(w - want) < 1e-12, (w, want)
    assert np.std(got) > 1e-3


@case("RewardSTDP: pairs mark a synapse, dopamine moves its weight, against a loop over the steps of single pairs.",
      _STEPS, _rewarded, subject="library")  # fmt: skip
def reward_stdp() -> ns.Network:
    net = network()
    pre = net.population("a", _PAIRS, SpikeSource([np.array(s) * DT * ms for s in _trains(1)]))
    spikes = SpikeSource([np.array(s) * DT * ms for s in _trains(2)])
    inert = {"e": Modulator(), "dopamine": Modulator(tau=80 * ms)}
    post = net.population("b", _PAIRS, spikes(receptors=inert))
    reward = net.population("reward", 1, SpikeSource([np.array(_REWARDS) * DT * ms]))
    rule = RewardSTDP(a_plus=0.1, a_minus=0.15, tau_c=150 * ms, interval=_EVERY * DT * ms, rate=40 * Hz)
    net.connect(pre, post, receptor="e", rule="one_to_one", weight=0.5, delay=_DELAY * DT * ms, plasticity=rule,
                name="ab")  # fmt: skip
    net.connect(reward, post, receptor="dopamine", weight=0.5, delay=DT * ms)
    net.record(net.projections["ab"], "weight", every=_EVERY * DT * ms)
    return net


# -- a surprise ----------------------------------------------------------------------------------------------------

TOKEN, TOKENS = 64, 12
_MOMENTUM, _FORGETTING, _RATE = 0.5, 0.05, 0.4


def _stream() -> tuple[np.ndarray, np.ndarray]:
    g = np.random.default_rng(3)
    keys = np.abs(g.normal(size=(TOKENS, 4)))
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    return keys, g.uniform(-0.9, 0.9, (TOKENS, 3))


def _surprised(r: Any) -> None:
    """The loop that the neurons carry out, spike by spike; sums in another order, hence the tolerance."""
    keys, values = _stream()
    u, charge = np.zeros(3), np.zeros(4)
    count, fired, sent = np.zeros(3), np.zeros(4), np.zeros(4)
    w = s = np.zeros((4, 3))
    x0, e0 = np.zeros(4), np.zeros(3)
    for n in range(TOKEN * TOKENS):
        k, v = keys[n // TOKEN], values[n // TOKEN]
        u = u + v - sent @ w
        x, before = (
            fired.copy(),
            count.copy(),
        )  # a synapse sees spikes of the step before
        charge = charge + k
        sent = (charge >= 1.0).astype(float)
        charge, fired = charge - sent, fired + sent
        over = np.abs(u) >= 1.0
        count, u = count + over * np.sign(u), u - over * np.sign(u)
        if (n + 1) % TOKEN == 0:
            s = _MOMENTUM * s + _RATE * np.outer((x - x0) / TOKEN, (before - e0) / TOKEN)
            w = (1 - _FORGETTING) * w + s
            x0, e0 = x, before
    got = r.weight_traces["memory"].values[-1].reshape(4, 3)
    assert np.allclose(got, w, rtol=1e-9, atol=1e-12) and np.abs(w).max() > 0.1


@case("Surprise with ErrorUnit and RateUnit: at the end of a token each synapse remembers its surprise, error times "
      "key, and adds it to a memory that forgets, against a loop over the steps.",
      TOKEN * TOKENS, _surprised, subject="library")  # fmt: skip
def surprise() -> ns.Network:
    keys, values = _stream()
    token = TOKEN * DT * ms
    net = network()
    key, error = net.population("key", 4, RateUnit()), net.population("error", 3, ErrorUnit())
    net.stimulate(key, ArrayCurrent(keys, dt=token))
    net.stimulate(error, ArrayCurrent(values, dt=token))
    rule = Surprise(momentum=_MOMENTUM, forgetting=_FORGETTING, rate=_RATE, interval=token,
                    unit=Quantity(1e3 / DT, Hz.dim), w_max=4.0)  # fmt: skip
    net.connect(key, error, weight=0.0, delay=DT * ms, plasticity=rule, name="memory")
    net.record(net.projections["memory"], "weight", every=token)
    return net
