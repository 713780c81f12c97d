"""Readers of published connectomes: the fly's optic lobe (flyvis) and mushroom body (FlyWire), and C. elegans.

They read files that the user has, and download nothing; one reconstruction of C. elegans comes with this package. What
is missing or not what it should be is a :class:`~neurosim.errors.ParameterError` that names the package which contains
the data.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import ParameterError, UnknownNameError, caller, suggest

_FLYVIS = "flyvis/connectome/fib25-fib19_v2.2.json"
_FLYVIS_HELP = (
    f"the optic lobe's connectome is the file '{_FLYVIS}' of the Python package flyvis (MIT): `pip download "
    "--no-deps flyvis==1.2.0`, then set path to the wheel (path=flyvis-1.2.0-py3-none-any.whl), or to the json file "
    "in it; where flyvis is installed it is found by itself"
)
_MUSHROOM = "fly_ftl_extract/data/mb_fafb783.npz"
_MUSHROOM_HELP = (
    f"the mushroom body's connectome is the file '{_MUSHROOM}' of the Python package fly-ftl-extract (FlyWire data, "
    "CC-BY 4.0): `pip download --no-deps --python-version 3.14 --only-binary :all: fly-ftl-extract==0.1.0`, then set "
    "path to the wheel, or to the npz file in it; where the package is installed it is found by itself"
)

_CECT = {"varshney2011": "cect/cache/VarshneyDataReader.json", "cook2019": "cect/cache/Cook2019HermReader.json"}
_CECT_HELP = (
    "the connectome of Cook et al. (2019) is the file '{}' of the Python package cect (MIT): `pip download --no-deps "
    "cect==0.3.5` (14 MB), then set path to the wheel (path=cect-0.3.5-py3-none-any.whl), or to the json file in it; "
    "where cect is installed it is found by itself"
)
_GABAERGIC = r"DD\d+|VD\d+|RME[DVLR]|RIS|AVL|DVB"
_MUSCLE_OR_GLIA = r"M[DV][LR]\d+|BWM|GLR\w+"

_MISFITS = (KeyError, ValueError, TypeError, IndexError, EOFError, OSError, zipfile.BadZipFile)
"""What reading a file of another kind raises, in zipfile, json, NumPy and here."""


@dataclass(frozen=True)
class OpticLobe:
    """Cells on a hexagonal lattice of columns, and signed connections between them.

    Attributes
    ----------
    types : tuple of str
        Names of the cell types.
    kind, u, v : ndarray of int
        [N] index of each cell's type, and its column in oblique hexagonal coordinates.
    pre, post : ndarray of int
        [E] indices of the cells.
    n_syn : ndarray of float
        [E] synapses of a connection: the mean over the columns that were reconstructed.
    sign : ndarray of int
        [E] +1 or -1.
    """

    types: tuple[str, ...]
    kind: np.ndarray
    u: np.ndarray
    v: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    n_syn: np.ndarray
    sign: np.ndarray

    @property
    def x(self) -> np.ndarray:
        """[N] position to the right of the lattice's centre, in distances between neighbouring columns."""
        return np.sqrt(3) / 2 * self.v

    @property
    def y(self) -> np.ndarray:
        """[N] position above the lattice's centre, in distances between neighbouring columns."""
        return -(self.u + self.v / 2)

    def cells(self, name: str) -> np.ndarray:
        """Return the indices of the cells of a type."""
        return np.flatnonzero(self.kind == self.types.index(name))


@dataclass(frozen=True)
class MushroomBody:
    """Projection neurons, Kenyon cells, the APL, output and dopaminergic neurons of one hemisphere.

    Attributes
    ----------
    groups : dict of str to ndarray
        Indices of the cells of ``"PN"``, ``"KC"``, ``"APL"``, ``"MBON"`` and ``"DAN"``.
    glomerulus, cell_type : ndarray of str
        [N] glomerulus that a PN takes its input from ("" elsewhere), and the type of each cell.
    sign : ndarray of int
        [N] +1 or -1, by the cell's transmitter.
    pre, post, n_syn : ndarray of int
        [E] fast connections and their number of synapses.
    """

    groups: dict[str, np.ndarray]
    glomerulus: np.ndarray
    cell_type: np.ndarray
    sign: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    n_syn: np.ndarray

    def between(self, pre: str, post: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return sources, targets (counted within their groups) and synapses of the connections of two groups."""
        here = np.isin(self.pre, self.groups[pre]) & np.isin(self.post, self.groups[post])
        first, last = np.searchsorted(self.groups[pre], self.pre[here]), np.searchsorted(self.groups[post],
                                                                                         self.post[here])  # fmt: skip
        return first, last, self.n_syn[here]


@dataclass(frozen=True)
class Worm:
    """Neurons of the hermaphrodite C. elegans, their chemical synapses and their gap junctions.

    Attributes
    ----------
    names : tuple of str
        The neurons: ``"AVAL"``, ``"VB11"``, …
    pre, post, n_syn : ndarray of int
        [E] chemical connections and their size: numbers of synapses, or of sections of the electron microscope in
        which a synapse is seen, as the source counts.
    left, right, n_gap : ndarray of int
        [G] pairs of different neurons with gap junctions between them, each pair once, and their size.
    """

    names: tuple[str, ...]
    pre: np.ndarray
    post: np.ndarray
    n_syn: np.ndarray
    left: np.ndarray
    right: np.ndarray
    n_gap: np.ndarray

    @property
    def gabaergic(self) -> np.ndarray:
        """[N] whether a neuron is one of the 26 with GABA (S. L. McIntire et al., Nature 364, 1993)."""
        return np.array([re.fullmatch(_GABAERGIC, name) is not None for name in self.names])

    def cells(self, which: str) -> np.ndarray:
        """Return the indices of some neurons.

        Parameters
        ----------
        which : str
            Names of neurons or of classes, with commas between: ``"PLM, AVAL"`` are PLML, PLMR and AVAL.

        Raises
        ------
        UnknownNameError
            A name that is none of these.
        """
        found: list[int] = []
        for name in filter(None, (n.strip() for n in which.split(","))):
            form = re.compile(rf"{re.escape(name)}([DV]?[LR]?|\d+)")
            here = [k for k, known in enumerate(self.names) if form.fullmatch(known)]
            if not here:
                near = suggest(name, self.names)
                raise UnknownNameError(
                    f"no neuron (such as AVAL) and no class (such as AVA) is named '{name}'"
                    f"{near if near.startswith('; did') else ''}",
                    caller(),
                )
            found += here
        return np.unique(np.array(found, dtype=int))


def read_optic_lobe(path: str | os.PathLike[str] | None = None, extent: int = 15) -> OpticLobe:
    """Return the optic lobe's motion pathways, expanded to a lattice.

    The file lists cell types, and for each connected pair of types the offsets (in columns) at which connections
    were seen, with their mean numbers of synapses. The same connections are laid out from every column, as far as
    their targets exist; with three offsets and more, an offset inside their convex hull that the file lacks counts as
    one synapse (a gap of the reconstruction). At ``extent=15`` these are the published 45,669 cells and 1,513,231
    connections.

    Parameters
    ----------
    path : path, optional
        The json file, or flyvis' wheel that contains it, or an npz archive of the expanded network. By default the
        file is looked for in an installed flyvis (which is not imported).
    extent : int
        Radius of the lattice in columns, from 1 to 15.

    Raises
    ------
    ParameterError
        The file is missing or has other contents; the message says where it comes from.

    References
    ----------
    J. K. Lappalainen et al., Nature 634 (2024); the reconstructions are those of S. Takemura et al., eLife 6 (2017)
    and K. Shinomiya et al., eLife 8 (2019).
    """
    if isinstance(extent, bool) or not isinstance(extent, (int, np.integer)) or not 1 <= extent <= 15:
        raise ParameterError(f"extent must be a whole number of columns from 1 to 15, got {extent!r}")
    file = _find(path, _FLYVIS, _FLYVIS_HELP)
    try:
        return _expanded_archive(file, extent) if file.suffix == ".npz" else _expand(_json(file, _FLYVIS), extent)
    except _MISFITS as e:
        raise ParameterError(f"'{file}' is no connectome of the optic lobe: {_FLYVIS_HELP}") from e


def read_mushroom_body(path: str | os.PathLike[str] | None = None) -> MushroomBody:
    """Return the mushroom body of the right hemisphere, 2,935 cells, with synapse counts.

    Parameters
    ----------
    path : path, optional
        The npz file, or the wheel of fly-ftl-extract that contains it. By default the file is looked for in an
        installed fly-ftl-extract (which is not imported).

    Raises
    ------
    ParameterError
        The file is missing or has other contents; the message says where it comes from.

    References
    ----------
    S. Dorkenwald et al., P. Schlegel et al., Nature 634 (2024): FlyWire's connectome, version 783.
    """
    file = _find(path, _MUSHROOM, _MUSHROOM_HELP)
    try:
        return _mushroom(file)
    except _MISFITS as e:
        raise ParameterError(f"'{file}' is no connectome of the mushroom body: {_MUSHROOM_HELP}") from e


def read_c_elegans(path: str | os.PathLike[str] | None = None, dataset: str = "varshney2011") -> Worm:
    """Return the neurons of a hermaphrodite C. elegans with their chemical synapses and gap junctions.

    Parameters
    ----------
    path : path, optional
        A json file of the package cect, its wheel, or an npz archive of the same matrices. By default
        ``"varshney2011"`` is read from this package, and ``"cook2019"`` from an installed cect (not imported).
    dataset : str
        ``"varshney2011"``: 279 neurons, those of the pharynx and three without synapses left out; 6,394 synapses in
        2,194 connections, and 887 gap junctions in 514 pairs. ``"cook2019"``: all 302 neurons; 20,965 sections in
        3,709 connections, and 5,744 sections of gap junctions in 1,091 pairs (as corrected in July 2020).

    Raises
    ------
    ParameterError
        The file is missing or has other contents; the message says where it comes from.

    References
    ----------
    J. G. White et al., Phil. Trans. R. Soc. B 314 (1986); L. R. Varshney et al., PLoS Comput. Biol. 7 (2011); S. J.
    Cook et al., Nature 571 (2019). cect: the C. elegans connectome toolbox of OpenWorm.
    """
    if dataset not in _CECT:
        raise ParameterError(f"dataset must be {' or '.join(map(repr, _CECT))}, got {dataset!r}", caller())
    if path is None and dataset == "varshney2011":
        return _worm_table(Path(__file__).with_name("c_elegans_varshney2011.csv"))
    hint = _CECT_HELP.format(_CECT[dataset])
    file = _find(path, _CECT[dataset], hint)
    try:
        return _worm(*_matrices(file, _CECT[dataset]))
    except _MISFITS as e:
        raise ParameterError(f"'{file}' is no connectome of C. elegans: {hint}", caller()) from e


def _find(path: str | os.PathLike[str] | None, member: str, hint: str) -> Path:
    """Return the file that was given, or the one in the package of that name."""
    if path is not None:
        file = Path(path).expanduser()
        if not file.is_file():
            raise ParameterError(f"there is no file '{file}': {hint}")
        return file
    package, _, rest = member.partition("/")
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (Path(folder) / rest).is_file():
            return Path(folder) / rest
    raise ParameterError(f"path is not given, and the package '{package}' is not installed here: {hint}")


def _json(file: Path, member: str) -> Any:
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            return json.loads(wheel.read(member))
    return json.loads(file.read_text(encoding="utf-8"))


def _columns(extent: int, stride: tuple[int, int] = (1, 1)) -> np.ndarray:
    """[n, 2] columns of a hexagon, ascending in u, then in v; with strides, those whose coordinates they divide."""
    u, v = np.meshgrid(np.arange(-extent, extent + 1), np.arange(-extent, extent + 1), indexing="ij")
    here = (abs(u + v) <= extent) & (u % stride[0] == 0) & (v % stride[1] == 0)
    return np.stack([u[here], v[here]], axis=1)


def _expand(spec: Any, extent: int) -> OpticLobe:
    types = tuple(str(n["name"]) for n in spec["nodes"])
    places: list[np.ndarray] = []
    for node in spec["nodes"]:
        pattern, stride = node["pattern"]
        if pattern != "stride":
            raise ValueError(f"pattern {pattern!r} of {node['name']} is none that is known")
        places.append(_columns(extent, (int(stride[0]), int(stride[1]))))
    first = np.cumsum([0, *(len(p) for p in places)])
    side = 2 * extent + 1
    index = np.full((len(types), side, side), -1)  # of the cell of a type in a column
    for k, p in enumerate(places):
        index[k, p[:, 0] + extent, p[:, 1] + extent] = first[k] + np.arange(len(p))
    pres, posts, counts, signs = [], [], [], []
    for edge in spec["edges"]:
        source, target = types.index(edge["src"]), types.index(edge["tar"])
        known = {(int(o[0]), int(o[1])): float(np.float32(n)) for o, n in edge["offsets"]}
        gaps = [o for o in _inside(list(known)) if o not in known] if len(known) >= 3 else []
        for offset, n in [*known.items(), *((o, 1.0) for o in gaps)]:
            to = places[source] + offset
            legal = np.flatnonzero(np.all(abs(to) <= extent, axis=1))
            post = index[target, to[legal, 0] + extent, to[legal, 1] + extent]
            pres.append(first[source] + legal[post >= 0])
            posts.append(post[post >= 0])
            counts.append(np.full(len(posts[-1]), n))
            signs.append(np.full(len(posts[-1]), int(edge["alpha"])))
    uv = np.concatenate(places)
    kind = np.repeat(np.arange(len(types)), np.diff(first))
    return OpticLobe(types, kind, uv[:, 0], uv[:, 1], *map(np.concatenate, (pres, posts, counts, signs)))


def _inside(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the lattice points in the convex hull of some, by row.

    Of the hull's own edge a point belongs to it where a ray from the point to larger second coordinates would count
    as crossing it, by the half-open rule of point-in-polygon tests; in this way flyvis' own expansion is met to the
    last connection (a closed hull has 0.01 % more).
    """
    corners = _hull(points)
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    rows = range(min(p[0] for p in points), max(p[0] for p in points) + 1)
    columns = range(min(p[1] for p in points), max(p[1] for p in points) + 1)

    def within(u: int, v: int) -> bool:
        odd = False
        for (u0, v0), (u1, v1) in sides:
            up = v1 >= v
            if (v0 >= v) != up:
                odd ^= ((v1 - v) * (u0 - u1) >= (u1 - u) * (v0 - v1)) == up
        return odd

    return [(u, v) for u in rows for v in columns if within(u, v)]


def _hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the corners of the convex hull, counter-clockwise (A. M. Andrew, Inf. Process. Lett. 9, 1979)."""

    def chain(ordered: list[tuple[int, int]]) -> list[tuple[int, int]]:
        out: list[tuple[int, int]] = []
        for p in ordered:
            while len(out) > 1 and (out[-1][0] - out[-2][0]) * (p[1] - out[-2][1]) <= (out[-1][1] - out[-2][1]) * (
                p[0] - out[-2][0]
            ):
                out.pop()
            out.append(p)
        return out[:-1]

    ordered = sorted(points)
    return chain(ordered) + chain(ordered[::-1])


def _expanded_archive(file: Path, extent: int) -> OpticLobe:
    """Read arrays of an expanded network, and keep the columns within the extent."""
    with np.load(file, allow_pickle=False) as z:
        kind, u, v = (z[k].astype(int) for k in ("type_id", "u", "v"))
        pre, post, n_syn, sign = z["pre"].astype(int), z["post"].astype(int), z["n_syn"].astype(float), z["sign"]
        types = tuple(str(t) for t in z["type_names"])
    kept = np.maximum(np.maximum(abs(u), abs(v)), abs(u + v)) <= extent
    number = np.cumsum(kept) - 1
    edges = kept[pre] & kept[post]
    return OpticLobe(types, kind[kept], u[kept], v[kept], number[pre[edges]], number[post[edges]], n_syn[edges],
                     sign[edges].astype(int))  # fmt: skip


def _mushroom(file: Path) -> MushroomBody:
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel, wheel.open(_MUSHROOM) as member, np.load(member) as z:
            arrays = {k: z[k] for k in z.files}
    else:
        with np.load(file, allow_pickle=False) as z:
            arrays = {k: z[k] for k in z.files}
    pre = np.repeat(np.arange(len(arrays["indptr"]) - 1), np.diff(arrays["indptr"]))
    groups = {name.upper(): arrays[f"{name}_idx"].astype(int) for name in ("pn", "kc", "apl", "mbon", "dan")}
    return MushroomBody(groups, arrays["glomerulus"], arrays["cell_type"], arrays["sign"].astype(int), pre,
                        arrays["indices"].astype(int), arrays["syn_count"].astype(int))  # fmt: skip


def _worm_table(file: Path) -> Worm:
    """Read the table of this package: kind, pre, post, count."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [(r["kind"], r["pre"], r["post"], int(r["count"])) for r in csv.DictReader(lines)]
    names = tuple(sorted({name for _, pre, post, _ in rows for name in (pre, post)}))
    number = {name: k for k, name in enumerate(names)}

    def of(kind: str) -> Iterator[np.ndarray]:
        edges = [(number[pre], number[post], count) for k, pre, post, count in rows if k == kind]
        return iter(np.array(edges, dtype=int).T)

    return Worm(names, *of("synapse"), *of("gap"))


def _matrices(file: Path, member: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names of cells, and sizes of chemical connections [pre, post] and of gap junctions."""
    if file.suffix != ".npz":
        data = _json(file, member)
        chemical, gap = (np.array(data["connections"][k], dtype=float) for k in ("Generic_CS", "Generic_GJ"))
        return [str(name) for name in data["nodes"]], chemical, gap
    with np.load(file, allow_pickle=False) as z:
        names = [str(name) for name in z["nodes"]]
        chemical, gap = np.zeros((2, len(names), len(names)))
        for matrix, kind in ((chemical, "Generic_CS"), (gap, "Generic_GJ")):
            matrix[z[f"{kind}_pre"], z[f"{kind}_post"]] = z[f"{kind}_w"]
    return names, chemical, gap


def _worm(cells: list[str], chemical: np.ndarray, gap: np.ndarray) -> Worm:
    """Keep the neurons that have any connection; other cells are named in small letters, or as muscles and glia."""
    if chemical.shape != gap.shape or chemical.shape != (len(cells), len(cells)):
        raise ValueError("names and matrices do not match")
    if not np.array_equal(gap, gap.T):
        raise ValueError("gap junctions are not symmetric")
    neuron = [name.isupper() and re.fullmatch(_MUSCLE_OR_GLIA, name) is None for name in cells]
    inside = np.ix_(neuron, neuron)
    chemical, gap = chemical[inside], np.triu(gap[inside], 1)  # a cell's gap junction with itself carries no current
    connected = np.any(chemical > 0, axis=0) | np.any(chemical > 0, axis=1) | np.any(gap + gap.T > 0, axis=0)
    names = np.array(cells)[neuron][connected]
    order = np.argsort(names)
    chemical, gap = chemical[connected][:, connected][order][:, order], (gap + gap.T)[connected][:, connected]
    gap = np.triu(gap[order][:, order])
    (pre, post), (left, right) = np.nonzero(chemical), np.nonzero(gap)
    return Worm(tuple(str(n) for n in names[order]), pre, post, chemical[pre, post].astype(int), left, right,
                gap[left, right].astype(int))  # fmt: skip
