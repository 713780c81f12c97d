"""From a trained ReLU network to a spiking one: by the time of one spike, exactly, or by rates, in the limit.

*Time to first spike.* A value x >= 0 of a layer is a spike at t_max - x, and 0 is no spike. While the spikes of the
layer before arrive, the potential rises with a slope that is the sum of their weights; at t_min, when the last could
have come, it is W x. From then on its slope is 1, so that it reaches the threshold t_max - t_min - b at t_max - (W x +
b), the spike time of the layer's own value, if that is above 0. (A. Stanojevic et al., Nat. Commun. 15 (2024), 6837,
the B1 model.)

*Rates.* A neuron that loses 1 when it spikes does so as often as its input goes into 1, W r + b times a step if its
inputs have the rates r, and never if that is below 0. Activations are divided by the largest (or nearly) of their
layer, since a neuron spikes once a step at most. (P. U. Diehl et al., IJCNN 2015; B. Rueckauer et al., Front. Neurosci.
11 (2017), 682.)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, caller
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.components import Cell, TimedArray
from neurosim.lang.network import Network
from neurosim.learning.affine import Affine, affine_maps, run_modules
from neurosim.learning.coding import FirstSpike, FirstSpikeReadout, RateNeuron, RateNeuronToZero, RateReadout
from neurosim.units import TIME, Quantity, ms, scalar

_Decode = Callable[[np.ndarray], np.ndarray]
_SMALLEST = 1e-150
"""Activations below it count as none when a layer is scaled: their inverse would overflow."""


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
        given = _samples(x, self.shape, "the samples", where)
        if given.max(initial=0.0) > self.input_scale:
            raise ParameterError(
                f"a sample holds {given.max():g}; the network was made for inputs from 0 to {self.input_scale:g}: give "
                "convert() data that reach as far, or input_max=", where
            )  # fmt: skip
        return given / self.input_scale

    def model(self, x: Any) -> np.ndarray:
        """Return what the model itself computes, in double precision: [samples, outputs]."""
        a = _samples(x, self.shape, "the samples", caller())
        for one in self.maps:
            a = one(a)
        return a

    def macs(self, x: Any) -> float:
        """Return the multiply-accumulations that the model itself takes for a sample, on average.

        Those with a value and a weight that are not 0 count, as NeuroBench's effective ones do.
        """
        a, total = _samples(x, self.shape, "the samples", caller()), 0
        for one in self.maps:
            fanout = one.weight != 0
            total += int(np.asarray(fanout.sum(axis=1)).ravel() @ np.count_nonzero(a, axis=0))
            a = one(a)
        return total / max(len(a), 1)

    def _outputs(self, values: np.ndarray) -> np.ndarray:
        return np.maximum(values, 0.0) if self.maps[-1].relu else values

    def _built(self, name: str, dt: Quantity, spikes: tuple[np.ndarray, np.ndarray], period: int, samples: int,
               cell: Callable[[int, Layer], Cell], decode: _Decode) -> Presentation:  # fmt: skip
        """Return the network: the input's spikes (steps, neurons), a cell for each layer, weights between them."""
        source = importlib.import_module("neurosim.models").SpikeSource
        net = Network(name, dt=dt)
        step_ms = net.dt * 1e3
        before = net.population("input", self.layers[0].weight.shape[0], source(spikes[0] * step_ms * ms, spikes[1]))
        net.record(before, "spikes")
        for k, layer in enumerate(self.layers):
            pop = net.population(layer.name, layer.size, cell(k + 1, layer))
            if self.maps[k].synapses:
                net.connect(before, pop, weight=layer.weight, delay=dt, name=f"to_{layer.name}")
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
    """

    reset: str = "subtract"

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
        if not isinstance(steps, int) or steps < 1:
            raise ParameterError(f"steps is a whole number from 1 on, got {steps!r}", where)
        value = self.values(x)
        period = steps + len(self.layers)
        at, who, done = [], [], _counts(value, 0)
        for k in range(steps):
            before, done = done, _counts(value, k + 1)
            sample, neuron = np.nonzero(done > before)
            at.append(sample * period + k)
            who.append(neuron)
        phase = np.arange(period)

        def cell(k: int, layer: Layer) -> Cell:
            base = (RateNeuron if self.reset == "subtract" else RateNeuronToZero) if layer.spiking else RateReadout
            return base(bias=layer.bias, start=0.5 if layer.spiking and self.reset == "subtract" else 0.0,
                        first=_gate(phase == 0, dt), on=_gate((phase >= k) & (phase < k + steps), dt),
                        receptors={"in": importlib.import_module("neurosim.models").PulseCurrent})  # fmt: skip

        spikes = np.concatenate(at), np.concatenate(who)
        return self._built("rates", dt, spikes, period, len(value), cell, lambda v: self._outputs(v / steps))


def convert(
    model: Any,
    data: Any,
    *,
    method: str = "ttfs",
    window: Quantity = 16 * ms,
    headroom: float = 0.5,
    bound: str = "data",
    percentile: float | None = None,
    reset: str = "subtract",
    input_max: float | None = None,
) -> Any:
    """Turn a trained ReLU network into a spiking one.

    Parameters
    ----------
    model : torch.nn.Sequential
        Of Linear, Conv, AvgPool, BatchNorm, Flatten, Dropout and ReLU layers; what ``model.eval()`` computes is
        converted. It is not changed, and weights that change later do not reach the converted network.
    data : array or tensor
        [samples, *shape of one]: samples such as those that it was trained on, from which activations are measured. All
        values are at least 0.
    method : {"ttfs", "rate"}
        By the time of one spike, or by rates.
    window : Quantity
        Of ``ttfs``: the time in which a layer spikes.
    headroom : float
        Of ``ttfs``: by what part activations may exceed the largest of the data; what is larger yet saturates.
    bound : {"data", "interval"}
        Of ``ttfs``: where largest activations come from: the data, or a bound by interval arithmetic that no input from
        0 to ``input_max`` can exceed. It is the looser the deeper the network, and leaves the values fewer steps.
    percentile : float, optional
        Of the activations of a layer that are above 0, the one that is taken for the largest; 100 by default with
        ``ttfs``, 99.9 with ``rate``. Activations above it are cut, and all others get more steps.
    reset : {"subtract", "zero"}
        Of ``rate``: what a spike does to the potential.
    input_max : float, optional
        The largest input there will be; by default that of the data.

    Returns
    -------
    TimedConversion or RateConversion

    Raises
    ------
    ParameterError
        If a layer has no counterpart in spikes, data are negative, not finite, or of a shape that the model does not
        take.
    """
    where = caller()
    if percentile is None:
        percentile = 100.0 if method == "ttfs" else 99.9
    _check(method, bound, reset, headroom, percentile, where)
    given = np.asarray(data.detach().cpu() if hasattr(data, "detach") else data)
    if given.ndim < 2:
        raise ParameterError(
            f"data are [samples, *shape of one], at least two axes; got shape {list(given.shape)}", where
        )
    shape = given.shape[1:]
    x = _samples(given, shape, "data", where)
    if not x.size:
        raise ParameterError("data hold no sample: activations cannot be measured", where)
    largest = float(x.max()) if input_max is None else float(input_max)
    if not (np.isfinite(largest) and largest > 0):
        raise ParameterError("inputs are all 0: give input_max=, the largest that there will be, above 0", where)
    if largest < x.max():
        raise ParameterError(f"input_max is {largest:g}, but data hold {x.max():g}", where)
    maps = affine_maps(model, shape, where)
    width = scalar(window, TIME, "window", where)
    if not width > 0:
        raise ParameterError(f"window must be positive, got {window}", where)
    if method == "rate":
        return RateConversion(
            _layers(maps, _activations(maps, x, percentile), largest), largest, shape, tuple(maps), reset
        )
    if bound == "interval":
        scales = _bounds(maps, largest)
    else:
        scales = [s * (1 + headroom) for s in _activations(maps, x, percentile)]
    return TimedConversion(_layers(maps, scales, largest), largest, shape, tuple(maps), width)


def _check(method: str, bound: str, reset: str, headroom: float, percentile: float, where: str | None) -> None:
    options = {"method": (method, ("ttfs", "rate")), "bound": (bound, ("data", "interval")),
               "reset": (reset, ("subtract", "zero"))}  # fmt: skip
    for key, (given, legal) in options.items():
        if given not in legal:
            raise ParameterError(f"{key} is {' or '.join(map(repr, legal))}, got {given!r}", where)
    if not (np.isfinite(headroom) and headroom >= 0):
        raise ParameterError(f"headroom is a number from 0 on, got {headroom!r}", where)
    if not 0 < percentile <= 100:
        raise ParameterError(f"percentile lies above 0 and up to 100, got {percentile!r}", where)


def _layers(maps: list[Affine], scales: list[float], largest: float) -> tuple[Layer, ...]:
    """Return the layers, their weights such that values of the one before and of their own lie between 0 and 1."""
    out, before = [], largest
    for k, (one, scale) in enumerate(zip(maps, scales, strict=True)):
        last = k == len(maps) - 1
        unit = 1.0 if last or scale <= _SMALLEST else scale
        out.append(Layer("output" if last else f"hidden{k + 1}", len(one.bias), one.weight * (before / unit),
                         one.bias / unit, unit, not last))  # fmt: skip
        before = unit
    return tuple(out)


def _samples(x: Any, shape: tuple[int, ...], what: str, where: str | None) -> np.ndarray:
    """Return samples [samples, inputs] in double precision."""
    given = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
    if given.dtype.kind not in "buif" or given.shape[1:] != shape:
        raise ParameterError(f"{what} are numbers, [samples, {', '.join(map(str, shape))}]; got {given.dtype} of shape "
                             f"{list(given.shape)}", where)  # fmt: skip
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


def _activations(maps: list[Affine], x: np.ndarray, percentile: float) -> list[float]:
    """Return, for each map, a percentile of its outputs above 0."""
    found: list[list[np.ndarray]] = [[] for _ in maps]
    for first in range(0, len(x), 1000):
        a = x[first : first + 1000]
        for k, one in enumerate(maps):
            a = one(a)
            above = a[a > 0]
            found[k].append(above if percentile < 100 else above.max(keepdims=True, initial=0.0))
    joined = [np.concatenate(parts) for parts in found]
    return [float(np.percentile(some, percentile)) if len(some) else 0.0 for some in joined]


def _bounds(maps: list[Affine], largest: float) -> list[float]:
    """Return what no output of each map exceeds, for inputs from 0 to the largest."""
    high, out = np.full(maps[0].weight.shape[0], largest), []
    for one in maps:
        positive = one.weight.maximum(0) if hasattr(one.weight, "nnz") else np.maximum(one.weight, 0)
        high = np.maximum(high @ positive + one.bias, 0.0)
        out.append(float(high.max()) * (1 + 1e-12))
    return out


def _counts(value: np.ndarray, steps: int) -> np.ndarray:
    """Return values from 0 to 1 as whole numbers of steps, the nearest, halves up."""
    return np.floor(value * steps + 0.5).astype(np.int64)


def _gate(open_: np.ndarray, dt: Quantity) -> TimedArray:
    return TimedArray(open_.astype(np.float64), dt, repeat=True)
