"""Neurons that come to stand for digits without being told which is which: Diehl and Cook's network."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.errors import DimensionError, ParameterError, caller
from neurosim.ir.rules import EdgeList, OneToOne
from neurosim.lang.components import Cell, uniform
from neurosim.lang.network import Network
from neurosim.lang.plasticity import Plasticity
from neurosim.models.cells.lif import LIF
from neurosim.models.synapses.exponential import ExpConductance
from neurosim.params import Param
from neurosim.units import VOLTAGE, Hz, Quantity, ms, mV, quantity, volt

SIDE = 28
"""Pixels in a row of an image, and rows."""

PIXELS = SIDE * SIDE

SHOWN, SILENCE = 350 * ms, 150 * ms
"""How long an image is shown, and how long nothing afterwards."""

INTENSITY = 2.0
"""What rates are multiplied by at first."""

SOURCE = "P. U. Diehl, M. Cook, Front. Comput. Neurosci. 9 (2015) 99"

Pixel = Cell(
    "rate[n+1] = rate : Hz",
    threshold="uniform() < rate*dt",
    init={"rate": "shown"},
    shown=Param(0 * Hz, Hz, "rate at the beginning", lo=0 * Hz),
    name="Pixel",
    doc="a Poisson source whose rate is a variable, so that simulation.set() shows another image in microseconds",
    source=SOURCE,
)

HomeostaticLIF = Cell(
    """
    dv/dt = (v_rest - v + i)/tau_m
    dtheta/dt = -theta/tau_theta
    """,
    threshold="v > v_th - offset + theta",
    reset="v = v_reset; theta += theta_plus",
    refractory="t_ref",
    clamp="v",
    init={"v": "v_rest", "theta": "offset"},
    tau_m=Param(100 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    tau_theta=Param(1e7 * ms, ms, "time constant of theta", lo=0 * ms, lo_open=True),
    v_rest=Param(-65 * mV, mV, "resting potential"),
    v_th=Param(-52 * mV, mV, "threshold at the beginning"),
    offset=Param(20 * mV, mV, "theta at the beginning, which it decays from"),
    v_reset=Param(-65 * mV, mV, "potential after a spike"),
    theta_plus=Param(0.05 * mV, mV, "what a spike adds to theta", lo=0 * mV),
    t_ref=Param(5 * ms, ms, "refractory period", lo=0 * ms),
    name="HomeostaticLIF",
    doc="leaky integrate-and-fire whose threshold rises with every spike and falls over hours: nobody wins always",
    source=f"{SOURCE}; its published code",
)

NearestTripletSTDP = Plasticity(
    pre="dx/dt = -x/tau_pre",
    post="dy/dt = -y/tau_post; dz/dt = -z/tau_triplet",
    on_pre="w -= nu_pre*y; x = 1",
    on_post="w += nu_post*x*z; y = 1; z = 1",
    lower=0,
    upper="w_max",
    tau_pre=Param(20 * ms, ms, "time constant of the trace of the source", lo=0 * ms, lo_open=True),
    tau_post=Param(20 * ms, ms, "time constant of the fast trace of the target", lo=0 * ms, lo_open=True),
    tau_triplet=Param(40 * ms, ms, "time constant of the slow trace of the target", lo=0 * ms, lo_open=True),
    nu_pre=Param(1e-4, None, "greatest depression, by an arrival", lo=0.0),
    nu_post=Param(1e-2, None, "greatest potentiation, by a spike of the target", lo=0.0),
    w_max=Param(1.0, None, "greatest weight"),
    name="NearestTripletSTDP",
    doc=(
        "an arrival depresses, the more so the sooner it comes after a spike of the target; a spike of the target "
        "potentiates, by the trace of the last arrival times that of the target's spike before"
    ),
    source=f"{SOURCE}; its published code",
)


def numbers(value: Any, what: str) -> np.ndarray:
    """Return an array of real numbers; ``what`` says in messages what they are, as "weights are numbers, [784, n]"."""
    try:
        found = np.asarray(value)
    except DimensionError as e:
        raise DimensionError(f"{what}: {e.message}", caller()) from None
    except (TypeError, ValueError):
        raise ParameterError(f"{what}; got a list whose rows differ in length", caller()) from None
    if found.dtype.kind not in "iuf":
        raise ParameterError(f"{what}; got {value!r}" if found.ndim == 0 else f"{what}; got {found.dtype}", caller())
    return found


def rates(image: Any, intensity: float = INTENSITY) -> np.ndarray:
    """Return the rates of the inputs in Hz, float64 [784]: an eighth of a pixel's value, which is 0 to 255, times that.

    Parameters
    ----------
    image : array_like
        [28, 28], or [784] row by row.
    intensity : float
        2 at first, which makes 63.75 Hz of 255.

    Raises
    ------
    ParameterError
        If the image is of another shape or has values outside 0 to 255, or the intensity is no finite number from 0 on.
    """
    what = f"an image is {SIDE} x {SIDE} values from 0 to 255"
    pixels = numbers(image, what).astype(np.float64)
    if pixels.shape not in ((SIDE, SIDE), (PIXELS,)):
        raise ParameterError(
            f"{what}, [{SIDE}, {SIDE}] or [{PIXELS}]; got an array of shape {list(pixels.shape)}", caller()
        )
    if not np.all((pixels >= 0) & (pixels <= 255)):
        raise ParameterError(f"{what}, got {pixels.min():g} to {pixels.max():g}", caller())
    what = "intensity is a finite number from 0 on"
    factor = numbers(intensity, what)
    if factor.ndim or not 0 <= factor < np.inf:
        raise ParameterError(f"{what}; got {intensity!r}", caller())
    return pixels.ravel() / 8 * float(factor)


def _weights(given: Any, n: int) -> np.ndarray:
    """Return weights from pixels to neurons in the order of the edges: pixel by pixel."""
    what = f"weights are finite numbers, [{PIXELS}, n], here [{PIXELS}, {n}]"
    found = numbers(given, what).astype(np.float64)
    if found.shape != (PIXELS, n):
        raise ParameterError(f"{what}: a row for each pixel; got an array of shape {list(found.shape)}", caller())
    if not np.isfinite(found).all():
        pixel, neuron = np.argwhere(~np.isfinite(found))[0]
        raise ParameterError(f"{what}; got {found[pixel, neuron]} at [{pixel}, {neuron}]", caller())
    return found.ravel()


def _ring() -> np.ndarray:
    """Return a picture for who has none: an ellipse, as of a handwritten 0."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return 255 * np.exp(-(((np.hypot(x / 6.5, y / 9.0) - 1) / 0.22) ** 2))


def _cells(learning: bool, theta: Any, theta_plus: Quantity, tau_theta: Quantity) -> tuple[Cell, dict[str, Any], Cell]:
    """Return the excitatory cell with its initial values, and the inhibitory one."""
    found = 0.02 if theta is None else quantity(theta, VOLTAGE, "theta", caller())
    receptors = {"exc": ExpConductance(tau=1 * ms, e_rev=0 * mV), "inh": ExpConductance(tau=2 * ms, e_rev=-100 * mV)}
    if learning:
        cell, init = (
            HomeostaticLIF(theta_plus=theta_plus, tau_theta=tau_theta, receptors=receptors),
            {"theta": found * volt},
        )
    else:
        cell, init = LIF(tau_m=100 * ms, v_rest=-65 * mV, v_reset=-65 * mV, v_th=(found - 0.072) * volt, t_ref=5 * ms,
                         receptors=receptors), {}  # fmt: skip
    rival = LIF(tau_m=10 * ms, v_rest=-60 * mV, v_reset=-45 * mV, v_th=-40 * mV, t_ref=2 * ms,
                receptors={"exc": ExpConductance(tau=1 * ms, e_rev=0 * mV)})  # fmt: skip
    return cell, init, rival


def diehl_cook(
    n: int = 100, seed: int = 1, dt: Quantity = 0.5 * ms, image: Any = None, intensity: float = INTENSITY,
    learning: bool = True, weights: Any = None, theta: Any = None, delay: Any = None, nu_pre: float = 1e-4,
    nu_post: float = 1e-2, theta_plus: Quantity = 0.05 * mV, tau_theta: Quantity = 1e7 * ms, excite: float = 10.4,
    inhibit: float = 17.0,
) -> Network:  # fmt: skip
    """Return n neurons that look at an image of 28 x 28 pixels and compete for it; whoever wins learns it.

    Each pixel is a Poisson source, ``inputs``, and connected with all of ``exc``; each of these excites a neuron of
    ``inh`` of its own, which inhibits all others of ``exc``. Conductances are in units of the leak. A spike raises its
    neuron's threshold by ``theta_plus`` for hours, so that other images find other winners: after some thousand digits
    the weights of most neurons look like one. :func:`~neurosim.models.networks.digits.train` shows it many, between
    which it makes the weights of each neuron sum to 78 again.

    What differs from the published code: spikes of pixels take one step to all neurons, where there each pair has a
    delay drawn from 0 to 10 ms (``delay=uniform(dt, 10*ms)`` does nearly that; a spike of a Poisson process tells
    nothing by its time, and a step then takes twice as long to compute); potentials begin at rest; and a step of the
    membrane is one of exponential Euler, there of Euler.

    Parameters
    ----------
    n : int
        Excitatory neurons, and inhibitory ones.
    seed : int
        Of weights, delays and Poisson spikes.
    image : array_like, optional
        What is shown: values from 0 to 255, [28, 28] or [784]; without it a ring.
    intensity : float
        See :func:`rates`.
    learning : bool
        False for a network whose weights and thresholds stay as they are.
    weights : array_like, optional
        From pixels to neurons, [784, n]: what an arrival adds to a conductance, in units of the leak. Drawn evenly from
        0.003 to 0.303 if not given.
    theta : Quantity, optional
        Of each neuron, [n]: its threshold is ``theta - 72 mV``. 20 mV if not given.
    delay : Quantity or distribution, optional
        From pixels to neurons: a constant or a distribution; one step if not given.
    nu_pre, nu_post : float
        Of depression and potentiation, see ``NearestTripletSTDP``.
    excite : float
        Weight from a neuron of exc to its own of inh, in units of that one's leak.
    inhibit : float
        Weight from a neuron of inh to all of exc but its own, in units of their leak.
    dt, theta_plus, tau_theta : Quantity
        Of the simulation, and of the thresholds, see ``HomeostaticLIF``.

    Raises
    ------
    ParameterError
        If ``n`` or ``seed`` is no whole number in its range, the image or the intensity none that :func:`rates` takes,
        weights or thresholds are of another shape or not finite, or a parameter is outside its legal values.
    DimensionError
        If a quantity has another dimension, or none.

    References
    ----------
    P. U. Diehl, M. Cook, Front. Comput. Neurosci. 9 (2015) 99, and the code published with it
    (github.com/peter-u-diehl/stdp-mnist), whose parameters these are.
    """
    net = Network("diehl_cook", dt=dt, seed=seed)
    inputs = net.population("inputs", PIXELS, Pixel(shown=rates(_ring() if image is None else image, intensity) * Hz))
    cell, init, rival = _cells(learning, theta, theta_plus, tau_theta)
    exc, inh = net.population("exc", n, cell, init=init), net.population("inh", n, rival)
    net.connect(
        inputs, exc, receptor="exc", name="features",
        rule=EdgeList(np.repeat(np.arange(PIXELS), n), np.tile(np.arange(n), PIXELS)),
        weight=uniform(0.003, 0.303) if weights is None else _weights(weights, n),
        delay=dt if delay is None else delay,
        plasticity=NearestTripletSTDP(nu_pre=nu_pre, nu_post=nu_post) if learning else None,
    )  # fmt: skip
    net.connect(exc, inh, receptor="exc", rule=OneToOne(), weight=excite, delay=dt, name="excite")
    net.connect(inh, exc, receptor="inh", rule="i != j", weight=inhibit, delay=dt, name="inhibit")
    net.record([inputs, exc, inh], "spikes")
    net.default_duration = SHOWN
    return net
