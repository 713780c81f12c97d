"""Surprise-driven plasticity: the memory of the Titans architecture as a local rule with three factors."""

from __future__ import annotations

import re
from typing import Any

from neurosim.errors import ParameterError, caller
from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.units import Hz, Quantity, ms, second


def Surprise(
    *,
    error: str = "count_post",
    momentum: float = 0.9,
    forgetting: float = 0.0,
    rate: float = 0.1,
    interval: Quantity = 10 * ms,
    unit: Quantity = 10_000 * Hz,
    key: float = 1.0,
    counted: bool = True,
    gate: str = "1",
    w_max: Any = 10.0,
    **params: Any,
) -> Plasticity:
    r"""Return the rule that learns to predict, driven by what it could not predict.

    At the end of every ``interval`` (a token), with the key k (rate of the source), the error e of the target and the
    gate g, each synapse carries out

        s <- momentum*s + rate*g*e*k          surprise: of now, and remembered
        w <- (1 - forgetting)*w + s           memory

    With targets that fire with e = v - M k, M the weights, this is the recurrence of Titans for a linear memory,
    :math:`S_t = \eta S_{t-1} - \theta\nabla\ell`, :math:`M_t = (1 - \alpha) M_{t-1} + S_t`, read and written by one
    synapse without knowledge of any other.

    Parameters
    ----------
    error : str
        What the synapse reads of its target. With ``counted``, a variable that counts spikes for and against, such as
        ``count`` of :data:`~neurosim.models.ErrorUnit`; else the error itself, an expression of state variables of the
        target such as ``"v_apical_post - v_basal_post"``.
    momentum : float
        :math:`\eta` in [0, 1): what remains of a surprise.
    forgetting : float
        :math:`\alpha` in [0, 1): what goes of a memory.
    rate : float
        :math:`\theta`: what an error moves.
    interval : Quantity
        Duration of a token, a whole number of steps.
    unit : Quantity
        The rate that stands for 1, in keys and in errors.
    key : float
        The greatest squared norm of a key, for the bound of stability, 0 < rate*key < (1 + momentum)*(2 - forgetting).
    counted : bool
        Whether ``error`` counts.
    gate : str
        A third factor: 1, a modulator (``"dopamine_post"``), or a function of ``surprise``, which stands for |e| at
        the target: ``"sigmoid((surprise - mu)/sigma)"``, with ``mu`` and ``sigma`` among the parameters.
    w_max : float or Quantity
        The greatest magnitude of a weight.
    **params
        Parameters that ``error`` or ``gate`` reads.

    Raises
    ------
    ParameterError
        Beyond the bound; also when a projection is made of a copy with other values.

    Notes
    -----
    A memory of n synapses needs three numbers at each: s, and what source and target had counted at the last token.
    The bound is exact for a constant key: the errors along it obey
    :math:`\lambda^2 - (1 - \alpha + \eta - \theta|k|^2)\lambda + \eta(1 - \alpha) = 0`.

    References
    ----------
    A. Behrouz, P. Zhong, V. Mirrokni, Titans: Learning to memorize at test time, arXiv:2501.00663 (2025), eqs. 9, 13.
    R. Urbanczik, W. Senn, Neuron 81 (2014), for the difference of compartments as an error.
    """
    if not isinstance(error, str) or not isinstance(gate, str):
        raise ParameterError(f"error and gate of Surprise are expressions, got {error!r} and {gate!r}", caller())
    read = f"(({error}) - e0)/(interval*unit)" if counted else f"({error})"
    gated = re.sub(r"\bsurprise\b", f"abs({read})", gate)
    return Plasticity(
        pre="dx/dt = 0",
        edge="ds/dt = 0; dx0/dt = 0" + ("; de0/dt = 0" if counted else ""),
        on_pre="x += 1",
        on_every=(
            f"s = momentum*s + rate*({gated})*{read}*(x - x0)/(interval*unit); w = (1 - forgetting)*w + s; x0 = x"
            + (f"; e0 = {error}" if counted else "")
        ),
        every="interval",
        lower="-w_max",
        upper="w_max",
        require="0 < rate*key and rate*key < (1 + momentum)*(2 - forgetting)",
        momentum=Param(momentum, 1, "what remains of a surprise", lo=0, hi=1, hi_open=True),
        forgetting=Param(forgetting, 1, "what goes of a memory", lo=0, hi=1, hi_open=True),
        rate=Param(rate, 1, "what an error moves", lo=0, lo_open=True),
        interval=Param(interval, second, "duration of a token", lo=0 * ms, lo_open=True),
        unit=Param(unit, Hz, "the rate that stands for 1", lo=0 * Hz, lo_open=True),
        key=Param(key, 1, "greatest squared norm of a key", lo=0, lo_open=True),
        w_max=Param(w_max, None, "greatest magnitude of a weight"),
        name="Surprise",
        doc="surprise remembered, memory with forgetting: the linear memory of Titans as a local rule",
        source="A. Behrouz, P. Zhong, V. Mirrokni, arXiv:2501.00663 (2025), eqs. 9 and 13",
        **params,
    )
