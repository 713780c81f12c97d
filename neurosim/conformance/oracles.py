"""What cases are checked against: closed forms, and loops written without any of neurosim's code.

Times are in ms and potentials in mV unless said otherwise; nothing here imports neurosim.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Protocol

import numpy as np

# -- closed forms -----------------------------------------------------------------------------------------------------


def climb(start: float, end: float, threshold: float, tau: float, dt: float) -> int:
    """Return the number of steps in which a leaky membrane goes from `start` towards `end` and meets the threshold.

    ``v(t) = end + (start - end) exp(-t/tau)`` reaches the threshold at ``tau ln((end - start)/(end - threshold))``
    (Gerstner et al., Neuronal Dynamics, eq. 1.10); the step that this time lies in is the last one.
    """
    return math.ceil(tau / dt * math.log((end - start) / (end - threshold)))


def facilitation(times: Sequence[float], big: float, rec: float, facil: float) -> list[float]:
    """Return what spikes at the given times release, from rest, by the recursion from spike to spike.

    H. Markram, Y. Wang, M. Tsodyks, PNAS 95 (1998), eqs. 2-4: ``u`` is what a spike uses of the available ``x``;
    ``facil`` 0 is no facilitation.
    """
    out: list[float] = []
    u, x = big, 1.0
    for k, t in enumerate(times):
        if k:
            since = t - times[k - 1]
            x = 1.0 - (1.0 - (x - u * x)) * math.exp(-since / rec)
            u = big + (1.0 - big) * u * (math.exp(-since / facil) if facil else 0.0)
        out.append(u * x)
    return out


def inactivation(times: Sequence[float], big: float, rec: float, facil: float, psc: float) -> list[float]:
    """Return the same where what is released is active for ``psc``, then inactive for ``rec``: a chain of two decays.

    M. Tsodyks, A. Uziel, H. Markram, J. Neurosci. 20 (2000), eqs. 3-4.
    """
    out: list[float] = []
    u = active = inactive = 0.0
    for k, t in enumerate(times):
        since = t - (times[k - 1] if k else 0.0)
        slow, fast = math.exp(-since / rec), math.exp(-since / psc)
        inactive = inactive * slow + active * rec / (rec - psc) * (slow - fast)
        active *= fast
        u *= math.exp(-since / facil)
        u += big * (1.0 - u)
        out.append(u * (1.0 - active - inactive))
        active += out[-1]
    return out


def exp_psp(t: np.ndarray, tau_m: float, tau_s: float) -> np.ndarray:
    """Return the potential at times t after the arrival at an exponential current of peak 1 (resistance 1)."""
    rate = 1 / tau_s - 1 / tau_m
    if rate == 0:
        return t / tau_m * np.exp(-t / tau_m)
    return np.exp(-t / tau_m) * -np.expm1(-rate * t) / rate / tau_m


def alpha_psp(t: np.ndarray, tau_m: float, tau_s: float) -> np.ndarray:
    """Return the same for an alpha function that peaks at 1 after tau_s."""
    rate = 1 / tau_s - 1 / tau_m
    if rate == 0:
        area = t**2 / 2
    else:
        area = (-np.expm1(-rate * t) - rate * t * np.exp(-rate * t)) / rate**2
    return math.e / tau_s / tau_m * np.exp(-t / tau_m) * area


def exp_psp_peak(tau_m: float, tau_s: float) -> tuple[float, float]:
    """Return when the potential of :func:`exp_psp` peaks, and how high: where its derivative is 0."""
    if tau_m == tau_s:
        return tau_m, math.exp(-1)
    t = tau_m * tau_s / (tau_m - tau_s) * math.log(tau_m / tau_s)
    return t, float(exp_psp(np.array(t), tau_m, tau_s))


# -- chance -----------------------------------------------------------------------------------------------------------


def philox_words(seed: int, stream: str, index: int, step: int) -> list[int]:
    """Return the four words of the block that an index lies in, in plain integers.

    Salmon et al., SC11 (2011): ten rounds of two 32-bit multiplications; the key as docs/semantics.md says.
    """
    digest = hashlib.blake2b(seed.to_bytes(8, "little") + stream.encode(), digest_size=8).digest()
    k0, k1 = int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")
    low = 0xFFFFFFFF
    block = index // 4
    c = [block & low, block >> 32, step & low, step >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k0, b & low, (a >> 32) ^ c[3] ^ k1, a & low]
        k0, k1 = (k0 + 0x9E3779B9) & low, (k1 + 0xBB67AE85) & low
    return c


def words(seed: int, stream: str, count: int, step: int) -> np.ndarray:
    """Return one word for each of the indices 0 to count - 1: index mod 4 of its block."""
    return np.array([w for k in range(0, count, 4) for w in philox_words(seed, stream, k, step)][:count])


def poisson_table(mean: Decimal) -> list[int]:
    """Return floor(2^32 P(count <= k)) for k = 0, 1, ... until it is 2^32 - 1 or more, in 50 digits."""
    context = Context(prec=60)
    term = context.exp(-mean)
    total, k, out = term, 0, []
    while not out or out[-1] < 2**32 - 1:
        out.append(int((total * 2**32).to_integral_value(ROUND_FLOOR)))
        k += 1
        term = context.divide(context.multiply(term, mean), Decimal(k))
        total = context.add(total, term)
    return out


def poisson_counts(uniform_words: np.ndarray, mean: Decimal) -> np.ndarray:
    """Return how many entries of :func:`poisson_table` each word reaches."""
    return np.searchsorted(np.array(poisson_table(mean)), uniform_words, side="right")


# -- loops ------------------------------------------------------------------------------------------------------------


def lif(
    steps: int,
    dt: float,
    drive: Callable[[int], float],
    arrivals: dict[int, float],
    tau_m: float = 20.0,
    v_rest: float = -70.0,
    v_th: float = -50.0,
    v_reset: float = -60.0,
    wait: int = 0,
    tau_s: float | None = None,
) -> tuple[list[int], list[float]]:
    """Step a leaky integrate-and-fire neuron; return its spikes and the potential after each step.

    ``drive(n)`` is the input of step n; ``arrivals`` maps a step to what arrives in it, which makes the potential jump
    (`tau_s` None) or feeds an exponential current. Rotter and Diesmann, Biol. Cybern. 81 (1999), sec. 3.
    """
    p = math.exp(-dt / tau_m)
    s, q = 0.0, 0.0
    if tau_s is not None:
        s = math.exp(-dt / tau_s)
        q = (p - s) / (1 / tau_s - 1 / tau_m) / tau_m if tau_s != tau_m else dt / tau_m * p
    v, x, held = v_rest, 0.0, 0
    spikes, path = [], []
    for n in range(steps):
        if held == 0:
            end = v_rest + drive(n)
            v = end + (v - end) * p + x * q
            v += arrivals.get(n, 0.0) if tau_s is None else 0.0
        x = x * s + (arrivals.get(n, 0.0) if tau_s is not None else 0.0)
        if held:
            held -= 1
        elif v >= v_th:
            spikes.append(n)
            v, held = v_reset, wait
        path.append(v)
    return spikes, path


def rk4(f: Callable[[np.ndarray], np.ndarray], y: np.ndarray, h: float) -> np.ndarray:
    """Return one classical Runge-Kutta step."""
    k1 = f(y)
    k2 = f(y + h / 2 * k1)
    k3 = f(y + h / 2 * k2)
    k4 = f(y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def arrivals(sources: Sequence[Sequence[int]], weights: Sequence[float], delay: int) -> dict[int, float]:
    """Return what arrives in each step from sources that spike in given steps."""
    out: dict[int, float] = {}
    for steps, weight in zip(sources, weights, strict=True):
        for n in steps:
            out[n + delay] = out.get(n + delay, 0.0) + weight
    return out


# -- learning ---------------------------------------------------------------------------------------------------------


class Learner(Protocol):
    """A rule at one synapse, told of arrivals and of spikes of the target in the order of time (ms)."""

    def arrival(self, w: float, t: float) -> float:
        """Return the weight after an arrival."""
        ...

    def target(self, w: float, t: float) -> float:
        """Return the weight after a spike of the target."""
        ...


class _Pair:
    """Sums over the spikes of the other side, each with its exponential; nothing is decayed step by step."""

    def __init__(self, up: Callable[[float], float], down: Callable[[float], float], nearest: bool, top: float) -> None:
        self.up, self.down, self.nearest, self.top = up, down, nearest, top
        self.arrivals: list[float] = []
        self.targets: list[float] = []

    def _sum(self, times: list[float], t: float, tau: float) -> float:
        return math.fsum(math.exp(-(t - s) / tau) for s in (times[-1:] if self.nearest else times))

    def arrival(self, w: float, t: float) -> float:
        self.arrivals.append(t)
        return min(max(w - self.down(w) * self._sum(self.targets, t, 20.0), 0.0), self.top)

    def target(self, w: float, t: float) -> float:
        self.targets.append(t)
        return min(max(w + self.up(w) * self._sum(self.arrivals, t, 20.0), 0.0), self.top)


class _Triplet:
    """Pfister and Gerstner (2006), eqs. 3-4, with the sums over earlier spikes written out (table 4, visual cortex)."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.targets: list[float] = []

    @staticmethod
    def _sum(times: list[float], t: float, tau: float) -> float:
        return math.fsum(math.exp(-(t - s) / tau) for s in times)

    def arrival(self, w: float, t: float) -> float:
        change = self._sum(self.targets, t, 33.7) * (7e-3 + 2.3e-4 * self._sum(self.arrivals, t, 101.0))
        self.arrivals.append(t)
        return min(max(w - change, 0.0), 2.0)

    def target(self, w: float, t: float) -> float:
        change = self._sum(self.arrivals, t, 16.8) * (5e-10 + 6.2e-3 * self._sum(self.targets, t, 125.0))
        self.targets.append(t)
        return min(max(w + change, 0.0), 2.0)


class _Balancing:
    """Vogels et al. (2011), eq. 1: alpha = 2 rho tau (rho per ms)."""

    def __init__(self, rate: float, tau: float, rho: float) -> None:
        self.rate, self.tau, self.alpha = rate, tau, 2 * rho * tau
        self.arrivals: list[float] = []
        self.targets: list[float] = []

    def arrival(self, w: float, t: float) -> float:
        self.arrivals.append(t)
        return max(0.0, min(1.0, w + self.rate * (_Triplet._sum(self.targets, t, self.tau) - self.alpha)))

    def target(self, w: float, t: float) -> float:
        self.targets.append(t)
        return max(0.0, min(1.0, w + self.rate * _Triplet._sum(self.arrivals, t, self.tau)))


class _Calcium:
    """Graupner and Brunel (2012), curve DP, tau 15 s: how long calcium has been above each threshold since the last
    spike, and what that has done."""

    def __init__(self) -> None:
        self.calcium, self.last = 0.0, 0.0

    def _since(self, w: float, t: float) -> float:
        passed = t - self.last
        both, one = (
            min(passed, 20.0 * math.log(self.calcium / level)) if self.calcium > level else 0.0 for level in (1.3, 1.0)
        )
        end = 321.808 / (321.808 + 200.0)
        w = end + (w - end) * math.exp(-(321.808 + 200.0) * both / 15000.0)
        self.calcium, self.last = self.calcium * math.exp(-passed / 20.0), t
        return w * math.exp(-200.0 * (one - both) / 15000.0)

    def arrival(self, w: float, t: float) -> float:
        w = self._since(w, t)
        self.calcium += 1.0
        return w

    def target(self, w: float, t: float) -> float:
        w = self._since(w, t)
        self.calcium += 2.0
        return w


class _Heterosynaptic:
    """Zenke, Agnes and Gerstner (2015): triplets, pairs, the return of a bursting neuron's weights, every arrival."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.targets: list[float] = []

    def arrival(self, w: float, t: float) -> float:
        change = 0.002 - 0.03 * _Triplet._sum(self.targets, t, 20.0)
        self.arrivals.append(t)
        return min(max(w + change, 0.0), 5.0)

    def target(self, w: float, t: float) -> float:
        y = _Triplet._sum(self.targets, t, 20.0)
        change = 0.05 * _Triplet._sum(self.arrivals, t, 20.0) * _Triplet._sum(self.targets, t, 100.0)
        self.targets.append(t)
        return min(max(w + change - 0.05 * (w - 0.5) * y**3, 0.0), 5.0)


def pair(
    up: Callable[[float], float], down: Callable[[float], float], nearest: bool = False, top: float = 1.0
) -> Callable[[], Learner]:
    """Return a maker of a pair rule with both time constants 20 ms: what a pair adds and takes, by the weight."""
    return lambda: _Pair(up, down, nearest, top)


def calcium() -> Callable[[], Learner]:
    """Return a maker of the rule by calcium."""
    return _Calcium


def heterosynaptic() -> Callable[[], Learner]:
    """Return a maker of the heterosynaptic rule with a 0.05, b 0.03, delta 0.002."""
    return _Heterosynaptic


def triplet() -> Callable[[], Learner]:
    """Return a maker of the triplet rule."""
    return _Triplet


def balancing(rate: float, tau: float, rho: float) -> Callable[[], Learner]:
    """Return a maker of the inhibitory rule."""
    return lambda: _Balancing(rate, tau, rho)


def learn(
    make: Callable[[], Learner],
    sources: Sequence[int],
    targets: Sequence[int],
    delay: int,
    w: float,
    steps: int,
    dt: float,
) -> float:
    """Return the weight of one synapse after so many steps; an arrival comes before a target's spike of its step."""
    rule = make()
    arrivals = {s + delay for s in sources}
    for n in range(steps):
        if n in arrivals:
            w = rule.arrival(w, n * dt)
        if n in set(targets):
            w = rule.target(w, n * dt)
    return w


# -- convolutions -----------------------------------------------------------------------------------------------------


def correlation(
    image: np.ndarray, kernel: np.ndarray, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int,
) -> np.ndarray:  # fmt: skip
    """Return what an image [channels, ...] gives through a kernel [outputs, channels of a group, ...], sum by sum.

    The definition of ``torch.nn.functional.conv2d`` for any number of axes, with zeros outside the image.
    """
    outputs, per_group, *window = kernel.shape
    space = [
        (n + 2 * padding[a] - dilation[a] * (window[a] - 1) - 1) // stride[a] + 1 for a, n in enumerate(image.shape[1:])
    ]
    out = np.zeros((outputs, *space))
    for at in np.ndindex(*out.shape):
        for c, *k in np.ndindex(per_group, *window):
            here = [at[1 + a] * stride[a] - padding[a] + k[a] * dilation[a] for a in range(len(k))]
            if all(0 <= i < n for i, n in zip(here, image.shape[1:], strict=True)):
                channel = at[0] // (outputs // groups) * per_group + c
                out[at] += image[(channel, *here)] * kernel[(at[0], c, *k)]
    return out
