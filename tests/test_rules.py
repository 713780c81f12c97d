"""Connection rules: order, exact numbers, distributions, and that no piece size changes an edge."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosim as ns
from neurosim.errors import ConnectivityError, EquationError, UnknownNameError
from neurosim.ir.program import Builder, Program
from neurosim.ir.random import Draws
from neurosim.ir.rules import (
    AllToAll,
    DistanceDependent,
    EdgeContext,
    EdgeList,
    FixedInDegree,
    FixedOutDegree,
    FixedProbability,
    FixedTotalNumber,
    OneToOne,
    Rule,
    Where,
    base,
    batched,
    degree,
    from_matrix,
    pairwise,
    total,
)
from neurosim.units import ms


def context(n_pre, n_post, same=False, seed=1, chunk=2_000_000, **more) -> EdgeContext:
    """``same``: the first min(n_pre, n_post) neurons of both groups are the same, in opposite order."""
    ids = {"pre_ids": np.arange(n_pre), "post_ids": np.arange(n_post)[::-1].copy()} if same else {}
    return EdgeContext(n_pre, n_post, lambda name: Draws(seed, name), chunk=chunk, **ids, **more)


def edges(rule: Rule, ctx: EdgeContext) -> tuple[np.ndarray, np.ndarray]:
    pieces = list(rule.edges(ctx))
    for pre, post in pieces:
        assert pre.dtype == post.dtype == np.uint32 and pre.shape == post.shape
        assert len(pre) <= ctx.chunk
    none = np.empty(0, dtype=np.uint32)
    pre = np.concatenate([p for p, _ in pieces] or [none]).astype(np.int64)
    post = np.concatenate([p for _, p in pieces] or [none]).astype(np.int64)
    assert not len(pre) or (pre.max() < ctx.n_pre and post.max() < ctx.n_post)
    return pre, post


def is_sorted(major, minor) -> bool:
    key = major * (2**31) + minor
    return bool((np.diff(key) > 0).all())


def expression(op: str, *names: str | float) -> Program:
    b = Builder()
    values = [b.emit("param", attr=n) if isinstance(n, str) else b.const(n) for n in names]
    return b.build(b.emit(op, *values))


POSITIONS = np.random.Generator(np.random.PCG64(0)).random((60, 3)) * 1e-3
LOCATED = {"pre_positions": POSITIONS, "post_positions": POSITIONS}

EVERY = [
    AllToAll(),
    AllToAll(autapses=False),
    OneToOne(),
    FixedProbability(0.0),
    FixedProbability(0.07),
    FixedProbability(0.6, autapses=False),
    FixedProbability(1.0),
    *(FixedInDegree(k, a, m) for k in (0, 1, 3, 25, 40, 59) for a in (True, False) for m in (True, False)),
    *(FixedOutDegree(k, a, m) for k in (2, 31) for a in (True, False) for m in (True, False)),
    *(FixedTotalNumber(n, a, m) for n in (0, 1, 900, 3000) for a in (True, False) for m in (True, False)),
    DistanceDependent("gaussian", sigma=3e-4, p0=0.8),
    DistanceDependent("exponential", sigma=3e-4, max_distance=4e-4, autapses=False),
    DistanceDependent("constant", p0=0.3, max_distance=2e-4),
    DistanceDependent(expression("div", 1e-4, "distance"), autapses=False),
    Where(expression("lt", "i", "j"), expression("mul", "i", 0.01)),
    Where(None, None, autapses=False),
    EdgeList([3, 1, 3], [0, 59, 0]),
]


@pytest.mark.parametrize("rule", EVERY, ids=Rule.describe)
def test_pieces_do_not_matter(rule, monkeypatch):
    """Neither the size of the pieces asked for nor that of the blocks worked on changes an edge, nor the order."""
    want = edges(rule, context(60, 60, same=True, **LOCATED))
    assert len(want[0]) <= rule.expected(60, 60) * 1.3 + 20
    for chunk, block in ((7, 1 << 16), (100, 37), (61, 1000)):
        for module in (base, pairwise, degree, total):
            monkeypatch.setattr(module, "BLOCK", block)
        monkeypatch.setattr(base.pairs_of, "__defaults__", (block,))
        ctx = context(60, 60, same=True, chunk=chunk, **LOCATED)
        got = edges(rule, ctx)
        assert np.array_equal(got[0], want[0]) and np.array_equal(got[1], want[1])
        sizes = [len(p) for p, _ in rule.edges(ctx)]
        assert all(s == chunk for s in sizes[:-1])


@pytest.mark.parametrize("rule", EVERY, ids=Rule.describe)
def test_autapses_and_multapses_are_as_asked(rule):
    ctx = context(60, 60, same=True, **LOCATED)
    pre, post = edges(rule, ctx)
    itself = ctx.pre_ids[pre] == ctx.post_ids[post]
    if not getattr(rule, "autapses", True):
        assert not itself.any()
    if not getattr(rule, "multapses", isinstance(rule, EdgeList)):
        order = (post, pre) if isinstance(rule, FixedInDegree) else (pre, post)
        assert is_sorted(*order)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 150), st.booleans(), st.booleans(), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_numbers_are_exact(n_pre, n_post, k, autapses, multapses, seed):
    ctx = context(n_pre, n_post, same=True, seed=seed, chunk=5)
    shared = min(n_pre, n_post)
    assert ctx.autapses == shared
    for rule, rows, others in (
        (FixedInDegree(k, autapses, multapses), n_post, n_pre),
        (FixedOutDegree(k, autapses, multapses), n_pre, n_post),
    ):
        choice = others - (0 if autapses else 1)
        if k and (choice < 1 or (not multapses and k > choice)):
            with pytest.raises(ConnectivityError, match="more than the"):
                edges(rule, ctx)
            continue
        pre, post = edges(rule, ctx)
        major = post if isinstance(rule, FixedInDegree) else pre
        assert np.array_equal(major, np.repeat(np.arange(rows), k))
        assert len(pre) == rule.expected(n_pre, n_post)
        if not autapses:
            assert not ctx.is_autapse(pre, post).any()
        if not multapses:
            assert len(set(zip(pre.tolist(), post.tolist(), strict=True))) == len(pre)
    rule = FixedTotalNumber(k, autapses, multapses)
    pairs = n_pre * n_post - (0 if autapses else shared)
    if k and (pairs == 0 or (not multapses and k > pairs)):
        with pytest.raises(ConnectivityError, match="more than the"):
            edges(rule, ctx)
        return
    pre, post = edges(rule, ctx)
    assert len(pre) == k == rule.expected(n_pre, n_post)
    if not autapses:
        assert not ctx.is_autapse(pre, post).any()
    if not multapses:
        assert is_sorted(pre, post)


def test_all_to_all_is_by_source_then_target():
    pre, post = edges(AllToAll(), context(3, 2))
    assert pre.tolist() == [0, 0, 1, 1, 2, 2] and post.tolist() == [0, 1, 0, 1, 0, 1]
    pre, post = edges(AllToAll(autapses=False), context(2, 2, same=True))  # source 0 is target 1
    assert pre.tolist() == [0, 1] and post.tolist() == [0, 1]
    assert len(edges(AllToAll(autapses=False), context(3, 2))[0]) == 6


def test_groups_that_overlap_in_part():
    ctx = EdgeContext(3, 4, lambda n: Draws(1, n), pre_ids=np.array([5, 6, 7]), post_ids=np.array([9, 7, 8, 5]))
    assert ctx.self_post.tolist() == [3, -1, 1] and ctx.self_pre.tolist() == [-1, 2, -1, 0] and ctx.autapses == 2
    pre, post = edges(FixedOutDegree(3, autapses=False, multapses=False), ctx)
    chosen = {i: set(post[pre == i]) for i in range(3)}
    assert chosen[0] == {0, 1, 2} and chosen[2] == {0, 2, 3} and len(chosen[1]) == 3
    assert len(edges(AllToAll(autapses=False), ctx)[0]) == 10


def test_one_to_one():
    pre, post = edges(OneToOne(), context(5, 5))
    assert np.array_equal(pre, np.arange(5)) and np.array_equal(post, np.arange(5))
    with pytest.raises(ConnectivityError, match="3 sources and 5 targets; connect a slice"):
        OneToOne().check(3, 5)


@pytest.mark.parametrize(
    ("n_pre", "n_post", "p"), [(400, 500, 0.1), (7, 30_000, 0.02), (2000, 50, 0.7), (900, 900, 1e-3)]
)
def test_fixed_probability_is_bernoulli(n_pre, n_post, p):
    pre, post = edges(FixedProbability(p), context(n_pre, n_post))
    assert is_sorted(pre, post)
    n = n_pre * n_post
    assert abs(len(pre) - n * p) < 4 * math.sqrt(n * p * (1 - p))
    for index, size, trials in ((pre, n_pre, n_post), (post, n_post, n_pre)):  # degrees are binomial
        degree = np.bincount(index, minlength=size)
        spread = degree.var() / (trials * p * (1 - p))
        assert abs(spread - 1) < 5 * math.sqrt(2.5 / size) + 4 / math.sqrt(size * trials * p)


def test_fixed_probability_pairs_are_independent():
    """All 16 subsets of four targets are drawn in proportion."""
    pre, post = edges(FixedProbability(0.3), context(20_000, 4))
    subset = np.bincount(pre, weights=1 << post, minlength=20_000).astype(int)
    counts = np.bincount(subset, minlength=16)
    sizes = np.array([bin(s).count("1") for s in range(16)])
    want = 20_000 * 0.3**sizes * 0.7 ** (4 - sizes)
    assert ((counts - want) ** 2 / want).sum() < 37.7  # chi-square, 15 degrees of freedom, P = 0.001


@pytest.mark.parametrize("p", [1e-300, 1e-18, 1 - 1e-16])
def test_fixed_probability_at_its_ends(p):
    pre, _ = edges(FixedProbability(p), context(30, 40))
    assert len(pre) == round(p) * 1200


def test_gaps_are_drawn_per_source():
    """The documented algorithm, by hand, for one source."""
    draws = Draws(1, "rule")
    gaps = np.floor(draws.fn("log", draws.uniform53(0, 200, 17)) / draws.fn("log1p", -0.1))
    want = (np.cumsum(gaps + 1) - 1).astype(int)
    pre, post = edges(FixedProbability(0.1), context(30, 500))
    assert post[pre == 17].tolist() == want[want < 500].tolist()


@pytest.mark.parametrize("rule", [FixedInDegree, FixedOutDegree])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_every_set_is_equally_likely(rule, k):
    """Without multapses, over 5 others of which one is the neuron itself: sets of k of the 4 others."""
    trials = 6000
    ids = {"pre_ids": np.array([0, 1, 2, 3, 4]), "post_ids": np.array([2, *range(10, 9 + trials)])}
    if rule is FixedOutDegree:
        ids = {"pre_ids": ids["post_ids"], "post_ids": ids["pre_ids"]}
    size = (5, trials) if rule is FixedInDegree else (trials, 5)
    for autapses in (True, False):
        ctx = EdgeContext(*size, lambda name: Draws(6, name), **ids)
        pre, post = edges(rule(k, autapses, multapses=False), ctx)
        other = (pre if rule is FixedInDegree else post).reshape(trials, k)
        if not autapses:
            assert 2 not in other[0]
        counts = Counter(map(tuple, other[1:].tolist()))
        sets = list(itertools.combinations(range(5), k))
        want = (trials - 1) / len(sets)
        statistic = sum((counts[s] - want) ** 2 / want for s in sets)
        assert set(counts) <= set(sets) and statistic < {5: 18.5, 10: 27.9}[len(sets)]  # P = 0.001


def test_both_ways_of_drawing_a_set_agree(monkeypatch):
    for k, autapses in ((5, True), (5, False), (40, True), (40, False)):
        rule = FixedInDegree(k, autapses, multapses=False)
        want = edges(rule, context(100, 90, same=True))
        monkeypatch.setattr(degree, "_DENSE", 0)
        assert np.array_equal(edges(rule, context(100, 90, same=True)), want)
        monkeypatch.setattr(degree, "_DENSE", 16)


def test_sets_of_all_but_the_neuron_itself():
    ctx = context(300, 300, same=True)
    pre, post = edges(FixedInDegree(299, autapses=False, multapses=False), ctx)
    want = edges(AllToAll(autapses=False), ctx)
    assert set(zip(pre.tolist(), post.tolist(), strict=True)) == set(zip(*(w.tolist() for w in want), strict=True))


def test_fixed_degree_spreads_evenly():
    n, k = 500, 200
    for rule in (FixedInDegree(k), FixedInDegree(k, multapses=False), FixedInDegree(k, autapses=False)):
        pre, _ = edges(rule, context(n, n, same=True))
        degree = np.bincount(pre, minlength=n)
        variance = k * (1 - k / n) if not rule.multapses else k * (1 - 1 / n)
        assert abs(degree.var() / variance - 1) < 5 * math.sqrt(2 / n)


def test_multapses_are_drawn_in_order_of_index():
    pre, post = edges(FixedInDegree(7), context(50, 40))
    assert np.array_equal(pre, Draws(1, "rule").integers(0, 280, 50)) and np.array_equal(
        post, np.repeat(np.arange(40), 7)
    )
    u = Draws(1, "rule").uniform53(0, 1000)
    pre, post = edges(FixedTotalNumber(1000), context(50, 40))
    assert np.array_equal(pre, np.floor(u * 50)) and np.array_equal(post, np.floor((u * 50 - pre) * 40))


def test_fixed_total_number_is_uniform_over_pairs():
    for rule in (FixedTotalNumber(60_000), FixedTotalNumber(60_000, autapses=False)):
        ctx = context(20, 30, same=True)
        pre, post = edges(rule, ctx)
        counts = np.bincount(pre * 30 + post, minlength=600)
        allowed = np.ones(600, dtype=bool)
        if not rule.autapses:
            every = np.arange(600)
            allowed = ~ctx.is_autapse(every // 30, every % 30)
            assert counts[~allowed].sum() == 0
        cells, df = counts[allowed], allowed.sum() - 1
        statistic = ((cells - cells.mean()) ** 2 / cells.mean()).sum()
        assert abs(statistic - df) < 4 * math.sqrt(2 * df)


@pytest.mark.parametrize("n", [2, 4])
def test_fixed_total_number_without_multapses_takes_every_set_equally_often(n):
    counts: Counter[tuple[int, ...]] = Counter()
    for seed in range(1500):
        pre, post = edges(FixedTotalNumber(n, multapses=False), context(2, 3, seed=seed))
        counts[tuple((pre * 3 + post).tolist())] += 1
    assert len(counts) == 15 and sum((c - 100) ** 2 / 100 for c in counts.values()) < 36.1  # P = 0.001


def test_groups_beyond_a_trillion_pairs():
    ctx = context(2**21, 2**20)
    pre, post = edges(FixedTotalNumber(5000), ctx)
    u = Draws(1, "rule").uniform53(0, 10_000)
    assert np.array_equal(pre, np.floor(u[::2] * 2**21)) and np.array_equal(post, np.floor(u[1::2] * 2**20))
    pre, post = edges(FixedTotalNumber(5000, multapses=False), ctx)
    assert is_sorted(pre, post) and len(pre) == 5000


def test_distance_dependent():
    n = 400
    rng = np.random.Generator(np.random.PCG64(1))
    positions = rng.random((n, 3)) * [1e-3, 1e-3, 0.0]
    ctx = context(n, n, pre_positions=positions, post_positions=positions)
    d = np.sqrt(((positions[:, None] - positions[None]) ** 2).sum(axis=2))
    u = Draws(1, "rule").uniform(0, n * n).reshape(n, n)
    for rule, p in (
        (DistanceDependent("gaussian", 2e-4, 0.7), 0.7 * np.exp(-(d**2) / (2 * 4e-8))),
        (DistanceDependent("exponential", 2e-4, 0.7, max_distance=3e-4), 0.7 * np.exp(-d / 2e-4) * (d <= 3e-4)),
        (DistanceDependent("constant", p0=0.2, max_distance=1e-4), 0.2 * (d <= 1e-4)),
        (DistanceDependent(expression("mul", "distance", 100.0), max_distance=5e-4), 100 * d * (d <= 5e-4)),
    ):
        assert np.array_equal(edges(rule, ctx), np.nonzero(u < p)), rule.describe()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (FixedProbability(1.5), "between 0 and 1, not be 1.5"),
        (FixedProbability(math.nan), "between 0 and 1"),
        (FixedInDegree(-1), "in-degree must be a whole number of at least 0, not -1"),
        (FixedInDegree(2.5), "whole number of at least 0, not 2.5"),
        (
            FixedInDegree(11, multapses=False),
            "in-degree = 11 is more than the 10 sources to choose from; allow multapses",
        ),
        (FixedOutDegree(21, multapses=False), "out-degree = 21 is more than the 20 targets"),
        (FixedTotalNumber(201, multapses=False), "201 is more than the 200 pairs; allow multapses"),
        (FixedTotalNumber(True), "whole number"),
        (DistanceDependent("gausian", 1.0), "no kernel 'gausian'; did you mean 'gaussian'"),
        (DistanceDependent("gaussian"), "needs a positive sigma, not None"),
        (DistanceDependent("constant", p0=2.0), "p0 must lie between 0 and 1"),
        (DistanceDependent("constant", max_distance=-1.0), "max_distance must be at least 0"),
        (EdgeList([0, 10], [0, 0]), "edge 1 has source 10; legal indices are 0 to 9"),
        (EdgeList([0], [20]), "edge 0 has target 20; legal indices are 0 to 19"),
    ],
)
def test_check_names_the_legal_values(rule, text):
    with pytest.raises(ConnectivityError, match=text):
        rule.check(10, 20)
    with pytest.raises(ConnectivityError, match=text):
        list(rule.edges(context(10, 20)))


def test_empty_and_single_groups():
    for n_pre, n_post in ((0, 5), (5, 0), (0, 0)):
        for rule in (AllToAll(), FixedProbability(0.5), FixedTotalNumber(0), Where()):
            assert len(edges(rule, context(n_pre, n_post))[0]) == 0
    for rule in (OneToOne(), FixedInDegree(1), FixedInDegree(1, multapses=False), FixedTotalNumber(1, multapses=False)):
        assert [x.tolist() for x in edges(rule, context(1, 1))] == [[0], [0]]
    with pytest.raises(ConnectivityError, match="in-degree = 1 is more than the 0 sources"):
        FixedInDegree(1).check(0, 5)
    with pytest.raises(ConnectivityError, match="more than the 0 sources other than the neuron itself"):
        edges(FixedInDegree(1, autapses=False), context(1, 1, same=True))
    with pytest.raises(ConnectivityError, match="fewer than 2\\^31"):
        AllToAll().check(2**31, 1)


def test_where_evaluates_names_and_draws_per_pair():
    b = Builder()
    uniform, weight = b.emit("uniform", attr="a"), b.emit("param", attr="w_post")
    program = b.build(b.emit("lt", uniform, weight))
    w = np.linspace(0, 1, 30)
    ctx = context(20, 30, post_attributes={"w": w}, pre_attributes={"c": 3.0})
    u = Draws(1, "condition.a").uniform(0, 600).reshape(20, 30)
    assert np.array_equal(edges(Where(program), ctx), np.nonzero(u < w))
    pre, post = edges(Where(expression("eq", "i", "c_pre")), ctx)
    assert pre.tolist() == [3] * 30 and post.tolist() == list(range(30))
    # probability by pair number, whatever the condition left
    p = Draws(1, "rule").uniform(0, 600).reshape(20, 30)
    i, j = np.mgrid[:20, :30]
    got = edges(Where(expression("gt", "j", "i"), expression("div", "i", "N_pre")), ctx)
    assert np.array_equal(got, np.nonzero((j > i) & (p < i / 20)))


def test_expressions_report_what_they_cannot_use():
    ctx = context(3, 3, pre_attributes={"tau": 1.0})
    with pytest.raises(UnknownNameError, match="did you mean 'tau_pre'"):
        edges(Where(expression("lt", "tau_pra", 1.0)), ctx)
    with pytest.raises(ConnectivityError, match="source population has none"):
        edges(Where(expression("lt", "distance", 1.0)), ctx)
    b = Builder()
    with pytest.raises(EquationError, match="cannot use 'time'"):
        edges(Where(None, b.build(b.emit("time"))), ctx)
    with pytest.raises(ConnectivityError, match="nan"):
        edges(Where(None, expression("div", "i", "i")), ctx)
    with pytest.raises(ConnectivityError, match=r"shape \(3, 3\), not \(2, 3\)"):
        edges(
            DistanceDependent("constant"),
            context(3, 3, pre_positions=np.zeros((2, 3)), post_positions=np.zeros((3, 3))),
        )


def test_edge_list_keeps_order_and_copies():
    given_ = np.array([2, 0, 1])
    rule = EdgeList(given_, [1, 1, 0])
    given_[0] = 0
    assert [x.tolist() for x in edges(rule, context(3, 2, chunk=2))] == [[2, 0, 1], [1, 1, 0]]
    assert rule == EdgeList([2, 0, 1], [1, 1, 0]) and rule != EdgeList([2, 0, 0], [1, 1, 0])
    assert hash(rule) == hash(EdgeList([2.0, 0.0, 1.0], [1, 1, 0]))
    assert len(edges(EdgeList([], []), context(3, 2))[0]) == 0


@pytest.mark.parametrize(
    ("pre", "post", "text"),
    [
        ([0, 1], [0], "2 sources but 1 targets"),
        ([-1], [0], "0 to 2"),
        ([0.5], [0], "whole numbers"),
        ([[0]], [0], "one list"),
    ],
)
def test_edge_list_refuses(pre, post, text):
    with pytest.raises(ConnectivityError, match=text):
        EdgeList(pre, post)


def test_from_matrix():
    dense = np.array([[0.0, 2.0, 0.0], [-1.0, 0.0, 3.0]])
    rule, weights = from_matrix(dense)
    assert [rule.pre.tolist(), rule.post.tolist(), weights.tolist()] == [[0, 1, 1], [1, 0, 2], [2.0, -1.0, 3.0]]

    class Sparse:
        row, col, data = np.array([1, 0, 1]), np.array([2, 1, 0]), np.array([3, 2, 0])

        def tocoo(self):
            return self

    rule, weights = from_matrix(Sparse())
    assert [rule.pre.tolist(), rule.post.tolist(), weights.tolist()] == [[0, 1, 1], [1, 0, 2], [2.0, 0.0, 3.0]]
    with pytest.raises(ConnectivityError, match="from 0 to 1 is nan"):
        from_matrix([[0.0, math.nan]])
    with pytest.raises(ConnectivityError, match="two axes"):
        from_matrix([1.0])


@given(st.lists(st.integers(0, 9), max_size=10), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_batched(sizes, chunk):
    whole = np.arange(sum(sizes))
    cuts = np.split(whole, np.cumsum(sizes))
    pieces = list(batched(((c, 2 * c) for c in cuts), chunk))
    assert np.array_equal(np.concatenate([p for p, _ in pieces] or [whole]), whole)
    assert all(np.array_equal(2 * p, q) for p, q in pieces)
    assert all(len(p) == chunk for p, _ in pieces[:-1]) and all(0 < len(p) <= chunk for p, _ in pieces)


def test_a_rule_of_ones_own():
    @dataclass(frozen=True)
    class Ring(Rule):
        hops: int = 1

        def edges(self, ctx):
            i = np.arange(ctx.n_pre, dtype=np.uint32)
            yield i, (i + np.uint32(self.hops)) % np.uint32(ctx.n_post)

        def expected(self, n_pre, n_post):
            return float(n_pre)

    assert edges(Ring(2), context(4, 4))[1].tolist() == [2, 3, 0, 1]
    assert Ring(2).describe() == "Ring(hops=2)"
    Ring().check(3, 3)
    with pytest.raises(NotImplementedError):
        list(Rule().edges(context(1, 1)))


def test_describe():
    assert FixedProbability(0.02).describe() == "FixedProbability(p=0.02, autapses=True)"
    assert EdgeList([0], [0]).describe() == "EdgeList(1 edges)"
    assert (
        Where(expression("lt", "i", "j")).describe() == "Where(condition=<expression>, probability=None, autapses=True)"
    )


def _net_with(rule: Any) -> Any:
    net = ns.Network(dt=0.1 * ms, seed=1)
    cell = ns.Cell("v[n+1] = v", threshold="v > 1", receptors={"e": ns.Receptor(event="v += w")})
    pop = net.population("p", 10, cell)
    net.connect(pop, pop, rule=rule, weight=1.0)
    return net


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ((np.arange(3), np.array([1, 2, 10])), "yields the target 10, but the group has the indices 0 to 9"),
        ((np.array([-1, 2]), np.array([1, 2])), "yields the source -1, but the group has the indices 0 to 9"),
        ((np.arange(3), np.arange(2)), "yields 3 sources with 2 targets: an edge has one of each"),
        ((np.arange(3) / 1.0, np.arange(3)), "must yield whole numbers, one array of sources and one of targets; its "
                                             "sources are float64 of shape [3]"),
        (None, "failed: ZeroDivisionError: integer division or modulo by zero"),
    ],
)  # fmt: skip
def test_what_a_users_rule_yields_is_checked(piece: Any, message: str) -> None:
    class Ring(Rule):
        def edges(self, ctx: EdgeContext) -> Iterator[Any]:
            yield piece if piece is not None else 1 // 0

        def expected(self, n_pre: int, n_post: int) -> float:
            return 3.0

    for backend in ("reference", "native"):
        with pytest.raises(ConnectivityError) as caught:
            _net_with(Ring()).run(1 * ms, backend=backend)
        assert caught.value.message == f"the rule Ring of projection 'p_p_e' {message}"
