"""Every error a user can meet, in one tree.

::

    NeurosimError
    ├── DimensionError        (TypeError)     a quantity has the wrong physical dimension
    ├── EquationError         (ValueError)    text that does not parse, or means nothing
    ├── ParameterError        (ValueError)    a parameter, option or value outside its legal range
    ├── UnknownNameError      (KeyError)      a name nobody defined; suggests the nearest one
    ├── UnknownAttributeError (AttributeError)  an attribute that an object has not; says where else it is
    ├── ConnectivityError     (ValueError)    a projection that cannot be built
    ├── UnsupportedError      (NotImplementedError)  a backend cannot express a construct
    ├── BackendMissingError   (ImportError)   an engine is not installed; carries the line that installs it
    ├── BackendError          (RuntimeError)   a backend broke its contract
    ├── ResourceError         (MemoryError)   the run would not fit; carries the estimate
    ├── ResultFileError       (OSError)       a file of neurosim's own that cannot be read or written
    ├── DataFileError         (OSError)       a file of a data set that is missing, foreign or damaged
    ├── DivergedError         (ArithmeticError)  a state variable left the finite numbers
    └── VerifyError           (AssertionError)   a pass produced an ill-formed graph: our bug, not the user's

Each leaf is also a builtin, so that code that knows nothing of neurosim can catch it. ``where`` is the place in
the user's own file (``model.py:14``) at which the offending object was made.
"""

from __future__ import annotations

import contextlib
import contextvars
import difflib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from neurosim.habits import same_thing

_PACKAGE_ROOT = os.path.dirname(os.path.abspath(__file__))
# In a checkout three folders lie beside the package. In a wheel they lie in it, and what is beside is somebody else's.
_MAPPED_ROOTS = () if os.path.isdir(os.path.join(_PACKAGE_ROOT, "backends")) else tuple(
    os.path.join(os.path.dirname(_PACKAGE_ROOT), name) for name in ("backends", "models", "hardware"))  # fmt: skip


class NeurosimError(Exception):
    """Base of all errors that neurosim raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong and what to do about it, in one or two sentences.
    where : str, optional
        ``file:line`` of the user's code that made the offending object.

    Attributes
    ----------
    results : Trials or None
        The trials that had ended, where one of several has failed.
    """

    def __init__(self, message: str, where: str | None = None) -> None:
        self.message = message
        self.where = where
        self.results: Any = None
        super().__init__(message if not where else f"{message} ({where})")

    def __str__(self) -> str:  # KeyError would quote the text
        return str(self.args[0]) if self.args else ""


class DimensionError(NeurosimError, TypeError):
    """A quantity has the wrong physical dimension."""


class EquationError(NeurosimError, ValueError):
    """An equation, condition or expression does not parse or is not well-formed."""


class ParameterError(NeurosimError, ValueError):
    """A parameter or option is outside its legal values."""


class UnknownNameError(NeurosimError, KeyError):
    """A name that nobody defined."""


class UnknownAttributeError(NeurosimError, AttributeError):
    """An attribute that an object has not, or that is not there to be set."""


class ConnectivityError(NeurosimError, ValueError):
    """A projection that cannot be built as written."""


class UnsupportedError(NeurosimError, NotImplementedError):
    """A backend cannot express a construct of the network."""


class BackendMissingError(NeurosimError, ImportError):
    """A backend's engine is not installed."""


class BackendError(NeurosimError, RuntimeError):
    """A backend did not keep to what :mod:`neurosim.backends.base` asks of it."""


class ResourceError(NeurosimError, MemoryError):
    """The run would need more memory or disk than there is."""


class ResultFileError(NeurosimError, OSError):
    """A file of neurosim's own (results, a sweep, a checkpoint, a network) cannot be read or written."""


class DataFileError(NeurosimError, OSError):
    """A file of a data set is missing, of another format, truncated or damaged."""


class DivergedError(NeurosimError, ArithmeticError):
    """A state variable became infinite or not a number."""


class VerifyError(NeurosimError, AssertionError):
    """A pass left an ill-formed graph behind."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, else the list of known names.

    Nearest is first what other simulators call by the given name, then what is spelt like it.
    """
    names = sorted(set(known))
    close = same_thing(name, names) or next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), None)
    if close:
        return f"; did you mean '{close}'?"
    return f"; known: {', '.join(names)}" if names else ""


def origin(error: BaseException) -> str | None:
    """Return ``file:line`` of the user's innermost line that an exception passed through, or None.

    Frames of neurosim, of the standard library, of installed packages and of generated code are not the user's.
    """
    import sysconfig  # an error is rare, and `import neurosim` shall not wait for it

    others = (_PACKAGE_ROOT, *_MAPPED_ROOTS, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")))
    found, trace = None, error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        inside = path.startswith(("<frozen", "<string>", *(root + os.sep for root in others)))
        if not inside and not {"site-packages", "dist-packages"} & set(path.replace("\\", "/").split("/")):
            found = f"{path}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


_place: contextvars.ContextVar[str | None] = contextvars.ContextVar("place", default=None)


@contextlib.contextmanager
def placed(place: str) -> Iterator[None]:
    """Blame a place that is no line of Python, such as ``net.h5: population 'exc'``, for what is made meanwhile."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def caller() -> str | None:
    """Return ``file:line`` of the innermost frame outside neurosim, or what :func:`placed` says, or None."""
    place = _place.get()
    if place is not None:
        return place
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        inside = path.startswith(_PACKAGE_ROOT + os.sep) or any(path.startswith(r + os.sep) for r in _MAPPED_ROOTS)
        if not inside and not path.startswith("<frozen") and not path.startswith("<string>"):
            try:
                shown = os.path.relpath(path)
            except ValueError:  # another drive on Windows
                shown = path
            return f"{path if shown.startswith('..') else shown}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return None
