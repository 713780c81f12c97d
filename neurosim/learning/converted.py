"""ReLU networks in spikes: how samples become spikes, what the network is, and how its outputs are read.

Made by :func:`neurosim.learning.convert`, where the two codes are explained.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.components import Cell, TimedArray
from neurosim.lang.network import Network
from neurosim.learning.affine import Affine, run_modules
from neurosim.learning.coding import FirstSpike, FirstSpikeReadout, RateNeuron, RateNeuronToZero, RateReadout
from neurosim.units import TIME, Quantity, ms, mV, scalar

_Decode = Callable[[np.ndarray], np.ndarray]
_LEAK = 4096
"""Time constant of the LIF in steps."""


@dataclass(frozen=True)
class Layer:
    """One layer of a converted network; values are measured in units of ``scale``.

    Attributes
    ----------
    name : str
        Of its population: ``hidden1``, …, ``output``.
    size : int
        Number of neurons.
    weight : ndarray or scipy.sparse.csr_array
        [size of the layer before, size], float64: the model's, times the scale before, by the scale.
    bias : ndarray
        [size], by the scale.
    scale : float
        The activation of the model that a value of 1 stands for; 1 in the output.
    spiking : bool
        False of the output, whose potential is read.
    """

    name: str
    size: int
    weight: Any
    bias: np.ndarray
    scale: float
    spiking: bool


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network of first spikes does with samples, computed spike by spike.

    Attributes
    ----------
    logits : ndarray
        [samples, outputs].
    times : dict
        Population -> time of each neuron's spike in seconds from the beginning of the sample, inf where there is none:
        [samples, neurons].
    saturated : dict
        Population -> how many values were above what its window can hold, and became the largest that it can.
    """

    logits: np.ndarray
    times: dict[str, np.ndarray]
    saturated: dict[str, int]

    @property
    def spikes_per_neuron(self) -> float:
        """Mean number of spikes that a neuron has in a sample, inputs included; never more than 1."""
        return sum(int(np.isfinite(t).sum()) for t in self.times.values()) / sum(t.size for t in self.times.values())


@dataclass(frozen=True, eq=False)
class Presentation:
    """Samples shown to a converted network one after the other, and how to read what it answers.

    Attributes
    ----------
    network : Network
        Population ``input`` holds the samples as spikes; ``output`` is recorded.
    duration : Quantity
        To run it for.
    samples, period : int
        Number of samples, and of the steps that each takes.
    input, output : str
        Names of the first and the last population.
    """

    network: Network
    duration: Quantity
    samples: int
    period: int
    input: str
    output: str
    _decode: _Decode

    def run(self, **options: Any) -> Any:
        """Simulate all samples; ``backend`` and other options are those of :meth:`neurosim.Network.run`."""
        return self.network.run(self.duration, **options)

    def read(self, result: Any) -> np.ndarray:
        """Return the outputs of a run of the network, in the model's units: [samples, outputs]."""
        values = result.state[self.output]["v"].values
        if len(values) != self.samples:
            raise ParameterError(
                f"the result holds {len(values)} samples of '{self.output}', and {self.samples} were shown: run the "
                "network for its duration",
                caller(),
            )
        if self.output in result.spikes and result.spikes[self.output].count:
            raise ParameterError(
                f"'{self.output}' reached its threshold, which is beyond all outputs of the data: convert with data "
                "such as these samples",
                caller(),
            )
        return self._decode(np.asarray(values, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Converted:
    """A ReLU network in spikes: what both conversions have in common.

    Attributes
    ----------
    layers : tuple of Layer
        Hidden layers, then the output.
    input_scale : float
        The input that a value of 1 stands for; no input may be larger.
    shape : tuple of int
        Of one sample.
    maps : tuple of Affine
        What the model computes, in its own units.
    """

    layers: tuple[Layer, ...]
    input_scale: float
    shape: tuple[int, ...]
    maps: tuple[Affine, ...]

    def values(self, x: Any) -> np.ndarray:
        """Return samples as values from 0 to 1: [samples, inputs], float64."""
        where = caller()
        given = samples_of(x, self.shape, "the samples", where)
        if given.max(initial=0.0) > self.input_scale:
            raise ParameterError(
                f"a sample holds {given.max():g}; the network was made for inputs from 0 to {self.input_scale:g}: give "
                "convert() data that reach as far, or input_max=", where
            )  # fmt: skip
        return given / self.input_scale

    def model(self, x: Any) -> np.ndarray:
        """Return what the model itself computes, in double precision: [samples, outputs]."""
        return outputs_of(self.maps, samples_of(x, self.shape, "the samples", caller()))

    def macs(self, x: Any) -> float:
        """Return the multiply-accumulations that the model itself takes for a sample, on average.

        Those with a value and a weight that are not 0 count, as NeuroBench's effective ones do.
        """
        a, total = samples_of(x, self.shape, "the samples", caller()), 0
        for one in self.maps:
            fanout = one.weight != 0
            total += int(np.asarray(fanout.sum(axis=1)).ravel() @ np.count_nonzero(a, axis=0))
            a = one(a)
        return total / len(a)

    def _outputs(self, values: np.ndarray) -> np.ndarray:
        return np.maximum(values, 0.0) if self.maps[-1].relu else values

    def _built(self, name: str, dt: Quantity, spikes: tuple[np.ndarray, np.ndarray], period: int, samples: int,
               cell: Callable[[int, Layer], Cell], decode: _Decode, unit: Any = 1.0) -> Presentation:  # fmt: skip
        """Return the network: the input's spikes (steps, neurons), a cell for each layer, weights between them."""
        source = importlib.import_module("neurosim.models").SpikeSource
        net = Network(name, dt=dt)
        step_ms = net.dt * 1e3
        before = net.population("input", self.layers[0].weight.shape[0], source(spikes[0] * step_ms * ms, spikes[1]))
        net.record(before, "spikes")
        for k, layer in enumerate(self.layers):
            pop = net.population(layer.name, layer.size, cell(k + 1, layer))
            if self.maps[k].synapses:
                net.connect(before, pop, weight=layer.weight * unit, delay=dt, name=f"to_{layer.name}")
            if layer.spiking:
                net.record(pop, "spikes")
            before = pop
        net.record(before, "v", every=period * step_ms * ms)
        duration = samples * period * step_ms * ms
        return Presentation(net, duration, samples, period, "input", before.name, decode)

    def __str__(self) -> str:
        rows = [f"{'population':<12}{'neurons':>9}{'synapses':>12}{'value of 1':>14}"]
        rows.append(f"{'input':<12}{self.layers[0].weight.shape[0]:>9,}{'':>12}{self.input_scale:>14.6g}")
        for layer, one in zip(self.layers, self.maps, strict=True):
            rows.append(f"{layer.name:<12}{layer.size:>9,}{one.synapses:>12,}{layer.scale:>14.6g}")
        return "\n".join(rows)


@dataclass(frozen=True, eq=False)
class TimedConversion(Converted):
    """A ReLU network as first spikes; made by :func:`convert`.

    The input spikes in [0, window], layer l in [l window, (l + 1) window]. A value x is a spike (1 - x) window after
    its layer's beginning.

    Attributes
    ----------
    window : float
        In seconds.
    """

    window: float = 0.0

    def evaluate(self, x: Any, dt: Quantity | None = None) -> Evaluation:
        """Compute every spike time in closed form.

        Parameters
        ----------
        x : array or tensor
            Samples, [samples, *shape].
        dt : Quantity, optional
            Round every spike time to a multiple of it, as the network on that grid does; exact times by default.
        """
        steps = None if dt is None else self._steps(dt, caller())
        value, w = self.values(x), self.window
        times: dict[str, np.ndarray] = {}
        saturated: dict[str, int] = {}

        def kept(t: np.ndarray, end: float) -> np.ndarray:
            """Return times, on the grid if there is one: none where the value is 0 or less, or rounded to it."""
            if steps is not None:  # half a step of a value is rounded up, so its time is rounded down
                t = end - np.floor((end - t) / w * steps + 0.5) * w / steps
            return np.where(t < end - (0.0 if steps is None else 0.5 * w / steps), t, np.inf)

        t = times["input"] = kept(w * (1 - (value if steps is None else _counts(value, steps) / steps)), w)
        v = np.zeros(0)
        for k, layer in enumerate(self.layers):
            t_min = (k + 1) * w  # where the window before ends
            before = np.where(np.isfinite(t), t_min - t, 0.0) / w
            v = np.asarray(before @ layer.weight)
            if layer.spiking:
                found = t_min + w * ((1 - layer.bias) - v)
                saturated[layer.name] = int(np.sum(found < t_min - 1e-12 * w))
                t = times[layer.name] = kept(np.maximum(found, t_min), t_min + w)
        return Evaluation(self._outputs(v + self.layers[-1].bias), times, saturated)

    def forward(self, x: Any) -> tuple[Any, dict[str, Any]]:
        """Compute outputs and spike times as tensors, with gradients for the inputs and the model's weights.

        A spike time is where the potential u(t) reaches the threshold, so by the implicit function theorem its
        derivative with respect to anything that u depends on is that of -u, divided by the slope du/dt, which is 1 per
        window for every neuron. Where there is no spike, or the window is too short for the value, it is 0.

        Parameters
        ----------
        x : torch.Tensor
            [samples, *shape], of the model's type: in double precision the outputs are the model's to rounding.

        Returns
        -------
        tensor, dict of tensors
            Outputs [samples, outputs], and for each population spike times in seconds, inf where there is none.
        """
        torch = importlib.import_module("torch")
        self.values(x)
        w, shape, scale = self.window, self.shape, self.input_scale
        value = x.reshape(len(x), -1) / scale
        times = {"input": torch.where(value > 0, w * (1 - value), torch.inf)}
        v = offset = value
        for k, (layer, one) in enumerate(zip(self.layers, self.maps, strict=True)):
            offset = run_modules(one.modules, torch.zeros_like(value[:1]), shape)
            v = (run_modules(one.modules, scale * value, shape) - offset) / layer.scale
            if not layer.spiking:
                break
            t_min, theta = (k + 1) * w, 1 - offset / layer.scale
            root = (t_min + w * (theta - v)).detach()
            # u(root) is theta, so this is root; its derivative is that of the implicit function
            t = root - w * (v + (root - t_min) / w - theta)
            spikes = root < t_min + w
            t = torch.where(root > t_min, t, torch.full_like(t, t_min))
            times[layer.name] = torch.where(spikes, t, torch.inf)
            value = torch.where(spikes, (t_min + w - t) / w, torch.zeros_like(t))
            shape, scale = one.shape, layer.scale
        out = v + offset
        return (torch.relu(out) if self.maps[-1].relu else out), times

    def present(self, x: Any, *, dt: Quantity) -> Presentation:
        """Return a network that is shown samples one after the other, on a grid of time.

        Spike times are those of :meth:`evaluate` with the same ``dt``.

        Parameters
        ----------
        x : array or tensor
            [samples, *shape].
        dt : Quantity
            The step; the window is a whole number of them, at least 1.
        """
        steps, value = self._steps(dt, caller()), self.values(x)
        period = len(self.layers) * steps + 1
        count = _counts(value, steps)
        sample, neuron = np.nonzero(count)
        at = sample * period + steps - count[sample, neuron]
        phase = np.arange(period)

        def cell(k: int, layer: Layer) -> Cell:
            common: dict[str, Any] = {"window": Quantity(self.window, TIME), "first": _gate(phase == 0, dt)}
            if not layer.spiking:
                return FirstSpikeReadout(start=layer.bias, **common)
            listen = (phase >= k * steps) & (phase < (k + 1) * steps)
            return FirstSpike(theta=1 - layer.bias - 0.5 / steps, ramp=_gate(phase > k * steps, dt),
                               listen=_gate(listen, dt), **common)  # fmt: skip

        return self._built("first spikes", dt, (at, neuron), period, len(value), cell, self._outputs)

    def _steps(self, dt: Quantity, where: str | None) -> int:
        return whole_steps(self.window, scalar(dt, TIME, "dt", where), "the window", where, least=1)


@dataclass(frozen=True, eq=False)
class RateConversion(Converted):
    """A ReLU network as rates; made by :func:`convert`.

    Attributes
    ----------
    reset : str
        ``subtract`` or ``zero``.
    largest : float
        The largest magnitude of an output for the data.
    """

    reset: str = "subtract"
    largest: float = 0.0

    def present(self, x: Any, *, steps: int, dt: Quantity = 1 * ms) -> Presentation:
        """Return a network that is shown samples one after the other, each for a number of steps.

        An input x has spiked round(x k) times after k steps. Each layer hears the one before for as many steps, a step
        later; the outputs are what has arrived, by their number.

        Parameters
        ----------
        x : array or tensor
            [samples, *shape].
        steps : int
            For which a sample is shown: the error of the outputs falls like their inverse.
        dt : Quantity
            Duration of one; it does not matter to the spikes.
        """
        where = caller()
        steps = _whole(steps, where)
        value = self.values(x)
        period = steps + len(self.layers)
        phase = np.arange(period)

        def cell(k: int, layer: Layer) -> Cell:
            base = (RateNeuron if self.reset == "subtract" else RateNeuronToZero) if layer.spiking else RateReadout
            return base(bias=layer.bias, start=0.5 if layer.spiking and self.reset == "subtract" else 0.0,
                        first=_gate(phase == 0, dt), on=_gate((phase >= k) & (phase < k + steps), dt),
                        receptors={"in": importlib.import_module("neurosim.models").PulseCurrent})  # fmt: skip

        spikes = _trains(value, steps, period)
        return self._built("rates", dt, spikes, period, len(value), cell, lambda v: self._outputs(v / steps))

    def present_to_lif(self, x: Any, *, steps: int, dt: Quantity = 1 * ms) -> Presentation:
        """Return a network of the library's LIF that is shown one sample: Loihi 2's integers take it.

        It has no clock, so a run is one sample; layers go on spiking until its end. The leak is 1/4096 a step, the
        least that Loihi 2's arithmetic can be given, and a potential of 1 is 1 mV. The output's threshold is twice what
        the data reach, and not to be reached.

        Parameters
        ----------
        x : array or tensor
            [1, *shape].
        steps, dt
            As in :meth:`present`.

        Raises
        ------
        ParameterError
            If the conversion is one with ``reset="subtract"``, which the LIF has not.
        """
        where, models = caller(), importlib.import_module("neurosim.models")
        if self.reset != "zero":
            raise ParameterError("LIF is reset to a value: convert(..., reset='zero')", where)
        steps = _whole(steps, where)
        value = self.values(x)
        if len(value) != 1:
            raise ParameterError(f"a network without a clock is shown one sample, got {len(value)}", where)
        period = steps + len(self.layers)
        unreached = 2 * max(self.largest, 1.0) * steps

        def cell(k: int, layer: Layer) -> Cell:
            # a constant current acts from the first step on, before the layer hears anything: so it starts lower
            start = np.minimum(-k * layer.bias, 0.99 * (1.0 if layer.spiking else unreached))
            return models.LIF(
                tau_m=_LEAK * dt, v_rest=0 * mV, v_reset=0 * mV, v_th=(1.0 if layer.spiking else unreached) * mV,
                t_ref=0 * ms, init={"v": start * mV}, receptors={"in": models.DeltaCurrent},
            )  # fmt: skip

        shown = self._built("rates in LIF", dt, _trains(value, steps, period), period, 1, cell,
                            lambda v: self._outputs(v * 1e3 / steps), unit=mV)  # fmt: skip
        for layer in self.layers:
            shown.network.stimulate(shown.network[layer.name], models.DCInput(layer.bias * _LEAK * mV))
        shown.network.record(shown.network[shown.output], "spikes")
        return shown


def samples_of(x: Any, shape: tuple[int, ...], what: str, where: str | None) -> np.ndarray:
    """Return samples [samples, inputs] in double precision."""
    given = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
    if given.dtype.kind not in "buif" or given.shape[1:] != shape:
        raise ParameterError(f"{what} are numbers, [samples, {', '.join(map(str, shape))}]; got {given.dtype} of shape "
                             f"{list(given.shape)}", where)  # fmt: skip
    if not given.size:
        raise ParameterError(f"{what} are none: their shape is {list(given.shape)}", where)
    flat = given.reshape(len(given), int(np.prod(shape))).astype(np.float64)
    if not np.all(np.isfinite(flat)):
        raise ParameterError(f"{what} hold values that are no finite numbers", where)
    if flat.min(initial=0.0) < 0:
        raise ParameterError(
            f"{what} hold values below 0 (the least is {flat.min():g}), which no spike time and no rate stands for: "
            "give inputs as they were before normalisation, and make it the model's first layer, such as a BatchNorm",
            where,
        )
    return flat


def outputs_of(maps: Iterable[Affine], x: np.ndarray) -> np.ndarray:
    """Return what maps, one after the other, make of samples [samples, inputs]."""
    for one in maps:
        x = one(x)
    return x


def _trains(value: np.ndarray, steps: int, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and neurons of the spikes of inputs: round(x k) of them in the first k steps of a sample."""
    at, who, done = [], [], _counts(value, 0)
    for k in range(steps):
        before, done = done, _counts(value, k + 1)
        sample, neuron = np.nonzero(done > before)
        at.append(sample * period + k)
        who.append(neuron)
    return np.concatenate(at), np.concatenate(who)


def _whole(steps: Any, where: str | None) -> int:
    if not isinstance(steps, (int, np.integer)) or isinstance(steps, bool) or steps < 1:
        raise ParameterError(f"steps is a whole number from 1 on, got {steps!r}", where)
    return int(steps)


def _counts(value: np.ndarray, steps: int) -> np.ndarray:
    """Return values from 0 to 1 as whole numbers of steps, the nearest, halves up."""
    return np.floor(value * steps + 0.5).astype(np.int64)


def _gate(open_: np.ndarray, dt: Quantity) -> TimedArray:
    return TimedArray(open_.astype(np.float64), dt, repeat=True)
