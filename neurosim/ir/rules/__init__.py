"""Rules: which neurons of one group are joined to which of another.

A rule yields edges as pairs of group-local indices, piece by piece, in an order that it fixes; an edge's number in that
order is its id, from which its weight and delay are drawn. The edges depend on the seed, the stream names and the two
groups only: not on the size of the pieces, the engine or the number of threads. A network of a billion edges streams
through; no rule holds them all, but :class:`FixedTotalNumber` without multapses (8 bytes an edge) and
:class:`EdgeList` (which is its edges).

An *autapse* joins a neuron to itself: an edge whose ends have the same global id. *Multapses* are several edges from
one neuron to the same other one.

A rule of your own is one subclass: fields, :meth:`Rule.edges`, :meth:`Rule.expected`, :meth:`Rule.check`::

    @dataclass(frozen=True)
    class Ring(Rule):
        hops: int = 1

        def edges(self, ctx):
            i = np.arange(ctx.n_pre, dtype=np.uint32)
            yield i, (i + np.uint32(self.hops)) % np.uint32(ctx.n_post)

        def expected(self, n_pre, n_post):
            return float(n_pre)
"""

from __future__ import annotations

from neurosim.ir.rules.base import GROUP_LIMIT, Piece, Rule, batched
from neurosim.ir.rules.context import EdgeContext
from neurosim.ir.rules.convolution import Convolution, pooling
from neurosim.ir.rules.degree import FixedInDegree, FixedOutDegree
from neurosim.ir.rules.listed import EdgeList, from_matrix
from neurosim.ir.rules.pairwise import DistanceDependent, FixedProbability, Where
from neurosim.ir.rules.regular import AllToAll, OneToOne
from neurosim.ir.rules.total import FixedTotalNumber

__all__ = [
    "GROUP_LIMIT", "AllToAll", "Convolution", "DistanceDependent", "EdgeContext", "EdgeList", "FixedInDegree",
    "FixedOutDegree", "FixedProbability", "FixedTotalNumber", "OneToOne", "Piece", "Rule", "Where", "batched",
    "from_matrix", "pooling",
]  # fmt: skip
