"""Texts: equations, quantities, settings of the command line; grown from a grammar, cut from the library, broken."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

TRICKS = (
    "\0", "\u200b", "\u202e", "\ufeff", "\u2212", "\u00b5", "\u03c4", "\uff56", "\u0663", "\ud800", "\x1b[31m",
    "\r", "\x0b", "\u2028", "'", '"', "\\", "`", "$", "#", ";", "\n", "\t", "^", "**", ":=", "->", "==",
    "=", ":", ".", "..", "[", "]", "{", "}",
    "__import__('os').system('true')", "eval", "exec", "open", "__class__", "v.__class__.__bases__", "lambda: 0",
    "{0.__class__}", "%s", "f'{v}'", "1e999", "1e-999", "0x10", "1_000", "1j", "nan", "inf", "9" * 400, "1" + "0" * 30,
    "[n+1]", "[n]", "in_steps(1*ms)", "uniform()", "normal()", "where(v > 1, v, 0)", "v@before", "dt", "t", "w",
    "and", "or", "not ", "(", ")", ",", "<", ">=", "!=", "+=", "*=", "-", "+", "/", "\U0001f9e0",
)  # fmt: skip
NAMES = (
    "v",
    "u",
    "w",
    "x",
    "g",
    "tau",
    "tau_m",
    "v_rest",
    "i",
    "e",
    "m",
    "h",
    "index",
    "N",
    "exc",
    "mV",
    "ms",
    "nA",
    "pi",
)
FUNCTIONS = {"exp": 1, "log": 1, "sqrt": 1, "abs": 1, "tanh": 1, "sigmoid": 1, "expm1": 1, "floor": 1, "min": 2,
             "max": 2, "clip": 3, "where": 3, "uniform": 0, "normal": 0, "in_steps": 1, "exprel": 1,
             "sin": 1}  # fmt: skip
UNITS = ("mV", "ms", "nA", "1", "Hz", "nS", "mV/ms", "mV**2", "pA*ms", "s^(1/2)", "um", "kg", "m/s", "1/ms")


def number(rng: random.Random) -> str:
    return rng.choice(("0", "1", "2.5", ".5", "3.", "1e3", "1e-300", "1e300", "0.1", "1e308", "65", "-1", "007"))


def expression(rng: random.Random, depth: int) -> str:
    """An expression of the grammar, and now and then one that is not."""
    if depth <= 0 or rng.random() < 0.25:
        return number(rng) if rng.random() < 0.35 else rng.choice(NAMES)
    kind, inner = rng.random(), lambda: expression(rng, depth - 1)
    if kind < 0.45:
        return f"{inner()} {rng.choice('+-*/')} {inner()}"
    if kind < 0.6:
        return f"({inner()})"
    if kind < 0.75:
        name, n = rng.choice(tuple(FUNCTIONS.items()))
        n += rng.random() < 0.03
        first = [condition(rng, depth - 1)] if name == "where" and n else []
        return f"{name}({', '.join(first + [inner() for _ in range(n - len(first))])})"
    if kind < 0.83:
        return f"-{inner()}"
    if kind < 0.93:
        return f"{inner()}**{rng.choice(('2', '0.5', '-3', '64', '65', '1.5', 'v', '(1/2)', '-1e9'))}"
    return f"{rng.choice(NAMES)}[n+1]"


def condition(rng: random.Random, depth: int) -> str:
    sign = rng.choice(("<", "<=", ">", ">=", "==", "!="))
    one = f"{expression(rng, depth)} {sign} {expression(rng, depth)}"
    if depth > 0 and rng.random() < 0.3:
        return f"({one}) {rng.choice(('and', 'or'))} {rng.choice(('', 'not '))}({condition(rng, depth - 1)})"
    return one


def equations(rng: random.Random) -> str:
    rows = []
    for var in rng.sample(("v", "u", "x", "g", "a", "m"), rng.randint(1, 4)):
        left = rng.choice((f"d{var}/dt", f"d{var}/dt", f"{var}[n+1]", var))
        right = rng.choice((expression(rng, rng.randint(1, 4)), f"({expression(rng, 2)} - {var})/tau"))
        unit = rng.choice(("", "", f" : {rng.choice(UNITS)}"))
        rows.append(f"{left} = {right}{unit}")
    return rng.choice(("\n", "; ", "\n\n# note\n")).join(rows)


def statements(rng: random.Random) -> str:
    rows = [f"{rng.choice(NAMES)} {rng.choice(('=', '+=', '-=', '*=', '/='))} {expression(rng, 2)}"
            for _ in range(rng.randint(1, 3))]  # fmt: skip
    return rng.choice(("\n", "; ")).join(rows)


def broken(rng: random.Random, text: str, others: list[str]) -> str:
    """A text with a few things wrong: characters for tricks, cuts, repetitions, a piece of another text."""
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        at, to = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
        kind = rng.randrange(7)
        if kind == 0:
            text = text[:at] + rng.choice(TRICKS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[to:]
        elif kind == 2:
            text = text[:at] + text[at:to] * rng.choice((2, 3, 50)) + text[to:]
        elif kind == 3:
            other = rng.choice(others)
            cut = rng.randint(0, len(other))
            text = text[:at] + other[cut : cut + rng.randint(1, 30)] + text[to:]
        elif kind == 4:
            text = (
                text[:at]
                + chr(rng.choice((rng.randrange(128), rng.randrange(0xD800), rng.randrange(0x110000))))
                + text[at:]
            )
        elif kind == 5:
            deep = rng.choice((3, 61, 500, 20_000))
            left, right = rng.choice((("(", ")"), ("-", ""), ("abs(", ")"), ("not ", ""), ("v**", ""), ("1+", "")))
            text = text[:at] + left * deep + text[at:to] + right * rng.choice((deep, deep - 1)) + text[to:]
        else:
            text = text[:at] + rng.choice(TRICKS) * rng.choice((1, 2, 400)) + text[to:]
    return text[:400_000]


def quantity(rng: random.Random) -> str:
    units = "".join(rng.choice(("*", "/", " ", "")) + rng.choice(UNITS) for _ in range(rng.choice((0, 1, 1, 2))))
    return number(rng) + rng.choice(("", " ")) + units


def setting(rng: random.Random) -> str:
    key = rng.choice(("n", "scale", "exc.tau_m", "p.tau", "dt", "kind", "fast", "", "p.v.w", "__class__", "a b"))
    value = rng.choice((quantity(rng), f"{quantity(rng)}:{quantity(rng)}:{quantity(rng)}", "true", "none", "a,b,,c",
                        ",".join(quantity(rng) for _ in range(4)), "0:1e9:1", "0:1:1e-9", "1ms:2s:1ms", "f(1,2)",
                        "(1,2", f"{number(rng)}:{number(rng)}", "-1:1:0", "nan:1:1"))  # fmt: skip
    return rng.choice((f"{key}={value}", value, f"{key}=={value}", f" {key} = {value} "))


def pure(rng: random.Random, names: tuple[str, ...], depth: int) -> str:
    """An expression without a dimension over variables that have none."""
    if depth <= 0 or rng.random() < 0.3:
        return rng.choice((*names, *names, "0.5", "2", "1e-3", "tau_m/tau", "t/ms", "dt/tau"))
    inner = lambda: pure(rng, names, depth - 1)  # noqa: E731 - it stands for itself in every line below
    return rng.choice((f"{inner()} + {inner()}", f"{inner()} - {inner()}", f"{inner()}*{inner()}",
                       f"({inner()})/{inner()}", f"exp({inner()})",
                       f"where({inner()} > {inner()}, {inner()}, {inner()})",
                       f"abs({inner()})**1.5",
                       f"-({inner()})**2", f"max({inner()}, {inner()})", f"tanh({inner()})", "uniform()", "normal()",
                       f"clip({inner()}, 0, 1)", f"1/(1 + {inner()}**2)", f"sqrt(abs({inner()}))"))  # fmt: skip


def sound(rng: random.Random, library: list[str]) -> dict[str, Any]:
    """The texts of a cell that can mostly be built: names and dimensions fit, until one of them is broken."""
    names = tuple(rng.sample(("v", "u", "x", "g"), rng.randint(1, 4)))
    names = ("v", *(n for n in names if n != "v"))
    rows = []
    for k, var in enumerate(names):
        right = rng.choice((f"({rng.choice(('2', pure(rng, names, 1)))} - {var})/tau", f"({pure(rng, names, 3)})/tau_m",
                            f"(i - {var} + {pure(rng, names, 2)})/tau"))  # fmt: skip
        if k and rng.random() < 0.2:
            rows.append(f"{var}[n+1] = {pure(rng, names, 2)}")
        elif k and rng.random() < 0.2:
            rows.append(f"{var} = {pure(rng, names[:k], 2)}")
        else:
            rows.append(f"d{var}/dt = {right if k else right.replace('(', '(i + ', 1)}")
    found = {"equations": "\n".join(rows), "threshold": f"v > {pure(rng, names, 1)}",
             "reset": f"v {rng.choice(('=', '-=', '*='))} {pure(rng, names, 2)}", "init": rng.choice(("0", "index/N")),
             "event": f"x_s += w*{rng.choice(('1', '0.5', pure(rng, names, 1)))}"}  # fmt: skip
    if rng.random() < 0.4:
        key = rng.choice(tuple(found))
        found[key] = broken(rng, found[key], library)
    return found


LIBRARY: list[str] = []
"""Equations of the library, once a worker has read them."""


def of_library() -> list[str]:
    if not LIBRARY:
        import neurosim.models as models

        for name in models.__all__:
            model = getattr(models, name)
            for text in (getattr(model, "text", ""), *(eq.text for eq in getattr(model, "equations", ()))):
                if isinstance(text, str) and text:
                    LIBRARY.append(text)
    return LIBRARY


def made(target: str, rng: random.Random) -> dict[str, Any]:
    """Return an input of a target."""
    if target in PLANTED:
        return {"text": "1 + 1"}
    if target in ("quantities", "settings"):
        make: Callable[[random.Random], str] = quantity if target == "quantities" else setting
        return {"text": broken(rng, make(rng), [make(rng) for _ in range(3)])}
    library = of_library()
    if target == "cells":
        return sound(rng, library)
    first = (
        equations(rng) if rng.random() < 0.6 else "\n".join(rng.sample(library, min(len(library), rng.randint(1, 3))))
    )
    found = {"equations": first, "threshold": condition(rng, 2), "reset": statements(rng), "init": expression(rng, 2),
             "event": statements(rng)}  # fmt: skip
    for key in rng.sample(tuple(found), rng.choice((0, 1, 1, 2))):
        found[key] = broken(rng, found[key], library)
    if rng.random() < 0.05:
        found["equations"] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 80))).decode("latin-1")
    return found


# -- what is done with them -------------------------------------------------------------------------------------------


def parse(given: dict[str, Any]) -> None:
    """Parse every text by itself; any may be refused, and each is tried."""
    from neurosim.errors import NeurosimError
    from neurosim.lang.parser import parse_equations, parse_expression, parse_statements

    kept: NeurosimError | None = None
    read = 0
    for key, text in given.items():
        for parser in (parse_equations, parse_statements, parse_expression):
            try:
                parser(text, ("v", "tau"), key)
                read += 1
            except NeurosimError as error:
                _told(error)
                kept = error
    if kept is not None and read < len(given):
        raise kept


def build(given: dict[str, Any]) -> None:
    """Make a cell of the texts, put it into a network and compile it."""
    import neurosim as ns
    from neurosim.compile import compile_network
    from neurosim.units import ms

    receptor = ns.Receptor("dx_s/dt = -x_s/tau_s", event=given["event"], output="x_s", tau_s=5 * ms)
    cell = ns.Cell(given["equations"], threshold=given["threshold"], reset=given["reset"], init={"v": given["init"]},
                   receptors={"exc": receptor}, tau=10 * ms, tau_m=20 * ms)  # fmt: skip
    net = ns.Network("fuzz", dt=0.1 * ms)
    net.population("p", 2, cell)
    compile_network(net)


def quantities(given: dict[str, Any]) -> None:
    from neurosim.units import parse_quantity

    value = parse_quantity(given["text"])
    again = parse_quantity(str(value))
    assert again == value, f"{value!r} reads back as {again!r}"


def settings(given: dict[str, Any]) -> None:
    from neurosim.cli.load import _split, _value, parse_duration
    from neurosim.errors import NeurosimError
    from neurosim.sweep import axes, grid
    from neurosim.units import ms

    def points() -> None:
        varied = axes((text,))
        if all(len(values) < 1000 for values in varied.values()):  # a million of them are legal, and take seconds
            grid(varied, 2, 0)

    text, kept, accepted = given["text"], None, 0
    defaults = (1, 0.5, True, None, "a", 1 * ms)
    for read in (lambda: [_value(k, t, d) for k, t in _split((text,)).items() for d in defaults],
                 lambda: parse_duration(text), points):  # fmt: skip
        try:
            read()
            accepted += 1
        except NeurosimError as error:
            _told(error)
            kept = error
    if kept is not None and not accepted:
        raise kept


def _told(error: Any) -> None:
    from neurosim.errors import VerifyError

    if isinstance(error, VerifyError) or not str(error):
        raise error


def planted(kind: str) -> Callable[[dict[str, Any]], None]:
    """A reader with a fault, by which ``tests/test_fuzz.py`` sees that faults are found."""

    def fault(given: dict[str, Any]) -> None:
        if kind == "code":
            eval(given["text"])
        elif kind == "file":
            open("../elsewhere", "w").close()
        elif kind == "link":
            h5py.is_hdf5("../outside.h5")  # as a library opens a file: no hook sees it
        elif kind == "error":
            raise ZeroDivisionError("a reader's own")
        elif kind == "memory":
            np.ones(150_000_000)
        elif kind == "crash":
            os.abort()
        elif kind == "hang":
            time.sleep(1000)

    return fault


PLANTED = {f"planted-{kind}": planted(kind) for kind in ("code", "file", "link", "error", "memory", "crash", "hang")}

TARGETS = {"equations": parse, "cells": build, "quantities": quantities, "settings": settings}
