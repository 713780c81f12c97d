"""Names for what comes from elsewhere: legal ones, and ones that are still free."""

from __future__ import annotations

import itertools
import re
from collections.abc import Container


def legal_name(text: str) -> str:
    """Return a text as a name in a network: letters, digits and '_', a letter first."""
    out = re.sub(r"\W", "_", text, flags=re.ASCII)
    return out if out[:1].isalpha() else f"n{out}"


def free_name(stem: str, taken: Container[str], separator: str = "_") -> str:
    """Return the first of ``stem``, ``stem_2``, ``stem_3`` … that is not taken."""
    numbered = (f"{stem}{separator}{i}" for i in itertools.count(2))
    return next(name for name in itertools.chain((stem,), numbered) if name not in taken)
