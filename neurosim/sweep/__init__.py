"""Many runs of one network: every combination of some settings, several trials of each, in processes of their own.

``neurosim sweep net.py --set g=4:6:0.25 --trials 8 -o sweep.h5`` is the way in; :class:`SweepResult` reads what it
wrote. A point is run as if alone: ``neurosim run net.py --set g=4.25 --seed S`` gives the same spikes.
"""

from __future__ import annotations

from neurosim.sweep.points import Point as Point
from neurosim.sweep.points import axes as axes
from neurosim.sweep.points import grid as grid
from neurosim.sweep.store import Store as Store
from neurosim.sweep.store import SweepResult as SweepResult
from neurosim.sweep.workers import Outcome as Outcome
from neurosim.sweep.workers import on_dask as on_dask
from neurosim.sweep.workers import on_processes as on_processes
