"""NEST's linear integrate-and-fire cells with current synapses: iaf_psc_exp, iaf_psc_alpha, iaf_psc_delta.

The equations have to be ``dv/dt = -(v - E)/tau + a1 x1 + a2 x2 + ... + inputs`` with every x either exponential
(``dx/dt = -x/tau_x``, a spike adds to x) or alpha-shaped (``dx/dt = k y - x/tau_x``, ``dy/dt = -y/tau_x``, a spike adds
to y), or spikes that add to v. NEST's own potential is ``v - E``, so that its constant current is nothing; its current
is ``x`` times a factor that is 1 wherever one C_m makes it 1 for all synapses.

References
----------
S. Rotter, M. Diesmann, Biol. Cybern. 81 (1999), sec. 3.1: the exact integration that both sides use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.backends.nest_backend.cells import PSC, Cell, Port, Reading, snapped, unit_factor
from neurosim.backends.nest_backend.kernel import Clock
from neurosim.backends.nest_backend.normal import Condition, Normal, same_number, term_text, text

_EXPLICIT = ("euler", "rk2", "rk4", "exponential_euler")
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "eq": "==", "ne": "!="}
_MIRRORED = {"ge": "le", "gt": "lt", "le": "ge", "lt": "gt", "eq": "eq", "ne": "ne"}


@dataclass
class Filter:
    """A synaptic variable x that the membrane reads: kind, its inner variable y, time constant, its coefficient."""

    kind: str
    inner: str
    tau: Any
    weight: Any
    gain: Any = 1.0  # k of an alpha-shaped one


def membrane(n: Normal) -> str | None:
    """Return the variable that the threshold reads; without a threshold, the one that no other reads."""
    if isinstance(n.threshold, Condition):
        read = {name for mono in n.threshold.poly for name in mono if name in n.odes}
        return read.pop() if len(read) == 1 else None
    if n.threshold is not None:
        return next(iter(n.odes), None)
    for var in n.odes:
        if not any(var in mono for other, p in n.odes.items() if other != var for mono in p):
            return var
    return None


def threshold(n: Normal, v: str, differences: list[str]) -> Any:
    """Return V_th in SI units (infinity without a threshold), noting what NEST's comparison is not."""
    if n.threshold is None:
        return math.inf
    if isinstance(n.threshold, str):
        differences.append(f"its threshold {n.threshold}; NEST's is {v} >= V_th")
        return math.inf
    op, p = n.threshold.op, n.threshold.poly
    slope = p.get((v,))
    if slope is None or set(p) - {(v,), ()}:
        differences.append(f"its threshold compares {text(p)} with 0; NEST's compares {v} with a constant")
        return math.inf
    if np.all(np.less(slope, 0)):
        op = _MIRRORED[op]
    if op != "ge":
        differences.append(f"its threshold is {v} {_SIGNS[op]} V_th; NEST's is {v} >= V_th")
    if n.pop.model is not None and n.pop.model.system.edge:
        differences.append("its threshold counts only where the condition becomes true (edge=True); NEST's always does")
    level = n.threshold.poly.get((), 0.0)
    return -level if np.all(np.equal(slope, 1.0)) else -level / slope


def reset(n: Normal, v: str, differences: list[str], others: tuple[str, ...] = ()) -> Any:
    """Return V_reset; ``others`` are variables whose reset the caller compares."""
    if n.threshold is None:
        return 0.0
    own = [p for var, p in n.reset if var == v]
    for var in dict.fromkeys(var for var, _ in n.reset if var != v and var not in others):
        differences.append(f"its reset changes {var}; NEST's changes {v} alone")
    if len(own) != 1 or set(own[0]) - {()}:
        if own and same_number(own[0].get((v,), 0.0), 1.0) and set(own[0]) <= {(), (v,)}:
            differences.append(f"its reset is by subtraction ({v} = {text(own[0])}); NEST's sets {v} to V_reset")
        else:
            found = "leaves it" if not own else f"is {v} = {text(own[-1])}"
            differences.append(f"its reset {found}; NEST's sets {v} to V_reset")
        return 0.0
    return own[0].get((), 0.0)


def clamping(n: Normal, v: str, differences: list[str]) -> None:
    """Note where other variables stand still while refractory than NEST's potential."""
    if not np.any(n.refractory):
        return
    if v not in n.clamp:
        differences.append(f"{v} goes on while refractory; NEST's stands still")
    for var in n.clamp:
        if var != v:
            differences.append(f"{var} stands still while refractory (clamp); in NEST only {v} does")


def drives(n: Normal, differences: list[str]) -> None:
    """Note Poisson drives whose rate depends on the state."""
    assert n.pop.model is not None
    variables = {*n.odes, *n.updates, *n.inputs}
    from neurosim.ir.expr import names

    for d in n.pop.model.system.drives:
        if names(d.mean) & variables:
            differences.append(f"the rate of its Poisson drive {d.name} depends on the state; NEST's may not")


def linear_cell(n: Normal) -> tuple[str, list[str], Cell | None]:
    """Compare with the linear cells; return the nearest one's name, the differences, and the cell if there are none."""
    out: list[str] = []
    v = membrane(n)
    filters: dict[str, Filter] = {}
    tau = None
    terms: list[tuple[tuple[str, ...], Any]] = []
    if v is None:
        out.append("no single variable is its membrane potential; NEST's threshold reads one")
    else:
        tau, terms = _membrane_equation(n, v, filters, out)
        _others(n, v, filters, out)
    kinds, ports = _receptors(n, v or "", filters, out)
    kind = next(iter(kinds), "exp") if len(kinds) < 2 else "exp"
    if len(kinds) > 1:
        found = ", ".join(f"{'/'.join(sorted(r))}: {k}" for k, r in sorted(kinds.items()))
        out.append(f"its receptors are of different kinds ({found}); a cell of NEST's has one kind")
    names = PSC[kind]
    if v is None:
        return names.signed, [*out, *n.problems], None
    v_th, v_reset = threshold(n, v, out), reset(n, v, out)
    clamping(n, v, out)
    drives(n, out)
    method = n.pop.model.system.method if n.pop.model is not None else "auto"
    if method in _EXPLICIT:
        out.append(f"it is integrated with method='{method}'; NEST integrates it exactly")
    if not out and np.any(np.greater_equal(v_reset, v_th)):
        out.append("v_reset is not below the threshold, as NEST demands")
    out += n.problems
    if out or tau is None:
        return names.signed, out, None
    cell = _assemble(n, v, kind, filters, ports, tau, terms, v_th, v_reset, out)
    return names.signed, out, cell


def _membrane_equation(
    n: Normal, v: str, filters: dict[str, Filter], out: list[str]
) -> tuple[Any, list[tuple[tuple[str, ...], Any]]]:
    """Read dv/dt: the time constant and the inputs; synaptic variables go to ``filters``."""
    terms, decay = [], None
    for mono, c in n.odes[v].items():
        if mono == (v,):
            decay = c
        elif mono == ():
            continue
        elif n.is_input(mono):
            terms.append((mono, c))
        elif len(mono) == 1 and mono[0] in n.odes:
            filters[mono[0]] = Filter("exp", mono[0], None, c)
        else:
            out.append(f"d{v}/dt holds {term_text(mono)}; NEST's is linear in {v} and its synaptic currents")
    if decay is None or not np.all(np.less(decay, 0)):
        out.append(f"{v} has no leak; NEST's has one")
        return None, terms
    return -1.0 / np.asarray(decay)[()], terms


def _others(n: Normal, v: str, filters: dict[str, Filter], out: list[str]) -> None:
    """Read the equations of the synaptic variables."""
    inner: set[str] = set()
    for x, f in filters.items():
        p = n.odes[x]
        decay = p.get((x,))
        reads = [m for m in p if m not in ((x,),)]
        if decay is None or not np.all(np.less(decay, 0)):
            out.append(f"{x} does not decay; NEST's synaptic currents do")
            continue
        f.tau = -1.0 / np.asarray(decay)[()]
        if not reads:
            continue
        y = reads[0][0] if len(reads) == 1 and len(reads[0]) == 1 else ""
        if y not in n.odes or y == v or set(n.odes[y]) != {(y,)} or y in filters:
            out.append(f"d{x}/dt = {text(p)}; NEST's synaptic currents are exponential or alpha-shaped")
        elif not same_number(n.odes[y][(y,)], decay):
            out.append(f"{x} rises and decays with different time constants; NEST's alpha-shaped current has one")
        else:
            f.kind, f.inner, f.gain = "alpha", y, p[(y,)]
            inner.add(y)
    for var in n.odes:
        if var != v and var not in filters and var not in inner:
            out.append(
                f"it has the variable {var}, which {v} does not read as a synaptic current; NEST's has none such"
            )
    for var in n.updates:
        out.append(f"{var}[n+1] is a discrete update; NEST's cell has none")


def _receptors(
    n: Normal, v: str, filters: dict[str, Filter], out: list[str]
) -> tuple[dict[str, list[str]], dict[str, tuple[str, Any]]]:
    """Read what arrivals change: kind -> receptors, and receptor -> (variable, gain)."""
    kinds: dict[str, list[str]] = {}
    ports: dict[str, tuple[str, Any]] = {}
    landing = {f.inner: (x, f) for x, f in filters.items()}
    for receptor, jumps in n.jumps.items():
        if len(jumps) != 1:
            out.append(f"receptor '{receptor}' changes {len(jumps)} variables; NEST's change one")
            continue
        var, gain, when = jumps[0]
        if set(gain) - {()}:
            out.append(
                f"the jump of receptor '{receptor}' depends on {text(gain)}; NEST's is the weight times a constant"
            )
            continue
        if when != "after":
            out.append(f"receptor '{receptor}' adds its jump before the decay of the step (when='before'); "
                       "NEST adds it after (when='after')")  # fmt: skip
        if var != v and var not in landing:
            out.append(f"receptor '{receptor}' changes {var}; NEST's change a synaptic current or the potential")
            continue
        kinds.setdefault("delta" if var == v else landing[var][1].kind, []).append(receptor)
        ports[receptor] = (var, gain.get((), 0.0))
    for x, f in filters.items():  # a synaptic variable that no receptor reaches
        if f.inner not in {var for var, _ in ports.values()} and f.tau is not None:
            kinds.setdefault(f.kind, []).append(x)
    return kinds, ports


def _assemble(
    n: Normal, v: str, kind: str, filters: dict[str, Filter], ports: dict[str, tuple[str, Any]], tau: Any,
    terms: list[tuple[tuple[str, ...], Any]], v_th: Any, v_reset: Any, out: list[str],
) -> Cell | None:  # fmt: skip
    """Write NEST's parameters."""
    pop = n.pop
    rest = np.asarray(n.odes[v].get((), 0.0)) * tau
    unit = next((np.abs(f.weight) for f in filters.values()), 1.0 / np.asarray(tau))
    if np.any(np.equal(unit, 0.0)):
        out.append(f"a synaptic current has no effect on {v} (resistance 0); NEST's has")
        return None
    params = {
        "tau_m": snapped(np.asarray(tau) * 1e3), "C_m": snapped(1e3 / np.asarray(unit)), "E_L": 0.0, "I_e": 0.0,
        "t_ref": Clock(n.dt).ms(n.refractory), "V_reset": v_reset - rest,
    }  # fmt: skip
    cell = Cell("", params, {"V_th": v_th - rest, "V_m": pop.state(v).init - rest}, inputs=terms, symbols=n.symbols,
                current=1.0 / unit)  # fmt: skip
    cell.readings[v] = Reading("V_m", 1.0, rest)
    numbers = {x: k + 1 for k, x in enumerate(filters)}
    if kind == "delta":
        cell.model = PSC[kind].signed
        params["V_min"] = -math.inf  # its default is a number, which would hide a potential that has left them
        cell.ports = {r: Port(0, unit_factor(gain)) for r, (_, gain) in ports.items()}
        return cell
    cell.model = PSC[kind].numbered
    params["tau_syn"] = [snapped(np.asarray(f.tau) * 1e3) for f in filters.values()]
    inner = {f.inner: x for x, f in filters.items()}
    for x, f in filters.items():
        into = f.weight / unit  # NEST's current is this times x
        peak = 1.0 if kind == "exp" else f.gain * f.tau / math.e  # and a weight of 1 makes NEST's dI jump by e/tau
        for receptor, (var, gain) in ports.items():
            if inner[var] == x:
                cell.ports[receptor] = Port(numbers[x], unit_factor(into * peak * gain))
        cell.readings[x] = Reading(f"I_syn_{numbers[x]}", unit_factor(into))
        if kind == "alpha" and np.any(pop.state(x).init):
            out.append(f"{x} starts at another value than 0; in NEST an alpha-shaped current cannot")
            return None
        cell.kicks[numbers[x]] = np.asarray(pop.state(f.inner).init) * unit_factor(into * peak)
    return cell
