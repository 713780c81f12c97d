"""``in_steps(t)`` of a constant time: a whole number of steps, or an error, as for delays and refractory periods."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.ir import expr as ex
from neurosim.ir.expr import Expr
from neurosim.ir.interp import evaluate
from neurosim.ir.lower import edge_program
from neurosim.ir.timegrid import LONGEST, whole_steps


def in_whole_steps(e: Expr, params: dict[str, Any], dt: float, what: str, where: str | None) -> Expr:
    """Put parameters in the place of ``in_steps(t)`` where t is made of parameters; they are entered into ``params``.

    Parameters
    ----------
    params : dict
        Values in SI: one, or one for each neuron; the latter are rounded to steps.
    what : str
        Whose equations these are, for the message.

    Raises
    ------
    ParameterError
        If a single time is no whole number of steps, or more of them than are counted.
    """

    def one(x: Expr) -> Expr | None:
        if x.op != "in_steps":
            return None
        time = in_whole_steps(x.args[0], params, dt, what, where)
        if not (ex.names(time) <= params.keys() and all(y.op in ("const", "name") or y.args for y in ex.walk(time))):
            return Expr("in_steps", (time,))
        program = edge_program(time)
        assert program.result is not None
        seconds = evaluate(program, lambda ins: np.asarray(params[ins.attr], dtype=np.float64)[()])[program.result]
        text = f"in_steps({ex.render(time)})"
        if np.ndim(seconds) == 0:
            steps: Any = float(whole_steps(float(seconds), dt, f"{text} of {what}", where, most=LONGEST))
        else:
            steps = np.rint(np.asarray(seconds) / dt)
        params[text] = steps
        return ex.name(text)

    return ex.replace(e, one)


__all__ = ["in_whole_steps"]
