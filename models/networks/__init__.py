"""Published networks under the names that the command line takes: ``neurosim run cuba``.

Each is a function of keyword parameters that returns a :class:`~neurosim.lang.network.Network` with the spikes of all
populations recorded (the potentials of ``c_elegans``, which has no spikes), a ``default_duration``, and the
``published`` rates to compare with.
"""

from neurosim.models.networks.brunel import brunel
from neurosim.models.networks.c_elegans import c_elegans
from neurosim.models.networks.coba import coba
from neurosim.models.networks.cuba import cuba
from neurosim.models.networks.dendritic import dendritic
from neurosim.models.networks.diehl_cook import diehl_cook
from neurosim.models.networks.masquelier import masquelier
from neurosim.models.networks.mushroom_body import mushroom_body
from neurosim.models.networks.optic_lobe import optic_lobe
from neurosim.models.networks.potjans_diesmann import potjans_diesmann
from neurosim.models.networks.song import song

__all__ = [
    "brunel",
    "c_elegans",
    "coba",
    "cuba",
    "dendritic",
    "diehl_cook",
    "masquelier",
    "mushroom_body",
    "optic_lobe",
    "potjans_diesmann",
    "song",
]
