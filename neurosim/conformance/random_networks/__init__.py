"""Random networks, and the comparison of two engines on them, bit for bit.

What compiled code depends on is drawn from a small number of *families* (which cells, receptors and stimuli, precision,
bits of the weights), since a program takes seconds to compile; sizes, values, rules, weights, delays, probes, threads
and stretches are drawn anew for every network. Whoever draws is a :class:`Chooser`: a seed, or a property-based testing
library, which can shrink what it finds.
"""

from __future__ import annotations

from neurosim.conformance.random_networks.cells import ALL as ALL
from neurosim.conformance.random_networks.cells import ALL_PLASTIC as ALL_PLASTIC
from neurosim.conformance.random_networks.cells import FAMILIES as FAMILIES
from neurosim.conformance.random_networks.cells import PLASTIC as PLASTIC
from neurosim.conformance.random_networks.cells import Family as Family
from neurosim.conformance.random_networks.cells import family as family
from neurosim.conformance.random_networks.cells import plastic_family as plastic_family
from neurosim.conformance.random_networks.comparing import Outcome as Outcome
from neurosim.conformance.random_networks.comparing import build as build
from neurosim.conformance.random_networks.comparing import check as check
from neurosim.conformance.random_networks.comparing import compare as compare
from neurosim.conformance.random_networks.comparing import difference as difference
from neurosim.conformance.random_networks.comparing import outcome as outcome
from neurosim.conformance.random_networks.dice import Chooser as Chooser
from neurosim.conformance.random_networks.dice import Seeded as Seeded
from neurosim.conformance.random_networks.many import survey as survey
from neurosim.conformance.random_networks.writing import RandomNetwork as RandomNetwork
from neurosim.conformance.random_networks.writing import draw as draw
