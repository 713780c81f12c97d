"""ReLU networks in spikes: first spikes give the outputs exactly, on a grid rounded to it; rates in the limit."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.errors import BackendMissingError, ParameterError, UnsupportedError
from neurosim.learning import convert
from neurosim.units import ms

if importlib.util.find_spec("torch"):
    import torch
    from torch import nn

pytestmark = pytest.mark.engine("torch")


def perceptron(*sizes: int, seed: int = 0, bias: bool = True) -> Any:
    """A ReLU network of the given sizes, in double precision, with biases of both signs."""
    g = torch.Generator().manual_seed(seed)
    layers: list[Any] = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        linear = nn.Linear(a, b, bias=bias).double()
        with torch.no_grad():
            for p in linear.parameters():
                p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64) / (a**0.5 if p.ndim == 2 else 4))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def inputs(samples: int, *shape: int, seed: int = 1) -> Any:
    return torch.rand(samples, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def outputs(model: Any, x: Any) -> np.ndarray:
    with torch.no_grad():
        return model(x).numpy()


def spike_steps(result: Any, shown: Any, name: str) -> np.ndarray:
    """Return the step of each neuron's spike in its sample, -1 for none: [samples, neurons]; one spike at most."""
    spikes = result.spikes[name]
    found = np.full((shown.samples, spikes.size), -1)
    at = spikes.steps // shown.period, spikes.ids
    assert len(set(zip(*at, strict=True))) == len(spikes), "a neuron spiked twice in a sample"
    found[at] = spikes.steps % shown.period
    return found


def on_the_grid(times: np.ndarray, dt: float) -> np.ndarray:
    steps = np.where(np.isfinite(times), times, -dt) / dt
    assert np.allclose(steps, np.rint(steps), atol=1e-6)
    return np.rint(steps).astype(int)


# -- first spikes, exactly ----------------------------------------------------------------------------------------


numbers = st.floats(-4, 4, allow_nan=False, width=32)


@st.composite
def networks(draw: st.DrawFn) -> tuple[Any, Any]:
    """A network of up to four layers with weights, biases and inputs as hypothesis likes them, zeros among them."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=5))
    layers: list[Any] = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        linear = nn.Linear(a, b).double()
        scale = draw(st.sampled_from([1.0, 1e-3, 1e3]))
        with torch.no_grad():
            for p in linear.parameters():
                values = draw(st.lists(numbers, min_size=p.numel(), max_size=p.numel()))
                p.copy_(scale * torch.tensor(values, dtype=torch.float64).reshape(p.shape))
        layers += [linear, nn.ReLU()]
    x = draw(st.lists(st.floats(0, 1, width=32), min_size=3 * sizes[0], max_size=3 * sizes[0]))
    return nn.Sequential(*layers[:-1]), torch.tensor(x, dtype=torch.float64).reshape(3, sizes[0])


@given(networks())
def test_first_spikes_give_the_outputs_of_any_network(case: tuple[Any, Any]) -> None:
    model, x = case
    found = convert(model, x, bound="interval", input_max=1.0).evaluate(x)
    high = torch.ones(1, x.shape[1], dtype=torch.float64)
    for layer in model:  # the size of the sums, of which rounding is a part
        high = (
            layer.weight.detach().abs() @ high.T + layer.bias.detach().abs()[:, None]
            if hasattr(layer, "weight")
            else high
        )
        high = high.reshape(1, -1)
    assert np.abs(found.logits - outputs(model, x)).max() <= 1e-9 * max(1.0, float(high.max()))
    assert set(found.saturated.values()) <= {0}
    assert found.spikes_per_neuron <= 1


def test_first_spikes_give_the_outputs_of_a_deep_network() -> None:
    model, x = perceptron(50, 60, 60, 60, 60, 10), inputs(200, 50)
    converted = convert(model, x[:100], headroom=1.0, input_max=1.0)
    found = converted.evaluate(x)
    assert np.abs(found.logits - outputs(model, x)).max() < 1e-9
    assert np.abs(converted.model(x) - outputs(model, x)).max() < 1e-12
    assert found.spikes_per_neuron < 1 and set(found.saturated.values()) == {0}
    for k, name in enumerate(["input", "hidden1", "hidden2", "hidden3", "hidden4"]):  # each in the window of its layer
        t = found.times[name]
        assert np.all((t >= k * 0.016) & (t < (k + 1) * 0.016) | np.isinf(t))
        assert (t.size - np.isinf(t).sum() > 0) and (k == 0 or np.isinf(t).any())


def test_a_spike_is_at_the_end_of_the_window_less_the_value() -> None:
    model = nn.Sequential(nn.Linear(2, 3).double(), nn.ReLU(), nn.Linear(3, 1).double())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2.0], [-1.0, 1.0], [1.0, -2.0]]))
        model[0].bias.copy_(torch.tensor([0.25, 0.5, 0.0]))
    x = torch.tensor([[1.0, 0.5], [0.0, 0.25]], dtype=torch.float64)
    converted = convert(model, x, window=10 * ms, headroom=0.0)  # the largest activation is 1 + 1 + 0.25
    assert converted.layers[0].scale == 2.25 and converted.input_scale == 1.0
    times = converted.evaluate(x).times
    np.testing.assert_allclose(times["input"], np.array([[0, 5], [np.inf, 7.5]]) * 1e-3)
    values = np.array([[2.25, 0.0, 0.0], [0.75, 0.75, -0.5]])
    want = np.where(values > 0, 20e-3 - 10e-3 * values / 2.25, np.inf)
    np.testing.assert_allclose(times["hidden1"], want)


def test_values_beyond_the_window_saturate_and_are_counted() -> None:
    model, x = perceptron(5, 8, 2), inputs(50, 5)
    converted = convert(model, x[:3] * 0.5, headroom=0.0, input_max=1.0)
    found = converted.evaluate(x)
    assert found.saturated["hidden1"] > 0
    assert found.times["hidden1"].min() == pytest.approx(0.016, abs=1e-15)
    hidden = np.minimum(np.maximum(x.numpy() @ converted.maps[0].weight + converted.maps[0].bias, 0),
                        converted.layers[0].scale)  # fmt: skip
    np.testing.assert_allclose(found.logits, converted.maps[1](hidden), atol=1e-12)


# -- extremes ---------------------------------------------------------------------------------------------------


def test_dead_neurons_zero_weights_and_a_single_neuron() -> None:
    dead = perceptron(4, 6, 3)
    with torch.no_grad():
        dead[0].bias.fill_(-100.0)  # no hidden neuron ever spikes
    zero = perceptron(4, 6, 3)
    with torch.no_grad():
        zero[0].weight.zero_()
        zero[2].weight.zero_()
    for model in (dead, zero, perceptron(1, 1, 1), perceptron(4, 2)):
        x = inputs(4, next(model.parameters()).shape[1])
        for converted in (convert(model, x), convert(model, x, bound="interval")):
            found = converted.evaluate(x)
            np.testing.assert_allclose(found.logits, outputs(model, x), atol=1e-9)
            shown = converted.present(x, dt=0.25 * ms)
            read = shown.read(shown.run(backend="reference", progress=False))
            np.testing.assert_allclose(read, converted.evaluate(x, 0.25 * ms).logits, atol=1e-9)
        rates = convert(model, x, method="rate", percentile=100).present(x, steps=400)
        np.testing.assert_allclose(
            rates.read(rates.run(backend="reference", progress=False)), outputs(model, x), atol=0.03
        )
    assert convert(dead, x := inputs(4, 4)).evaluate(x).times["hidden1"].min() == np.inf


def test_huge_weights() -> None:
    model, x = perceptron(6, 10, 10, 3), inputs(20, 6)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1e6)
    found, want = convert(model, x).evaluate(x), outputs(model, x)
    assert np.abs(found.logits - want).max() < 1e-12 * np.abs(want).max()
    shown = convert(model, x).present(x, dt=0.1 * ms)
    relative = (shown.read(shown.run(backend="reference", progress=False)) - want) / np.abs(want).max()
    assert np.abs(relative).max() < 0.05


# -- layers -----------------------------------------------------------------------------------------------------


def convolutional() -> Any:
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), nn.Dropout(0.5),
        nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, groups=2, bias=False), nn.ReLU()), nn.Flatten(),
        nn.Linear(24, 10), nn.BatchNorm1d(10, affine=False), nn.ReLU(), nn.ReLU(), nn.Linear(10, 3),
    ).double()  # fmt: skip
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return model


def test_convolutions_pools_and_norms_are_folded() -> None:
    model, x = convolutional(), inputs(8, 2, 10, 10)
    converted = convert(model, x)  # still in training mode: what eval() computes is meant
    model.eval()
    assert [layer.size for layer in converted.layers] == [400, 24, 10, 3]
    assert np.abs(converted.evaluate(x).logits - outputs(model, x)).max() < 1e-9
    assert np.abs(converted.forward(x)[0].detach().numpy() - outputs(model, x)).max() < 1e-9
    shown = converted.present(x, dt=1 * ms)
    result = shown.run(backend="reference", progress=False)
    np.testing.assert_allclose(shown.read(result), converted.evaluate(x, 1 * ms).logits, atol=1e-9)
    assert ["hidden1", "400", "6,272"] in [
        row.split()[:3] for row in str(converted).splitlines()
    ]  # 3 x 3 x 2 a neuron, fewer at the border


def test_a_percentile_gives_values_more_steps_and_cuts_the_largest() -> None:
    model, x = perceptron(10, 30, 30, 3), inputs(300, 10)
    whole, cut = convert(model, x), convert(model, x, percentile=90, headroom=0)
    assert all(b.scale < 0.7 * a.scale for a, b in zip(whole.layers[:-1], cut.layers[:-1], strict=True))
    found, want = cut.evaluate(x), outputs(model, x)
    assert 0 < found.saturated["hidden1"] < 0.1 * 300 * 30
    error = {name: np.median(np.abs(c.evaluate(x, 2 * ms).logits - want)) for name, c in (("w", whole), ("c", cut))}
    assert error["c"] < error["w"]  # on a coarse grid


def test_a_network_may_end_with_a_relu_or_have_one_at_its_input() -> None:
    body, x = perceptron(4, 5, 3), inputs(6, 4)
    model = nn.Sequential(nn.ReLU(), *body, nn.ReLU(), nn.Identity())
    for converted in (convert(model, x), convert(model, x, method="rate", percentile=100)):
        assert [layer.name for layer in converted.layers] == ["hidden1", "output"]
    np.testing.assert_allclose(convert(model, x).evaluate(x).logits, outputs(model, x), atol=1e-12)
    assert outputs(model, x).min() == 0 and outputs(body, x).min() < 0


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("nn.MaxPool1d(2)", "the largest of several inputs is no sum of spikes; use AvgPool2d"),
        ("nn.GELU()", "its values are not those of a ReLU, and a spike time or a rate carries no others; put ReLU"),
        ("nn.LeakyReLU()", "put ReLU in its place"),
        ("nn.Softmax(1)", "leave it out, the order of the outputs stays"),
        ("nn.LayerNorm(4)", "use BatchNorm"),
        ("nn.Bilinear(4, 4, 2)", "it has no counterpart in spikes; the layers that do are Linear"),
        ("nn.GRU(4, 4)", "its output goes back to its input"),
        ("nn.BatchNorm1d(4, track_running_stats=False)", "train it with track_running_stats=True"),
        ("nn.Linear(5, 2)", "does not take what comes before it, of shape [4]"),
        ("nn.Conv2d(1, 1, 3)", "does not take what comes before it, of shape [4]"),
        ("nn.BatchNorm1d(5)", "does not take what comes before it, of shape [4]"),
        ("nn.Flatten(0)", "does not take what comes before it"),
    ],
)
def test_layers_without_a_counterpart_are_refused(layer: str, reason: str) -> None:
    with pytest.raises(ParameterError) as e:
        convert(nn.Sequential(nn.Linear(4, 4), eval(layer)), torch.ones(2, 4))
    assert reason in e.value.message and "layer 1 of the model" in e.value.message


def test_what_convert_refuses() -> None:
    model, x = perceptron(4, 3, 2), inputs(5, 4)
    for bad, message in (
        (lambda: convert(nn.Linear(4, 2), x), "a torch.nn.Sequential, whose layers follow one another; got Linear"),
        (lambda: convert(nn.Sequential(nn.ReLU()), x), "the model has no weights"),
        (lambda: convert(model, x - 0.5), "data hold values below 0"),
        (lambda: convert(model, x * torch.nan), "data hold values that are no finite numbers"),
        (lambda: convert(model, x[0]), "at least two axes"),
        (lambda: convert(model, x[:0]), "data are none: their shape is [0, 4]"),
        (lambda: convert(model, x).evaluate(x[:0]), "the samples are none"),
        (lambda: convert(model, x.numpy().astype(str)), "data are numbers"),
        (lambda: convert(model, x * 0), "inputs are all 0: give input_max="),
        (lambda: convert(model, x, input_max=0.1), "input_max is 0.1, but data hold"),
        (lambda: convert(model, x, method="phase"), "method is 'ttfs' or 'rate', got 'phase'"),
        (lambda: convert(model, x, bound="best"), "bound is 'data' or 'interval'"),
        (lambda: convert(model, x, reset="both"), "reset is 'subtract' or 'zero'"),
        (lambda: convert(model, x, headroom=-1.0), "headroom is a number from 0 on"),
        (lambda: convert(model, x, headroom="a"), "headroom is a number from 0 on, got 'a'"),
        (lambda: convert(model, x, headroom=None), "headroom is a number from 0 on, got None"),
        (lambda: convert(model, x, percentile=0), "percentile lies above 0"),
        (lambda: convert(model, x, percentile="a"), "percentile lies above 0 and up to 100, got 'a'"),
        (lambda: convert(model, x, input_max="a"), "input_max is a number, got 'a'"),
        (lambda: convert(model, x, method=x), "method is 'ttfs' or 'rate', got"),
        (lambda: convert(model, [[1.0, 2.0], [1.0]]), "data are an array of numbers: "),
        (lambda: convert(model, None), "at least two axes"),
        (lambda: convert(None, x), "got NoneType"),
        (lambda: convert(model, x, window=0 * ms), "window must be positive"),
        (lambda: convert(model, x).evaluate(2 * x), "the network was made for inputs from 0 to"),
        (lambda: convert(model, x).evaluate(x[:, :3]), "the samples are numbers, [samples, 4]"),
        (lambda: convert(model, x).present(x, dt=3 * ms), "the window is 16 ms, which is not a whole number of steps"),
        (lambda: convert(model, x, method="rate").present(x, steps=0), "steps is a whole number from 1 on"),
    ):
        with pytest.raises(ParameterError) as e:
            bad()
        assert message in e.value.message
    with torch.no_grad():
        model[0].weight[0, 0] = torch.inf
    with pytest.raises(ParameterError, match="layer 0 of the model, Linear.* no finite numbers"):
        convert(model, x)


def test_a_result_of_another_duration_is_not_read() -> None:
    shown = convert(perceptron(4, 3, 2), x := inputs(5, 4)).present(x, dt=4 * ms)
    with pytest.raises(ParameterError, match="the result holds 2 samples of 'output', and 5 were shown"):
        shown.read(shown.network.run(2 * shown.period * 4 * ms, backend="reference", progress=False))


# -- gradients ----------------------------------------------------------------------------------------------------


def test_gradients_through_spike_times_are_those_of_the_network() -> None:
    model, x = perceptron(7, 9, 8, 3), inputs(12, 7).requires_grad_()
    labels = torch.arange(12) % 3
    converted, weights = convert(model, x), list(model.parameters())
    loss = nn.functional.cross_entropy(converted.forward(x)[0], labels)
    found = torch.autograd.grad(loss, [x, *weights])
    want = torch.autograd.grad(nn.functional.cross_entropy(model(x), labels), [x, *weights])
    for a, b in zip(found, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
        assert float(b.abs().max()) > 1e-4


def test_gradients_of_spike_times_are_those_of_finite_differences() -> None:
    model, x = perceptron(5, 6, 4, 2), inputs(3, 5)
    converted = convert(model, x)
    weight = model[0].weight
    _, times = converted.forward(x)
    t = times["hidden2"]
    spiking = torch.isfinite(t)
    assert bool(spiking.any()) and not bool(spiking.all())
    (found,) = torch.autograd.grad(t[spiking].sum(), weight)
    step, want = 1e-7, torch.zeros_like(weight)
    for k in np.ndindex(*weight.shape):
        sums = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[k] += sign * step
            sums.append(float(converted.forward(x)[1]["hidden2"][spiking].detach().sum()))
            with torch.no_grad():
                weight[k] -= sign * step
        want[k] = (sums[0] - sums[1]) / (2 * step)
    torch.testing.assert_close(found, want.detach(), rtol=1e-5, atol=1e-10)
    assert float(found.abs().max()) > 1e-4


def test_spike_times_as_tensors_are_those_of_the_evaluation() -> None:
    model, x = perceptron(7, 9, 8, 3), inputs(12, 7)
    x[0, :3] = 0.0
    converted = convert(model, x)
    logits, times = converted.forward(x)
    want = converted.evaluate(x)
    np.testing.assert_allclose(logits.detach().numpy(), want.logits, atol=1e-12)
    for name, t in times.items():
        np.testing.assert_allclose(t.detach().numpy(), want.times[name], atol=1e-15)


# -- on a grid ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dt", [16.0, 4.0, 1.0, 0.25])
def test_spikes_on_a_grid_are_the_exact_ones_rounded(dt: float) -> None:
    model, x = perceptron(12, 20, 15, 4), inputs(25, 12)
    x[:, 0] = 0.0
    converted = convert(model, x)
    want, shown = converted.evaluate(x, dt * ms), converted.present(x, dt=dt * ms)
    result = shown.run(backend="reference", progress=False)
    for name, times in want.times.items():
        np.testing.assert_array_equal(spike_steps(result, shown, name), on_the_grid(times, dt * 1e-3))
    np.testing.assert_allclose(shown.read(result), want.logits, atol=1e-9)
    first = converted.evaluate(x).times[
        "input"
    ]  # its inputs are exact, so each of its times is off by half a step at most
    late = np.where(np.isfinite(want.times["input"]), want.times["input"], 0.016)
    assert np.abs(late - np.where(np.isfinite(first), first, 0.016)).max() <= 0.5 * dt * 1e-3 + 1e-12


def test_the_grid_s_error_falls_with_the_step() -> None:
    model, x = perceptron(12, 20, 15, 4), inputs(60, 12)
    converted, want = convert(model, x), outputs(model, x)
    errors = [np.abs(converted.evaluate(x, 16 * ms / n).logits - want).mean() for n in (8, 32, 128, 512)]
    assert all(2.5 < a / b < 6 for a, b in zip(errors, errors[1:], strict=False))  # four times finer, four times less


@pytest.mark.parametrize("backend", ["native", pytest.param("brian2", marks=pytest.mark.engine("brian2")),
                                     pytest.param("snntorch", marks=pytest.mark.engine("snntorch"))])  # fmt: skip
def test_engines_have_the_same_spikes(backend: str) -> None:
    model, x = perceptron(6, 8, 7, 3), inputs(4, 6)
    for shown in (convert(model, x).present(x, dt=1 * ms), convert(model, x, method="rate").present(x, steps=20)):
        found, want = (shown.run(backend=name, progress=False) for name in (backend, "reference"))
        for name in ("input", "hidden1", "hidden2"):
            assert found.spikes[name].identical(want.spikes[name]) and want.spikes[name].count > 0
        np.testing.assert_array_equal(shown.read(found), shown.read(want))


# -- rates --------------------------------------------------------------------------------------------------------


def test_rates_converge_to_the_network() -> None:
    model, x = perceptron(12, 20, 15, 4), inputs(20, 12)
    converted, want = convert(model, x, method="rate", percentile=100), outputs(model, x)
    errors = []
    for steps in (16, 64, 256):
        shown = converted.present(x, steps=steps)
        errors.append(np.abs(shown.read(shown.run(backend="reference", progress=False)) - want).mean())
    assert all(2.5 < a / b < 6 for a, b in zip(errors, errors[1:], strict=False))
    assert errors[-1] < 0.01


def counted(converted: Any, x: np.ndarray, steps: int) -> np.ndarray:
    """The network of rates, written as its definition says: layer by layer, over the whole of a sample."""
    value = x / converted.input_scale
    k = np.arange(steps + 1)[:, None, None]
    done = np.floor(value * k + 0.5)
    spikes = done[1:] - done[:-1]
    for layer in converted.layers:
        v = np.full((len(x), layer.size), 0.5 if layer.spiking and converted.reset == "subtract" else 0.0)
        out = np.zeros((steps, len(x), layer.size))
        for n in range(steps):
            v = v + (spikes[n] @ layer.weight + layer.bias)
            if layer.spiking:
                out[n] = v >= 1
                v = v - out[n] if converted.reset == "subtract" else np.where(out[n] > 0, 0.0, v)
        spikes = out
    return v / steps


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_rates_are_what_their_definition_says(reset: str) -> None:
    model, x = perceptron(10, 14, 9, 3, seed=4), inputs(15, 10)
    converted = convert(model, x, method="rate", reset=reset)
    shown = converted.present(x, steps=40)
    found = shown.read(shown.run(backend="reference", progress=False))
    np.testing.assert_allclose(found, counted(converted, x.numpy(), 40), atol=1e-9)


def test_activations_are_divided_by_a_percentile() -> None:
    model, x = perceptron(10, 14, 9, 3), inputs(500, 10)
    a = x.numpy()
    for layer, one in zip(
        convert(model, x, method="rate", percentile=95).layers[:-1], (model[0], model[2]), strict=True
    ):
        a = np.maximum(a @ one.weight.detach().numpy().T + one.bias.detach().numpy(), 0)
        assert layer.scale == pytest.approx(np.percentile(a[a > 0], 95), rel=1e-12)


def test_reset_to_zero_loses_what_is_above_the_threshold() -> None:
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.7], [1.0]])), model[2].weight.copy_(torch.tensor([[1.0, 0.0]]))
    x = torch.ones(1, 1, dtype=torch.float64)
    found = {}
    for reset in ("subtract", "zero"):
        shown = convert(model, x, method="rate", reset=reset, percentile=100).present(x, steps=300)
        found[reset] = float(shown.read(shown.run(backend="reference", progress=False))[0, 0])
    assert found["subtract"] == pytest.approx(0.7, abs=0.01)
    assert found["zero"] == pytest.approx(0.5, abs=0.01)  # 0.7, 1.4 and a spike: every second step


@pytest.mark.parametrize("backend", ["reference", "loihi2"])
def test_rates_run_in_the_library_s_lif_and_in_loihi_2_s_integers(backend: str) -> None:
    model, x = perceptron(12, 20, 15, 4), inputs(6, 12)
    converted = convert(model, x, method="rate", reset="zero", percentile=100)
    for k in range(3):
        shown = converted.present_to_lif(x[k : k + 1], steps=200)
        found = shown.read(shown.run(backend=backend, progress=False))
        clocked = converted.present(x[k : k + 1], steps=200)
        want = clocked.read(clocked.run(backend="reference", progress=False))
        np.testing.assert_allclose(found, want, atol=0.1)  # the leak takes up to 2 % in 200 steps
    with pytest.raises(ParameterError, match="shown one sample, got 2"):
        converted.present_to_lif(x[:2], steps=5)
    with pytest.raises(ParameterError, match="steps is a whole number"):
        converted.present_to_lif(x[:1], steps=0.5)
    with pytest.raises(ParameterError, match="convert\\(..., reset='zero'\\)"):
        convert(model, x, method="rate").present_to_lif(x[:1], steps=5)


def test_an_output_beyond_all_data_is_said() -> None:
    model, x = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)).double(), inputs(1, 1) * 0 + 1
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(2.0)
    converted = convert(model, 0.01 * x, method="rate", reset="zero", percentile=100, input_max=1.0)
    shown = dataclasses.replace(converted, largest=0.1).present_to_lif(x, steps=100)
    with pytest.raises(ParameterError, match="'output' reached its threshold"):
        shown.read(shown.run(backend="reference", progress=False))


# -- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.shared_data("mnist/mnist.npz")
def test_digits_are_told_as_well_by_first_spikes(shared: Path, full: bool) -> None:
    """784-300-100-10, trained for an epoch or two: the same answers, from less than one spike a neuron."""
    with np.load(shared / "mnist" / "mnist.npz") as f:
        x, y = torch.tensor(f["x_train"]).reshape(-1, 784) / 255.0, torch.tensor(f["y_train"]).long()
        test, labels = torch.tensor(f["x_test"]).reshape(-1, 784).double() / 255.0, f["y_test"]
    g = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(2 if full else 1):
        for some in torch.randperm(len(x), generator=g).split(128):
            loss = nn.functional.cross_entropy(model(x[some]), y[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model = model.double()
    converted = convert(model, x[:10000])
    found, want = converted.evaluate(test), outputs(model, test)
    assert np.abs(found.logits - want).max() < 1e-9 and set(found.saturated.values()) == {0}
    right = np.mean(want.argmax(1) == labels)
    assert np.mean(found.logits.argmax(1) == labels) == right > 0.95
    assert found.spikes_per_neuron < 0.5
    few = slice(None) if full else slice(100)
    shown = converted.present(test[few], dt=0.25 * ms)  # 64 steps a layer
    result = shown.run(backend="native", progress=False)
    read, rounded = shown.read(result), converted.evaluate(test, 0.25 * ms)
    np.testing.assert_allclose(read, rounded.logits[few], atol=1e-9)
    assert np.mean(rounded.logits.argmax(1) == labels) == pytest.approx(right, abs=0.003)


def test_without_scipy_perceptrons_are_converted_and_convolutions_say_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    model, x = perceptron(4, 3, 2), inputs(5, 4)
    assert np.abs(convert(model, x).evaluate(x).logits - outputs(model, x)).max() < 1e-9
    with pytest.raises(BackendMissingError, match="needs SciPy: pip install scipy"):
        convert(convolutional(), inputs(2, 2, 10, 10))


def test_operations_of_the_model_are_counted() -> None:
    for model, x in ((perceptron(6, 8, 7, 3), inputs(9, 6)), (convolutional().eval(), inputs(3, 2, 10, 10))):
        converted = convert(model, x)
        want, a = 0, x.numpy().reshape(len(x), -1)
        for one in converted.maps:
            weight = one.weight.toarray() if hasattr(one.weight, "toarray") else one.weight
            want += int(((a != 0).astype(int) @ (weight != 0).astype(int)).sum())
            a = one(a)
        assert converted.macs(x) == want / len(x)


def test_a_layer_that_comes_twice_is_there_twice() -> None:
    torch.manual_seed(1)
    relu, linear = torch.nn.ReLU(), torch.nn.Linear(4, 4)
    model = torch.nn.Sequential(linear, relu, linear, relu, torch.nn.Linear(4, 2)).double()
    x = torch.rand(20, 4, dtype=torch.float64)
    found = convert(model, x).evaluate(x).logits
    np.testing.assert_allclose(found, model(x).detach().numpy(), atol=1e-9)
    model[0].register_forward_hook(lambda *given: given[2] * 2)
    with pytest.raises(UnsupportedError, match="has a forward hook, whose doing is not known: remove it"):
        convert(model, x)
