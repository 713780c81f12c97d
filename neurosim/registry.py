"""Names of backends and networks, and where they are: strings, so that nothing heavy is imported before it is used.

A third party adds a backend with an entry point in its own package::

    [project.entry-points."neurosim.backends"]
    mine = "my_package.backend:MyBackend"
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from neurosim.errors import BackendError, BackendMissingError, UnknownNameError, caller, suggest

GROUP = "neurosim.backends"


@dataclass(frozen=True)
class Entry:
    """A backend: the class, the packages it needs, the line that installs them, one line about it.

    ``found`` and ``installer`` are for an engine that lives in an environment of its own: functions that return its
    interpreter, or None, and that make it. ``integers``: it computes in a chip's integers, so that the conformance
    suite, and the table of support, are not about it; ``account`` is the function that says what they did to a network.
    """

    target: str
    needs: tuple[str, ...] = ()
    install: str = ""
    summary: str = ""
    found: str = ""
    installer: str = ""
    integers: bool = False
    account: str = ""


BACKENDS: dict[str, Entry] = {
    "native": Entry("neurosim.backends.native.backend:NativeBackend", ("numba",), "pip install numba",
                    "compiled loops (numba), multi-threaded; the default"),
    "reference": Entry("neurosim.backends.reference_backend:ReferenceBackend", (), "",
                       "plain NumPy, step by step: what every program means"),
    "brian2": Entry("neurosim.backends.brian2_backend.backend:Brian2Backend", ("brian2",),
                    "pip install 'brian2==2.9.*' 'numpy<2.4'",
                    "Brian2: the same steps as its abstract code, interpreted, compiled or as one C++ program"),
    "nest": Entry("neurosim.backends.nest_backend.backend:NestBackend", ("nest",),
                  "pip install 'nest-simulator==3.10.*'",
                  "NEST: cells that it has, recognised by their mathematics; the way to clusters"),
    "snntorch": Entry("neurosim.backends.snntorch_backend.backend:SnnTorchBackend", ("torch", "snntorch"),
                      "pip install torch snntorch",
                      "PyTorch: the same steps as tensors, on CPU or GPU; net.to_torch() makes them trainable"),
    "loihi2": Entry("neurosim.backends.loihi2_backend:Loihi2Backend", ("numba",), "pip install numba",
                    "Loihi 2's integers, bit for bit Lava's: the network is quantised first", integers=True,
                    account="neurosim.backends.loihi2_account:account"),
    "lava": Entry("neurosim.backends.lava.backend:LavaBackend", (), "neurosim lava install",
                  "Lava 0.10, fixed point: networks of Loihi 2's integers, in an environment of its own",
                  "neurosim.backends.lava.environment:python", "neurosim.backends.lava.environment:install",
                  integers=True, account="neurosim.backends.loihi2_account:account"),
    "null": Entry("neurosim.backends.null_backend:NullBackend", (), "", "checks and builds nothing, records nothing"),
}  # fmt: skip

GENERAL = tuple(name for name, entry in BACKENDS.items() if not entry.integers)
"""Those that the conformance suite runs on."""

NETWORKS: dict[str, str] = {
    "cuba": "neurosim.models.networks.cuba:cuba",
    "coba": "neurosim.models.networks.coba:coba",
    "brunel": "neurosim.models.networks.brunel:brunel",
    "dendritic": "neurosim.models.networks.dendritic:dendritic",
    "c_elegans": "neurosim.models.networks.c_elegans:c_elegans",
    "mushroom_body": "neurosim.models.networks.mushroom_body:mushroom_body",
    "optic_lobe": "neurosim.models.networks.optic_lobe:optic_lobe",
    "potjans_diesmann": "neurosim.models.networks.potjans_diesmann:potjans_diesmann",
    "song": "neurosim.models.networks.song:song",
    "masquelier": "neurosim.models.networks.masquelier:masquelier",
    "diehl_cook": "neurosim.models.networks.diehl_cook:diehl_cook",
}


SCHEDULES: dict[str, str] = {"SpikeTimes": "neurosim.models.cells.spike_source:SpikeTimes"}
"""Where given spikes can come from: what a cell's ``schedule`` is."""

PROTOTYPES: dict[str, str] = {"NIR_": "neurosim.interchange.nir.cells:every", "": "neurosim.models:__all__"}
"""Components that somebody knows by identity, by how their names begin: those of a module, or what a function gives."""


def backends() -> dict[str, Entry]:
    """Return all backends, ours and those that other packages bring."""
    out = dict(BACKENDS)
    for point in metadata.entry_points(group=GROUP):
        if point.name not in out:
            package = point.dist.name if point.dist is not None else "another package"
            out[point.name] = Entry(point.value, (), "", f"from {package}")
    return out


def missing(name: str) -> str | None:
    """Return the line that installs what a backend lacks, None where it can be used."""
    entry = _entry(name)
    absent = [n for n in entry.needs if importlib.util.find_spec(n) is None]
    lost = bool(entry.found) and _resolve(entry.found)() is None
    return entry.install if absent or lost else None


def installer(name: str) -> Callable[[], Any]:
    """Return the function that installs a backend's engine in an environment of its own."""
    return _resolve(_entry(name).installer)


def accountant(name: str) -> Callable[..., Any] | None:
    """Return the function that says what a backend's integers did to a network, None where it has none."""
    entry = _entry(name)
    return _resolve(entry.account) if entry.account else None


def load_backend(name: str) -> Any:
    """Return an instance of a backend.

    Raises
    ------
    UnknownNameError
        No such backend.
    BackendMissingError
        Its engine is not installed; the message is the line that installs it.
    """
    entry = _entry(name)
    line = missing(name)
    if line:
        raise BackendMissingError(f"backend '{name}' is not installed: {line}")
    try:
        found = _resolve(entry.target)
    except (ImportError, AttributeError) as e:
        raise BackendMissingError(f"backend '{name}' cannot be loaded from {entry.target}: {e}") from e
    base = _resolve("neurosim.backends.base:Backend")
    if not (isinstance(found, type) and issubclass(found, base)):
        raise BackendError(f"backend '{name}': {entry.target} is no subclass of neurosim.backends.base.Backend")
    return found()


def load_network(name: str) -> Callable[..., Any]:
    """Return the function that builds a network of the library."""
    if name not in NETWORKS:
        raise UnknownNameError(f"no network '{name}'{suggest(name, NETWORKS)}", caller())
    return _resolve(NETWORKS[name])


def load_schedule(name: str) -> Callable[..., Any]:
    """Return a class of schedules."""
    return _resolve(SCHEDULES[name])


def prototype_group(name: str) -> str:
    """Return the group of prototypes that a component of a name may be a copy of."""
    return next(start for start in PROTOTYPES if name.startswith(start))


def load_prototypes(group: str) -> list[Any]:
    """Return the components of a group of prototypes, among what else there is."""
    found: Any = _resolve(PROTOTYPES[group])
    if callable(found):
        return [*found()]  # type: ignore[misc]
    module = importlib.import_module(PROTOTYPES[group].partition(":")[0])
    return [getattr(module, name) for name in found]


def schedule_name(schedule: Any) -> str | None:
    """Return the name of a schedule's class; None if it is not one of ours."""
    return next((name for name in SCHEDULES if type(schedule) is load_schedule(name)), None)


def _entry(name: str) -> Entry:
    known = backends()
    if name not in known:
        raise UnknownNameError(f"no backend '{name}'{suggest(name, known)}", caller())
    return known[name]


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
