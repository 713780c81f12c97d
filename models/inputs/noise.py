"""Noise currents: white, and with exponential correlations."""

from __future__ import annotations

from typing import Any

from neurosim.lang.components import Current
from neurosim.params import Param
from neurosim.units import Quantity, ms

_WHITE = Current(
    output="mean + sigma*normal()",
    mean=Param(0.0, None, "mean"),
    sigma=Param(0.0, None, "standard deviation of the value of a step", lo=0),
    name="WhiteNoise",
    doc="a new normal number for every neuron and step",
)

_SCALED = Current(
    output="mean + sigma*sqrt(at/dt)*normal()",
    mean=Param(0.0, None, "mean"),
    sigma=Param(0.0, None, "standard deviation of the value of a step of length `at`", lo=0),
    at=Param(0.1 * ms, ms, "step that sigma refers to", lo=0, lo_open=True),
    name="WhiteNoise",
    doc="a new normal number for every neuron and step, of the same power at every dt",
)

_OU = Current(
    "x[n+1] = x*exp(-dt/tau) + sigma*sqrt(1 - exp(-2*dt/tau))*normal()",
    output="mean + x",
    init={"x": "sigma*normal()"},
    mean=Param(0.0, None, "mean"),
    sigma=Param(0.0, None, "standard deviation", lo=0),
    tau=Param(5 * ms, ms, "correlation time", lo=0, lo_open=True),
    name="OUNoise",
    doc="Ornstein-Uhlenbeck noise, exact at every dt; x is the deviation from the mean, drawn from its distribution",
    source="G. E. Uhlenbeck, L. S. Ornstein, Phys. Rev. 36 (1930); D. T. Gillespie, Phys. Rev. E 54 (1996)",
)


def WhiteNoise(mean: Any, sigma: Any, at: Quantity | None = None) -> Current:
    """Return noise that is independent between neurons and steps: ``mean + sigma*normal()``, constant during a step.

    What it does to a cell depends on dt: through a membrane of time constant tau_m it makes fluctuations of
    ``sigma*sqrt(dt/(2*tau_m))``. With `at`, sigma is multiplied by ``sqrt(at/dt)``, and they are the same at every dt.

    Parameters
    ----------
    mean, sigma : Quantity
        In the unit of the cell's input; sigma is the standard deviation of one step's value.
    at : Quantity, optional
        The dt that sigma is meant for; the network's by default.
    """
    if at is None:
        return _WHITE(mean=mean, sigma=sigma)
    return _SCALED(mean=mean, sigma=sigma, at=at)


def OUNoise(mean: Any, sigma: Any, tau: Quantity) -> Current:
    """Return Ornstein-Uhlenbeck noise: normal, with correlations ``sigma**2*exp(-|t|/tau)``, from the first step on.

    Updated exactly, whatever dt: ``x[n+1] = x*exp(-dt/tau) + sigma*sqrt(1 - exp(-2*dt/tau))*normal()`` for the
    deviation x from the mean, which can be recorded (``"ounoise.x"``).

    Parameters
    ----------
    mean, sigma : Quantity
        Mean and standard deviation in the unit of the cell's input.
    tau : Quantity
        Correlation time.
    """
    return _OU(mean=mean, sigma=sigma, tau=tau)
