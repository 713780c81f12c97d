"""What a run recorded, and the file it is kept in."""

from __future__ import annotations

from neurosim.analysis.spiketrains import RateTrace as RateTrace
from neurosim.recording.records import Provenance as Provenance
from neurosim.recording.records import Spikes as Spikes
from neurosim.recording.records import Trace as Trace
from neurosim.recording.records import WeightTrace as WeightTrace
from neurosim.recording.result import RunResult as RunResult
from neurosim.recording.result import SummaryRow as SummaryRow
from neurosim.recording.sonata import StreamWriter as StreamWriter
from neurosim.recording.sonata_read import read_spikes as read_spikes
