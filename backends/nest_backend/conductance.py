"""NEST's conductance-based cells: iaf_cond_exp, iaf_cond_alpha, aeif_cond_exp, aeif_cond_alpha.

NEST integrates them with an adaptive Runge-Kutta scheme of its own, so no other engine's bits can agree with it: they
run with the option ``approximate`` only, and agree statistically (class R). Whichever scheme the network names, the
equations have to be

    dv/dt = (g_L (E_L - v) + g_L D exp((v - V_T)/D) - w + g1 (E1 - v) + g2 (E2 - v) + inputs)/C

with or without the exponential and w (``dw/dt = (a (v - E_L) - w)/tau_w``), and at most two conductances, exponential
or alpha-shaped. NEST's tolerances are absolute, so potentials are given in mV, conductances in nS, currents in pA.

References
----------
R. Brette, W. Gerstner, J. Neurophysiol. 94 (2005), for the exponential cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.backends.nest_backend.cells import OPEN, Cell, Port, Reading, snapped
from neurosim.backends.nest_backend.kernel import Clock
from neurosim.backends.nest_backend.linear import clamping, drives, membrane, reset, threshold
from neurosim.backends.nest_backend.normal import Monomial, Normal, Poly, same, same_number, term_text, text, variable

_SIDES = ("ex", "in")


@dataclass
class Conductance:
    """A synaptic conductance: its variable g, the one that spikes change, kind, time constant, reversal potential."""

    g: str
    inner: str
    kind: str
    tau: Any
    into: Any  # dv/dt holds -into g v + into E g
    reversal: Any
    gain: Any = 1.0


def conductance_cell(n: Normal) -> tuple[str, list[str], Cell | None]:
    """Compare with the conductance-based cells; return the nearest one's name, the differences, and the cell."""
    out: list[str] = list(n.problems)
    v = membrane(n)
    grows = any(s.op == "exp" for s in n.symbols.values())
    if v is None:
        return "iaf_cond_exp", [*out, "no single variable is its membrane potential; NEST's threshold reads one"], None
    odes = {var: _uncut(n, p, v) for var, p in n.odes.items()}
    found, rest = conductances(odes, v, out)
    kinds = {c.kind for c in found}
    kind = next(iter(kinds)) if len(kinds) == 1 else "exp"
    name = f"{'aeif' if grows else 'iaf'}_cond_{kind}"
    if len(kinds) > 1:
        out.append(
            "its conductances are of different kinds; those of a NEST cell are all exponential or all alpha-shaped"
        )
    if len(found) > 2:
        out.append(f"it has {len(found)} conductances; NEST's cell has two")
    for var in n.updates:
        out.append(f"{var}[n+1] is a discrete update; NEST's cell has none")
    receptors = receptors_of(n, found, out)
    adapting = [x for x in odes if x != v and x not in {y for c in found for y in (c.g, c.inner)}]
    if len(adapting) > (1 if grows else 0):
        out.append(f"it has the variables {', '.join(adapting)}; NEST's has {'w' if grows else 'none such'}")
    v_th = threshold(n, v, out)
    v_reset = reset(n, v, out, tuple(adapting))
    clamping(n, v, out)
    drives(n, out)
    if out:
        return name, out, None
    cell = _assemble(n, v, name, odes[v], rest, found, receptors, v_th, v_reset, out)
    if grows and cell is not None:
        _exponential(n, cell, v, odes, rest, adapting, v_th, out)
    return name, out, None if out else cell


def _uncut(n: Normal, p: Poly, v: str) -> Poly:
    """Return a polynomial with v for ``min(v, constant)``: the cut only acts above the potential of a spike."""
    cut = {name for name, s in n.symbols.items() if s.op == "min" and any(same(a, variable(v)) for a in s.args)}
    out: Poly = {}
    for mono, c in p.items():
        key = tuple(sorted(v if name in cut else name for name in mono))
        out[key] = out.get(key, 0.0) + c
    return out


def conductances(odes: dict[str, Poly], v: str, out: list[str]) -> tuple[list[Conductance], Poly]:
    """Split dv/dt into conductances and the rest."""
    rest = dict(odes[v])
    found = []
    for mono in list(rest):
        others = [x for x in mono if x != v]
        if len(mono) != 2 or len(others) != 1 or others[0] not in odes:
            continue
        g, into = others[0], -np.asarray(rest.pop(mono))[()]
        pull = rest.pop((g,), 0.0)
        p = odes[g]
        decay, reads = p.get((g,), 0.0), [m for m in p if m != (g,)]
        inner = reads[0][0] if len(reads) == 1 and len(reads[0]) == 1 else g
        alpha = inner != g
        wrong = not np.all(np.less(decay, 0)) or len(reads) > alpha or not np.all(np.greater(into, 0))
        if wrong or (alpha and (set(odes.get(inner, {})) != {(inner,)} or not same_number(odes[inner][inner,], decay))):
            out.append(f"d{g}/dt = {text(p)}; NEST's conductances are exponential or alpha-shaped")
            continue
        kind, tau = "alpha" if alpha else "exp", -1.0 / np.asarray(decay)[()]
        found.append(Conductance(g, inner, kind, tau, into, pull / into, p[inner,] if alpha else 1.0))
    return found, rest


def receptors_of(n: Normal, found: list[Conductance], out: list[str]) -> dict[str, tuple[int, Any]]:
    """Return receptor -> (which conductance, gain)."""
    landing = {c.inner: k for k, c in enumerate(found)}
    ports = {}
    for receptor, rows in n.jumps.items():
        if len(rows) != 1 or set(rows[0][1]) - {()} or rows[0][0] not in landing:
            out.append(f"receptor '{receptor}' does not add to a conductance; NEST's do")
        elif rows[0][2] != "after":
            out.append(f"receptor '{receptor}' adds its jump before the decay of the step (when='before'); "
                       "NEST adds it after (when='after')")  # fmt: skip
        else:
            ports[receptor] = landing[rows[0][0]], rows[0][1].get((), 0.0)
    return ports


def units(found: list[Conductance], leak: Any, current: Any = None) -> tuple[Any, float]:
    """Return 1/C as the equations have it (from what a conductance, a current or the leak does), and NEST's nS in it.

    Equations without farads have conductances relative to the leak; then C_m is 250 pF.
    """
    unit = found[0].into if found else leak / 1e-8 if current is None else current
    known = np.all((1e12 / unit > 1e-2) & (1e12 / unit < 1e7))
    return unit, 1e9 if known else 0.25 * float(np.ravel(unit)[0])


def add_conductances(
    cell: Cell, n: Normal, found: list[Conductance], receptors: dict[str, tuple[int, Any]], unit: Any, siemens: float
) -> None:
    """Write parameters, state, ports and readings of the synaptic conductances."""
    for k, (c, side) in enumerate(zip(found, _SIDES, strict=False)):
        each = siemens * c.into / unit
        cell.params |= {f"tau_syn_{side}": snapped(c.tau * 1e3), f"E_{side}": snapped(np.asarray(c.reversal) * 1e3)}
        cell.start[f"g_{side}"] = np.asarray(n.pop.state(c.g).init) * each
        peak = 1.0
        if c.kind == "alpha":
            peak = c.gain * c.tau / math.e
            cell.start[f"dg_{side}"] = np.asarray(n.pop.state(c.inner).init) * each * c.gain * 1e-3
        cell.readings[c.g] = Reading(f"g_{side}", each)
        for receptor, (which, gain) in receptors.items():
            if which == k:
                cell.ports[receptor] = Port(0, (1.0 if side == "ex" else -1.0) * each * peak * gain)


def _assemble(
    n: Normal, v: str, name: str, slope: Poly, rest: Poly, found: list[Conductance],
    receptors: dict[str, tuple[int, Any]], v_th: Any, v_reset: Any, out: list[str],
) -> Cell | None:  # fmt: skip
    """Write the parameters that all four have in common."""
    pop = n.pop
    leak = -np.asarray(rest.get((v,), 0.0))[()]
    if not np.all(np.greater(leak, 0)):
        out.append(f"{v} has no leak; NEST's has one")
        return None
    current = next((np.abs(c) for m, c in rest.items() if len(m) == 1 and m[0] in n.odes and m[0] != v), None)
    unit, siemens = units(found, leak, current)
    farads = 1e3 * siemens / unit  # pF
    terms = [(m, c) for m, c in rest.items() if n.is_input(m)]
    cell = Cell(
        name,
        {"C_m": snapped(farads), "g_L": snapped(farads * leak * 1e-3), "V_reset": v_reset * 1e3,
         "t_ref": Clock(n.dt).ms(n.refractory)},
        {"V_m": np.asarray(pop.state(v).init) * 1e3, "I_e": 0.0, "V_th": v_th * 1e3},
        inputs=terms, symbols=n.symbols, current=farads, approximate=True,
    )  # fmt: skip
    cell.params["E_L"] = snapped(np.asarray(rest.get((), 0.0)) / leak * 1e3)
    cell.readings[v] = Reading("V_m", 1e3)
    add_conductances(cell, n, found, receptors, unit, siemens)
    spare = [m for m in rest if m not in ((), (v,)) and not n.is_input(m)]
    if not name.startswith("aeif") and spare:
        out.append(f"d{v}/dt holds {term_text(spare[0])}; NEST's {name} has none such")
    return cell


def _exponential(
    n: Normal, cell: Cell, v: str, odes: dict[str, Poly], rest: Poly, adapting: list[str], v_th: Any, out: list[str]
) -> None:
    """Add the parameters of the exponential and of the adaptation."""
    leak = -np.asarray(rest[v,])[()]
    exps: list[Monomial] = [m for m in rest if len(m) == 1 and m[0] in n.symbols and n.symbols[m[0]].op == "exp"]
    arg = _uncut(n, n.symbols[exps[0][0]].args[0], v) if len(exps) == 1 else {}
    if set(arg) - {(v,), ()} or (v,) not in arg or not same_number(rest[exps[0]] * arg[v,], leak):
        out.append(f"d{v}/dt does not hold g_L D exp(({v} - V_T)/D); NEST's does")
        return
    width = 1.0 / np.asarray(arg[v,])[()]
    cell.params |= {"Delta_T": snapped(width * 1e3)}
    cell.start |= {"V_th": snapped(-np.asarray(arg.get((), 0.0)) * width * 1e3), "V_peak": v_th * 1e3}
    cell.params |= {"a": 0.0, "b": 0.0}
    cell.quiet |= {"V_peak": OPEN}
    spare = [m for m in rest if m not in ((), (v,), exps[0], *((w,) for w in adapting)) and not n.is_input(m)]
    if spare:
        out.append(f"d{v}/dt holds {term_text(spare[0])}; NEST's {cell.model} has none such")
    if not adapting:
        return
    w = adapting[0]
    p, into = odes[w], -np.asarray(rest.get((w,), 0.0))[()]
    decay, drive = p.get((w,), 0.0), np.asarray(p.get((v,), 0.0))[()]
    after = next((value for var, value in n.reset if var == w), variable(w))
    if set(p) - {(), (v,), (w,)} or not np.all(np.less(decay, 0)) or not np.all(np.greater(into, 0)):
        out.append(f"d{w}/dt = {text(p)}; NEST's is (a (V - E_L) - w)/tau_w")
        return
    if set(after) - {(w,), ()} or not same_number(after.get((w,), 0.0), 1.0):
        out.append(f"its reset is {w} = {text(after)}; NEST's adds b to {w}")
        return
    tau, amperes = -1.0 / np.asarray(decay)[()], cell.current * into
    if np.all(drive != 0.0):  # E_L is where w rests; what else is constant in dv/dt is a current
        rest_at = -np.asarray(p.get((), 0.0)) / drive
        cell.params["E_L"] = snapped(rest_at * 1e3)
        current = cell.current * (np.asarray(rest.get((), 0.0)) - leak * rest_at)
        cell.start["I_e"] = np.where(np.abs(current) < 1e-9, 0.0, current)
    elif np.any(p.get((), 0.0)) or np.any(drive):
        out.append(f"d{w}/dt = {text(p)}; NEST's is (a (V - E_L) - w)/tau_w")
    cell.params |= {"a": snapped(drive * tau * amperes * 1e-3), "tau_w": snapped(tau * 1e3),
                    "b": snapped(np.asarray(after.get((), 0.0)) * amperes)}  # fmt: skip
    cell.start["w"] = np.asarray(n.pop.state(w).init) * amperes
    cell.readings[w] = Reading("w", amperes)
