"""What breaks a file: flipped bits, cuts, blocks moved; in HDF5 and JSON also what someone of ill will would write."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neurosim.recording.seal import HEAD, _written, seal

WORDS = ("", "\0", "x\0y", "../../etc/passwd", "/etc/passwd", "net", "ext", "0", "nan", "-1", "1e400", "a" * 70_000,
         "\u202e", "\x1b[2J", "{\"a\": 1}", "[", "<script>alert(1)</script>", "$DIR", "${configdir}",
         "café", "i\nj")  # fmt: skip
NUMBERS = (0, -1, 1, 7, 2**31, 2**53, 2**63 - 1, -(2**63), 1e308, -1e-308, 5e-324, float("nan"), float("inf"),
           float("-inf"), 0.5, 1e15, True, None)  # fmt: skip
SIZES = (0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 1 << 40, 1 << 62, 512, 4096)


def damage(path: Path, rng: random.Random, outside: Path) -> list[str]:
    """Damage a file in one to three ways; return what was done. ``outside`` is a file that nobody may come to open."""
    done: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if path.suffix in (".h5", ".nir") and rng.random() < 0.7 and not (done and done[-1].startswith("bytes")):
            done.append(structure(path, rng, outside))
        elif path.suffix in (".json", ".csv", ".txt") and rng.random() < 0.7:
            done.append(text(path, rng))
        else:
            done.append(raw(path, rng))
    return done


def sealed(path: Path, form: str) -> None:
    """Give a file the seal of an undamaged one, as whoever means harm would."""
    data = path.read_bytes()
    with open(path, "r+b") as file:
        file.write(data.ljust(HEAD, b"\0"))
        seal(file, form)
    _written.clear()  # neurosim trusts what it has sealed itself: this was somebody else


# -- bytes


def raw(path: Path, rng: random.Random) -> str:
    """Change bytes."""
    data = bytearray(path.read_bytes())
    start = HEAD if data.startswith(b"neurosim") and rng.random() < 0.8 else 0
    n = len(data)
    if n <= start:
        return "bytes: none"
    at, to = sorted((rng.randrange(start, n), rng.randrange(start, n)))
    kind = rng.randrange(9)
    if kind in (0, 1):
        for _ in range(rng.choice((1, 2, 8, 60))):
            data[rng.randrange(start, n)] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at:to] = bytes(to - at)
    elif kind == 4:
        width = rng.choice((1, 2, 4, 8))
        data[at : at + width] = (rng.choice(SIZES) & (256**width - 1)).to_bytes(width, "little")
    elif kind == 5:
        data[at:at] = data[at:to]
    elif kind == 6:
        del data[at : min(to, at + rng.choice((1, 8, 100)))]
    elif kind == 7:
        length = min(to - at, 64)
        data[at : at + length] = rng.randbytes(length)
    else:
        data += rng.randbytes(rng.choice((1, 100)))
    path.write_bytes(data)
    return f"bytes: kind {kind} at {at} to {to} of {n}"


# -- JSON and tables


def text(path: Path, rng: random.Random) -> str:
    if path.suffix == ".json" and rng.random() < 0.85:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return raw(path, rng)
        what = tree(found, rng) if isinstance(found, (dict, list)) else "a single value"
        path.write_text(json.dumps(found), encoding="utf-8", errors="surrogatepass")
        return f"JSON: {what}"
    words = path.read_text(encoding="utf-8", errors="replace")
    kind = rng.randrange(5)
    if kind == 0 and path.suffix == ".json":
        deep = rng.choice((100, 100_000))
        words = rng.choice(
            ('{"a":' * deep + "1" + "}" * deep, "[" * deep, "1" * 5000, '{"network": 1' + "0" * 6000 + "}")
        )
    elif kind <= 2:
        parts = words.split(" ")
        parts[rng.randrange(len(parts))] = str(rng.choice((*WORDS, *NUMBERS)))
        words = " ".join(parts)
    elif kind == 3:
        lines = words.splitlines()
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines + ["", " ", '"', "0 " * 2000]))
        words = "\n".join(lines)
    else:
        words = words.replace(
            rng.choice((" ", "\n", "1", '"', "columns = [")), rng.choice((",", "\t", "\r", '"', "", "(" * 300))
        )
    path.write_text(words, encoding="utf-8", errors="replace")
    return f"text: kind {kind}"


def tree(found: Any, rng: random.Random) -> str:
    """Change something somewhere in what a JSON file holds."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(found)
    if not places:
        return "nothing"
    node, key = rng.choice(places)
    what = rng.randrange(4)
    if what == 0:
        del node[key]
    elif what == 1 and isinstance(node, dict):
        node[rng.choice(WORDS)] = node.pop(key)
    elif what == 2:
        other, name = rng.choice(places)
        if name in other if isinstance(other, dict) else name < len(other):
            node[key] = json.loads(json.dumps(other[name]))
    else:
        node[key] = rng.choice((*WORDS, *NUMBERS, [], {}, [[]], [None], {"": {}}, [1] * 3, "$$", "$" * 50))
    return f"{what} at {str(key)[:40]!r}"


# -- HDF5


def structure(path: Path, rng: random.Random, outside: Path) -> str:
    """Change what an HDF5 file holds, through the library itself."""
    try:
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            if not names:
                return "structure: empty"
            name = rng.choice(names)
            change = document if "network" in file and rng.random() < 0.7 else rng.choice(CHANGES)
            done = change(file, name, rng, outside)
            return f"structure: {change.__name__} {name} {done or ''}".rstrip()
    except Exception as error:  # the change itself cannot be made, as on what an earlier one has left
        return f"structure: none ({type(error).__name__})"


def delete(file: Any, name: str, rng: random.Random, outside: Path) -> None:
    del file[name]


def values(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """Other numbers in the same dataset."""
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.shape is None or found.nbytes > 1 << 24:
        return attribute(file, name, rng, outside)
    array = found[()]
    if isinstance(array, np.ndarray) and array.size and array.dtype.kind in "iufb":
        value = rng.choice([v for v in NUMBERS if v is not None])
        with np.errstate(all="ignore"):
            cast = np.array(value, dtype=float).astype(array.dtype)
        if rng.random() < 0.5:
            array.ravel()[rng.randrange(array.size)] = cast
        else:
            array[...] = cast
        found[...] = array
        return f"{value}"
    replaced(file, name, rng, rng.choice(WORDS))
    return "text"


def replaced(file: Any, name: str, rng: random.Random, data: Any, **how: Any) -> None:
    """Put another dataset in the place of an object, and keep its attributes."""
    kept = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, data=data, **how)
    for key, value in kept.items():
        made.attrs[key] = value


def kind(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """Another type or shape."""
    n = rng.choice((0, 1, 3, 4, 100))
    what = rng.randrange(14)
    shape = rng.choice(((n,), (n, 2), (2, n), (n, 1, 1), ()))
    numbers = np.zeros(shape)
    if what < 5:
        replaced(file, name, rng, numbers.astype(("f2", "f4", "i1", "u8", "c16")[what]))
    elif what == 5:
        replaced(
            file,
            name,
            rng,
            np.full(shape, rng.choice(WORDS).replace("\0", ""), dtype=object),
            dtype=h5py.string_dtype(),
        )
    elif what == 6:
        replaced(file, name, rng, np.full(shape, b"ab\0\xff", dtype="S6"))
    elif what == 7:
        replaced(file, name, rng, np.zeros(shape, dtype=[("a", "i4"), ("b", "f8", (2,))]))
    elif what == 8:
        replaced(file, name, rng, np.zeros(shape, dtype=bool))
    elif what == 9:
        replaced(file, name, rng, numbers.astype("u1"), dtype=h5py.enum_dtype({"A": 0, "B": 1}, basetype="u1"))
    elif what == 10:
        replaced(file, name, rng, numbers.astype("V5"))
    elif what == 11:
        replaced(file, name, rng, h5py.Empty(rng.choice(("f8", "i8", "S3"))))
    elif what == 12:
        replaced(file, name, rng, np.full(shape, file.ref, dtype=object), dtype=h5py.ref_dtype)
    else:
        rows = np.empty(max(n, 1), dtype=object)
        for k in range(len(rows)):
            rows[k] = np.arange(2.0)
        replaced(file, name, rng, rows, dtype=h5py.vlen_dtype("f8"))
    return f"{what} {shape}"


def huge(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """A dataset that claims to be large, or is when it has been unpacked."""
    like = file[name]
    dtype = like.dtype if isinstance(like, h5py.Dataset) and like.dtype.kind in "iuf" else "f8"
    ndim = like.ndim if isinstance(like, h5py.Dataset) and like.shape else 1
    kept = dict(like.attrs)
    del file[name]
    size = rng.choice((10**6, 10**8, 2**33, 2**45, 2**62))
    shape = (size,) if ndim == 1 else (size, *([1] * (ndim - 1)))
    packed = rng.random() < 0.5 and size <= 10**8
    made = file.create_dataset(name, shape=shape, dtype=dtype, chunks=tuple(min(k, 1 << 16) for k in shape),
                               compression="gzip" if packed else None, fillvalue=rng.choice((0, 1)))  # fmt: skip
    if packed:
        rows = min(size, 10**6 // int(np.prod(shape[1:], dtype=np.int64)))
        made[:rows] = np.zeros((rows, *shape[1:]), dtype)  # (a number alone would be written value by value)
    for key, value in kept.items():
        made.attrs[key] = value
    return f"{size}{' packed' if packed else ''}"


def elsewhere(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """Data that lie in another file."""
    like = file[name]
    shape = like.shape if isinstance(like, h5py.Dataset) and like.shape else (4,)
    kept = dict(like.attrs)
    del file[name]
    what = rng.randrange(3)
    if what == 0:
        file[name] = h5py.ExternalLink(str(outside), rng.choice(("/", "/x", "/" + name)))
        return "external link"
    if what == 1:
        made = file.create_dataset(name, shape=shape, dtype="f8", external=[(str(outside), 0, h5py.h5f.UNLIMITED)])
    else:
        layout = h5py.VirtualLayout(shape=shape, dtype="f8")
        layout[...] = h5py.VirtualSource(str(outside), "x", shape=shape)
        made = file.create_virtual_dataset(name, layout)
    for key, value in kept.items():
        made.attrs[key] = value
    return ("", "external storage", "virtual")[what]


def link(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """Links within the file: to nowhere, to itself, to what holds it."""
    what = rng.randrange(4)
    parent = name.rpartition("/")[0] or "/"
    if what == 0:
        del file[name]
        file[name] = h5py.SoftLink(rng.choice(("/nowhere", "/" + name, "/", ".")))
    elif what == 1:
        file[parent][rng.choice(("again", "0", "zzz"))] = file[rng.choice((parent, "/"))]
    elif what == 2:
        del file[name]
        file[name] = file[parent]
    else:
        del file[name]
        file[name] = np.dtype("f8")  # a type with a name
    return str(what)


def extra(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """Something that does not belong there."""
    parent = file[name.rpartition("/")[0] or "/"]
    called = rng.choice(
        ("..x", "\n", "é", "9" * 300, "7", "-1", "type", "dynamics_params", "@library", "a b", "\u202e")
    )
    if rng.random() < 0.5:
        parent.create_group(called)
    else:
        parent[called] = rng.choice((np.zeros(3), np.int64(1), "text", np.zeros((2, 2))))
    return repr(called)


def swap(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """A group in the place of a dataset, or a dataset in that of a group, or another object altogether."""
    group = isinstance(file[name], h5py.Group)
    if rng.random() < 0.4:
        names: list[str] = []
        file.visit(names.append)
        other = rng.choice(names)
        held = file[other]
        del file[name]
        file[name] = held
        return other
    if group:
        replaced(file, name, rng, rng.choice((np.zeros(4), "text", np.int64(3))))
    else:
        del file[name]
        file.create_group(name)
    return ""


def attribute(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """An attribute that is missing, or of another type."""
    holders = [n for n in _all(file) if len(file[n].attrs)]
    holder = file[rng.choice(holders)] if holders else file[name]
    key = rng.choice(list(holder.attrs)) if len(holder.attrs) else "units"
    what = rng.randrange(6)
    if what == 0 and key in holder.attrs:
        del holder.attrs[key]
    elif what == 1:
        holder.attrs[key] = rng.choice(WORDS)[:60_000].replace("\0", "?")
    elif what == 2:
        holder.attrs[key] = rng.choice([v for v in NUMBERS if v is not None and abs(float(v)) < 2**63 or v != v])
    elif what == 3:
        holder.attrs[key] = rng.choice((np.zeros(0), np.zeros((2, 2)), np.zeros(3, dtype="S4"),
                                        np.array([b"a\0b", b"\xff"]),
                                        np.arange(5), np.float32(np.nan),
                                        np.zeros(2, dtype=[("a", "i4")])))  # fmt: skip
    elif what == 4:
        holder.attrs[key] = h5py.Empty("f8")
    else:
        holder.attrs.create(key, file.ref, dtype=h5py.ref_dtype)
    return f"{what} {key!r} of {holder.name}"


def said(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """JSON within an attribute or a text, changed as JSON is."""
    found = [(file[n], key) for n in _all(file) for key, value in file[n].attrs.items()
             if isinstance(value, str) and value[:1] == "{"]  # fmt: skip
    if not found:
        return attribute(file, name, rng, outside)
    holder, key = rng.choice(found)
    told = json.loads(holder.attrs[key])
    what = tree(told, rng)
    holder.attrs[key] = json.dumps(told)[:60_000]
    return f"{key}: {what}"


def document(file: Any, name: str, rng: random.Random, outside: Path) -> str:
    """The JSON that a saved network is, changed as JSON is; or a text in it, as texts are."""
    from fuzz.texts import broken, of_library

    told = json.loads(bytes(file["network"][()]))
    if rng.random() < 0.6:
        what = tree(told, rng)
    else:
        leaves = [(node, key) for node in _nodes(told) for key in (node if isinstance(node, dict) else range(len(node)))
                  if isinstance(node[key], str)]  # fmt: skip
        node, key = rng.choice(leaves)
        library = of_library()
        node[key] = rng.choice(library) if rng.random() < 0.2 else broken(rng, node[key], library)
        what = f"text at {str(key)[:40]!r}"
    del file["network"]
    file["network"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    return what


def _nodes(found: Any) -> list[Any]:
    """Return all objects and lists of a JSON document."""
    if not isinstance(found, (dict, list)):
        return []
    return [found, *(n for x in (found.values() if isinstance(found, dict) else found) for n in _nodes(x))]


def _all(file: Any) -> list[str]:
    names = ["/"]
    file.visit(names.append)
    return names


CHANGES = (delete, values, values, kind, kind, huge, elsewhere, link, extra, swap, attribute, attribute, said)
