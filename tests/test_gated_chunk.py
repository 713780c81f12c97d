"""The kernel of matrix memories: chunks equal the loop, gradients, limits, and where it has to diverge."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

from neurosim.errors import ParameterError

if importlib.util.find_spec("torch"):
    import torch
    from torch.nn.functional import normalize

    from neurosim.models.kernels import MemoryState, decay_matrix, gated_chunk, gated_loop

pytestmark = pytest.mark.engine("torch")
MODES = [(error, read) for error in ("exact", "chunk_start", "none") for read in ("post", "pre")]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """These tensors are small: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tokens(T: int = 300, d: int = 6, d_v: int = 5, lead: tuple[int, ...] = (2,), seed: int = 0) -> list[Any]:
    """Return q, k, v, alpha, eta, theta: unit keys, random gates, well inside the bound of stability."""
    gen = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Any:
        return torch.randn(*lead, *shape, generator=gen, dtype=torch.float64)

    def uniform(high: float) -> Any:
        return high * torch.rand(*lead, T, generator=gen, dtype=torch.float64)

    return [normal(T, d), normalize(normal(T, d), dim=-1), normal(T, d_v), uniform(0.3), uniform(1.0), uniform(0.8)]


def start(d: int = 6, d_v: int = 5, lead: tuple[int, ...] = (2,), seed: int = 9) -> Any:
    gen = torch.Generator().manual_seed(seed)
    return MemoryState(*(torch.randn(*lead, d, d_v, generator=gen, dtype=torch.float64) for _ in range(2)))


def apart(a: Any, b: Any) -> float:
    return float((a - b).abs().max() / b.abs().max())


def equal(got: Any, want: Any, within: float = 1e-10) -> None:
    assert apart(got.out, want.out) < within and apart(got.error, want.error) < within
    assert apart(got.state.memory, want.state.memory) < within
    if want.state.momentum is not None:
        assert apart(got.state.momentum, want.state.momentum) < within


@pytest.mark.parametrize("chunk", [1, 8, 64, 256])
@pytest.mark.parametrize(("error", "read"), MODES)
def test_chunks_equal_the_loop(error: str, read: str, chunk: int) -> None:
    given, begin = tokens(), start()  # 300 tokens: the last chunk is a part of one
    options = {"state": begin, "chunk": chunk, "error": error, "read": read}
    equal(gated_chunk(*given, **options), gated_loop(*given, **options))


@pytest.mark.parametrize(("error", "read"), MODES)
def test_without_momentum(error: str, read: str) -> None:
    given, begin = tokens(), MemoryState(start().memory, None)
    given[4] = None
    options = {"state": begin, "chunk": 32, "error": error, "read": read}
    equal(gated_chunk(*given, **options), gated_loop(*given, **options))


def test_exact_does_not_depend_on_the_chunk_and_chunk_start_does() -> None:
    given = tokens()
    exact, start_16 = gated_chunk(*given, chunk=8), gated_chunk(*given, chunk=16, error="chunk_start")
    equal(gated_chunk(*given, chunk=100), exact)
    assert apart(start_16.out, exact.out) > 0.05
    equal(gated_chunk(*given, chunk=1, error="chunk_start"), exact)


@pytest.mark.parametrize("error", ["exact", "chunk_start"])
def test_two_halves_with_the_state_between_equal_one_pass(error: str) -> None:
    given, begin = tokens(T=128), start()
    whole = gated_chunk(*given, state=begin, chunk=32, error=error)
    first = gated_chunk(*(x[:, :64] if x.ndim > 1 else x for x in given), state=begin, chunk=32, error=error)
    second = gated_chunk(*(x[:, 64:] for x in given), state=first.state, chunk=32, error=error)
    assert apart(torch.cat([first.out, second.out], 1), whole.out) < 1e-12
    assert apart(second.state.memory, whole.state.memory) < 1e-12


@pytest.mark.parametrize(("error", "read"), MODES)
def test_gradients(error: str, read: str) -> None:
    """Against finite differences: all inputs and both parts of the state; 5 tokens in chunks of 2."""
    given = [x.requires_grad_() for x in (*tokens(T=5, d=3, d_v=2, lead=(1,)), *start(3, 2, (1,)))]

    def run(*x: Any) -> Any:
        found = gated_chunk(*x[:6], state=MemoryState(*x[6:]), chunk=2, error=error, read=read)
        return found.out, *found.state, found.error

    assert torch.autograd.gradcheck(run, given)


def test_gradients_of_the_loop_and_the_chunks_agree_at_length() -> None:
    found = []
    for function in (gated_loop, gated_chunk):
        given = [x.requires_grad_() for x in tokens()]
        function(*given, state=start(), chunk=64).out.square().sum().backward()
        found.append([x.grad for x in given])
    assert all(apart(a, b) < 1e-10 for a, b in zip(*found, strict=True))


def test_gates_may_be_exactly_zero_and_one() -> None:
    """A gate of 0 has a finite gradient, and cuts the past off."""
    given, begin = tokens(), start()
    given[3][:, 40] = 1.0  # all is forgotten
    given[4][:, ::3] = 0.0
    options = {"state": begin, "chunk": 64}
    equal(gated_chunk(*given, **options), gated_loop(*given, **options))
    gate = torch.tensor([0.5, 0.0, 0.7], dtype=torch.float64, requires_grad=True)
    P, from_start = decay_matrix(gate)
    assert P.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0.7, 1]] and from_start.tolist() == [0.5, 0, 0]
    assert torch.autograd.gradcheck(decay_matrix, gate)


def test_heads_share_what_is_broadcast() -> None:
    """Mamba-2: all heads of a group have the same queries and keys."""
    q, k, v, alpha, eta, theta = tokens(lead=(2, 3))
    one = gated_chunk(q[:, :1], k[:, :1], v, alpha, eta, theta)
    same = gated_chunk(q[:, :1].expand_as(q), k[:, :1].expand_as(k), v, alpha, eta, theta)
    equal(one, same, 1e-14)
    alone = gated_chunk(q[:, 0], k[:, 0], v[:, 2], alpha[:, 2], eta[:, 2], theta[:, 2])
    assert apart(one.out[:, 2], alone.out) < 1e-12


def test_deltanet_is_the_limit_without_forgetting_and_momentum() -> None:
    """M_t = M_{t-1} (I - beta k k^T) + beta v k^T, in the column form of arXiv 2406.06484, eq. 3."""
    q, k, v, alpha, _, beta = tokens(T=50)
    found = gated_chunk(q, k, v, 0 * alpha, None, beta, chunk=16)
    S = torch.zeros(2, 5, 6, dtype=torch.float64)
    for t in range(50):
        kt, b = k[:, t, :, None], beta[:, t, None, None]
        S = S @ (torch.eye(6, dtype=torch.float64) - b * kt @ kt.mT) + b * v[:, t, :, None] @ kt.mT
        assert torch.allclose(found.out[:, t], (S @ q[:, t, :, None])[..., 0], atol=1e-12)


def test_without_errors_it_is_attention_with_a_decay_mask() -> None:
    """Mamba-2's duality: y = (L * Q K^T) V, L[t,s] the product of the decays in between."""
    q, k, v, alpha, _, theta = tokens(T=40)
    mask, _ = decay_matrix(1 - alpha)
    want = (mask * (q @ k.mT)) @ (theta[..., None] * v)
    assert apart(gated_chunk(q, k, v, alpha, None, theta, chunk=8, error="none").out, want) < 1e-12


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("eta", [0.0, 0.5, 0.9])
def test_the_bound_of_stability(alpha: float, eta: float) -> None:
    """0 < theta |k|^2 < (1 + eta)(2 - alpha): just below it errors stay, just above they grow without bound."""
    ones = torch.ones(1, 3000, dtype=torch.float64)
    k = ones[..., None]
    grew = []
    for near in (0.99, 1.01):
        theta = near * (1 + eta) * (2 - alpha) * ones
        found = gated_chunk(k, k, k, alpha * ones, eta * ones, theta, chunk=50)
        grew.append(not bool(found.error[0, -1].abs() < 10))
    assert grew == [False, True]


def test_single_precision_stays_single_and_close() -> None:
    given = tokens()
    exact = gated_chunk(*given, chunk=64)
    single = gated_chunk(*(x.float() for x in given), chunk=64)
    assert single.out.dtype == single.state.memory.dtype == torch.float32
    assert apart(single.out.double(), exact.out) < 1e-5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"read": "after"}, "read is 'after'; known: post, pre"),
        ({"error": "Exact"}, "error is 'Exact'; known: exact, chunk_start, none"),
        ({"chunk": 0}, "chunk is 0; it is a number of tokens, at least 1"),
    ],
)
def test_what_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        gated_chunk(*tokens(T=4), **change)
    assert caught.value.message == says


def test_shapes_and_states_that_do_not_fit_are_refused() -> None:
    q, k, v, alpha, eta, theta = tokens(T=4)
    with pytest.raises(ParameterError, match=r"keys \(2, 3, 6\), values \(2, 4, 5\): these have to be"):
        gated_chunk(q, k[:, :3], v, alpha, eta, theta)
    with pytest.raises(ParameterError, match="give both or neither"):
        gated_chunk(q, k, v, alpha, None, theta, state=start())
