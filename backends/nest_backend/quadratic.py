"""NEST's izhikevich cell, in its two schemes, found in polynomials whatever the scales of v and u.

``consistent_integration=False`` is Izhikevich's published listing (v in two half steps, then u with the new v; a spike
is a current of one step), ``True`` is forward Euler (a spike makes v jump after the step). With V in mV, h in ms and
K = 140 + I_e, the polynomial of one step determines all parameters: U and the currents enter as K - U + I alone.

References
----------
E. M. Izhikevich, IEEE Trans. Neural Netw. 14 (2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.backends.nest_backend.cells import Cell, Port, Reading
from neurosim.backends.nest_backend.linear import drives, membrane, reset, threshold
from neurosim.backends.nest_backend.normal import (
    Monomial,
    Normal,
    Poly,
    add,
    constant,
    mul,
    same,
    scale,
    text,
    variable,
)

MODEL = "izhikevich"


def declared(v: str, u: str, h: float, p: dict[str, Any], current: Poly, listing: bool) -> tuple[Poly, Poly]:
    """Return the new values of v and u, in the user's scales: V = p["v"] v in mV and U = p["u"] u in mV/ms."""
    volts, recovery = scale(variable(v), p["v"]), scale(variable(u), p["u"])

    def slope(at: Poly) -> Poly:
        out = add(scale(mul(at, at), 0.04), scale(at, 5.0))
        return add(add(add(out, constant(p["K"])), recovery, -1.0), current)

    if listing:
        half = add(volts, scale(slope(volts), 0.5 * h))
        new = add(half, scale(slope(half), 0.5 * h))
        seen = new
    else:
        new, seen = add(volts, scale(slope(volts), h)), volts
    after = add(scale(recovery, 1.0 - h * p["a"]), scale(seen, h * p["a"] * p["b"]))
    return scale(new, 1.0 / p["v"]), scale(after, 1.0 / p["u"])


def _neat(value: Any) -> Any:
    """Return a parameter that was solved for: a short number where it is one to within 3e-12."""
    flat = np.atleast_1d(np.asarray(value, dtype=np.float64))
    short = np.array([float(f"{x:.9g}") for x in flat])
    out = np.where(np.abs(short - flat) <= 3e-12 * np.abs(flat), short, flat)
    return float(out[0]) if np.ndim(value) == 0 or len(set(out.tolist())) == 1 else out


def _solve(new_v: Poly, new_u: Poly, v: str, u: str, h: float, listing: bool) -> tuple[dict[str, Any], Any]:
    """Return the parameters that a polynomial step would have if it were NEST's, and the weight of a current in v."""
    c1, c2, cu = new_v.get((v,), 0.0), new_v.get((v, v), 0.0), new_v.get((u,), 0.0)
    p: dict[str, Any] = {}
    if listing:
        grow = 1.0 + 2.5 * h
        p["K"] = _neat((c1 - grow**2) / (0.02 * h**2 * grow))
        into = 0.5 * h * (1.0 + grow) + 0.01 * h**2 * h * p["K"]
        c2_mv = 0.02 * h * grow + 0.02 * h * (grow**2 + 0.02 * h * h * p["K"])
    else:
        into, c2_mv = h, 0.04 * h
    p["v"] = _neat(c2 / c2_mv)
    p["u"] = _neat(-cu * p["v"] / into)
    if not listing:
        p["K"] = _neat(new_v.get((), 0.0) * p["v"] / h)
    mixed = (v, v) if listing else (v,)
    seen = new_v.get(mixed, 0.0) if listing else 1.0
    hab = new_u.get(mixed, 0.0) / seen * p["u"] / p["v"]
    ha = 1.0 - new_u.get((u,), 0.0) + (hab * cu * p["v"] / p["u"] if listing else 0.0)
    p["a"], p["b"] = _neat(ha / h), _neat(np.where(ha == 0.0, 0.0, hab / np.where(ha == 0.0, 1.0, ha))[()])
    return p, into / p["v"]


@dataclass
class _Step:
    """One step as polynomials, and the pulses that act as currents in it."""

    v: str
    u: str
    new_v: Poly
    new_u: Poly
    pulses: dict[str, tuple[str, Any]]  # variable -> (receptor, gain)
    jumps: dict[str, Any]  # receptor -> gain of a jump of v


def izhikevich_cell(n: Normal) -> tuple[str, list[str], Cell | None]:
    """Compare with the izhikevich cell; return its name, the differences, and the cell if there are none."""
    out: list[str] = []
    step = _step(n, out)
    if step is None:
        return MODEL, out, None
    v, u, h = step.v, step.u, n.dt * 1e3
    if not np.all(step.new_v.get((v, v), 0.0)) or not np.all(step.new_v.get((u,), 0.0)):
        return MODEL, [*out, f"the step of {v} has no term in {v}**2, or none in {u}; NEST's has both"], None
    linear = [m for m in step.new_v if len(m) == 1 and (n.is_input(m) or m[0] in step.pulses)]
    for listing in (True, False):
        with np.errstate(all="ignore"):
            p, into = _solve(step.new_v, step.new_u, v, u, h, listing)
            current: Poly = {m: step.new_v[m] / into for m in linear}
            if not all(np.all(np.isfinite(x)) for x in (*p.values(), *current.values())):
                continue
            wanted_v, wanted_u = declared(v, u, h, p, current, listing)
        if same(wanted_v, step.new_v) and same(wanted_u, step.new_u):
            return MODEL, out, _assemble(n, step, p, current, listing, out)
    out.append(f"{v} and {u} do not step as NEST's do: V += h/2 (0.04 V**2 + 5 V + 140 - U + I) twice, then "
               "U += h a (b V - U); or both by forward Euler")  # fmt: skip
    return MODEL, out, None


def _step(n: Normal, out: list[str]) -> _Step | None:
    """Read the step of v and u; differential equations only where they are stepped by forward Euler."""
    assert n.pop.model is not None
    out += n.problems
    steps = dict(n.updates)
    if n.odes:
        if n.pop.model.system.method != "euler":
            out.append(f"it is integrated with method='{n.pop.model.system.method}'; NEST's steps are Izhikevich's own")
        steps |= {var: add(variable(var), scale(p, n.dt)) for var, p in n.odes.items()}
    seen = Normal(n.pop, n.dt, odes=steps, threshold=n.threshold)
    v = membrane(seen)
    if v is None:
        out.append("no single variable is its membrane potential; NEST's threshold reads one")
        return None
    pulses, jumps = {}, {}
    for receptor, rows in n.jumps.items():
        if len(rows) != 1 or set(rows[0][1]) - {()}:
            out.append(f"receptor '{receptor}' is no current of one step and no jump of {v}; NEST's are")
            continue
        var, gain, when = rows[0]
        if var == v and when == "after":
            jumps[receptor] = gain.get((), 0.0)
        elif var in steps and not steps[var] and when == "before":
            pulses[var] = (receptor, gain.get((), 0.0))
        else:
            out.append(f"receptor '{receptor}' is no current of one step and no jump of {v}; NEST's are")
    rest = [var for var in steps if var != v and var not in pulses]
    if len(rest) != 1:
        out.append(f"beside {v} it has {len(rest)} variables ({', '.join(rest) or 'none'}); NEST's has one, U_m")
        return None
    return _Step(v, rest[0], steps[v], steps[rest[0]], pulses, jumps)


def _assemble(
    n: Normal, step: _Step, p: dict[str, Any], current: dict[Monomial, Any], listing: bool, out: list[str]
) -> Cell | None:
    """Compare threshold and reset, and write NEST's parameters."""
    v, u, pop = step.v, step.u, n.pop
    v_th, v_reset = threshold(n, v, out), reset(n, v, out, (u,))
    if np.any(n.refractory):
        out.append("it has a refractory period; NEST's has none")
    drives(n, out)
    after = variable(u)
    for var, value in n.reset:
        if var == u:
            after = value
    if set(after) - {(u,), ()} or not same({(u,): after.get((u,), 0.0)}, variable(u)):
        out.append(f"its reset is {u} = {text(after)}; NEST's adds d to {u}")
    wrong, right = (step.jumps, "currents of one step") if listing else (step.pulses, f"jumps of {v}")
    if wrong:
        out.append(f"its arrivals are not {right}, as they are in NEST with this scheme")
    if out:
        return None
    params = {
        "b": p["b"], "c": v_reset * p["v"], "d": after.get((), 0.0) * p["u"], "consistent_integration": not listing,
    }  # fmt: skip
    start = {
        "a": p["a"],
        "I_e": p["K"] - 140.0,
        "V_th": v_th * p["v"],
        "V_m": pop.state(v).init * p["v"],
        "U_m": pop.state(u).init * p["u"],
    }
    cell = Cell(MODEL, params, start, symbols=n.symbols)
    cell.quiet |= {"a": 0.0, "I_e": 0.0, "V_m": -62.5, "U_m": -16.25}  # where V and U rest, whatever the step
    cell.inputs = [(m, c) for m, c in current.items() if n.is_input(m)]
    for var, (receptor, gain) in step.pulses.items():
        cell.ports[receptor] = Port(0, current.get((var,), 0.0) * gain)
    for receptor, gain in step.jumps.items():
        cell.ports[receptor] = Port(0, p["v"] * gain)
    cell.readings = {v: Reading("V_m", p["v"]), u: Reading("U_m", p["u"])}
    return cell
