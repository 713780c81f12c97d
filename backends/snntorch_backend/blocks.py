"""A stretch of steps in blocks: populations in the order of their dependence, each for many steps at once.

What spikes of one step add to others arrives a delay of at least one step later. So populations that are not in a
circle are run one after the other, for all steps at once; those in a circle take turns, in blocks as long as the
shortest delay in it. The steps are the same ones, in another order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from neurosim.ir.graph import Graph, PopulationNode

if TYPE_CHECKING:
    from neurosim.backends.snntorch_backend.delivery import Synapses
    from neurosim.backends.snntorch_backend.stretch import Stretch

Inbox = tuple[str, str]
"""A population and one of its receptors."""


def groups_of(graph: Graph) -> list[list[str]]:
    """Return the populations in an order in which each comes after those it gets spikes from.

    Those in a circle are one group (the strongly connected components of the network, in topological order).
    """
    names = [p.name for p in graph.populations]
    at = {name: k for k, name in enumerate(names)}
    reaches = np.eye(len(names), dtype=bool)
    for projection in graph.projections:
        for source in projection.pre:
            for target in projection.post:
                reaches[at[source.population], at[target.population]] = True
    for k in range(len(names)):  # Warshall's closure
        reaches |= np.outer(reaches[:, k], reaches[k])
    groups: dict[int, list[str]] = {}
    for k, name in enumerate(names):
        first = int(np.flatnonzero(reaches[k] & reaches[:, k])[0])
        groups.setdefault(first, []).append(name)
    # on the way from one group to the next, the number of populations before it can only grow
    return [groups[k] for k in sorted(groups, key=lambda k: int(reaches[:, k].sum()))]


class Future:
    """What is to arrive at an inbox: pieces [batch, steps, neurons] by the step in which they begin."""

    def __init__(self) -> None:
        self.pieces: dict[int, list[Tensor]] = defaultdict(list)
        self.longest = 1

    def add(self, start: int, piece: Tensor) -> None:
        """Add a piece that begins in step ``start`` of the stretch."""
        self.pieces[start].append(piece)
        self.longest = max(self.longest, piece.shape[1])

    def between(self, begin: int, end: int) -> Tensor | None:
        """Return what arrives in the steps from ``begin`` to before ``end``, None for nothing.

        Without derivatives, sums are made in place, in a tensor of their own (not in one that is a piece).
        """
        total: Tensor | None = None
        shared = False  # whether the total is a view of a piece
        starts: Iterable[int] = range(begin - self.longest + 1, end)
        for start in starts if len(starts) < len(self.pieces) else sorted(self.pieces):
            for piece in self.pieces.get(start, ()):
                lo, hi = max(start, begin), min(start + piece.shape[1], end)
                if lo >= hi:
                    continue
                part = piece[:, lo - start : hi - start]
                whole = (lo, hi) == (begin, end)
                if total is not None and not total.requires_grad and not part.requires_grad:
                    total = total.clone() if shared else total
                    total[:, lo - begin : hi - begin] += part
                    shared = False
                    continue
                part = part if whole else pad(part, (0, 0, lo - begin, end - hi))
                total, shared = (part, whole) if total is None else (total + part, False)
        return total

    def forget(self, before: int) -> None:
        """Drop pieces that end before a step."""
        for start in [s for s, pieces in self.pieces.items() if all(s + p.shape[1] <= before for p in pieces)]:
            del self.pieces[start]

    def after(self, end: int, reach: int) -> list[Tensor | None]:
        """Return what arrives in each of ``reach`` steps from ``end`` on: [batch, neurons], None for nothing."""
        out: list[Tensor | None] = [None] * reach
        for start, pieces in self.pieces.items():
            for piece in pieces:
                if start + piece.shape[1] <= end:
                    continue
                for k, row in enumerate(piece[:, max(0, end - start) :].unbind(1), max(start, end) - end):
                    old = out[k]
                    out[k] = row if old is None else old + row
        return out


class Blocks:
    """One stretch of steps.

    Parameters
    ----------
    run : Stretch
        Where it begins; afterwards, where it ends.
    given : mapping
        What :meth:`NetworkModule.forward` takes: [batch or 1, steps, neurons].
    steps : int
        How many.
    traces : sequence of str
        ``population.variable`` to be kept.
    """

    def __init__(self, run: Stretch, given: Mapping[str, Tensor], steps: int, traces: Sequence[str]) -> None:
        self.run, self.module, self.given, self.length = run, run.module, given, steps
        self.wanted: dict[str, list[str]] = defaultdict(list)
        for label in traces:
            population, variable = label.split(".", 1)
            self.wanted[population].append(variable)
        for s in self.module.synapses:
            for population in s.names(s.sources):
                if s.release is not None and s.release not in self.wanted[population]:
                    self.wanted[population].append(s.release)
        self.spikes: dict[str, Tensor] = {}
        self.traces: dict[str, Tensor] = {}
        self.future: dict[Inbox, Future] = defaultdict(Future)

    def all(self) -> None:
        """Run all steps: afterwards ``spikes`` and ``traces`` are whole, and the stretch stands at the end."""
        run = self.run
        for key, waiting in run.pending.items():
            for k, values in enumerate(waiting):
                if values is not None:
                    self.future[key].add(k, values[:, None])
        weights = dict(zip((s.name for s in self.module.synapses), run.weights, strict=True))
        waiting = list(self.module.synapses)
        done: set[str] = set()
        for group in self.module.groups:
            members = {name for name in group if name in self.module.steps}
            inner = [s for s in waiting if any(p in members for p in s.names(s.sources))
                     and any(p in members for p in s.names(s.targets))]  # fmt: skip
            self._group([name for name in group if name in members], inner, weights)
            done |= set(group)
            ready = [s for s in waiting if s not in inner and done.issuperset(s.names(s.sources))]
            waiting = [s for s in waiting if s not in inner and s not in ready]
            for s in ready:
                carried = {p: self.traces[f"{p}.{s.release}"] for p in s.names(s.sources) if s.release is not None}
                for delay, part, piece in self.run.sent(s, weights[s.name], self.spikes, self.length, carried):
                    self.future[s.targets[part][0], s.receptor].add(delay, piece)
        for key, reach in self.module.reach.items():
            run.pending[key] = self.future[key].after(self.length, reach)
        run.n += self.length

    def _group(self, members: Sequence[str], inner: Sequence[Synapses], weights: Mapping[str, Tensor]) -> None:
        """Run populations that send spikes to each other, by the synapses ``inner``, in blocks of the shortest delay.

        What comes from outside, spikes and arrivals, is known for the whole stretch and cut into blocks once: a slice
        per block would cost the way back a tensor of the whole length for each.
        """
        length = min([self.length, *(s.soonest for s in inner if s.delays)])
        cuts = list(range(0, self.length, length)) or [0]
        pops = [self.module.graph.population(name) for name in members]
        whole = {(p.name, r): self._split(self.future[p.name, r].between(0, self.length), length)
                 for p in pops for r in p.receptors}  # fmt: skip
        more = {key: self._split(self.given.get(f"{key[0]}.{key[1]}"), length) for key in whole}
        own = {name: self._split(self.given.get(name), length) for name in members}
        outside = {p for s in inner for p in s.names(s.sources) if p not in members and p in self.spikes}
        before = {name: self._split(self.spikes[name], length) for name in outside}
        near: dict[Inbox, Future] = defaultdict(Future)  # within the group, from its own blocks
        far: dict[tuple[str, int, int], list[tuple[int, Tensor]]] = defaultdict(list)
        spikes: dict[str, list[Tensor]] = defaultdict(list)
        traces: dict[str, list[Tensor]] = defaultdict(list)
        for k, begin in enumerate(cuts):
            end = min(begin + length, self.length)
            fired = {name: parts[k] for name, parts in before.items() if parts is not None}
            for pop in pops:
                inbox = {}
                for receptor in pop.receptors:
                    key = pop.name, receptor
                    parts = [_at(whole[key], k), near[key].between(begin, end) if inner else None]
                    inbox[receptor] = self._arrived(pop, parts, _at(more[key], k), end - begin)
                emitted = self._population(pop, begin, end, inbox, traces)
                if emitted is not None:
                    given = _at(own[pop.name], k)
                    shape = (self.run.batch, end - begin, pop.size)
                    fired[pop.name] = (emitted if given is None else given).to(self.module.dtype).expand(shape)
                    spikes[pop.name].append(fired[pop.name])
            for s in inner:
                carried = {p: self._carried(f"{p}.{s.release}", traces, k, begin, end)
                           for p in s.names(s.sources) if s.release is not None}  # fmt: skip
                for delay, part, piece in self.run.sent(s, weights[s.name], fired, end - begin, carried):
                    target = s.targets[part][0]
                    if target not in members:
                        far[s.name, delay, part].append((begin, piece))
                        continue
                    near[target, s.receptor].add(begin + delay, piece)
                    if begin + delay + piece.shape[1] > self.length:
                        self.future[target, s.receptor].add(begin + delay, piece)
            for future in near.values():
                future.forget(end)
        for name, parts in spikes.items():
            self.spikes[name] = _joined(parts)
        for label, parts in traces.items():
            self.traces[label] = _joined(parts)
        by_name = {s.name: s for s in inner}
        for (projection, delay, part), pieces in far.items():
            key = by_name[projection].targets[part][0], by_name[projection].receptor
            if len(pieces) == len(cuts):
                self.future[key].add(delay, _joined([piece for _, piece in pieces]))
                continue
            for begin, piece in pieces:  # without derivatives, blocks in which nothing spikes are left out
                self.future[key].add(begin + delay, piece)

    def _carried(self, label: str, own: Mapping[str, list[Tensor]], k: int, begin: int, end: int) -> Tensor:
        """Return what spikes of a block carry, from a population of the group or one before it."""
        return own[label][k] if label in own else self.traces[label][:, begin:end]

    def _split(self, values: Tensor | None, length: int) -> tuple[Tensor, ...] | None:
        if values is None or not self.length:
            return None
        return values.split(length, 1) if length < self.length else (values,)

    def _arrived(self, pop: PopulationNode, parts: Sequence[Tensor | None], more: Tensor | None, steps: int) -> Tensor:
        """Return what arrives at a receptor in a block: sums on the grid in their own precision, then the module's."""
        present = [p for p in parts if p is not None]
        if not present:
            return self.run.nothing(pop, steps) if more is None else more
        arrived = (present[0] if len(present) == 1 else present[0] + present[1]).to(self.module.dtype)
        return arrived if more is None else arrived + more

    def _population(
        self, pop: PopulationNode, begin: int, end: int, inbox: Mapping[str, Tensor], traces: dict[str, list[Tensor]]
    ) -> Tensor | None:
        """Run one population for a block; return its spikes [batch, steps, neurons], None if it has none."""
        run, wanted = self.run, self.wanted.get(pop.name, [])
        fused = self.module.fused_steps(pop.name, run.graded)
        start = run.n + begin
        if isinstance(fused, str):
            emitted, kept = run.one_by_one(pop, start, end - begin, inbox, wanted)
        else:
            inputs = {("inbox", r): x for r, x in inbox.items()}
            for op, attr in fused.loop.inputs:
                if op != "inbox":
                    inputs[op, attr] = run.leaf_rows(pop, op, attr, start, end - begin)
            out = fused(start, end - begin, run.batch, inputs, run.variables[pop.name], wanted)
            emitted, kept = out.spikes, out.traces
            run.variables[pop.name] |= out.state
        for variable, values in kept.items():
            traces[f"{pop.name}.{variable}"].append(values)
        return emitted


def _at(parts: Sequence[Tensor] | None, k: int) -> Tensor | None:
    return None if parts is None else parts[k]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts), 1)
