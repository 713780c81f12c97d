"""Titans: deep memories, NeuralMemory, blocks and the language model; titans-pytorch as the oracle."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest

from neurosim.errors import ParameterError, ResultFileError

if importlib.util.find_spec("torch"):
    import torch
    from torch.nn.functional import normalize

    from neurosim.models.kernels import DeepState, deep_chunk, gated_chunk, perceptron
    from neurosim.models.kernels.deep_chunk import gradients
    from neurosim.models.layers import bits_per_byte, decode, encode, load, load_state, sample, save, save_state, train
    from neurosim.models.titans import BrainMimeticLM, NeuralMemory, surprise_page

pytestmark = [pytest.mark.engine("torch"), pytest.mark.usefixtures("double_tensors")]


def deep(N: int = 3, T: int = 32, d: int = 5) -> tuple[list[Any], Any]:
    """Return q, k, v, alpha, eta, theta, and the state of a memory of two layers."""
    q, v = torch.randn(N, T, d), torch.randn(N, T, d)
    k = normalize(torch.randn(N, T, d), dim=-1)
    given = [q, k, v, 0.3 * torch.rand(N, T), torch.rand(N, T), 0.1 * torch.rand(N, T)]
    weights = (torch.randn(N, d, 8) / 2, torch.randn(N, 8, d) / 3)
    return given, DeepState(weights, tuple(0.1 * torch.randn_like(w) for w in weights))


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_gradients_of_a_deep_memory_equal_autograd(activation: str) -> None:
    (_, k, v, *_), state = deep()
    weights = [w.requires_grad_() for w in (*state.memory, torch.randn(3, 5, 5))]
    found = gradients(k, v, weights, activation)
    loss = 0.5 * (perceptron(k, weights, activation) - v).square().sum()
    for (x, d), want in zip(found, torch.autograd.grad(loss, weights), strict=True):
        assert torch.allclose(x.mT @ d, want, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 8, 32])
def test_a_deep_memory_equals_the_recurrence_of_every_weight(chunk: int) -> None:
    """Token by token, with the gradients of autograd at the chunk's first weights."""
    (q, k, v, alpha, eta, theta), state = deep()
    found = deep_chunk(q, k, v, alpha, eta, theta, state, chunk=chunk)
    weights, momenta = list(state.memory), list(state.momentum)
    for t in range(k.shape[1]):
        if t % chunk == 0:
            at = [w.detach().requires_grad_() for w in weights]
        read = perceptron(q[:, t : t + 1], at, "silu")[:, 0]
        assert torch.allclose(found.out[:, t], read, atol=1e-12)
        loss = 0.5 * (perceptron(k[:, t : t + 1], at, "silu")[:, 0] - v[:, t]).square().sum()
        slopes = torch.autograd.grad(loss, at)
        want = torch.sqrt(sum(g.square().sum((1, 2)) for g in slopes))
        assert torch.allclose(found.surprise[:, t], want, atol=1e-12)
        a, e, th = (x[:, t, None, None] for x in (alpha, eta, theta))
        momenta = [e * s - th * g for s, g in zip(momenta, slopes, strict=True)]
        weights = [(1 - a) * w + s for w, s in zip(weights, momenta, strict=True)]
    for got, want in zip((*found.state.memory, *found.state.momentum), (*weights, *momenta), strict=True):
        assert torch.allclose(got, want, atol=1e-12)


def test_a_deep_memory_of_one_layer_is_the_linear_one() -> None:
    (q, k, v, alpha, eta, theta), _ = deep()
    zero = torch.zeros(3, 5, 5)
    for chunk, read in ((1, "post"), (1, "pre")):
        found = deep_chunk(q, k, v, alpha, eta, theta, DeepState((zero,), (zero,)), chunk=chunk, read=read)
        want = gated_chunk(q, k, v, alpha, eta, theta, read=read)
        assert torch.allclose(found.out, want.out, atol=1e-12)
        assert torch.allclose(found.surprise, want.error.norm(dim=-1), atol=1e-12)


@pytest.mark.engine("titans-pytorch")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(("depth", "chunk"), [(1, 1), (1, 8), (2, 8)])
def test_equal_to_titans_pytorch(depth: int, chunk: int) -> None:
    """MODELS: gradient 2/d, theta per token, alpha and eta of the chunk's mean, weights renewed at each chunk."""
    import titans_pytorch

    d, T = 6, 48
    model = titans_pytorch.MemoryMLP(d, depth=depth, expansion_factor=2.0)
    theirs = titans_pytorch.NeuralMemory(
        d, chunk_size=chunk, batch_size=chunk, model=model, mem_model_norm_add_residual=False,
        default_step_transform_max_lr=0.7,
    ).double()  # fmt: skip
    x = torch.randn(2, T, d)
    read, after = theirs(x)
    with torch.no_grad():
        seen = theirs.store_norm(x)
        pooled = seen.unflatten(1, (-1, chunk)).mean(2)
        alpha = theirs.to_decay_factor[0](pooled)[..., 0].sigmoid().repeat_interleave(chunk, 1)
        eta = theirs.to_momentum[0](pooled)[..., 0].sigmoid().repeat_interleave(chunk, 1)
        theta = theirs.adaptive_step_transform(theirs.to_adaptive_step[0](seen)[..., 0]) * 2 / d
        k, v = theirs.to_keys(seen), theirs.to_values(seen)
        q = theirs.to_queries(torch.cat([torch.zeros(2, 1, d), theirs.retrieve_norm(x)], 1))
        weights = tuple(w.expand(2, -1, -1) if w.ndim == 2 else w.expand(2, *w.shape[1:])
                        for w in theirs.memory_model_parameters)  # fmt: skip
        begin = DeepState(weights, tuple(torch.zeros_like(w) for w in weights))
        ours = deep_chunk(q[:, :T], k, v, alpha, eta, theta, begin, chunk=chunk, gates="chunk", activation="gelu")
        last = perceptron(q[:, T:], ours.state.memory, "gelu")
    assert torch.allclose(torch.cat([ours.out, last], 1)[:, 1:], read, atol=1e-12)
    for got, want in zip(ours.state.memory, after.states[0].values(), strict=True):
        assert torch.allclose(got, want, atol=1e-12)
    if depth == chunk == 1:  # one token a chunk: the exact linear memory
        linear = gated_chunk(q[:, 1:], k, v, alpha, eta, theta, state=_linear(weights[0]))
        assert torch.allclose(linear.out, read, atol=1e-10)


def _linear(weight: Any) -> Any:
    from neurosim.models.kernels import MemoryState

    return MemoryState(weight, torch.zeros_like(weight))


MEMORIES: list[dict[str, Any]] = [
    {}, {"heads": 2}, {"error": "chunk_start", "chunk": 8}, {"read": "pre", "loss_scale": 1.0},
    {"depth": 2, "chunk": 8},
    {"depth": 3, "heads": 2, "chunk": 16, "activation": "gelu"}, {"gates": "chunk", "chunk": 8},
]  # fmt: skip


@pytest.mark.parametrize("options", MEMORIES, ids=str)
def test_memory_in_two_pieces_equals_one(options: dict[str, Any]) -> None:
    memory, x = NeuralMemory(12, **options), torch.randn(2, 64, 12)
    whole = memory(x)
    first = memory(x[:, :32])
    second = memory(x[:, 32:], first.state)
    assert torch.allclose(torch.cat([first.out, second.out], 1), whole.out, atol=1e-12)
    assert torch.allclose(torch.cat([first.surprise, second.surprise], -1), whole.surprise, atol=1e-12)
    assert whole.surprise.shape == (2, options.get("heads", 1), 64)


def test_surprise_is_the_norm_of_the_gradient() -> None:
    memory, x = NeuralMemory(6, loss_scale=1.0), torch.randn(1, 9, 6)
    found = memory(x)
    before = memory(x[:, :8]).state.weights.memory[0, 0].detach().requires_grad_()
    k, v = (t[0, 0, 8] for t in memory.projections(x, memory.initial_state(1).inputs)[1:3])
    (slope,) = torch.autograd.grad((k @ before - v).square().sum(), before)
    assert found.surprise[0, 0, 8].item() == pytest.approx(slope.norm().item(), rel=1e-10)


def test_rates_stay_within_the_bound_of_stability() -> None:
    """Whatever comes, 2 loss_scale theta |k|^2 < (1 + eta)(2 - alpha); a memory stays finite on one key for ever."""
    memory = NeuralMemory(6, rate=1.0, loss_scale=1.0)
    x = 100 * torch.randn(4, 50, 6)
    alpha, eta, theta = memory.rates(x)
    k = memory.projections(x, memory.initial_state(4).inputs)[1]
    assert bool((2 * theta * k.square().sum(-1) <= (1 + eta) * (2 - alpha) * (1 + 1e-12)).all())
    with torch.no_grad():
        memory.to_gates.weight.zero_()
        memory.to_gates.bias.copy_(torch.tensor([-9.0, 3.0, 9.0]))
        stays = memory(torch.ones(1, 4000, 6)).out
        assert float(stays[:, -100:].abs().max()) < 10
        memory.rate = 1.1  # the control: beyond the bound it grows
        assert not float(memory(torch.ones(1, 4000, 6)).out[:, -100:].abs().max()) < 1e3


def test_gates_learn_with_the_outer_loss() -> None:
    memory, x = NeuralMemory(6), torch.randn(2, 20, 6)
    memory(x).out.square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in memory.parameters())


def test_recall_does_not_write() -> None:
    memory, x = NeuralMemory(6), torch.randn(2, 20, 6)
    state = memory(x).state.detach()
    kept = state.weights.memory.clone()
    assert torch.equal(memory.recall(x, state), memory.recall(x, state)) and torch.equal(state.weights.memory, kept)
    assert not memory.recall(x).any()  # an empty memory


def recall(pairs: int, d: int = 32, error: str = "exact", before: int = 0) -> float:
    """Bind random keys to random ones of 64 values, four times; return the share of keys that give their value.

    ``before``: how often the same keys were bound to other values first.
    """
    keys, values = normalize(torch.randn(8, pairs, d), dim=-1), normalize(torch.randn(64, d), dim=-1)
    old, new = torch.randint(64, (2, 8, pairs))
    k = keys.repeat(1, before + 4, 1)
    v = values[torch.cat([old.repeat(1, before), new.repeat(1, 4)], 1)]
    ones = torch.ones(k.shape[:2])
    memory = gated_chunk(k, k, v, 0 * ones, None, ones, error=error).state.memory
    return ((keys @ memory) @ values.T).argmax(-1).eq(new).double().mean().item()


def test_recall_of_pairs_against_their_number() -> None:
    """Multi-query recall: all while pairs are fewer than the width, lost beyond it."""
    found = {n: recall(n) for n in (8, 16, 32, 64, 128, 256)}
    assert found[8] == found[16] == 1.0 and found[32] > 0.9 and found[64] < 0.7 and found[256] < 0.2


def test_a_key_bound_anew_gives_its_new_value_and_without_errors_the_old_one() -> None:
    assert recall(16, before=12) > 0.98
    assert recall(16, before=12, error="none") < 0.2


def test_forgetting_pays_after_the_world_has_changed() -> None:
    """Twice as many pairs as the width, the last half valid; with noise in the values momentum does not hurt recall."""
    d, n = 16, 16
    k = normalize(torch.randn(8, n, d), dim=-1)
    old, new = torch.randn(8, n, d), torch.randn(8, n, d)
    stream_k, stream_v = torch.cat([k] * 30 + [k], 1), torch.cat([old] * 30 + [new], 1)
    ones = torch.ones(stream_k.shape[:2])
    errors = {}
    for alpha in (0.0, 0.1):
        state = gated_chunk(stream_k, stream_k, stream_v, alpha * ones, None, 0.5 * ones).state
        errors[alpha] = (k @ state.memory - new).square().mean().item()
    assert errors[0.1] < errors[0.0]


def auroc(high: Any, low: Any) -> float:
    order = (high[:, None] > low).double() + 0.5 * (high[:, None] == low).double()
    return order.mean().item()


@pytest.mark.parametrize(("theta", "works"), [(0.7, True), (0.0, False)])
def test_surprise_tells_novelty_from_repeats(theta: float, works: bool) -> None:
    """A cycle of 12 known symbols with novel ones thrown in; without learning (theta = 0) surprise tells nothing."""
    d = 32
    keys, values = normalize(torch.randn(40, d), dim=-1), normalize(torch.randn(40, d), dim=-1)
    ids = torch.arange(400) % 12
    novel = torch.arange(130, 400, 10)[:28]
    ids[novel] = torch.arange(12, 12 + len(novel))
    ones = torch.ones(1, 400)
    k, v = keys[ids][None], values[ids][None]
    surprise = gated_chunk(k, k, v, 0.001 * ones, 0.1 * ones, theta * ones).error.norm(dim=-1)[0]
    seen = torch.ones(400, dtype=torch.bool)
    seen[:120] = seen[novel] = False
    found = auroc(surprise[novel], surprise[seen])
    assert found > 0.99 if works else abs(found - 0.5) < 0.15
    if works:  # it falls from cycle to cycle
        cycles = surprise[:120].view(10, 12).mean(1)
        assert float(cycles[-1]) < 0.2 * float(cycles[0])


BLOCKS = [(b, m) for b in ("MAC", "MAG", "MAL") for m in ({}, {"memory_depth": 2, "chunk": 8})]


def language(block: str = "MAC", **options: Any) -> Any:
    return BrainMimeticLM(16, 2, 4, block=block, segment=16, memory_heads=2, **options)


@pytest.mark.parametrize(("block", "options"), BLOCKS, ids=str)
def test_a_text_in_pieces_equals_the_text(block: str, options: dict[str, Any]) -> None:
    model, ids = language(block, **options), torch.randint(256, (2, 150))
    whole = model(ids)
    exact = not options or block == "MAC"  # else pieces have to end with a chunk
    for cuts in ((64, 86), (50, 100), (1, 149)) if exact else ((64, 86),):
        state, logits, surprise = None, [], []
        for piece in ids.split(cuts, 1):
            found = model(piece, state)
            state = found.state
            logits.append(found.logits)
            surprise.append(found.surprise)
        assert torch.allclose(torch.cat(logits, 1), whole.logits, atol=1e-10)
        assert torch.allclose(torch.cat(surprise, -1), whole.surprise, atol=1e-10)


@pytest.mark.parametrize("block", ["MAC", "MAG", "MAL"])
def test_no_byte_sees_the_future(block: str) -> None:
    model, ids = language(block), torch.randint(256, (1, 70))
    other = ids.clone()
    other[0, 40] = (other[0, 40] + 1) % 256
    a, b = model(ids).logits, model(other).logits
    assert torch.equal(a[:, :40], b[:, :40]) and not torch.equal(a[:, 40:], b[:, 40:])


@pytest.mark.parametrize("block", ["MAC", "MAG", "MAL"])
def test_memory_reaches_beyond_the_segment_and_a_reset_one_does_not(block: str) -> None:
    """Two windows of attention, one behind the other, reach two segments back; beyond them is the memory alone."""
    ids = torch.randint(256, (1, 64))
    other = ids.clone()
    other[0, 3] = (other[0, 3] + 1) % 256
    for reset in (False, True):
        model = language(block, reset=reset)
        changed = (model(ids).logits - model(other).logits).detach().abs().amax(-1)[0]
        assert float(changed[3:16].max()) > 0
        assert (float(changed[16 if block == "MAC" else 48 :].max()) == 0) == reset


def test_training_and_sampling() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, text = BrainMimeticLM(32, 1, 2, segment=16), encode("to be or not to be. " * 40)
    gen = torch.Generator().manual_seed(0)

    def batches() -> Any:
        while True:
            first = torch.randint(len(text) - 65, (8,), generator=gen)
            yield torch.stack([text[i : i + 65] for i in first.tolist()])

    losses = train(model, batches(), 60, lr=1e-2)
    assert losses[0] == pytest.approx(8, abs=0.2) and losses[-1] < 1.5
    bits = bits_per_byte(model, text[None, :300], piece=64)
    assert bits.shape == (1, 299) and float(bits[0, 64:].mean()) < 1.5
    said, _ = sample(model, text[:20], 40, temperature=0)
    again, _ = sample(model, text[:20], 40, temperature=0)
    assert torch.equal(said, again) and "be" in decode(said)


def test_weights_and_states_in_files(tmp_path: Path) -> None:
    model, ids = language(), torch.randint(256, (2, 40))
    state = model(ids).state
    save(model, tmp_path / "weights.safetensors")
    save_state(state, tmp_path / "state.safetensors")
    other = language()
    like = other(torch.zeros_like(ids)).state
    load(other, tmp_path / "weights.safetensors")
    kept = load_state(like, tmp_path / "state.safetensors")
    assert torch.equal(model(ids, state).logits, other(ids, kept).logits)
    with pytest.raises(ResultFileError, match="does not hold the weights of this module: 'layers.0"):
        load(language("MAG", memory_depth=2), tmp_path / "weights.safetensors")
    with pytest.raises(ResultFileError, match="cannot be read as a safetensors file"):
        load(other, tmp_path / "none.safetensors")


def test_the_page_of_surprise() -> None:
    page = surprise_page("a<é", [0.0, 0.5, 1.0, 1.0], high=1.0)
    assert 'rgba(220,40,40,0.00)" title="0">a<' in page and 'rgba(220,40,40,0.50)" title="0.5">&lt;<' in page
    assert 'rgba(220,40,40,1.00)" title="1">é<' in page
    with pytest.raises(ParameterError, match="4 bytes and 3 numbers"):
        surprise_page("a<é", [0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"heads": 5}, "dim=12 is no multiple of heads=5: choose another, or give head_dim"),
        ({"rate": 1.5}, "rate is 1.5; it is a fraction of the bound of stability, above 0 and at most 1"),
        ({"gates": "segment"}, "gates is 'segment'; known: token, chunk"),
        ({"depth": 2, "error": "exact"}, "error='exact' is for matrices with gates per token: take depth=1 and "
                                         "gates='token'"),
    ],
)  # fmt: skip
def test_what_a_memory_refuses(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        NeuralMemory(12, **options)
    assert caught.value.message == says


def test_bits_of_an_untrained_model_are_eight() -> None:
    assert bits_per_byte(language(), torch.randint(256, (1, 200)), piece=70).mean().item() == pytest.approx(8, abs=0.1)
    assert math.isclose(float(encode("é")[0]), 0xC3)
