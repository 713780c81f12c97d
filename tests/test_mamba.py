"""Mamba, Mamba-2 and Jamba: scans, steps, states; mambapy, transformers and SciPy as oracles; selective copying."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from scipy.signal import cont2discrete

from neurosim.errors import ParameterError

if importlib.util.find_spec("torch"):
    import torch
    from torch.nn.functional import cross_entropy

    from neurosim.models.kernels import scan_step, selective_scan
    from neurosim.models.kernels.selective_scan import held_input
    from neurosim.models.mamba import JambaLM, Mamba2Block, MambaBlock, MambaClassifier, MambaLM

pytestmark = [pytest.mark.engine("torch"), pytest.mark.usefixtures("double_tensors")]


def scan_inputs(L: int = 150, D: int = 37, N: int = 5) -> list[Any]:
    """x, delta, A, B, C, state of two sequences; more than one chunk, and channels that fill no block."""
    x, B, C = torch.randn(2, L, D), torch.randn(2, L, N), torch.randn(2, L, N)
    return [x, 0.1 * torch.rand(2, L, D) + 0.001, -16 * torch.rand(D, N) - 0.1, B, C, torch.randn(2, D, N)]


@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_the_scan_equals_its_step(engine: str) -> None:
    x, delta, A, B, C, h = scan_inputs()
    y, last = selective_scan(x, delta, A, B, C, h, engine=engine)
    for t in range(x.shape[1]):
        one, h = scan_step(x[:, t], delta[:, t], A, B[:, t], C[:, t], h)
        assert torch.allclose(y[:, t], one, rtol=1e-10, atol=1e-12)
    assert torch.allclose(last, h, rtol=1e-10, atol=1e-12)


def test_gradients_of_the_compiled_scan() -> None:
    """Those of the loop; and finite differences, of inputs that do not fill a chunk."""
    found = []
    for engine in ("torch", "numba"):
        torch.manual_seed(1)
        given = [x.requires_grad_() for x in scan_inputs()]
        y, h = selective_scan(*given, engine=engine)
        (y.square().sum() + h.pow(3).sum()).backward()
        found.append([x.grad for x in given])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9)
    given = [x.requires_grad_() for x in scan_inputs(L=5, D=3, N=2)]
    assert torch.autograd.gradcheck(lambda *x: selective_scan(*x, engine="numba"), given)


def test_single_precision_of_the_compiled_scan() -> None:
    given = scan_inputs(L=500)
    want, _ = selective_scan(*given, engine="torch")
    got, last = selective_scan(*(x.float() for x in given), engine="numba")
    assert got.dtype == last.dtype == torch.float32
    assert float((got - want).abs().max() / want.abs().max()) < 1e-6


def test_its_exponential() -> None:
    """exp(delta A) read through a scan of one token: within 3e-7 from -80 to 0, and no overflow beyond."""
    z, one = torch.linspace(-80, 0, 40001).float()[None, None], torch.ones(1, 1, 1).float()
    far = torch.full((1, 1, 4), 1e4).float()

    def decayed(delta: Any) -> Any:
        ones = torch.ones(1, delta.shape[-1], 1).float()
        return selective_scan(0 * delta, delta, -ones[0], 0 * one, one, ones, engine="numba")[0]

    assert float((decayed(-z).double() / torch.exp(z.double()) - 1).abs().max()) < 3e-7
    assert 0 <= float(decayed(far).max()) < 1e-37


def test_zero_order_hold_is_that_of_scipy() -> None:
    A, B = -4 * torch.rand(1, 6) - 0.1, torch.randn(1, 6)
    for delta in (1e-3, 0.05, 2.0):
        a, b, *_ = cont2discrete((np.diag(A[0]), B.numpy().T, np.eye(6), np.zeros((6, 1))), delta, method="zoh")
        step = torch.full((1, 1), delta)
        assert np.allclose(torch.exp(step[..., None] * A)[0, 0].numpy(), np.diag(a), rtol=1e-12)
        assert np.allclose(held_input(step, A, B, "zoh")[0, 0].numpy(), b[:, 0], rtol=1e-10)
    zero = held_input(torch.full((1, 1), 0.3), torch.zeros(1, 1), torch.ones(1, 1), "zoh")
    assert zero.item() == pytest.approx(0.3)  # the limit of a state that does not leak


BLOCKS = [("mamba", {}), ("mamba", {"method": "zoh"}), ("mamba", {"norms": True, "engine": "torch"}),
          ("mamba", {"selective": False}), ("mamba2", {}), ("mamba2", {"groups": 2, "chunk": 8})]  # fmt: skip


def block(kind: str, options: dict[str, Any]) -> Any:
    return MambaBlock(16, 4, **options) if kind == "mamba" else Mamba2Block(16, 8, head_dim=8, **options)


@pytest.mark.parametrize(("kind", "options"), BLOCKS, ids=str)
def test_a_sequence_in_pieces_equals_the_sequence(kind: str, options: dict[str, Any]) -> None:
    layer, x = block(kind, options), torch.randn(2, 90, 16)
    whole, last = layer(x)
    state, outs = None, []
    for piece in x.split((1, 40, 2, 47), 1):
        y, state = layer(piece, state)
        outs.append(y)
    assert torch.allclose(torch.cat(outs, 1), whole, atol=1e-10)
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(state, last, strict=True))


@pytest.mark.parametrize("options", [{}, {"method": "zoh"}, {"norms": True}], ids=str)
def test_scan_equals_step(options: dict[str, Any]) -> None:
    layer, x = MambaBlock(16, 4, **options), torch.randn(2, 40, 16)
    want, _ = layer(x)
    state = layer.initial_state(x)
    for t in range(40):
        y, state = layer.step(x[:, t], state)
        assert torch.allclose(y, want[:, t], atol=1e-10)


def test_the_choice_of_method_and_input_matters() -> None:
    x = torch.randn(2, 40, 16)
    euler = MambaBlock(16, 4)
    zoh = MambaBlock(16, 4, method="zoh")
    zoh.load_state_dict(euler.state_dict())
    assert not torch.allclose(euler(x)[0], zoh(x)[0], rtol=1e-3)


def copy(ours: Any, theirs: Any, names: dict[str, str] | None = None) -> None:
    """Draw weights for an oracle's module and give the same to ours."""
    state = theirs.state_dict()
    ours.load_state_dict({(names or {}).get(name, name): value.to(torch.float64) for name, value in state.items()})


@pytest.mark.engine("mambapy")
@pytest.mark.parametrize("norms", [False, True])
def test_equal_to_mambapy(norms: bool) -> None:
    from mambapy.mamba import MambaBlock as Theirs
    from mambapy.mamba import MambaConfig

    theirs = Theirs(MambaConfig(d_model=16, n_layers=1, d_state=4, inner_layernorms=norms, rms_norm_eps=1e-6)).double()
    ours, x = MambaBlock(16, 4, norms=norms), torch.randn(2, 50, 16)
    copy(ours, theirs, {"B_layernorm.weight": "b_layernorm.weight", "C_layernorm.weight": "c_layernorm.weight"})
    within = 1e-10 if not norms else 1e-6  # its norms compute in single precision, as does A
    theirs.config.pscan = False
    assert torch.allclose(ours(x)[0], theirs(x), atol=1e-7)
    cache = (None, torch.zeros(2, 32, 3))
    state = ours.initial_state(x)
    for t in range(10):
        y, cache = theirs.step(x[:, t], cache)
        mine, state = ours.step(x[:, t], state)
        assert torch.allclose(mine, y, atol=max(within, 1e-7))


@pytest.mark.engine("transformers")
def test_equal_to_transformers_mamba() -> None:
    from transformers.models.mamba.modeling_mamba import MambaConfig, MambaMixer

    config = MambaConfig(hidden_size=16, state_size=4, num_hidden_layers=1, time_step_rank=3)
    theirs = MambaMixer(config, 0).double().eval()
    ours, x = MambaBlock(16, 4, rank=3), torch.randn(2, 50, 16)
    copy(ours, theirs)
    with torch.no_grad():
        assert torch.allclose(ours(x)[0], theirs(x), atol=1e-6)  # A and D are single precision there


@pytest.mark.engine("transformers")
@pytest.mark.parametrize("groups", [1, 2])
def test_equal_to_transformers_mamba2(groups: int) -> None:
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Config, Mamba2Mixer

    config = Mamba2Config(hidden_size=16, state_size=8, num_heads=4, head_dim=8, n_groups=groups, num_hidden_layers=1,
                          chunk_size=16)  # fmt: skip
    theirs = Mamba2Mixer(config, 0).eval().float()
    ours, x = Mamba2Block(16, 8, head_dim=8, groups=groups), torch.randn(2, 50, 16)
    copy(ours, theirs)
    with torch.no_grad():
        want = theirs(x.float()).double()
        assert torch.allclose(ours(x)[0], want, atol=1e-5 * float(want.abs().max()))


@pytest.mark.engine("transformers")
def test_equal_to_transformers_jamba() -> None:
    from transformers import JambaConfig, JambaForCausalLM

    config = JambaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=8, num_attention_heads=4,
        num_key_value_heads=2, num_experts=4, num_experts_per_tok=2, mamba_d_state=4,
        mamba_dt_rank=2, pad_token_id=0, attn_implementation="eager", experts_implementation="eager",
    )  # fmt: skip
    theirs = JambaForCausalLM(config).double().eval()
    ours = JambaLM(32, 8, 4, shared_heads=2, inner=48, experts=4, vocabulary=64, state=4)
    ours.load_state_dict(jamba_names(theirs.state_dict(), ours))
    ids = torch.randint(64, (2, 40))
    with torch.no_grad():
        assert torch.allclose(ours(ids).logits, theirs(ids).logits, atol=1e-6)


def jamba_names(state: dict[str, Any], ours: Any) -> dict[str, Any]:
    """Rename the oracle's weights; its experts are stacked: (experts, 2 inner, dim) and (experts, dim, inner)."""
    out = {}
    for name, value in state.items():
        name = name.replace("model.embed_tokens", "embedding").replace("lm_head", "head")
        name = name.replace("model.final_layernorm", "norm")
        if name.startswith("model.layers."):
            _, _, i, rest = name.split(".", 3)
            for old, new in (
                ("mamba.", f"mixers.{i}."), ("self_attn.", f"mixers.{i}."), ("feed_forward.", f"inners.{i}."),
                ("input_layernorm", f"norm_mixers.{i}"), ("pre_ff_layernorm", f"norm_inners.{i}"),
            ):  # fmt: skip
                if rest.startswith(old):
                    name = rest.replace(old, new, 1)
        if name.endswith("experts.gate_up_proj"):
            for e, w in enumerate(value):
                gate, up = w.chunk(2)
                root = name.replace("gate_up_proj", f"{e}.")
                out |= {f"{root}gate_proj.weight": gate, f"{root}up_proj.weight": up}
        elif name.endswith("experts.down_proj"):
            out |= {f"{name.replace('down_proj', str(e))}.down_proj.weight": w for e, w in enumerate(value)}
        else:
            out[name] = value
    return out


def test_jambas_pattern_and_cache() -> None:
    model = JambaLM(16, 16, 4)
    assert [i for i, kind in enumerate(model.pattern) if kind == "attention"] == [4, 12]
    assert [i for i, m in enumerate(model.inners) if type(m).__name__ == "Experts"] == list(range(1, 16, 2))
    ids = torch.randint(256, (2, 30))
    whole = model(ids)
    state, outs = None, []
    for piece in ids.split((7, 1, 22), 1):
        found = model(piece, state)
        state = found.state
        outs.append(found.logits)
    assert torch.allclose(torch.cat(outs, 1), whole.logits, atol=1e-10)
    keys = sum(s.keys.numel() for s in state if hasattr(s, "keys") and not callable(s.keys))
    every = 16 * state[4].keys.numel()
    assert keys * 8 == every  # an eighth of what attention in every layer would keep


def test_experts_are_those_that_the_router_picks() -> None:
    experts = JambaLM(16, 2, 4, experts=3, top=1).inners[1]
    x = torch.randn(5, 16)
    best = experts.router(x).softmax(-1).max(-1)
    want = torch.stack([p * experts.experts[int(e)](t) for t, p, e in zip(x, best.values, best.indices, strict=True)])
    assert torch.allclose(experts(x), want, atol=1e-12)


def selective_copy(batch: int, tokens: int, length: int, gen: Any) -> tuple[Any, Any]:
    """Return ids and symbols: 2..9 at random places among blanks (0), then as many signs (1) to recall them at."""
    place = torch.rand(batch, length, generator=gen).argsort(-1)[:, :tokens].sort(-1).values
    symbols = torch.randint(2, 10, (batch, tokens), generator=gen)
    ids = torch.zeros(batch, length, dtype=torch.long).scatter(1, place, symbols)
    return torch.cat([ids, torch.ones(batch, tokens, dtype=torch.long)], 1), symbols


def learn_to_copy(steps: int, **options: Any) -> float:
    """Train one layer on two symbols among 24 places; return the share of symbols recalled."""
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    gen = torch.Generator().manual_seed(0)
    model = MambaLM(32, 1, vocabulary=10, **options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        ids, symbols = selective_copy(32, 2, 24, gen)
        loss = cross_entropy(model(ids).logits[:, -2:].flatten(0, 1), symbols.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    ids, symbols = selective_copy(500, 2, 24, gen)
    with torch.no_grad():
        return model(ids).logits[:, -2:].argmax(-1).eq(symbols).double().mean().item()


def test_selective_copying_and_its_time_invariant_twin() -> None:
    """Chance is 0.125. (At length: scripts/evidence mamba.)"""
    chosen, fixed = learn_to_copy(200), learn_to_copy(200, selective=False)
    assert chosen > 0.95 and fixed < 0.75


def test_a_classifier_ignores_what_is_beyond_a_sequence() -> None:
    model, x = MambaClassifier(5, 3, dim=16, depth=1), torch.randn(2, 20, 5)
    other = x.clone()
    other[1, 12:] = 7.0
    length = torch.tensor([20, 12])
    assert torch.allclose(model(x, length), model(other, length), atol=1e-12)
    assert not torch.allclose(model(x), model(other))


@pytest.mark.parametrize("kind", ["mamba", "mamba2"])
def test_no_token_sees_the_future(kind: str) -> None:
    model, ids = MambaLM(16, 2, mixer=kind), torch.randint(256, (1, 40))
    other = ids.clone()
    other[0, 25] = (other[0, 25] + 1) % 256
    a, b = model(ids).logits, model(other).logits
    assert torch.equal(a[:, :25], b[:, :25]) and not torch.equal(a[:, 25:], b[:, 25:])


def test_what_is_refused() -> None:
    x, delta, A, B, C, h = scan_inputs(L=3)
    with pytest.raises(ParameterError, match="known methods: euler, zoh, engines: auto, torch, numba"):
        selective_scan(x, delta, A, B, C, h, method="tustin")
    with pytest.raises(ParameterError, match="this is 'zoh' on cpu in torch.float64: take engine='torch'"):
        selective_scan(x, delta, A, B, C, h, method="zoh", engine="numba")
    with pytest.raises(ParameterError, match="32 channels .* are no whole number of heads of 12 in 1 groups"):
        Mamba2Block(16, head_dim=12)
    with pytest.raises(ParameterError, match="mixer is 'mamba3'; known: mamba, mamba2"):
        MambaLM(16, 1, mixer="mamba3")
    with pytest.raises(ParameterError, match="top=5 of 4 experts"):
        JambaLM(16, 2, top=5)
