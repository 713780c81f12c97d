"""What integers did to a network: each backend that computes in a chip's integers, beside the one that does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.registry import accountant


@dataclass(frozen=True, eq=False)
class Integers:
    """The account of one way to bring a network to integers, and the backends that computed in it.

    ``account`` is what :func:`neurosim.backends.loihi2_account.account` returns.
    """

    labels: tuple[str, ...]
    account: Any


def accounts(comparison: Any) -> list[Integers]:
    """Return an account of every way to integers that the sides of a comparison took; of those that ran."""
    ways: dict[tuple[Any, str], list[Any]] = {}
    for side in comparison.sides:
        make = accountant(side.backend)
        if make is not None and side.result is not None and not side.refusal:
            ways.setdefault((make, str(side.options.get("below", ""))), []).append(side)
    out = []
    for (make, _), sides in ways.items():
        result = sides[0].result
        made = make(comparison.graph, result.spikes, result.provenance.n_steps, sides[0].options)
        out.append(Integers(tuple(s.label for s in sides), made))
    return out


def as_dict(found: Integers) -> dict[str, Any]:
    """Return an account as plain numbers, texts, lists and dicts, in SI units."""
    a = found.account
    quantised = a.quantised
    return {
        "backends": list(found.labels),
        "populations": {} if quantised is None else {
            p.name: {
                "du": p.du, "dv": _one(p.dv), "vth": _one(p.vth), "unit_of_v": 1 / float(p.scale),
                "tau_m": _one(p.tau_m), "tau_m_was": _one(p.tau_m_was), "tau_syn": float(p.tau_syn),
                "tau_syn_was": {k: float(v) for k, v in p.tau_syn_was.items()}, "threshold": _one(p.threshold),
                "threshold_was": _one(p.threshold_was), "threshold_error": p.threshold_error,
                "rest": _one(p.rest), "rest_was": _one(p.rest_was)}
            for p in quantised.populations},
        "projections": {} if quantised is None else {
            p.name: {
                "pre": p.pre, "post": p.post, "synapses": p.synapses, "lost": p.lost, "exponent": p.exponent,
                "lowest": p.grid.lowest, "highest": p.grid.highest, "levels": p.grid.levels, "bits": p.grid.bits,
                "saturated": p.grid.saturated, "rms_error": p.rms_error, "rms_error_steps": p.grid.rms,
                "worst_error_steps": p.grid.worst, "step": p.grid.step, "unit": p.grid.unit}
            for p in quantised.projections},
        "overflow": {name: dict(vars(o)) for name, o in a.overflow.items()}, "overflow_uncounted": a.uncounted or None,
        "chip": a.placement.chip.name, "cores": len(a.placement.used["neurons"]), "chips": a.placement.chips,
        "synapses": a.placement.synapses,
        "occupancy": {k: {"mean": float(v.mean()) if len(v) else 0.0, "most": float(v.max(initial=0)),
                          "limit": a.placement.chip[k]} for k, v in a.placement.used.items()},
        "estimate_per_step": a.costs, "violations": [str(v) for v in a.placement.violations],
        "changes": [] if quantised is None else list(quantised.changes),
    }  # fmt: skip


def _one(values: Any) -> Any:
    """Return a number, or the least and the greatest of those of the neurons."""
    found = np.asarray(values, dtype=float)
    low, high = float(found.min()), float(found.max())
    return low if low == high else [low, high]
