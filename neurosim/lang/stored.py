"""What a network does with files of its own."""

from __future__ import annotations

import importlib
import os
from typing import Any, Self


class Stored:
    """A network that can be saved and loaded; :class:`neurosim.Network` is one."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as HDF5, whole or not at all, for :meth:`load` and ``neurosim run net.h5``.

        What is written is the description: what ``run`` would begin with, whether or not it has been called. Weights
        that a run has learned are in its result, and where it stands is in its checkpoint (docs/checkpoints.md). The
        file holds no code: equations are text in the grammar of neurosim.

        Parameters
        ----------
        path : path
            An existing file is replaced when the new one is complete.

        Raises
        ------
        ParameterError
            Something in the network is code: a rule or a cell that is a class of your own. The message names it, and
            says what to do.
        ResultFileError
            The file cannot be written; says why.
        """
        importlib.import_module("neurosim.saving").save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a network that :meth:`save` wrote: the same spikes, to the bit, on every engine.

        The file is taken to be hostile. Its seal, its layout, and all sizes are checked before anything is made of
        them, and the network is made by the functions that a user calls, with all their checks.

        Parameters
        ----------
        path : path
            Of the file.

        Raises
        ------
        ResultFileError
            The file is missing, truncated, damaged, of a newer version, or not a network; says which.
        NeurosimError
            It describes no network that could be: what the language says of it, with the place in the file.
        """
        found: Any = importlib.import_module("neurosim.saving").load(path)
        return found
