"""Cases of convolutions: which neuron sees which through what of the kernel, and kernels that are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurosim as ns
from neurosim.conformance import oracles
from neurosim.conformance.kit import DT, case, clock, listener, network, record, when
from neurosim.ir.distributions import Draw
from neurosim.ir.random import Draws
from neurosim.models import LIF, DeltaCurrent, SpikeSource
from neurosim.units import ms, mV

IMAGES = np.array([
    [[[1, 0, 0, 1, 0], [0, 0, 1, 0, 0], [1, 1, 0, 0, 1]], [[0, 1, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]],
    [[[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]],
])  # fmt: skip
"""What two channels of 3 x 5 neurons show in steps 0 and 1."""

KERNEL = np.arange(36).reshape(4, 1, 3, 3) * 17 % 37 - 15
"""Of four output channels in two groups; no two elements are equal."""

WINDOW = {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1), "groups": 2}


def _sums(image: np.ndarray) -> np.ndarray:
    return oracles.correlation(image, KERNEL, **WINDOW)


def _shown(net: ns.Network) -> ns.Population:
    """A population that shows the images, and nothing after them."""
    steps, *places = np.nonzero(IMAGES)
    ids = np.ravel_multi_index(tuple(places), IMAGES.shape[1:])
    return net.population("image", IMAGES[0].size, SpikeSource(steps * DT * ms, ids))


def _seen(r: Any) -> None:
    got = r.state["map"]["e.x"].values
    for step, image in enumerate(IMAGES):  # from one channel to the next, row by row
        assert got[step + 2].tolist() == _sums(image).ravel().tolist()
    assert not got[:2].any() and not got[4:].any()
    assert np.count_nonzero(got[2]) > 25 and len(set(got[2])) > 20
    # one of them by hand: output channel 2 (group 1, so input channel 1), row 1, column 1; its window has the rows -1,
    # 1 and 3 of 3 and the columns 1, 2 and 3, in which only (1, 3) spikes: the element of the middle row, last column
    assert _sums(IMAGES[0])[2, 1, 1] == KERNEL[2, 0, 1, 2]


@case(
    "A convolution joins neurons in C order of (channel, row, column): target (c, y, x) gets the element (k, l) of the "
    "kernel from the source (y stride - padding + k dilation, x stride - padding + l dilation) of each channel of its "
    "group, if there is one.",
    6,
    _seen,
)
def convolution() -> ns.Network:
    net = network()
    image, rule = _shown(net), ns.Convolution((2, 3, 5), 4, (3, 3), **WINDOW)
    net.connect(image, net.population("map", 4 * 3 * 3, listener()), rule=rule, weight=KERNEL * 1.0, delay=2 * DT * ms)
    return record(net, ("map", "e.x"))


def _drawn(r: Any) -> None:
    draw = Draw("normal", 1.0, 0.5)
    kernel = draw.sample(Draws(11, "edges:k/weight"), 0, 6).reshape(3, 1, 2)
    top = 2.0 ** (np.frexp(draw.bound())[1] - 40)
    kernel = np.rint(kernel / top) * top
    wanted = oracles.correlation(np.ones((1, 4)), kernel, stride=(1,), padding=(0,), dilation=(1,), groups=1)
    assert r.state["map"]["e.x"].values[1].tolist() == wanted.ravel().tolist()
    assert r.weights("k").tolist() == [w for pair in kernel[:, 0] for _ in range(3) for w in pair]
    lags = [np.flatnonzero(r.state["late"]["e.x"].of(k)).tolist() for k in range(9)]
    assert lags == [[1, 3]] * 3 + [[2, 5]] * 3 + [[4, 7]] * 3


@case(
    "The edges of a convolution share their weights, and delays given as a kernel: from a distribution each element "
    "of the kernel is drawn once, by its number.",
    9,
    _drawn,
)
def kernel_drawn_once() -> ns.Network:
    net, rule = network(), ns.Convolution((1, 4), channels_out=3, kernel=2)
    source = net.population("source", 4, clock(0))
    net.connect(source, net.population("map", 9, listener()), rule=rule, weight=ns.normal(1.0, 0.5), name="k")
    late = np.array([[[1, 3]], [[2, 5]], [[4, 7]]]) * DT * ms
    net.connect(source, net.population("late", 9, listener()), rule=rule, weight=1.0, delay=late)
    return record(net, ("map", "e.x"), ("late", "e.x"))


def _pooled(r: Any) -> None:
    for step, image in enumerate(IMAGES):
        crowd = oracles.correlation(
            image, np.ones((2, 1, 2, 2)), stride=(1, 2), padding=(0, 0), dilation=(1, 1), groups=2
        )
        loud = np.flatnonzero(crowd.ravel() >= 2)
        found = [k for k in range(8) if step + 3 in when(r, "pool", k)]
        assert found == loud.tolist() and 0 < len(loud) < 8
    assert len(r.spikes["pool"].ids) == sum(len(when(r, "pool", k)) for k in range(8))


@case("A pool is a convolution of each channel with a kernel of equal weights.", 20, _pooled)
def pool_of_neurons() -> ns.Network:
    net = network()
    cell = LIF(
        tau_m=0.05 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=15 * mV, t_ref=0 * ms, receptors={"e": DeltaCurrent}
    )
    rule = ns.pooling((2, 3, 5), kernel=2, stride=(1, 2))
    net.connect(_shown(net), net.population("pool", 8, cell), rule=rule, weight=10 * mV, delay=3 * DT * ms)
    return record(net, ("pool", "spikes"))
