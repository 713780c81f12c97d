"""From what stands on the command line to a network: a file of the user's or a name of the library, and ``--set``.

A Python file is executed as a module of its own. If it comes to run its network, execution ends there and that
network, its duration and its options are taken, so that a script works unchanged under ``python`` and under
``neurosim run``. A JSON file is a simulation in SONATA, a .nir file a graph in NIR, an HDF5 file a network that
``net.save`` wrote.
"""

from __future__ import annotations

import errno
import inspect
import os
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

from neurosim import registry
from neurosim import run as runner
from neurosim.errors import NeurosimError, ParameterError, UnknownNameError, suggest
from neurosim.lang.network import Network
from neurosim.units import TIME, Quantity, parse_quantity, quantity


class Finish(Protocol):
    """What a file wants done with a result, beside what the command line asks for."""

    def ready(self) -> None:
        """Complain before the run about what could not be written after it."""

    def __call__(self, result: Any) -> dict[str, str]:
        """Do it; return the files that were written, by what they hold."""
        ...


@dataclass
class Loaded:
    """A network, how its own script would run it, and what its file wants the user to know."""

    network: Network
    duration: Quantity | None = None
    options: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    finish: Finish | None = None


class _Reached(BaseException):
    """The script has come to run its network (no Exception, so that the script does not catch it)."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded


def load(target: str, settings: tuple[str, ...] = (), seed: int | None = None) -> Loaded:
    """Return the network that a file defines or the library has, with ``--set`` and ``--seed`` applied.

    Parameters
    ----------
    target : str
        Path of a Python file, of a saved network (.h5), of a SONATA configuration (JSON) or of a NIR graph (.nir), or
        a name that ``neurosim networks`` lists.
    settings : tuple of str
        ``key=value``: with a dot a parameter of a population, without one a keyword of the builder.
    seed : int, optional
        Handed to the builder if it has such a keyword, else set on the network.
    """
    overrides = _split(settings)
    keywords = {k: v for k, v in overrides.items() if "." not in k}
    if target.endswith(".json"):
        return _configured(target, overrides, seed)
    if target.lower().endswith(".nir"):
        return _intermediate(target, overrides, seed)
    if _is_saved(target):
        return _saved(target, overrides, seed)
    by_name = target in registry.NETWORKS or not (target.endswith(".py") or os.sep in target or os.path.exists(target))
    with _intercepted(target):
        try:
            if by_name:
                builder: Any = _library(target)
            else:
                builder = _find(_execute(target), target)
            if isinstance(builder, Network):
                if keywords:
                    raise UnknownNameError(
                        f"'{target}' defines a network, not a function that builds one, so it has no keyword "
                        f"'{next(iter(keywords))}': --set takes POPULATION.PARAMETER=VALUE there"
                    )
                found = Loaded(builder)
            else:
                found, seed = _built(builder, keywords, seed, target, by_name)
        except _Reached as reached:
            found = reached.loaded
            if keywords:
                raise UnknownNameError(
                    f"'{target}' runs its network itself, so it has no keyword '{next(iter(keywords))}': --set takes "
                    "POPULATION.PARAMETER=VALUE there"
                ) from None
    if not found.network.populations:
        raise ParameterError(f"the network '{found.network.name}' of '{target}' has no population")
    return _settled(found, overrides, seed)


def _settled(found: Loaded, overrides: dict[str, str], seed: int | None) -> Loaded:
    """Apply ``--seed`` and the parameters of ``--set``."""
    if seed is not None:
        if not 0 <= seed < 2**64:
            raise ParameterError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed}")
        found.network.seed = seed
    for key, text in overrides.items():
        if "." in key:
            found.network.set_parameter(key, _read(text, f"--set {key}"))
    if found.duration is None:
        found.duration = found.network.default_duration
    found.overrides = overrides
    return found


def parse_duration(text: str, option: str = "--duration") -> Quantity:
    """Read ``--duration``, or another option that is a time."""
    value = _read(text, option)
    if not isinstance(value, Quantity):
        raise ParameterError(f"{option} needs a unit of time: {text}s or {text}ms")
    quantity(value, TIME, option)
    return value


def _read(text: str, what: str) -> Quantity | float:
    """Read a quantity, or say of what on the command line it is none."""
    try:
        return parse_quantity(text)
    except ParameterError as e:
        raise ParameterError(f"{what}: {e.message}") from None


def keywords_of(builder: Callable[..., Any]) -> dict[str, Any]:
    """Return the keywords a builder takes, with their defaults (``inspect.Parameter.empty`` where there is none)."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: p.default for p in inspect.signature(builder).parameters.values() if p.kind in kinds}


# -- files ----------------------------------------------------------------------------------------------------------


@contextmanager
def _intercepted(target: str) -> Iterator[None]:
    """Let the user's code find its neighbours and its own name, and stop it where it runs its network."""

    def reached(network: Network, duration: Any, options: dict[str, Any]) -> None:
        raise _Reached(Loaded(network, duration, options))

    before = sys.argv, list(sys.path), runner.intercept
    sys.argv, runner.intercept = [target], reached
    sys.path.insert(0, os.path.dirname(os.path.abspath(target)))
    try:
        yield
    finally:
        sys.argv, sys.path[:], runner.intercept = before


def _execute(target: str) -> ModuleType:
    path = os.path.abspath(target)
    try:
        if stat.S_ISCHR(os.stat(path).st_mode) or stat.S_ISBLK(os.stat(path).st_mode):
            raise ParameterError(f"cannot read '{target}': it is a device, not a script")
        with open(path, "rb") as file:
            source = file.read()
    except OSError as e:
        words = {errno.ENOENT: "there is no such file", errno.EISDIR: "it is a folder",
                 errno.EACCES: "you have no permission to"}  # fmt: skip
        raise ParameterError(f"cannot read '{target}': {words.get(e.errno or 0) or e.strerror or e}") from None
    if b"\0" in source:
        raise ParameterError(
            f"'{target}' is not a Python script, as it holds a byte of zero: a network is a script (.py), a saved "
            "network (.h5), a SONATA configuration (.json) or a NIR graph (.nir)"
        )
    module = ModuleType(f"_network_{os.path.splitext(os.path.basename(path))[0]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    with _blamed(path):
        exec(compile(source, path, "exec"), module.__dict__)
    return module


@contextmanager
def _blamed(path: str) -> Iterator[None]:
    """Say of an exception in the user's file where it came from."""
    try:
        yield
    except NeurosimError as e:
        if e.where is None:
            e.where = _place(e, path)
        raise
    except SystemExit as e:
        raise ParameterError(f"{_place(e, path)}: the script ended itself before it had built a network") from e
    except SyntaxError as e:
        at = _shown(e.filename or path) + (f":{e.lineno}" if e.lineno else "")
        raise ParameterError(f"{at}: {type(e).__name__}: {e.msg}") from e
    except Exception as e:
        raise ParameterError(f"{_place(e, path)}: {type(e).__name__}: {e}".rstrip(": ")) from e


def _place(e: BaseException, path: str) -> str:
    """Return file:line of the innermost frame of the user's file, else of the innermost frame."""
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(e.__traceback__)]
    mine = [frame for frame in frames if frame[0] == path] or frames
    return f"{_shown(mine[-1][0])}:{mine[-1][1]}"


def _shown(path: str) -> str:
    short = os.path.relpath(path)
    return path if short.startswith("..") else short


def _find(module: ModuleType, target: str) -> Network | Callable[..., Any]:
    """Return the network of a script, or the function of its that builds one."""
    stem = os.path.splitext(os.path.basename(target))[0]
    own = {k: v for k, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__}
    given = vars(module).get("network")
    if isinstance(given, Network):
        return given
    for name in ("network", stem, "build"):
        if name in own:
            return own[name]
    networks = {id(v): (k, v) for k, v in vars(module).items() if isinstance(v, Network)}
    if len(networks) == 1:
        return next(iter(networks.values()))[1]
    if networks:
        names = ", ".join(k for k, _ in networks.values())
        raise ParameterError(f"'{target}' defines {len(networks)} networks ({names}): name the one to run 'network'")
    raise ParameterError(f"'{target}' defines no network: make one (network = ns.Network(...)), or write a function "
                         "network() that returns one")  # fmt: skip


def _is_saved(target: str) -> bool:
    """Whether a file is HDF5, by its name or its beginning: of those a saved network can be run."""
    if target in registry.NETWORKS:
        return False
    if target.lower().endswith((".h5", ".hdf5")):
        return True
    if not os.path.isfile(target):  # a script may come through a pipe, which can be read only once
        return False
    try:
        with open(target, "rb") as file:
            return file.read(16).startswith((b"\x89HDF", b"neurosim "))
    except OSError:
        return False


def _saved(target: str, overrides: dict[str, str], seed: int | None) -> Loaded:
    """Read a network that was saved."""
    network = Network.load(target)
    for key in overrides:
        if "." not in key:
            raise UnknownNameError(f"'{target}' holds a network, not a function that builds one, so it has no keyword "
                                   f"'{key}': --set takes POPULATION.PARAMETER=VALUE there")  # fmt: skip
    if not network.populations:
        raise ParameterError(f"the network '{network.name}' of '{target}' has no population")
    return _settled(Loaded(network), overrides, seed)


def _configured(target: str, overrides: dict[str, str], seed: int | None) -> Loaded:
    """Read a simulation in SONATA; what ``--set`` can change of it are the keywords of the inner function."""
    from neurosim.interchange.sonata.build import Circuit, read_network
    from neurosim.interchange.sonata.output import Output

    read: list[tuple[Circuit, str]] = []

    def simulation(dt: Any = None, components: str = "", delay: Any = None, duplicates: str = "error", output: str = "",
                   seed: int | None = None) -> Network:  # fmt: skip
        if duplicates not in ("error", "merge"):
            raise ParameterError(f"duplicates must be 'error' or 'merge', got '{duplicates}'")
        circuit = read_network(target, dt=dt, seed=seed, components=components or None, delay=delay,
                               duplicates=duplicates)  # fmt: skip
        read.append((circuit, output))
        return circuit.network

    keywords = {k: v for k, v in overrides.items() if "." not in k}
    found, seed = _built(simulation, keywords, seed, target, by_name=True)
    circuit, output = read[0]
    found.notes, found.finish = circuit.notes, Output(circuit, output or None)
    return _settled(found, overrides, seed)


def _intermediate(target: str, overrides: dict[str, str], seed: int | None) -> Loaded:
    """Read a graph in NIR; what ``--set`` can change of it are the keywords of the inner function."""
    from neurosim.interchange.nir.build import Circuit, read_network

    read: list[Circuit] = []

    def graph(dt: Any = None, inputs: str = "", scheme: str = "", reset: str = "", integrators: str = "",
              delays: str = "exact", seed: int = 0) -> Network:  # fmt: skip
        read.append(read_network(target, dt=dt, inputs=inputs or None, scheme=scheme or None, reset=reset or None,
                                 integrators=integrators or None, delays=delays, seed=seed))  # fmt: skip
        return read[0].network

    keywords = {k: v for k, v in overrides.items() if "." not in k}
    found, seed = _built(graph, keywords, seed, target, by_name=True)
    found.notes = read[0].notes
    return _settled(found, overrides, seed)


# -- builders and settings ------------------------------------------------------------------------------------------


def _library(name: str) -> Callable[..., Any]:
    if name not in registry.NETWORKS:
        raise UnknownNameError(f"no network '{name}'{suggest(name, registry.NETWORKS)} (a file is named with its .py)")
    return registry.load_network(name)


def _built(builder: Callable[..., Any], given: dict[str, str], seed: int | None, target: str,
           by_name: bool) -> tuple[Loaded, int | None]:  # fmt: skip
    """Call a builder; return the network, and the seed if it is still to be set."""
    legal = keywords_of(builder)
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in inspect.signature(builder).parameters.values())
    for key in given:
        if key not in legal and not open_ended:
            if not legal:
                raise UnknownNameError(f"{builder.__name__}() takes no keywords, so there is no '{key}' to --set")
            close = suggest(key, legal) if len(legal) > 1 else ""
            close = f"{close} It" if close.endswith("?") else "; it"
            raise UnknownNameError(f"{builder.__name__}() has no keyword '{key}'{close} takes {', '.join(legal)}")
    values = {k: _value(k, text, legal.get(k)) for k, text in given.items()}
    if seed is not None and "seed" in legal:
        values["seed"], seed = seed, None
    needed = [k for k, default in legal.items() if default is inspect.Parameter.empty and k not in values]
    if needed:
        raise ParameterError(f"{builder.__name__}() of '{target}' needs a value: --set {needed[0]}=…")
    path = inspect.getfile(builder) if by_name else os.path.abspath(target)
    if by_name:
        try:
            network = builder(**values)
        except (TypeError, ValueError, ArithmeticError) as e:
            if isinstance(e, NeurosimError) or not given:
                raise
            how = ", ".join(f"{k}={v}" for k, v in given.items())
            raise ParameterError(f"'{target}' cannot be built with {how}: {e}") from e
    else:
        with _blamed(path):
            network = builder(**values)
    if not isinstance(network, Network):
        raise ParameterError(f"{builder.__name__}() of '{target}' returned {type(network).__name__}, not a Network")
    return Loaded(network), seed


def _split(settings: tuple[str, ...]) -> dict[str, str]:
    out = {}
    for item in settings:
        key, equals, text = (part.strip() for part in item.partition("="))
        if not (key and equals and text):
            raise ParameterError(f"--set takes KEY=VALUE, such as exc.tau_m=15ms or scale=0.1; got '{item}'")
        out[key] = text
    return out


def _value(key: str, text: str, default: Any) -> Any:
    """Read the value of a keyword: number, truth value, quantity or plain text, as its default suggests."""
    if isinstance(default, str):
        return text
    words: dict[str, Any] = {"true": True, "yes": True, "false": False, "no": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    if isinstance(default, bool) and text in ("0", "1"):
        return text == "1"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if isinstance(default, Quantity) or text[0] in "+-.(0123456789":
        return _read(text, f"--set {key}")
    if isinstance(default, (int, float)):
        kind = "yes or no" if isinstance(default, bool) else "a number"
        raise ParameterError(f"--set {key}: it takes {kind} (by default {default}), got '{text}'")
    return text
