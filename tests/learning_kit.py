"""What tests of published learning rules share: the data of a pairing protocol, and runs compared bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import neurosim as ns

PAIRING_RATES = (0.1, 10.0, 20.0, 40.0, 50.0)
"""Hz, of 75 pairs (60 in some labs) of a spike of the source and one of the target, 10 ms apart."""

PAIRING_CHANGE = np.array([[-0.04, 0.14, 0.29, 0.53, 0.56], [-0.29, -0.41, -0.34, 0.56, 0.75]])
PAIRING_ERROR = np.array([[0.05, 0.10, 0.14, 0.11, 0.26], [0.08, 0.11, 0.10, 0.32, 0.19]])
"""[2, 5]: relative change of the synapse and its standard error, the source 10 ms before and after the target.

P. J. Sjöström, G. G. Turrigiano, S. B. Nelson, Neuron 32 (2001), layer 5 of visual cortex, as tabulated by
J.-P. Pfister, W. Gerstner, J. Neurosci. 26 (2006).
"""


def deviations(change: Any) -> np.ndarray:
    """Return how many standard errors a model's changes [2, 5] are from the experiment's."""
    return np.abs(np.asarray(change) - PAIRING_CHANGE) / PAIRING_ERROR


def same_bits(build: Callable[[], ns.Network], duration: Any, runs: list[dict[str, Any]]) -> Any:
    """Assert that each run has the reference's spikes, weights and recorded values, to the bit; return its result."""
    truth = build().run(duration, backend="reference")
    for how in runs:
        found = build().run(duration, **how)
        for name, spikes in truth.spikes.items():
            assert np.array_equal(found.spikes[name].ids, spikes.ids), (how, name)
            assert np.array_equal(found.spikes[name].steps, spikes.steps), (how, name)
        for name, traces in truth.state.items():
            for variable, trace in traces.items():
                assert np.array_equal(found.state[name][variable].values, trace.values), (how, name, variable)
        for name, trace in truth.weight_traces.items():
            assert np.array_equal(found.weight_traces[name].values, trace.values), (how, name)
        for name in build().projections:
            assert np.array_equal(found.weights(name), truth.weights(name)), (how, name)
    return truth


NATIVE = [{"backend": "native", "threads": 1}, {"backend": "native", "threads": 2}]
BRIAN2 = [{"backend": "brian2", "mode": "numpy"}]
