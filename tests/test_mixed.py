"""Mixed precision: products of spikes and weights in bfloat16, everything else in the module's own precision."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

import neurosim as ns
from neurosim.errors import ParameterError
from neurosim.learning import RateLoss, fit
from neurosim.models import LIF, DeltaCurrent, Depression, ExpCurrent, SpikeSource
from neurosim.units import ms, mV

if importlib.util.find_spec("torch"):
    import torch

pytestmark = pytest.mark.engine("snntorch")

PARTS = {
    "dense": {},
    "sparse": {"rule": ns.FixedProbability(0.1)},
    "convolution": {"rule": ns.Convolution((1, 6, 6), channels_out=4, kernel=3)},
    "release": {"short_term": Depression(U=0.4)},
}


def module_of(name: str, precision: str = "single") -> Any:
    """Thirty-six inputs, a hidden layer of 64, twelve outputs."""
    net = ns.Network("mixed", dt=1 * ms, seed=1)
    cell = LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": DeltaCurrent})
    current = cell(receptors={"in": ExpCurrent(tau=4 * ms)})
    source, hidden = net.population("source", 36, SpikeSource([] * ms, [])), net.population("hidden", 64, cell)
    relay, out = net.population("relay", 36, cell), net.population("out", 12, current)
    if name == "release":  # what spikes release follows from their own: the source's cannot be given there
        net.connect(source, relay, rule="one_to_one", weight=11 * mV, name="relayed")
    net.connect(relay if name == "release" else source, hidden, weight=ns.normal(2 * mV, 4 * mV), name="in",
                **PARTS[name])  # fmt: skip
    net.connect(hidden, hidden, rule=ns.FixedProbability(0.1), weight=ns.normal(0 * mV, 2 * mV), name="back",
                delay=3 * ms)  # fmt: skip
    net.connect(hidden, out, weight=ns.normal(1 * mV, 2 * mV), name="out")
    return net.to_torch(precision=precision)


def patterns(samples: int, seed: int) -> tuple[Any, Any]:
    """Three classes: a third of the inputs is active in each."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (samples,), generator=g)
    active = torch.arange(36) // 12 == labels[:, None]
    return (torch.rand(samples, 25, 36, generator=g) < torch.where(active, 0.15, 0.05)[:, None]).float(), labels


LOSS = RateLoss("out", classes=3, scale=0.3)


def gradient(module: Any, data: Any, mixed: bool) -> tuple[Any, Any]:
    """Return the scores and the gradient of all weights."""
    module.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        output = module({"source": data[0]})
        loss = LOSS(output, data[1])
    loss.backward()
    assert all(s.dtype == torch.float32 for s in output.spikes.values())
    assert all(v.dtype == torch.float32 for v in output.state.variables["hidden"].values())
    grads = [p.grad.reshape(-1) for p in module.parameters()]
    return LOSS.scores(output).detach(), torch.cat(grads)


@pytest.mark.parametrize("name", PARTS)
def test_a_step_is_nearly_that_of_single_precision(name: str) -> None:
    module, data = module_of(name), patterns(60, 1)
    scores, exact = gradient(module, data, False)
    nearly, found = gradient(module, data, True)
    assert torch.isfinite(found).all() and not torch.equal(found, exact)  # products are rounded
    assert float(torch.nn.functional.cosine_similarity(found, exact, 0)) > 0.98
    assert float((nearly - scores).abs().max()) <= 0.3 * 4  # a few spikes of ten neurons


@pytest.mark.parametrize("name", ["dense", "convolution"])
def test_what_was_trained_answers_alike_in_any_precision(name: str) -> None:
    """Class T: the same answer to at least 99 % of samples; what fit tells of test data is in single precision."""
    module, test = module_of(name), patterns(300, 2)
    history = fit(module, patterns(240, 1), LOSS, test=test, epochs=4, batch=30, lr=0.01, mixed=True, quiet=True)
    assert history["test_correct"][-1] > 0.95
    answers = {}
    for mixed in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            answers[mixed] = LOSS.scores(module({"source": test[0]})).argmax(1)
    with torch.no_grad():
        single = LOSS.scores(module({"source": test[0]})).argmax(1)
    assert float((single == test[1]).double().mean()) == pytest.approx(history["test_correct"][-1])
    assert float((answers[True] == answers[False]).double().mean()) >= 0.99
    assert torch.equal(answers[False], single)
    assert all(p.dtype == torch.float32 for p in module.parameters())


def test_test_data_are_looked_at_in_single_precision() -> None:
    """Products in bfloat16 are for training: the loss of test data is to the bit that of the module by itself."""
    module, test, seen = module_of("dense"), patterns(40, 2), set()

    def loss(output: Any, targets: Any) -> Any:
        seen.add((torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
        return LOSS(output, targets)

    history = fit(module, patterns(40, 1), loss, test=test, epochs=1, batch=40, mixed=True, quiet=True)
    assert seen == {(True, True), (False, False)}
    with torch.no_grad():
        assert history["test_loss"] == [float(LOSS(module({"source": test[0]}), test[1]))]


def test_what_has_no_mixed_precision() -> None:
    data = patterns(6, 1)
    for call, message in (
        (
            lambda: fit(module_of("dense", "double"), data, LOSS, mixed=True),
            "mixed is for modules of net.to_torch(",
        ),
        (lambda: fit(module_of("dense"), data, LOSS, mixed=True, gradient="ottt"), "mixed is for gradient='bptt'"),
        (lambda: module_of("dense", "bfloat16"), "got 'bfloat16': in 8 or 11 bits states would lose"),
    ):
        with pytest.raises(ParameterError) as caught:
            call()
        assert message in caught.value.message, caught.value.message
