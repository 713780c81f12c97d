"""Cells: neuron models, each one declaration."""

from neurosim.models.cells.adex import AdEx
from neurosim.models.cells.alif import ALIF
from neurosim.models.cells.clopath_adex import ClopathAdEx
from neurosim.models.cells.cuba_lif import CubaLIF
from neurosim.models.cells.eif import EIF
from neurosim.models.cells.error_unit import ErrorUnit, Prediction, RateUnit
from neurosim.models.cells.escape_lif import EscapeLIF
from neurosim.models.cells.glif import GLIF
from neurosim.models.cells.hodgkin_huxley import HodgkinHuxley, HodgkinHuxleyPeak
from neurosim.models.cells.integrate_and_fire import IF
from neurosim.models.cells.intrinsic_unit import IntrinsicUnit
from neurosim.models.cells.izhikevich import Izhikevich
from neurosim.models.cells.lif import LIF
from neurosim.models.cells.live_source import LiveSource
from neurosim.models.cells.poisson_source import PoissonSource
from neurosim.models.cells.relay import Relay
from neurosim.models.cells.release_site import ReleaseSite
from neurosim.models.cells.spike_source import SpikeSource
from neurosim.models.cells.urbanczik_senn import UrbanczikSenn

__all__ = [
    "ALIF", "AdEx", "ClopathAdEx", "CubaLIF", "EIF", "ErrorUnit", "EscapeLIF", "GLIF", "HodgkinHuxley",
    "HodgkinHuxleyPeak", "IF", "IntrinsicUnit", "Izhikevich", "LIF", "LiveSource", "PoissonSource", "Prediction",
    "RateUnit", "Relay", "ReleaseSite", "SpikeSource", "UrbanczikSenn",
]  # fmt: skip
