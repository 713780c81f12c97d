"""NIR files: opened with care, their subgraphs resolved, the order of their nodes found."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import BackendMissingError, ResultFileError, UnsupportedError, suggest
from neurosim.interchange.nir.cells import GRADED, SPIKING
from neurosim.interchange.nir.maps import LINEAR
from neurosim.interchange.sonata.files import display, opened
from neurosim.recording.sonata import COMPRESSION_LIMIT

KNOWN = (*SPIKING, *GRADED, *LINEAR)

STUMBLES = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, OSError, RecursionError,
            RuntimeError, TypeError, ValueError)  # fmt: skip
"""What nir and HDF5 raise of a file that is not as it should be: nir checks by assert, and not everything."""

MAX_DEPTH = 32
"""How deep graphs may be nested in graphs."""

MAX_MEMBERS = 50_000
"""Groups and arrays that a file may lead to; one that is linked twice counts twice."""

MAX_SIZE = 50_000_000
"""Values that a node may give out."""


@dataclass
class Flat:
    """A graph without subgraphs.

    Attributes
    ----------
    nodes : dict
        Name -> NIR node; those of a subgraph are ``subgraph.node``.
    edges : list of (str, str)
    inputs, outputs : list of str
        The graph's own, not those of subgraphs.
    conventions : dict
        What neurosim wrote into the metadata, if it made the file.
    metadata : dict
        All of the graph's metadata.
    nested : bool
        Whether there were subgraphs.
    """

    nodes: dict[str, Any]
    edges: list[tuple[str, str]]
    inputs: list[str]
    outputs: list[str]
    conventions: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    nested: bool = False


@dataclass
class Origin:
    """What a network remembers of the graph that it was read from.

    Attributes
    ----------
    flat : Flat
    populations, projections : dict
        Label in the network -> name of the node.
    outputs : dict
        Output node -> label of the population that it shows.
    driven : bool
        Whether the Inputs are populations; else they were given, as currents.
    """

    flat: Flat
    populations: dict[str, str]
    projections: dict[str, str]
    outputs: dict[str, str]
    driven: bool


def require() -> Any:
    """Return the packages nir and SciPy, or say how to install them."""
    for name in ("nir", "scipy"):
        if importlib.util.find_spec(name) is None:
            raise BackendMissingError(f"NIR needs the package '{name}': pip install 'neurosim-snn[nir]'")
    return importlib.import_module("nir")


def read_graph(path: str) -> Flat:
    """Read a file.

    Raises
    ------
    ResultFileError
        It is missing or damaged, no NIR graph, or one whose types do not fit.
    UnsupportedError
        It has a node that neurosim does not know.
    """
    nir = require()
    shown = display(path)
    with checked(path, "the NIR graph") as file:
        if "node" not in file or "version" not in file:
            raise ResultFileError(f"'{shown}' is an HDF5 file but no NIR graph: it has no 'node' and 'version'")
        kind = _kind(file["node"])
        if kind != "NIRGraph":
            raise ResultFileError(f"'{shown}' holds a single node of NIR, {kind}, and no graph")
    try:
        graph = nir.read(path, type_check=True)
    except STUMBLES as error:
        text = str(error) or type(error).__name__
        raise ResultFileError(f"'{shown}' is no consistent NIR graph: {text}") from None
    return flatten(graph, shown)


@contextlib.contextmanager
def checked(path: str, what: str) -> Iterator[Any]:
    """Open an HDF5 file of NIR's after a look at everything in it."""
    with opened(path, what) as file:
        _survey(file, display(path), [0])
        yield file


def _survey(node: Any, shown: str, seen: list[int], depth: int = 0) -> None:
    """Look at everything before it is read: what kinds of nodes there are, how large the arrays claim to be."""
    import h5py

    if depth > 3 * MAX_DEPTH:
        raise ResultFileError(f"'{shown}' nests graphs more than {MAX_DEPTH} deep")
    if not isinstance(node, h5py.Group):
        raise ResultFileError(f"'{shown}': {node.name} is no group")
    for key in node:
        seen[0] += 1
        if seen[0] > MAX_MEMBERS:
            raise ResultFileError(f"'{shown}' leads to more than {MAX_MEMBERS:,} groups and arrays")
        if not isinstance(node.get(key, getlink=True), h5py.HardLink):
            raise ResultFileError(f"'{shown}': '{key}' in {node.name} is a link to somewhere else")
        found = node[key]
        if isinstance(found, h5py.Group):
            _survey(found, shown, seen, depth + 1)
        elif not isinstance(found, h5py.Dataset):
            raise ResultFileError(f"'{shown}': '{key}' in {node.name} is neither a group nor an array")
        elif found.is_virtual or found.external:
            raise ResultFileError(f"'{shown}': {found.name} lies in another file")
        elif found.nbytes > COMPRESSION_LIMIT * max(found.id.get_storage_size(), 64):
            raise ResultFileError(f"'{shown}': {found.name} claims {found.nbytes} bytes, more than the file can hold")
    if "type" in node and depth:
        kind = _kind(node)
        if kind != "NIRGraph" and kind not in KNOWN:
            name = str(node.name).rpartition("/")[2]
            raise UnsupportedError(f"'{shown}': the node '{name}' is a '{kind}', which NIR 1.0.8 does not have"
                                   f"{suggest(kind, KNOWN)}")  # fmt: skip


def _kind(node: Any) -> str:
    found = node["type"][()] if "type" in node else "nothing"
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def flatten(graph: Any, shown: str) -> Flat:
    """Return a graph with its subgraphs put in their places, and what it says of its conventions."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    nested = _put(graph, "", nodes, edges, shown)
    ends = {kind: [name for name in graph.nodes if type(graph.nodes[name]).__name__ == kind]
            for kind in ("Input", "Output")}  # fmt: skip
    for name, node in nodes.items():
        if type(node).__name__ not in KNOWN:
            raise UnsupportedError(f"'{shown}': the node '{name}' is a {type(node).__name__}, which neurosim does not "
                                   "read")  # fmt: skip
        _finite(name, node, shown)
    metadata = dict(graph.metadata) if isinstance(graph.metadata, dict) else {}
    return Flat(nodes, edges, ends["Input"], ends["Output"], _conventions(graph), metadata, nested)


def _put(graph: Any, prefix: str, nodes: dict[str, Any], edges: list[tuple[str, str]], shown: str) -> bool:
    import nir

    if prefix.count(".") > MAX_DEPTH:
        raise ResultFileError(f"'{shown}' nests graphs more than {MAX_DEPTH} deep")
    subs = {name: node for name, node in graph.nodes.items() if isinstance(node, nir.NIRGraph)}
    for name, node in graph.nodes.items():
        if name in subs:
            _put(node, f"{prefix}{name}.", nodes, edges, shown)
        elif prefix + name in nodes:
            raise UnsupportedError(f"'{shown}' has two nodes that are '{prefix}{name}' once subgraphs are put in "
                                   "their places: rename one")  # fmt: skip
        else:
            nodes[prefix + name] = node

    def end(name: str, kind: str) -> str:
        if name not in subs:
            return prefix + name
        found = [k for k, n in subs[name].nodes.items() if type(n).__name__ == kind]
        if len(found) != 1:
            raise UnsupportedError(f"'{shown}': the subgraph '{prefix}{name}' has {len(found)} nodes of the kind "
                                   f"{kind}; one is read")  # fmt: skip
        return f"{prefix}{name}.{found[0]}"

    edges += [(end(a, "Output"), end(b, "Input")) for a, b in graph.edges]
    return bool(subs)


def _finite(name: str, node: Any, shown: str) -> None:
    for key, value in vars(node).items():
        if isinstance(value, dict) and key not in ("input_type", "output_type", "metadata"):
            raise ResultFileError(f"'{shown}': {key} of the node '{name}' is a group, and not an array")
        if not isinstance(value, (np.ndarray, np.generic)) or key in ("metadata", "padding"):
            continue
        if value.dtype.kind not in "biuf":
            raise ResultFileError(f"'{shown}': {key} of the node '{name}' is no array of real numbers ({value.dtype})")
        if not np.all(np.isfinite(value)):
            raise ResultFileError(f"'{shown}': {key} of the node '{name}' is not finite everywhere")
    size = max((int(np.prod([float(k) for k in np.ravel(t)])) for types in (node.input_type, node.output_type)
                for t in (types or {}).values() if t is not None), default=0)  # fmt: skip
    if size > MAX_SIZE:
        raise UnsupportedError(f"'{shown}': the node '{name}' has {size:,} values; at most {MAX_SIZE:,} are read")
    for key in ("tau", "tau_syn", "tau_mem"):
        if np.any(np.asarray(getattr(node, key, 1.0)) <= 0):
            raise ResultFileError(f"'{shown}': {key} of the node '{name}' is not positive everywhere")


def _conventions(graph: Any) -> dict[str, Any]:
    """Return what neurosim wrote into a graph's metadata, as far as it is what it writes."""
    given = graph.metadata.get("neurosim") if isinstance(graph.metadata, dict) else None
    out: dict[str, Any] = {}
    if isinstance(given, dict):
        for key, kind in (("dt", float), ("scheme", str), ("reset", str), ("integrators", str)):
            value = given.get(key)
            value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            if isinstance(value, (kind, np.floating if kind is float else str)):
                out[key] = kind(value)
    return out


# -- order


def components(names: list[str], edges: list[tuple[str, str]]) -> list[list[str]]:
    """Return the strongly connected components, sources first (Tarjan 1972, without recursion)."""
    after: dict[str, list[str]] = {name: [] for name in names}
    for a, b in edges:
        after[a].append(b)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on: set[str] = set()
    found: list[list[str]] = []
    for root in names:
        if root in index:
            continue
        work = [(root, iter(after[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on.add(root)
        while work:
            name, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on.add(other)
                    work.append((other, iter(after[other])))
                    break
                if other in on:
                    low[name] = min(low[name], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    at = stack.index(name)
                    found.append(stack[at:])
                    on -= set(stack[at:])
                    del stack[at:]
    return found[::-1]
