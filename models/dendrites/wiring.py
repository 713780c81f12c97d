"""Which inputs reach which branch: receptive fields, as in dendritic networks of Chavlis and Poirazi."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest
from neurosim.ir.random import Draws
from neurosim.ir.rules import EdgeList
from neurosim.lang.groups import Group
from neurosim.lang.network import Network

KINDS = ("random", "local", "clustered")
"""Ways of choosing the inputs of a branch."""


def receptive_fields(
    inputs: int | tuple[int, int], cells: int, branches: int, synapses: int, *, kind: str = "local", seed: int = 0
) -> np.ndarray:
    """Return the inputs of every branch of every cell.

    Parameters
    ----------
    inputs : int or (int, int)
        Number of inputs in a row, or the height and width of an image, whose pixels are numbered row by row.
    cells, branches, synapses : int
        How many cells, branches of each, and inputs of each branch.
    kind : {"random", "local", "clustered"}
        ``random``: any inputs. ``local``: those nearest to a point that is drawn for each branch. ``clustered``: the
        same, with the points of a cell's branches drawn around one that is drawn for the cell, as far apart as fields
        are wide.
    seed : int
        Of the draws; the same fields on every machine.

    Returns
    -------
    ndarray
        [cells, branches, synapses] numbers of inputs; ascending, and no two alike, on a branch.

    Raises
    ------
    ParameterError
        If a branch would have more inputs than there are.

    References
    ----------
    S. Chavlis, P. Poirazi, Nat. Commun. 16 (2025): restricted inputs per dendrite, random or local.
    """
    where = caller()
    shape = (1, inputs) if isinstance(inputs, int) else tuple(inputs)
    for what, value in (("inputs", shape), ("cells", (cells,)), ("branches", (branches,)), ("synapses", (synapses,))):
        if not all(isinstance(x, (int, np.integer)) and x > 0 for x in value) or len(shape) != 2:
            raise ParameterError(f"{what} must be whole numbers above 0, got {value}", where)
    total = int(shape[0] * shape[1])
    if synapses > total:
        raise ParameterError(f"a branch cannot have {synapses} different inputs: there are {total}", where)
    if kind not in KINDS:
        raise ParameterError(f"the kind of receptive fields is one of {', '.join(KINDS)}; got {kind!r}", where)
    rows = cells * branches
    draws = Draws(seed, f"receptive fields:{kind}")
    if kind == "random":
        order = np.argsort(draws.uniform(0, rows * total).reshape(rows, total), axis=1, kind="stable")
        return np.sort(order[:, :synapses], axis=1).reshape(cells, branches, synapses)
    height, width = shape
    at = draws.uniform(0, 2 * rows).reshape(cells, branches, 2)
    if kind == "clustered":
        middle = Draws(seed, "receptive fields:cells").uniform(0, 2 * cells).reshape(cells, 1, 2)
        at = middle + (at - 0.5) * np.sqrt(synapses / total)
    place = np.clip(at, 0.0, 1.0) * (height - 1, width - 1)
    y, x = np.divmod(np.arange(total), width)
    far = (place[..., :1] - y) ** 2 + (place[..., 1:] - x) ** 2
    return np.sort(np.argsort(far, axis=2, kind="stable")[..., :synapses], axis=2)


def wire(
    net: Network,
    source: Group,
    target: Group,
    fields: np.ndarray,
    receptors: Sequence[str],
    *,
    weight: Any,
    delay: Any = None,
    plasticity: Any = None,
    name: str | None = None,
) -> list[Any]:
    """Connect inputs to the branches of cells, one projection for each branch.

    Parameters
    ----------
    fields : ndarray
        [cells, branches, synapses], from :func:`receptive_fields` or made by hand.
    receptors : sequence of str
        The receptor on each branch.
    weight, delay, plasticity, name
        As for :meth:`neurosim.Network.connect`; the projections are called ``{name}_{receptor}``.

    Raises
    ------
    ParameterError, UnknownNameError
        If the fields do not fit the source, the cells, or the receptors.
    """
    where = caller()
    fields = np.asarray(fields)
    if fields.ndim != 3 or not np.issubdtype(fields.dtype, np.integer):
        raise ParameterError(
            f"receptive fields are whole numbers [cells, branches, synapses], got {fields.dtype} {list(fields.shape)}",
            where,
        )
    cells, branches, synapses = fields.shape
    if cells != len(target):
        raise ParameterError(f"the receptive fields are of {cells} cells, and '{target.name}' has {len(target)}", where)
    if branches != len(receptors):
        raise ParameterError(
            f"the receptive fields are of {branches} branches, and {len(receptors)} receptors are given", where
        )
    if fields.size and not (fields.min() >= 0 and fields.max() < len(source)):
        raise ParameterError(
            f"the receptive fields name the inputs {fields.min()} to {fields.max()}, and '{source.name}' has "
            f"{len(source)}",
            where,
        )
    known = set.intersection(*(set(pop.cell.receptors) for pop, _ in target.parts))
    for receptor in receptors:
        if receptor not in known:
            raise UnknownNameError(f"'{target.name}' has no receptor '{receptor}'{suggest(receptor, known)}", where)
    if len(set(receptors)) != len(receptors):
        raise ParameterError(f"a receptor is given for two branches: {', '.join(receptors)}", where)
    ordered = np.sort(fields, axis=2)
    twice = np.argwhere(ordered[..., 1:] == ordered[..., :-1])
    if len(twice):
        cell, branch, at = twice[0]
        raise ParameterError(
            f"input {ordered[cell, branch, at]} reaches branch {branch} of cell {cell} twice: a field names each once",
            where,
        )
    out = []
    for k, receptor in enumerate(receptors):
        rule = EdgeList(fields[:, k].reshape(-1), np.repeat(np.arange(cells), synapses))
        label = f"{name or f'{source.name}_{target.name}'}_{receptor}"
        out.append(net.connect(source, target, receptor=receptor, rule=rule, weight=weight, delay=delay,
                               plasticity=plasticity, name=label))  # fmt: skip
    return out


__all__ = ["KINDS", "receptive_fields", "wire"]
