"""A network whose weights are pairs of devices: as they were written, and as they are read later."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.hardware.memristor.devices import PCM, Device
from neurosim.hardware.rewriting import Synapses, learning, synapses, whole, with_weights
from neurosim.ir.random import Draws
from neurosim.lang.network import Network
from neurosim.units import TIME, scalar


@dataclass(frozen=True)
class _Pairs:
    """The devices of a projection onto a population, [2, synapses]: positive, negative."""

    scale: float
    target: np.ndarray
    written: np.ndarray
    nu: np.ndarray


@dataclass(frozen=True)
class ProjectionChange:
    """What became of the synapses of a projection onto a population: errors are relative to the largest weight."""

    name: str
    post: str
    synapses: int
    rounding: float
    written: float


@dataclass
class Programmed:
    """A network in devices.

    Attributes
    ----------
    network : Network
        As it was written: read without noise after ``device.t0``. It runs on every backend.
    device : Device
        What the devices are.
    projections : list
        What became of each.
    changes : list of str
        Sentences about what is not in devices.
    """

    network: Network
    device: Device
    projections: list[ProjectionChange] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    _seed: int = 0
    _pairs: dict[tuple[str, str], _Pairs] = field(default_factory=dict, repr=False)

    def after(self, time: Any, *, reading: int | None = 0, compensate: bool = False) -> Network:
        """Return the network as it is read a time after it was written.

        Parameters
        ----------
        time : Quantity
            Since the devices were written, ``device.t0`` or more: ``1 * day``.
        reading : int or None
            Which reading: each has noise of its own, which stands still during a run. None: without noise.
        compensate : bool
            Whether each projection's weights are scaled such that its devices have the sum that they had at ``t0``, as
            a chip can do by reading all of them (V. Joshi et al. 2020).

        Raises
        ------
        ParameterError
            The time is before ``device.t0``.
        """
        seconds = scalar(time, TIME, "time", caller())
        if not self.device.t0 <= seconds < np.inf:
            raise ParameterError(
                f"devices are known from {self.device.t0:g} s after they were written, got {seconds:g} s", caller()
            )
        which = None if reading is None else whole(reading, 0, 2**32, "reading")

        def change(s: Synapses) -> np.ndarray:
            pairs = self._pairs[s.projection, s.post]
            now = pairs.written * self.device.kept(pairs.nu, seconds)
            total = float(now.sum())
            if which is not None:
                spread = self.device.read_deviation(pairs.target, seconds)
                z = Draws(self._seed, f"memristor:{s.projection}>{s.post}/read").normal(0, now.size, which)
                now = np.maximum(now * (1 + spread * z.reshape(now.shape)), 0.0)
            if compensate and total > 0:
                now = now * (float(pairs.written.sum()) / total)
            return _weights(pairs.scale, now, self.device)

        return with_weights(self.network, change)

    def __str__(self) -> str:
        lines = [f"{'projection':<22}{'onto':<12}{'synapses':>10}{'rounding':>10}{'written':>10}"]
        lines += [f"{p.name:<22}{p.post:<12}{p.synapses:>10,}{p.rounding:>10.2%}{p.written:>10.2%}"
                  for p in self.projections]  # fmt: skip
        return "\n".join([*lines, *([""] if self.changes else []), *(f"- {change}" for change in self.changes)])


def program(network: Network, device: Device = PCM, *, seed: int = 0) -> Programmed:
    """Write the weights of a network into devices, two for each.

    Parameters
    ----------
    network : Network
        Any. The largest weight of a projection onto a population becomes the greatest conductance.
    device : Device
        :data:`~neurosim.hardware.memristor.PCM`, or one of your own.
    seed : int
        Of the devices and of the writing: another one is another chip.
    """
    if not isinstance(device, Device):
        raise ParameterError(f"device must be a Device, such as PCM, got {device!r}", caller())
    seed = whole(seed, 0, 2**64 - 1, "the seed of a chip")
    out = Programmed(network, device, changes=learning(network), _seed=seed)
    for s in synapses(network):
        scale = float(np.abs(s.weight).max(initial=0.0))
        part = s.weight / scale if scale else s.weight
        target = device.target(np.stack([np.maximum(part, 0.0), np.maximum(-part, 0.0)]))
        name = f"memristor:{s.projection}>{s.post}"
        z = Draws(seed, f"{name}/write").normal(0, target.size).reshape(target.shape)
        written = np.maximum(target + device.write_deviation(target) * z, 0.0)
        mean, spread = device.exponent(target)
        nu = np.abs(mean + spread * Draws(seed, f"{name}/nu").normal(0, target.size).reshape(target.shape))
        out._pairs[s.projection, s.post] = _Pairs(scale, target, written, nu)
        errors = [_rms(_weights(scale, g, device) - s.weight) / scale if scale else 0.0 for g in (target, written)]
        out.projections.append(ProjectionChange(s.projection, s.post, len(s.weight), *errors))

    def change(s: Synapses) -> np.ndarray:
        pairs = out._pairs[s.projection, s.post]
        return _weights(pairs.scale, pairs.written, device)

    out.network = with_weights(network, change)
    return out


def _weights(scale: float, pair: np.ndarray, device: Device) -> np.ndarray:
    """Return weights of pairs of conductances."""
    return scale * (pair[0] - pair[1]) / (1.0 - device.least)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
