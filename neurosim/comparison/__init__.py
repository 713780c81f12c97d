"""The same network on several engines: how far they agree, and where and why they part."""

from __future__ import annotations

from neurosim.comparison.pairs import Comparison as Comparison
from neurosim.comparison.pairs import Pair as Pair
from neurosim.comparison.pairs import Side as Side
from neurosim.comparison.pairs import compare as compare
