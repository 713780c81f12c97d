"""Training for Loihi 2: a network is trained with the decays, thresholds and whole weights that its integers have.

:func:`neurosim.hardware.loihi2.quantise` brings a trained network to integers; what is lost thereby, the training could
not know. Here it can (quantisation-aware training): forward, weights are the whole numbers that the chip would hold,
and the cells are those of Loihi 2 without the rounding of their states, which is below a thousandth of a threshold;
backward, rounding has the derivative 1 (straight through; Y. Bengio, N. Léonard & A. Courville, arXiv:1308.3432).

Unlike the rest of the package, this module imports torch at once: :class:`IntegerTraining` is a subclass of
``torch.nn.Module``, so that any PyTorch code takes it. ``import neurosim`` does not load this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.compile import compile_network
from neurosim.errors import (
    BackendMissingError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
    caller,
    suggest,
)
from neurosim.hardware.loihi2 import quantisation
from neurosim.ir.edges import edge_table
from neurosim.ir.rules import EdgeList
from neurosim.lang.components import Cell, Receptor
from neurosim.lang.groups import Population
from neurosim.lang.network import Network
from neurosim.params import Param
from neurosim.units import TIME, Quantity, ms

_Module: Any
try:
    import torch
    from torch.func import functional_call

    _Module = torch.nn.Module
except ImportError:  # the module can be read without torch; IntegerTraining() says what is missing
    _Module = object

LARGEST = 255
"""The largest mantissa of a weight."""

_DENSE = Receptor(
    "x[n+1] = 0*x",
    event="x += w",
    output="64*x*scale",
    when="before",
    scale=Param(1.0, 1, "2 to the exponent that the weights share"),
    name="SmoothDense",
    doc="Loihi 2's connection without the rounding of what arrives",
    source="Lava 0.10.0, lava/proc/dense/models.py",
)

_LIF = Cell(
    "u[n+1] = u*(4095 - du)/4096 + i; v[n+1] = v*(4096 - dv)/4096 + u[n+1] + bias",
    threshold="v > 64*vth",
    reset="v = 0",
    refractory="t_ref",
    clamp="v",
    receptors={"a_in": _DENSE},
    du=Param(0.0, 1, "decay of u, in 4096ths a step, beyond the one that it always has"),
    dv=Param(0.0, 1, "decay of v, in 4096ths a step"),
    vth=Param(10.0, 1, "threshold in units of a weight, to be exceeded"),
    bias=Param(0.0, 1, "what is added to v in every step"),
    t_ref=Param(0 * ms, ms, "refractory period, in which v stands still"),
    name="SmoothLoihiLIF",
    doc="Loihi 2's leaky integrate-and-fire cell without the rounding, wrapping and saturation of u and v",
    source="Lava 0.10.0, lava/proc/lif/models.py, PyLifModelBitAcc",
)


@dataclass(frozen=True)
class _Edges:
    """A projection between two populations: positions, delays in steps, weights in integers before rounding."""

    name: str
    pre: str
    post: str
    receptor: str
    rule: EdgeList
    delays: np.ndarray
    wanted: np.ndarray


class IntegerTraining(_Module):
    """A network to be trained as Loihi 2 will run it: a ``torch.nn.Module``.

    ``training({"source": spikes})`` is a forward pass as that of ``net.to_torch()``, with weights rounded on the way;
    :func:`neurosim.learning.fit` takes it, or an optimiser ``training.parameters()``. :meth:`network` is what was
    trained, in integers: it runs on any backend, and in Lava. One thing is not seen to there: ``quantise`` takes
    units in which no current wraps round 24 bits if all sources spike in one step, and training may make weights larger
    than they were then.

    Parameters
    ----------
    network : Network
        Best trained already. Its thresholds and largest weights fix units and exponents, as in
        :func:`neurosim.hardware.loihi2.quantise`, and what that refuses is refused.
    bits : int
        Of a weight's magnitude, 1 to 8. With fewer than 8, weights are multiples of ``2**(8 - bits)``, as Lava's
        ``num_weight_bits`` has them.
    below : float
        As in ``quantise``.
    surrogate, precision
        As in :meth:`neurosim.Network.to_torch`.

    Raises
    ------
    BackendMissingError
        Without torch.
    ParameterError, UnsupportedError
        If bits are not those of a weight, or the network has no integers; in use, once weights are no finite numbers.

    Attributes
    ----------
    module : torch.nn.Module
        Loihi 2's cells without the rounding of their states. Its parameters are weights with fractions, in units of the
        mantissa times ``module.units``.
    """

    def __init__(
        self,
        network: Network,
        *,
        bits: int = 8,
        below: float = quantisation.RANGE,
        surrogate: str | Callable[[Any], Any] = "atan",
        precision: str = "single",
    ) -> None:
        where = caller()
        if _Module is object:
            raise BackendMissingError("training with integers needs PyTorch: pip install 'neurosim-snn[torch]'", where)
        super().__init__()
        if isinstance(bits, bool) or not isinstance(bits, (int, np.integer)) or not 1 <= bits <= 8:
            raise ParameterError(f"bits of a weight must be a whole number from 1 to 8, got {bits!r}", where)
        self.bits, self.step = int(bits), 2 ** (8 - int(bits))
        self._integers = quantisation.quantise(network, below=below).network
        self._edges = list(_edges(network, self._integers, below))
        twin = self._like(lambda pop: _smooth(pop.cell) if "vth" in pop.cell.params else pop.cell, lambda e: e.wanted)
        scale = {name: 64 * float(np.mean(pop.cell.value("vth"))) for name, pop in twin.populations.items()
                 if "vth" in pop.cell.params}  # fmt: skip
        self.module = twin.to_torch(surrogate=surrogate, scale=scale, precision=precision)

    @property
    def device(self) -> Any:
        """Where the weights are."""
        return self.module.device

    @property
    def graph(self) -> Any:
        """The network with Loihi 2's cells without the rounding of their states, compiled."""
        return self.module.graph

    @property
    def weights(self) -> Any:
        """Projection -> its weights with fractions, as in the module of ``net.to_torch()``."""
        return self.module.weights

    @property
    def synapses(self) -> Any:
        """The projections, as regularisers read them."""
        return self.module.synapses

    def forward(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Run the module with rounded weights; arguments and result are those of the module of ``net.to_torch()``."""
        found = {f"weights.{e.name}": self._rounded(e.name) for e in self._edges}
        return functional_call(self.module, found, (inputs,), options)

    def mantissas(self, projection: str) -> np.ndarray:
        """Return the weights of a projection as a chip has them: int64, in the order of its edges."""
        weight = self._rounded(projection).detach().cpu().double().numpy() * self.module.units[projection]
        return np.rint(weight).astype(np.int64)

    def network(self, sources: Mapping[str, Cell] | None = None) -> Network:
        """Return the network in integers, with the weights as they are trained.

        Parameters
        ----------
        sources : mapping, optional
            Population -> the cell that it has instead, such as a :class:`~neurosim.models.SpikeSource` of other spikes.

        Raises
        ------
        UnknownNameError, ParameterError
            If a name in it is that of no population, or of one that is no source.
        """
        given = dict(sources or {})
        for name in given:
            if name not in self._integers.populations:
                raise UnknownNameError(f"no population '{name}'{suggest(name, self._integers.populations)}", caller())
            if "vth" in self._integers.populations[name].cell.params:
                raise ParameterError(f"population '{name}' is no source: its cells are Loihi's", caller())
        return self._like(lambda pop: given.get(pop.name, pop.cell), lambda e: self.mantissas(e.name) * 1.0, True)

    def _rounded(self, projection: str) -> Any:
        """Return the weights of a projection on their grid, with the derivative of those between it."""
        parameter, unit = self.module.weights[projection], self.module.units[projection]
        if not bool(torch.isfinite(parameter).all()):
            raise ParameterError(
                f"the weights of projection '{projection}' are not all finite any more: train with a smaller rate",
                caller(),
            )
        most = LARGEST // self.step * self.step
        inside = (parameter * unit).clamp(-most, most)
        whole = (inside / self.step).round() * self.step
        return (inside + (whole - inside).detach()) / unit

    def _like(
        self, cell: Callable[[Population], Cell], weights: Callable[[_Edges], np.ndarray], sparse: bool = False
    ) -> Network:
        """Return a network of the shape of the integers, with other cells and weights; sparse: without those of 0."""
        like = self._integers
        out = Network(like.name, dt=Quantity(like.dt, TIME), seed=like.seed)
        for name, pop in like.populations.items():
            out.population(name, pop.n, cell(pop), init=pop.init)
        for e in self._edges:
            w = weights(e)
            keep = w != 0 if sparse else np.ones(len(w), bool)
            out.connect(out[e.pre], out[e.post], receptor=e.receptor, name=e.name, weight=w[keep],
                        rule=EdgeList(e.rule.pre[keep], e.rule.post[keep]),
                        delay=Quantity(e.delays[keep] * like.dt, TIME))  # fmt: skip
        return out


def _smooth(cell: Cell) -> Cell:
    """Return Loihi's cell without rounding."""
    receptors = {name: _DENSE(scale=receptor.value("scale")) for name, receptor in cell.receptors.items()}
    made: Cell = _LIF(receptors=receptors, **{name: cell.value(name) for name in _LIF.params})
    return made


def _edges(network: Network, integers: Network, below: float) -> Iterator[_Edges]:
    """Yield the projections, with all their edges: integers have none for a weight that is rounded to 0."""
    graph = compile_network(network)
    unused = quantisation.Quantised(Network(graph.name, dt=Quantity(graph.dt, TIME)))
    for node in graph.projections:
        if node.rule.kernel_shape is not None:
            raise UnsupportedError(
                f"the edges of projection '{node.name}' share their weights, and integers are trained edge by edge: "
                "train it with net.to_torch(), or list its edges, with rule, element = convolution.edge_list()",
                node.where,
            )
        if len(node.pre) != 1 or len(node.post) != 1:
            raise UnsupportedError(
                f"projection '{node.name}' connects more than two populations, whose weights would have units of their "
                "own: connect them one by one", node.where
            )  # fmt: skip
        pre, post, table = node.pre[0], node.post[0], edge_table(graph, node)
        target = graph.population(post.population)
        numbers = quantisation._numbers(unused, graph, target, below)
        first = [np.arange(s.size) if s.ids is None else np.asarray(s.ids) for s in (pre, post)]
        rows, columns = first[1][table.post], first[0][table.pre]
        receptor = integers.projections[node.name].receptor
        exponent = int(receptor.rpartition("_")[2])
        late = table.delay + (quantisation._kinds(target)[node.receptor] == "exp")
        wanted = table.weight * numbers.gains[node.receptor][rows] / 2.0**exponent
        yield _Edges(node.name, pre.population, post.population, receptor, EdgeList(columns, rows), late, wanted)
