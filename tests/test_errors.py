"""Errors: the tree, and the place in the user's file that they name."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest

import neurosim as ns
from neurosim import errors
from neurosim.errors import ConnectivityError, NeurosimError, origin
from neurosim.units import ms

HERE = str(Path(__file__))


def line_of(text: str) -> int:
    """The number of the one line of this file that ends with a mark."""
    (found,) = [k for k, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith(f"  # {text}")]
    return found


def raised(make) -> Exception:
    with pytest.raises(Exception) as caught:
        make()
    return caught.value


def test_every_error_is_also_a_builtin():
    leaves = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, NeurosimError)]
    for leaf in set(leaves) - {NeurosimError}:
        assert leaf.__mro__[1] is NeurosimError and leaf.__mro__[2] is not Exception, leaf
        assert str(leaf("what is wrong", "net.py:3")) == "what is wrong (net.py:3)"


def test_origin_is_the_users_own_line():
    """The innermost frame is json's, numpy's or generated code; the line that called it is the user's."""

    def standard_library():
        json.loads("{")  # standard library

    def installed():
        np.stack([])  # installed package

    def generated():
        exec(compile("1/0", "<string>", "exec"), {})  # generated code

    def own():
        raise RuntimeError  # own

    for make, mark in (
        (standard_library, "standard library"), (installed, "installed package"), (generated, "generated code"),
        (own, "own"),
    ):  # fmt: skip
        error = raised(make)
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        assert trace is not None and (trace.tb_frame.f_code.co_filename == HERE) == (make is own)
        assert origin(error) == f"{HERE}:{line_of(mark)}"


def test_origin_of_what_no_line_of_the_user_raised():
    error = RuntimeError()
    assert origin(error) is None, "it was never raised"
    code = compile("import json\njson.loads('{')", str(Path(contextlib.__file__).parent / "site-packages/x.py"), "exec")
    error = raised(lambda: exec(code, {}))
    own = error.__traceback__.tb_next.tb_next  # without this file's two frames
    assert origin(error.with_traceback(own)) is None


def test_a_rule_that_fails_in_a_library_names_the_rules_line():
    class Mine(ns.Rule):
        def edges(self, ctx):
            yield np.stack([]), np.arange(3)  # user rule

    net = ns.Network(dt=0.1 * ms)
    cell = ns.Cell("v[n+1] = 0", receptors={"e": ns.Receptor(event="v += w")})
    pop = net.population("p", 3, cell)
    net.connect(pop, pop, rule=Mine(), weight=1.0)
    with pytest.raises(ConnectivityError, match=r"ValueError: need at least one array to stack") as caught:
        net.run(1 * ms, backend="reference")
    assert caught.value.where == f"{HERE}:{line_of('user rule')}"
