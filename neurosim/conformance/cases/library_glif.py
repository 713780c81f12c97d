"""The five GLIF cells under injected currents and spikes, against Teeter's equations stepped by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance import oracles
from neurosim.conformance.cases.library_cells import TRAINS, agree, on
from neurosim.conformance.kit import case, network, values
from neurosim.models import GLIF, AlphaCurrent, DCInput, SpikeSource, StepCurrent
from neurosim.units import ms, pA

_G, _C, _REST, _TH = 9.43, 58.72, -78.85, -51.68
_ASC = ((0.003, -9.18, 1.0), (0.1, -198.94, 1.0))
_WAIT = 38
_DC = np.array([200.0, 330.0, 600.0])


class _Cell:
    """One cell of a level in ms, mV, pA, nS, pF: C. Teeter et al. (2018), eqs. 1-12, with NEST's defaults."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.v, self.th_s, self.th_v, self.asc = _REST, 0.0, 0.0, [0.0, 0.0]
        self.x = self.y = 0.0
        self.held = 0

    def step(self, injected: float, kick: float) -> bool:
        """Advance one step of 0.1 ms; tell whether the cell spikes."""
        h, tau, decay = 0.1, 2.0, math.exp(-0.1 * _G / _C)
        x, y, before, fired = self.x, self.y, self.v, False
        fade = math.exp(-h / tau)
        self.x, self.y = (x + y * h) * fade, y * fade + kick * math.e / tau
        if self.held:
            self.held -= 1
            return False
        current = injected
        if self.level >= 3:
            for k, (rate, _, _) in enumerate(_ASC):
                current += self.asc[k] * -math.expm1(-rate * h) / (rate * h)
                self.asc[k] *= math.exp(-rate * h)
        # the membrane's answer to an alpha current over one step, by integrating it against the membrane's decay
        b = _G / _C - 1 / tau
        rise = (math.exp(b * h) - 1) / b
        ramp = (h * math.exp(b * h) - rise) / b
        synapse = decay * (x * rise + y * ramp) / _C
        self.v = _REST + (before - _REST) * decay + current / _G * (1 - decay) + synapse
        self.th_s *= math.exp(-0.009 * h)
        if self.level == 5:
            a, b5 = 0.005, 0.09
            beta = current / _G
            phi = a / (b5 - _G / _C)
            self.th_v = (phi * (before - _REST - beta) * decay + a / b5 * beta
                         + math.exp(-b5 * h) * (self.th_v - phi * (before - _REST - beta) - a / b5 * beta))  # fmt: skip
        threshold = _TH + (self.th_s if self.level in (2, 4, 5) else 0.0) + (self.th_v if self.level == 5 else 0.0)
        if self.v > threshold:
            self._spike(before)
            fired = True
        return fired

    def _spike(self, before: float) -> None:
        self.held = _WAIT
        if self.level >= 3:
            self.asc = [add + r * old * math.exp(-rate * _WAIT * 0.1)
                        for (rate, add, r), old in zip(_ASC, self.asc, strict=True)]  # fmt: skip
        if self.level in (2, 4, 5):
            self.th_s = self.th_s * math.exp(-0.009 * _WAIT * 0.1) + 0.37
            self.v = _REST + 0.2 * (before - _REST) + 18.51
        else:
            self.v = _REST


def _loop(level: int, drive: Callable[[int], float], kicks: dict[int, float]) -> tuple[list[int], list[float]]:
    cell, spikes, path = _Cell(level), [], []
    for n in range(600):
        if cell.step(drive(n), kicks.get(n, 0.0)):
            spikes.append(n)
        path.append(cell.v)
    return spikes, path


def _check(level: int) -> Callable[[Any], None]:
    def check(r: Any) -> None:
        kicks = oracles.arrivals(TRAINS, (400.0, 900.0), 2)
        drives = [*((lambda n, a=a: a, {}) for a in _DC), (lambda n: 900.0 * on(n), {}), (lambda n: 100.0, kicks)]
        for k, (drive, arriving) in enumerate(drives):
            spikes, path = _loop(level, drive, arriving)
            agree(r, k, path, spikes, 1e-3, 1e-9)
            assert len(spikes) > 1 or k < 2, f"neuron {k}"
        assert values(r, "p", "v", 0)[-1] < -50e-3

    return check


def _network(level: int) -> ns.Network:
    net = network()
    pop = net.population("p", 5, GLIF(level, t_ref=_WAIT * 0.1 * ms, receptors={"syn": AlphaCurrent(tau=2 * ms)}))
    net.stimulate(pop, DCInput([*_DC, 0, 100] * pA)(port="i_inj"))
    step = np.outer([0.0, 1.0, 0.0], np.arange(5) == 3) * 900
    net.stimulate(pop, StepCurrent([0, 5, 15] * ms, step * pA)(port="i_inj"))
    source = net.population("source", 2, SpikeSource([np.array(train) * 0.1 * ms for train in TRAINS]))
    for k, weight in enumerate((400.0, 900.0)):
        net.connect(source[k], pop[4], weight=weight * pA, delay=0.2 * ms)
    net.record(pop, "spikes")
    net.record(pop, "v")
    return net


@case("GLIF1: leaky integrate-and-fire, exact.", 600, _check(1), subject="library")
def glif1_drives() -> ns.Network:
    return _network(1)


@case("GLIF2: a reset that depends on v, and a threshold that spikes raise.", 600, _check(2), subject="library")
def glif2_drives() -> ns.Network:
    return _network(2)


@case("GLIF3: after-spike currents, by their mean over a step.", 600, _check(3), subject="library")
def glif3_drives() -> ns.Network:
    return _network(3)


@case("GLIF4: after-spike currents, reset and threshold of level 2.", 600, _check(4), subject="library")
def glif4_drives() -> ns.Network:
    return _network(4)


@case("GLIF5: moreover a threshold that follows v, moved by injected currents alone.", 600, _check(5),
      subject="library")  # fmt: skip
def glif5_drives() -> ns.Network:
    return _network(5)
