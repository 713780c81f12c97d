"""Events of cells among what was recorded: their probes are variables, but not to be drawn as such."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.errors import ParameterError
from neurosim.recording.records import Spikes

_NEVER = float(1 << 24)  # steps since an event that has not happened


def events_of(result: Any) -> list[tuple[str, str, Spikes]]:
    """Return the events that were recorded: (population, event, when), found by what their samples look like.

    The probe of an event counts the steps since it happened, up to a largest number: from one sample to the next it
    grows by the steps between them, or is smaller than these.
    """
    found = []
    for name, held in result.state.items():
        for variable, trace in held.items():
            if trace.unit not in ("", "1", "dimensionless") or not trace.values.size:
                continue
            values, steps = trace.values, np.rint(trace.times / result.provenance.dt)
            since = np.diff(steps, prepend=0.0)[:, None]
            grown = np.vstack([np.full((1, values.shape[1]), np.inf), values[:-1]]) + since
            if not np.all((values < since) | (values == np.minimum(grown, _NEVER)) | (values == _NEVER)):
                continue
            if not np.any(values[1:] == values[:-1] + since[1:]) and not np.all(values == _NEVER):
                continue  # a number that stays below the interval of its samples is no count of steps
            try:
                found.append((name, variable, result.events(name, variable)))
            except ParameterError:
                continue
    return found
