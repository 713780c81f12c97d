"""NEST's Hodgkin-Huxley cell with the channels of Traub and Miles: hh_cond_exp_traub.

The equations have to be

    dv/dt = (g_L (E_L - v) + g_Na m**3 h (E_Na - v) + g_K n**4 (E_K - v) + g1 (E1 - v) + g2 (E2 - v) + inputs)/C

with ``dx/dt = alpha (1 - x) - beta x`` for each gate, the rates of :data:`_RATES`, and at most two exponential
conductances. A spike of NEST's is a step in which V, at V_T + 30 mV or above, is below its value a step before, and
none is looked for in the t_ref after one; V and the gates go on. That is a threshold ``v >= v_t + 30*mV and
v < before`` with ``before[n+1] = v``, a refractory period, ``clamp=()`` and no reset. NEST integrates adaptively, so
that the cell runs with the option ``approximate`` only. A threshold that v rises above is refused all the same: all its
spikes are earlier, by more than the schemes' errors, and a network passes that on.

References
----------
R. D. Traub, R. Miles, Neuronal Networks of the Hippocampus (1991); R. Brette et al., J. Comput. Neurosci. 23 (2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.backends.nest_backend.cells import Cell, Reading, snapped
from neurosim.backends.nest_backend.conductance import add_conductances, conductances, receptors_of, units
from neurosim.backends.nest_backend.kernel import Clock
from neurosim.backends.nest_backend.linear import drives
from neurosim.backends.nest_backend.normal import (
    CLOSE,
    Condition,
    Normal,
    Poly,
    same,
    same_number,
    scale,
    term_text,
    variable,
)

MODEL = "hh_cond_exp_traub"

_ABOVE = 30e-3
"""A spike's V is at least so far above V_T."""

_SPIKE = "v >= V_T + 30 mV and v below its value a step before"

_NUDGE = 1e-9
"""Volts. Where x of x/(exp(x) - 1) is 0, NEST divides 0 by 0; v starts so far from there."""


@dataclass(frozen=True)
class _Rate:
    """A rate as a function of ``x = slope*(v - where)``: size*x/(exp(x) - 1), size*exp(x) or size/(1 + exp(x)).

    An exponential has no ``where`` of its own: it is 0 then.
    """

    shape: str
    size: Any
    slope: Any
    where: Any


_RATES = {
    "m": (("linear", 1.28, 13, -4), ("linear", 1.4, 40, 5)),
    "h": (("exponential", 0.128, 17, -18), ("sigmoid", 4.0, 40, -5)),
    "n": (("linear", 0.16, 15, -5), ("exponential", 0.5, 10, -40)),
}
"""Gate -> rates of opening and closing: shape, size (1/ms), v - V_T at x = 0 (mV), 1/slope (mV)."""


def is_hodgkin_huxley(n: Normal) -> bool:
    """Tell whether an equation has channels: products of more than two gates with a potential."""
    return _membrane(n) is not None


def _membrane(n: Normal) -> str | None:
    for var, p in n.odes.items():
        if any(len(mono) > 3 and not n.is_input(mono) for mono in p):
            return var
    return None


def hodgkin_huxley_cell(n: Normal) -> tuple[str, list[str], Cell | None]:
    """Compare with the cell; return its name, the differences, and the cell if there are none."""
    out: list[str] = list(n.problems)
    v = _membrane(n)
    assert v is not None
    found, rest = conductances(n.odes, v, out)
    if any(c.kind != "exp" for c in found):
        out.append("its conductances are alpha-shaped; those of NEST's are exponential")
    if len(found) > 2:
        out.append(f"it has {len(found)} conductances; NEST's has two")
    receptors = receptors_of(n, found, out)
    channels = _channels(v, rest, out)
    if channels is None:
        return MODEL, out, None
    gates = channels.gates
    v_t = _gates(n, v, gates, out)
    _spikes(n, v, v_t, out)
    for var in n.odes:
        if var not in (v, *gates.values(), *(y for c in found for y in (c.g, c.inner))):
            out.append(f"it has the variable {var}; NEST's has none such")
    for var, p in n.updates.items():
        if not same(p, variable(v)):
            out.append(f"{var}[n+1] is a discrete update; NEST's has but the potential a step before")
    for mono in rest:
        if mono not in ((), (v,)) and not n.is_input(mono):
            out.append(f"d{v}/dt holds {term_text(mono)}; NEST's has none such")
    leak = -np.asarray(rest.get((v,), 0.0))[()]
    if np.any(np.less(leak, 0)):
        out.append(f"{v} has a negative leak; NEST's is 0 or above")
    drives(n, out)
    if out:
        return MODEL, out, None
    unit, siemens = units(found, leak, channels.sodium[0] / 20e-6)
    farads = 1e3 * siemens / unit  # pF
    start = np.asarray(n.pop.state(v).init)
    for where in (where for pair in _RATES.values() for shape, _, where, _ in pair if shape == "linear"):
        start = np.where(np.abs(start - (v_t + where * 1e-3)) < _NUDGE, start + 2 * _NUDGE, start)
    cell = Cell(
        MODEL,
        {"C_m": snapped(farads), "g_L": snapped(farads * leak * 1e-3), "t_ref": Clock(n.dt).ms(n.refractory)},
        {"V_m": start * 1e3, "V_T": snapped(v_t * 1e3)},
        inputs=[(mono, c) for mono, c in rest.items() if n.is_input(mono)],
        symbols=n.symbols,
        current=farads,
        approximate=True,
        quiet={"g_Na": 0.0, "g_K": 0.0, "E_L": -60.0, "V_m": -60.0, "V_T": -63.0},  # at rest, below any spike
    )
    pull = np.asarray(rest.get((), 0.0))[()]
    with np.errstate(all="ignore"):  # a constant current is a part of E_L where there is a leak
        cell.start["E_L"] = np.where(leak > 0, snapped(pull / leak * 1e3), 0.0)
    cell.start["I_e"] = np.where(leak > 0, 0.0, farads * pull)
    for name, (g, reversal) in (("Na", channels.sodium), ("K", channels.potassium)):
        cell.start |= {f"g_{name}": snapped(farads * g * 1e-3), f"E_{name}": snapped(np.asarray(reversal) * 1e3)}
    cell.readings[v] = Reading("V_m", 1e3)
    for gate, recordable in (("m", "Act_m"), ("h", "Inact_h"), ("n", "Act_n")):
        cell.start[recordable] = n.pop.state(gates[gate]).init
        cell.readings[gates[gate]] = Reading(recordable)
    add_conductances(cell, n, found, receptors, unit, siemens)
    for number, (side, sign) in enumerate((("ex", 1.0), ("in", -1.0))[: len(found)]):  # NEST lets none of them be set
        cell.kicks[-number] = sign * cell.start.pop(f"g_{side}")
    return MODEL, out, cell


@dataclass(frozen=True)
class _Channels:
    """NEST's name of a gate -> its variable; conductance over capacitance and reversal potential of each channel."""

    gates: dict[str, str]
    sodium: tuple[Any, Any]
    potassium: tuple[Any, Any]


def _channels(v: str, rest: Poly, out: list[str]) -> _Channels | None:
    """Take the channels out of dv/dt."""
    gates: dict[str, str] = {}
    found: dict[str, tuple[Any, Any]] = {}
    for mono in [m for m in rest if len(m) > 3 and m.count(v) == 1]:
        product = tuple(name for name in mono if name != v)
        times = {product.count(name): name for name in product}
        kind = {(1, 3): "sodium", (4,): "potassium"}.get(tuple(sorted(times)))
        g = -np.asarray(rest.get(mono, 0.0))[()]
        if kind is None or len(product) != 4 or kind in found or not np.all(np.greater(g, 0)):
            continue
        del rest[mono]
        found[kind] = g, np.asarray(rest.pop(product, 0.0))[()] / g
        gates |= {"m": times[3], "h": times[1]} if kind == "sodium" else {"n": times[4]}
    if set(found) != {"sodium", "potassium"} or len(set(gates.values())) != 3:
        out.append(f"d{v}/dt does not hold g_Na m**3 h (E_Na - {v}) + g_K n**4 (E_K - {v}); NEST's does")
        return None
    return _Channels(gates, found["sodium"], found["potassium"])


def _gates(n: Normal, v: str, gates: dict[str, str], out: list[str]) -> Any:
    """Compare the rates of the gates; return V_T, which that of the sodium's opening tells."""
    v_t: Any = None
    for gate, var in gates.items():
        p = n.odes.get(var, {})
        opening = {mono: c for mono, c in p.items() if var not in mono}
        fall: Poly = {}
        for mono, c in p.items():
            if var in mono:
                others = list(mono)
                others.remove(var)
                fall[tuple(others)] = -c
        both = {m: (fall.get(m, 0.0), opening.get(m, 0.0)) for m in {*fall, *opening}}
        closing = {m: a - b for m, (a, b) in both.items() if not same_number(a, b)}
        for name, poly, wanted in zip(("open", "close"), (opening, closing), _RATES[gate], strict=True):
            rate = _rate(n, poly, v)
            if rate is not None and v_t is None and rate.shape == "linear":
                v_t = rate.where - wanted[2] * 1e-3
            if rate is None or v_t is None or not _is(rate, wanted, v_t):
                out.append(f"{var} does not {name} at the rate of NEST's {gate} (Traub and Miles, shifted by V_T)")
    return v_t


def _is(rate: _Rate, wanted: tuple[str, float, float, float], v_t: Any) -> bool:
    """Tell whether a rate is one of NEST's, for a V_T."""
    shape, size, where, width = wanted
    if rate.shape != shape or not same_number(rate.slope, 1e3 / width):
        return False
    at = v_t + where * 1e-3
    if shape == "exponential":
        return same_number(rate.size * np.exp(rate.slope * at), size * 1e3)
    return same_number(rate.size, size * 1e3) and bool(np.all(np.abs(rate.where - at) <= CLOSE))


def _rate(n: Normal, p: Poly, v: str) -> _Rate | None:
    """Read a rate, however it is written: with ``exprel``, ``expm1`` and ``sigmoid``, or ``exp`` alone."""
    if len(p) != 1:
        return None
    ((mono, c),) = p.items()
    symbol = n.symbols.get(mono[0]) if len(mono) == 1 else None
    if symbol is None:
        return None
    if symbol.op == "exp":
        return _made("exponential", c, symbol.args[0], v)
    if symbol.op == "sigmoid":
        return _made("sigmoid", c, scale(symbol.args[0], -1.0), v)
    if symbol.op != "div":
        return None
    above, below = scale(symbol.args[0], c), symbol.args[1]
    heads = [m for m in below if m]
    inner = n.symbols.get(heads[0][0]) if len(heads) == 1 and len(heads[0]) == 1 else None
    if inner is None or inner.op not in ("exp", "expm1", "exprel"):
        return None
    factor, extra, arg = below[heads[0]], below.get((), 0.0), inner.args[0]
    if inner.op == "exprel":
        return None if set(above) != {()} or np.any(extra) else _made("linear", above[()] / factor, arg, v)
    rest = extra / factor - (1.0 if inner.op == "expm1" else 0.0)  # the denominator is factor*(exp(x) + rest)
    if same_number(rest, -1.0):
        if set(arg) - {(v,), ()} or (v,) not in arg or (v,) not in above:
            return None
        size = above[v,] / arg[v,]
        return _made("linear", size / factor, arg, v) if same(above, scale(arg, size)) else None
    if set(above) != {()}:
        return None
    if not np.any(rest):
        return _made("exponential", above[()] / factor, scale(arg, -1.0), v)
    if not np.all(np.greater(rest, 0)):
        return None
    return _made("sigmoid", above[()] / (factor * rest), {**arg, (): arg.get((), 0.0) - np.log(rest)}, v)


def _made(shape: str, size: Any, x: Poly, v: str) -> _Rate | None:
    """Return a rate whose argument is linear in v, or None."""
    if set(x) - {(v,), ()} or not np.all(x.get((v,), 0.0)):
        return None
    slope, at = np.asarray(x[v,])[()], np.asarray(x.get((), 0.0))[()]
    if shape == "exponential":
        return _Rate(shape, size * np.exp(at), slope, 0.0)
    return _Rate(shape, size, slope, -at / slope)


def _spikes(n: Normal, v: str, v_t: Any, out: list[str]) -> None:
    """Compare how spikes are found and what they change."""
    assert n.pop.model is not None
    if n.threshold is None:
        out.append(f"it never spikes; NEST's does where {_SPIKE}")
    level = fell = False
    for condition in n.conjuncts:
        p, op = _greater(condition)
        slope = p.get((v,), 0.0)
        if op == "ge" and set(p) <= {(v,), ()} and np.all(np.greater(slope, 0)):
            level = v_t is not None and bool(np.all(np.abs(-p.get((), 0.0) / slope - v_t - _ABOVE) <= CLOSE))
        elif op == "gt" and len(p) == 2 and np.all(np.less(slope, 0)):
            other = next(m for m in p if m != (v,))
            fell = len(other) == 1 and same_number(p[other], -slope) and same(n.updates.get(other[0], {}), variable(v))
    if n.threshold is not None and not (level and fell and len(n.conjuncts) == 2):
        out.append(f"it does not spike where {_SPIKE}, as NEST's does (and HodgkinHuxleyPeak of neurosim.models)")
    elif n.pop.model.system.edge:
        out.append("its threshold counts only where the condition becomes true (edge=True); NEST's always does")
    for var in dict.fromkeys(var for var, _ in n.reset):
        out.append(f"its reset changes {var}; NEST's changes nothing")
    for var in n.clamp:
        out.append(f"{var} stands still while refractory (clamp); in NEST nothing does")


def _greater(condition: Condition) -> tuple[Poly, str]:
    """Return a comparison with 0 as one from above."""
    turned = {"lt": "gt", "le": "ge"}
    if condition.op in turned:
        return scale(condition.poly, -1.0), turned[condition.op]
    return condition.poly, condition.op
