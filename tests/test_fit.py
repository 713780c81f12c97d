"""Training by ``fit``: what it learns, that it goes on where it stopped, on several processes, and what it refuses."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.errors import NeurosimError, ParameterError
from neurosim.learning import (
    L1,
    FirstSpikeLoss,
    MembraneLoss,
    RateBounds,
    RateLoss,
    SynapticOperations,
    fit,
    muon_adamw,
    qk_clip,
)
from neurosim.models import LIF, DeltaCurrent, ExpCurrent, PoissonSource, SpikeSource
from neurosim.units import Hz, ms, mV

if importlib.util.find_spec("torch"):
    import torch

pytestmark = pytest.mark.engine("snntorch")


def network(rule: Any = None) -> ns.Network:
    """Twelve inputs, a hidden layer, a silent readout beside an output of six neurons."""
    net = ns.Network("patterns", dt=1 * ms, seed=1)
    cell = LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": ExpCurrent(tau=5 * ms)})
    source = net.population("source", 12, SpikeSource([[1 * ms]] * 12))
    hidden, out = net.population("hidden", 20, cell), net.population("out", 6, cell)
    readout = net.population("readout", 3, cell(v_th=10_000 * mV))
    net.connect(source, hidden, weight=ns.normal(3 * mV, 6 * mV), delay=1 * ms, name="in", rule=rule)
    net.connect(hidden, out, weight=ns.normal(2 * mV, 6 * mV), delay=1 * ms, name="out")
    net.connect(hidden, readout, weight=ns.normal(0 * mV, 3 * mV), delay=1 * ms, name="read")
    return net


def module_of(precision: str = "double", **how: Any) -> Any:
    return network(how.pop("rule", None)).to_torch(precision=precision, scale={"readout": 10 * mV}, **how)


def patterns(samples: int, seed: int) -> tuple[Any, Any]:
    """Three classes: a third of the inputs is active in each."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (samples,), generator=g)
    active = torch.arange(12) // 4 == labels[:, None]
    spikes = torch.rand(samples, 25, 12, generator=g) < torch.where(active, 0.2, 0.03)[:, None]
    return spikes.double(), labels


LOSSES = {
    "rate": lambda: RateLoss("out", classes=3, scale=0.5),
    "first": lambda: FirstSpikeLoss("out"),
    "max": lambda: MembraneLoss("readout.v"),
    "last": lambda: MembraneLoss("readout.v", over="last"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_it_learns(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    module, test = module_of("single"), patterns(90, 2)
    history = fit(module, patterns(150, 1), LOSSES[name](), test=test, epochs=8, batch=30, lr=0.02)
    assert history["loss"][-1] < history["loss"][0]
    assert history["test_correct"][-1] > 0.85
    with torch.no_grad():
        output = module({"source": test[0]}, traces=("readout.v",))
        right = LOSSES[name]().correct(output, test[1]).double().mean()
    assert float(right) == pytest.approx(history["test_correct"][-1])
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 8 and lines[0].startswith("epoch 1 of 8, loss ") and ", test loss " in lines[7]


def test_what_a_loss_is() -> None:
    class Output:
        spikes = {"out": torch.tensor([[[0.0, 1, 0], [1, 1, 0], [0, 0, 0]], [[0.0, 0, 0], [0, 0, 1], [1, 0, 1]]])}
        traces = {"out.v": torch.tensor([[[1.0, 3], [2, 1]], [[0.0, 0], [5, 4]]])}

    counts = RateLoss("out").scores(Output)
    assert counts.tolist() == [[1, 2, 0], [1, 0, 2]]
    assert FirstSpikeLoss("out").steps(Output).tolist() == [[1, 0, 3], [2, 3, 1]]
    assert MembraneLoss("out.v", scale=1).scores(Output).tolist() == [[2, 3], [5, 4]]
    assert MembraneLoss("out.v", over="last", scale=1).scores(Output).tolist() == [[2, 1], [5, 4]]
    assert MembraneLoss("out.v", over="mean", scale=1).scores(Output).tolist() == [[1.5, 2], [2.5, 2]]
    assert RateLoss("out", classes=1).scores(Output).tolist() == [[3], [3]]
    targets = torch.tensor([1, 2])
    want = torch.nn.functional.cross_entropy(counts, targets)
    assert RateLoss("out")(Output, targets) == want and RateLoss("out").correct(Output, targets).all()
    mean = Output.spikes["out"].mean((0, 1))
    off = (0.4 - mean).clamp(min=0) + (mean - 0.45).clamp(min=0)
    assert RateBounds("out", 0.4, 0.45, 2.0)(Output, None) == 2 * off.square().mean()
    for call, message in (
        (lambda: RateLoss("oud")(Output, targets), "the module gives no spikes of 'oud'; did you mean 'out'"),
        (lambda: RateLoss("out", classes=2)(Output, targets), "classes must divide the 3 neurons, got 2"),
        (lambda: MembraneLoss("out.v", over="min")(Output, targets), "over must be 'max', 'mean' or 'last', got 'min'"),
    ):
        with pytest.raises(NeurosimError, match=message):
            call()


def test_regularisers_count_what_they_say() -> None:
    module = module_of(rule=ns.FixedProbability(0.4))
    output = module({"source": patterns(5, 1)[0]})
    total = 0.0
    for s in module.synapses:
        (name, _, _), = s.sources
        fan_out = np.bincount(s.pre, minlength=s.n_pre)
        total += float((output.spikes[name].detach().sum((0, 1)).numpy() * fan_out).sum()) / 5
    assert SynapticOperations(2.0)(output, module).item() == pytest.approx(2 * total) and total > 100
    sizes = {name: float(module.weights[name].detach().abs().sum()) for name in module.weights}
    assert L1(1.0)(output, module).item() == pytest.approx(sum(sizes.values()))
    assert L1(1.0, ("in",))(output, module).item() == pytest.approx(sizes["in"])
    few, many = (module_of("single") for _ in range(2))
    for made, regularisers in ((few, [SynapticOperations(1e-3)]), (many, [])):
        fit(made, patterns(60, 1), LOSSES["rate"](), epochs=6, lr=0.02, regularisers=regularisers, quiet=True)
    spikes = [float(m({"source": patterns(60, 1)[0]}).spikes["hidden"].detach().sum()) for m in (few, many)]
    assert spikes[0] < 0.8 * spikes[1]


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_it_goes_on_where_it_stopped(tmp_path: Path, optimiser: str) -> None:
    how: dict[str, Any] = {"batch": 25, "quiet": True, "clip": 1.0, "truncate": 10, "seed": 4}
    how["optimiser"] = muon_adamw if optimiser == "muon" else None
    how["schedule"] = lambda o, steps: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.1, steps)
    data, loss, file, log = patterns(60, 1), LOSSES["rate"](), str(tmp_path / "kept.pt"), str(tmp_path / "log.csv")
    whole, halves = module_of(), module_of()
    history = fit(whole, data, loss, epochs=4, **how)

    class Stop(Exception):
        pass

    def stopping(output: Any, targets: Any) -> Any:
        if len(Path(log).read_text().splitlines()) == 3:  # a heading and two epochs
            raise Stop
        return loss(output, targets)

    with pytest.raises(Stop):
        fit(halves, data, stopping, epochs=4, checkpoint=file, log=log, **how)
    again = module_of()
    resumed = fit(again, data, loss, epochs=4, checkpoint=file, log=log, **how)
    assert same(whole, again) and not same(whole, halves)
    assert resumed["loss"] == history["loss"]
    rows = list(csv.DictReader(Path(log).read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == pytest.approx(history["loss"], rel=1e-8)
    assert sorted(os.listdir(tmp_path)) == ["kept.pt", "log.csv"]
    assert fit(again, data, loss, epochs=4, checkpoint=file, **how).epochs == resumed.epochs  # nothing left to do


def test_data_may_come_as_pytorch_has_it() -> None:
    spikes, labels = patterns(60, 1)
    loss = LOSSES["rate"]()
    made = [module_of() for _ in range(4)]
    dataset = torch.utils.data.TensorDataset(spikes, labels)
    for module, data in zip(
        made, ((spikes, labels), ({"source": spikes.numpy()}, labels.numpy()), dataset,
               torch.utils.data.DataLoader(dataset, 64)), strict=True,
    ):  # fmt: skip
        fit(module, data, loss, epochs=1, batch=64, quiet=True)
    assert same(made[0], made[1]) and same(made[0], made[2])
    for a, b in zip(made[0].parameters(), made[3].parameters(), strict=True):  # samples in another order
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_time_is_cut_where_it_is_asked_to_be() -> None:
    """Two pieces of a loss that adds up over time: by hand, with the state handed on."""
    spikes, labels = patterns(8, 1)
    made, by_hand = module_of(), module_of()

    def loss(output: Any, targets: Any) -> Any:
        return output.spikes["out"].sum() / len(targets)

    fit(made, (spikes, labels), loss, epochs=1, batch=8, truncate=15, quiet=True,
        optimiser=lambda m: torch.optim.SGD(m.parameters(), lr=1e-3))  # fmt: skip
    optimiser, state = torch.optim.SGD(by_hand.parameters(), lr=1e-3), None
    for piece in (spikes[:, :15], spikes[:, 15:]):
        output = by_hand({"source": piece}, state=state)
        optimiser.zero_grad()
        loss(output, labels).backward()
        optimiser.step()
        state = output.state.detach()
    for a, b in zip(made.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


def test_a_loss_that_is_lost_leaves_the_last_epoch() -> None:
    module, data = module_of(), patterns(30, 1)
    plain, calls = LOSSES["rate"](), []

    def loss(output: Any, targets: Any) -> Any:
        calls.append(1)
        return plain(output, targets) * (float("nan") if len(calls) == 5 else 1)

    with pytest.raises(ParameterError, match="the loss is nan in epoch 3, batch 1: train with a smaller rate, or with"):
        fit(module, data, loss, epochs=4, batch=15, quiet=True)
    two = module_of()
    fit(two, data, plain, epochs=2, batch=15, quiet=True)
    assert same(module, two)


# -- several processes ------------------------------------------------------------------------------------------------

SCRIPT = """
    import sys, torch
    import neurosim as ns
    from neurosim.learning import RateLoss, fit
    from neurosim.models import LIF, ExpCurrent, SpikeSource
    from neurosim.units import ms, mV

    net = ns.Network("two", dt=1 * ms, seed=1)
    cell = LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": ExpCurrent(tau=5 * ms)})
    source, hidden = net.population("source", 12, SpikeSource([[1 * ms]] * 12)), net.population("hidden", 20, cell)
    out = net.population("out", 3, cell)
    net.connect(source, hidden, weight=ns.normal(3 * mV, 6 * mV), delay=1 * ms, name="in")
    net.connect(hidden, out, weight=ns.normal(2 * mV, 6 * mV), delay=1 * ms, name="out")
    module = net.to_torch(precision="double", train=["hidden.tau_m"])
    g = torch.Generator().manual_seed(3)
    spikes, labels = (torch.rand(22, 25, 12, generator=g) < 0.1).double(), torch.randint(3, (22,), generator=g)
    way, out = sys.argv[1:]
    if way == "fit":
        __import__("atexit").register(lambda: print("at the end:", torch.distributed.is_initialized()))
        for _ in range(3):
            fit(module, (spikes, labels), RateLoss("out"), epochs=1, batch=8, truncate=20, quiet=True)
    else:
        torch.distributed.init_process_group("gloo")
        rank = torch.distributed.get_rank()
        wrapped = torch.nn.parallel.DistributedDataParallel(module)
        optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3)
        for _ in range(3):
            output = wrapped({"source": spikes[rank::2]})
            optimiser.zero_grad()
            RateLoss("out")(output, labels[rank::2]).backward()
            optimiser.step()
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    if int(__import__("os").environ.get("RANK", 0)) == 0:
        torch.save(module.state_dict(), out)
"""


@pytest.mark.parametrize("way", ["fit", "wrapper"])
def test_two_processes_are_one_with_the_joint_batch(tmp_path: Path, way: str) -> None:
    script, kept = tmp_path / "train.py", {n: tmp_path / f"{n}.pt" for n in (1, 2)}
    script.write_text(textwrap.dedent(SCRIPT))
    # nothing but this machine's own interface: names of hosts are not always found
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    command += ["--nproc-per-node=2", str(script), way, str(kept[2])]
    done = subprocess.run(command, env=environment, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "terminate called" not in done.stderr
    if way == "fit":
        # what fit brought together is left when the script ends; two processes may write into each other's lines
        assert done.stdout.count("False") == 2 and "True" not in done.stdout
        subprocess.run([sys.executable, script, way, kept[1]], check=True, env=environment, timeout=300)
        one = torch.load(kept[1], weights_only=True)
    else:
        code = textwrap.dedent(SCRIPT).split("way, out = ")[0]
        names: dict[str, Any] = {}
        exec(compile(code, "train.py", "exec"), names)
        module, optimiser = names["module"], torch.optim.AdamW(names["module"].parameters(), lr=1e-3)
        for _ in range(3):
            optimiser.zero_grad()
            RateLoss("out")(module({"source": names["spikes"]}), names["labels"]).backward()
            optimiser.step()
        one = module.state_dict()
    two = torch.load(kept[2], weights_only=True)
    start = torch.zeros(1, dtype=torch.float64)
    assert not torch.equal(one["trained.hidden:tau_m"], start[0])
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-9, atol=1e-12)


# -- optimisers -------------------------------------------------------------------------------------------------------


def test_matrices_take_orthogonal_steps() -> None:
    module = module_of(rule=None)
    before = {k: v.detach().clone() for k, v in module.named_parameters()}
    optimiser = muon_adamw(module, lr=1.0, weight_decay=0.0, scale="original", rest=["weights.read"])
    for k, parameter in enumerate(module.parameters()):
        g = torch.Generator().manual_seed(k)
        parameter.grad = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
    optimiser.step()
    for name, n_pre, n_post in (("in", 12, 20), ("out", 20, 6)):
        step = before[f"weights.{name}"] - module.weights[name].detach()
        s = next(s for s in module.synapses if s.name == name)
        matrix = torch.zeros(n_post, n_pre, dtype=torch.float64)
        matrix[s.post, s.pre] = step
        values = torch.linalg.svdvals(matrix) / max(1.0, n_post / n_pre) ** 0.5
        assert 0.6 < float(values.min()) and float(values.max()) < 1.2  # Newton and Schulz's five steps, in bfloat16
    rest = (before["weights.read"] - module.weights["read"].detach()).abs()
    torch.testing.assert_close(rest, torch.full_like(rest, 1e-3), rtol=1e-4, atol=0)  # Adam's first step is its rate
    assert sorted({group["lr"] for group in optimiser.param_groups}) == [1e-3, 1.0]
    wide = muon_adamw(torch.nn.Linear(64, 16, bias=False), lr=1.0, scale="fan")
    assert wide.param_groups[0]["lr"] == 0.5


def test_only_matrices_are_orthogonalised() -> None:
    sparse = module_of(rule=ns.FixedProbability(0.3))
    groups = muon_adamw(sparse).parts
    assert [len(part.param_groups) for part in groups] == [2, 1]
    assert len(groups[1].param_groups[0]["params"]) == 1
    with pytest.raises(ParameterError, match="scale must be one of 'original', 'match_rms_adamw', 'fan', got 'max'"):
        muon_adamw(sparse, scale="max")
    with pytest.raises(ParameterError, match="no parameter of the module begins with 'head'; it has weights.in, weig"):
        muon_adamw(sparse, rest=["head"])
    with pytest.raises(ParameterError, match="no parameters to train"):
        muon_adamw(torch.nn.Identity())


@pytest.mark.parametrize("bias", [False, True])
def test_logits_are_clipped_head_by_head(bias: bool) -> None:
    torch.manual_seed(2)
    query, key = (torch.nn.Linear(16, 24, bias=bias).double() for _ in range(2))
    with torch.no_grad():
        query.weight[:8] *= 40
    x = torch.randn(50, 16, dtype=torch.float64)

    def logits() -> Any:
        q, k = (f(x).detach().view(50, 3, 8).transpose(0, 1) for f in (query, key))
        return (q @ k.transpose(1, 2) / 8**0.5).amax((1, 2))

    before, weights = logits(), query.weight.detach().clone()
    assert before[0] > 20 and before[1:].max() < 20
    factor = qk_clip(query, key, before, heads=3, limit=20.0)
    assert logits()[0] == pytest.approx(20.0, rel=1e-5) and torch.equal(logits()[1:], before[1:])
    assert torch.equal(query.weight[8:], weights[8:]) and factor[1:].tolist() == [1, 1]
    with pytest.raises(ParameterError, match="logits must be one for each of 5 heads"):
        qk_clip(query, key, before, heads=5)
    with pytest.raises(ParameterError, match="limit must be above 0"):
        qk_clip(query, key, before, heads=3, limit=0)


# -- what cannot be ---------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    module, data, loss = module_of(), patterns(6, 1), RateLoss("out", classes=3)
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"PK\x03\x04 no checkpoint")
    other = tmp_path / "other.pt"
    torch.save({"module": {}, "optimiser": {}, "epochs": []}, other)
    two = ns.Network("two", dt=1 * ms)
    for name in "ab":
        two.connect(two.population(name, 3, SpikeSource([[1 * ms]] * 3)), two.population(f"{name}2", 2, LIF(
            receptors={"in": DeltaCurrent})), weight=1 * mV, delay=1 * ms)  # fmt: skip
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (module, data, {"epochs": 0}, "epochs must be a whole number above 0, got 0"),
        (module, data, {"batch": 2.5}, "batch must be a whole number above 0, got 2.5"),
        (module, data, {"truncate": -1}, "truncate must be a whole number above 0, got -1"),
        (module, data[0], {}, "data must be a pair of inputs and targets, a Dataset or a DataLoader"),
        (module, (data[0], data[1][:5]), {}, "as many inputs as targets, and some: got 6 of 'source', and 5"),
        (module, (data[0][:0], data[1][:0]), {}, "as many inputs as targets, and some: got 0 of 'source', and 0"),
        (two.to_torch(), data, {}, "the network has 2 sources that spikes could be given to: give the inputs as a map"),
        (module, data, {"checkpoint": str(broken)}, "is not one of this training, or is damaged"),
        (module, data, {"checkpoint": str(other)}, "is not one of this training, or is damaged"),
        (module, data, {"checkpoint": str(tmp_path / "no" / "x.pt")}, "cannot be written"),
        (module, data, {"log": str(tmp_path / "no" / "x.csv")}, "x.csv' cannot be written: No such file"),
    ]
    for made, given, options, message in cases:
        with pytest.raises(NeurosimError) as caught:
            fit(made, given, loss, **{"epochs": 1, "quiet": True, **options})
        assert message in caught.value.message, caught.value.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": -1.0}, "clip must be a number above 0, got -1.0"),
        ({"clip": float("nan")}, "clip must be a number above 0, got nan"),
        ({"lr": "a"}, "lr must be a number above 0, got 'a'"),
        ({"seed": "a"}, "seed must be a whole number, 0 or more; got 'a'"),
        ({"schedule": 3}, "schedule must be a function, got 3"),
        ({"optimiser": "adam"}, "optimiser must be one of torch.optim, or a function that makes one of the module;"),
        ({"regularisers": L1()}, "regularisers are a list of functions of output and module, got L1("),
    ],
)  # fmt: skip
def test_settings_are_looked_at(options: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        fit(module_of(), patterns(6, 1), RateLoss("out", classes=3), **{"epochs": 1, "quiet": True, **options})
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("targets", "loss", "message"),
    [
        (lambda y: y.float(), None, "the loss cannot be computed of targets torch.float32 [6]: expected"),
        (lambda y: y + 7, None, "the loss cannot be computed of targets torch.int64 [6]: Target"),
        (lambda y: y, lambda o, t: 1.0, "the loss must be one number, as a tensor; got float"),
        (lambda y: y, lambda o, t: o.spikes["out"].sum(1), "the loss must be one number, as a tensor; got a tensor of"),
        (lambda y: y, lambda o, t: torch.zeros(()), "the loss does not depend on anything that is trained"),
        (lambda y: None, None, "inputs and targets must be arrays of numbers: "),
    ],
)  # fmt: skip
def test_losses_are_looked_at(targets: Any, loss: Any, message: str) -> None:
    spikes, labels = patterns(6, 1)
    with pytest.raises(ParameterError) as caught:
        fit(module_of(), (spikes, targets(labels)), loss or RateLoss("out", classes=3), epochs=1, quiet=True)
    assert message in caught.value.message, caught.value.message


@pytest.mark.parametrize("kind", ["pair", "mapping", "dataset", "loader", "test"])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((6,), "inputs must be [samples, time, neurons], got [6] of 'source'"),
        ((6, 12), "inputs must be [samples, time, neurons], got [6, 12] of 'source'"),
        ((6, 0, 12), "inputs have no steps: got [6, 0, 12] of 'source'"),
    ],
)
def test_inputs_are_looked_at(shape: tuple[int, ...], message: str, kind: str) -> None:
    inputs, labels = torch.zeros(shape), patterns(6, 1)[1]
    dataset = torch.utils.data.TensorDataset(inputs, labels)
    given = {"mapping": ({"source": inputs}, labels), "dataset": dataset,
             "loader": torch.utils.data.DataLoader(dataset, 6)}.get(kind, (inputs, labels))  # fmt: skip
    data, test = (patterns(6, 1), given) if kind == "test" else (given, None)
    for options in ({}, {"truncate": 5}):
        with pytest.raises(ParameterError) as caught:
            fit(module_of(), data, RateLoss("out", classes=3), test=test, epochs=1, quiet=True, **options)
        assert message in caught.value.message, caught.value.message


def test_a_network_without_inputs_is_trained_by_a_module_that_knows_how_long_it_runs() -> None:
    """A module of to_torch() alone cannot know."""
    labels, loss = torch.tensor([0, 0]), RateLoss("out", classes=3)
    with pytest.raises(ParameterError, match="must agree on the number of steps, got neither"):
        fit(module_of(), ({}, labels), loss, epochs=1, quiet=True)

    class Timed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module_of()
            self.device = self.inner.device

        def forward(self, inputs: Any, **options: Any) -> Any:
            return self.inner(inputs, steps=25, **options | {"seeds": [1, 2]})

    history = fit(Timed(), ({}, labels), loss, epochs=4, lr=0.02, quiet=True)
    assert history["loss"][-1] < history["loss"][0]


def test_modules_are_looked_at() -> None:
    frozen = module_of()
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    for module, message in (
        (torch.nn.Linear(3, 3), "a module of net.to_torch() is trained, got Linear"),
        (network().to_torch(surrogate=None), "this module has no gradients: make it with a surrogate"),
        (frozen, "the module has no parameters that are trained (requires_grad)"),
    ):
        with pytest.raises(ParameterError) as caught:
            fit(module, patterns(6, 1), RateLoss("out", classes=3), epochs=1)
        assert message in caught.value.message


def test_gradients_that_are_lost_leave_the_last_epoch_too(tmp_path: Path) -> None:
    """The loss stays finite; its derivative does not."""
    module, file, plain, calls = module_of(), str(tmp_path / "kept.pt"), LOSSES["rate"](), []

    def loss(output: Any, targets: Any) -> Any:
        calls.append(1)
        value = plain(output, targets)
        return value + (torch.sqrt(value * 0) if len(calls) == 5 else 0)

    with pytest.raises(ParameterError, match="the parameters are no finite numbers any more in epoch 3, batch 1"):
        fit(module, patterns(30, 1), loss, epochs=4, batch=15, quiet=True, checkpoint=file)
    two = module_of()
    fit(two, patterns(30, 1), plain, epochs=2, batch=15, quiet=True)
    assert same(module, two)
    fit(module, patterns(30, 1), plain, epochs=3, batch=15, quiet=True, checkpoint=file)  # what was kept is good


def test_a_checkpoint_of_another_training_changes_nothing(tmp_path: Path) -> None:
    file, data, loss = str(tmp_path / "kept.pt"), patterns(30, 1), LOSSES["rate"]()
    fit(module_of(), data, loss, epochs=1, batch=15, quiet=True, checkpoint=file)
    for options, message in (
        ({"batch": 10}, "was written with {'batch': 15, 'seed': 0, 'truncate': None}, and this training has {'batch'"),
        ({"batch": 15, "optimiser": muon_adamw}, "is not one of this training, or is damaged"),
    ):
        module = module_of()
        with pytest.raises(ParameterError) as caught:
            fit(module, data, loss, epochs=2, quiet=True, checkpoint=file, **options)
        assert message in caught.value.message and same(module, module_of())


def test_noise_is_each_samples_own() -> None:
    net = network()
    noise = net.population("noise", 5, PoissonSource(100 * Hz))
    net.connect(noise, net["hidden"], weight=3 * mV, delay=1 * ms, name="noise")
    module, seen = net.to_torch(precision="double", scale={"readout": 10 * mV, "noise": 1.0}), []

    def loss(output: Any, targets: Any) -> Any:
        seen.append(output.spikes["noise"].detach())
        return LOSSES["rate"]()(output, targets)

    for seed in (0, 0, 1):
        fit(module, patterns(6, 1), loss, epochs=2, batch=6, quiet=True, seed=seed)
    first, second = seen[:2]
    assert len({tuple(s.flatten().tolist()) for s in (*first, *second)}) == 12  # of every sample of every epoch
    assert torch.equal(first, seen[2]) and torch.equal(second, seen[3]) and not torch.equal(first, seen[4])


def test_a_shuffled_loader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    loss, made = LOSSES["rate"](), []
    dataset = torch.utils.data.TensorDataset(*patterns(40, 1))
    for stops in ((2,), (1, 2)):
        torch.manual_seed(3)
        module, file = module_of(), str(tmp_path / f"{len(stops)}.pt")
        for epochs in stops:
            loader = torch.utils.data.DataLoader(dataset, 10, shuffle=True)
            fit(module, loader, loss, epochs=epochs, quiet=True, checkpoint=file)
            torch.manual_seed(99)  # what else happens in between
        made.append(module)
    assert same(*made)


def test_matrices_are_those_of_now() -> None:
    module = module_of()
    optimiser = muon_adamw(module, lr=0.1)
    for parameter in module.parameters():
        parameter.data = parameter.data.clone()
    before = module.weights["in"].detach().clone()
    module.weights["in"].grad = torch.ones_like(before)
    optimiser.step()
    assert float((module.weights["in"].detach() - before).abs().max()) > 0.001
    with pytest.raises(ParameterError, match="make another for more"):
        optimiser.add_param_group({"params": [torch.nn.Parameter(torch.zeros(3))]})
    with pytest.raises(ParameterError, match="lr must be a number above 0, got -1"):
        muon_adamw(module, lr=-1)
