"""Files that mean harm: what a saved network must not be able to do, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fuzz.damage import sealed
from test_saving import busy

import neurosim as ns
from neurosim.errors import NeurosimError, ResultFileError
from neurosim.models import LIF, ExpCurrent
from neurosim.saving.file import FORMAT
from neurosim.units import ms, mV

CODE = ("__import__('os').system('touch harm')", "exec(open('harm', 'w'))", "lambda: 0", "().__class__.__bases__[0]",
        "${HOME}", "{{7*7}}", "$(touch harm)", "../../harm", "/etc/passwd", "<script>alert(1)</script>",
        "cos\nsystem\n(S'touch harm'\ntR.", "%n%n%n", "\x1b[2J", "\u202e", "a\0b", "", " ", "0",
        "é" * 20_000)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "net.h5"
    busy().save(path)
    return path


@pytest.fixture
def file(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole file of its own, in a folder that a process would be in."""
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "net.h5"
    copy.write_bytes(whole.read_bytes())
    return copy


def said_of(path: Path) -> str:
    """Return what is said of a file, after a look at whether it did anything."""
    before = sorted(p.name for p in path.parent.iterdir())
    with pytest.raises(NeurosimError) as caught:
        ns.Network.load(path)
    assert sorted(p.name for p in path.parent.iterdir()) == before
    assert path.name in str(caught.value)
    return caught.value.message


def read(path: Path) -> Any:
    with h5py.File(path, "r") as found:
        return json.loads(bytes(found["network"][()]))


def write(path: Path, text: Any) -> None:
    """Put another document into a file, and seal it as whoever means harm would."""
    data = text if isinstance(text, bytes) else (text if isinstance(text, str) else json.dumps(text)).encode()
    with h5py.File(path, "r+") as found:
        del found["network"]
        found["network"] = np.frombuffer(data, np.uint8)
    sealed(path, FORMAT)


def changed(path: Path, change: Callable[[Any], Any]) -> str:
    """Change the document, and return what is said of it."""
    found = read(path)
    change(found)
    write(path, found)
    return said_of(path)


def reshaped(path: Path, change: Callable[[Any], Any]) -> str:
    """Change the file through HDF5, and return what is said of it."""
    with h5py.File(path, "r+") as found:
        change(found)
    sealed(path, FORMAT)
    return said_of(path)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a document that are neither objects nor lists."""
    if isinstance(node, dict):
        return [x for key, each in node.items() for x in leaves(each, (*path, key))]
    if isinstance(node, list):
        return [x for k, each in enumerate(node) for x in leaves(each, (*path, k))]
    return [path]


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


# -- the document


def places(kind: type) -> list[tuple[Any, ...]]:
    document = json.loads(DOCUMENT)
    found = []
    for path in leaves(document):
        value = document
        for key in path:
            value = value[key]
        if type(value) is kind:
            found.append(path)
    return found


def _document() -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        busy().save(Path(folder) / "net.h5")
        return json.dumps(read(Path(folder) / "net.h5"))


DOCUMENT = _document()
FREE = ("name", "doc", "source", "meaning", "stimulus", "projection", "default")
"""Members that may be any text that can be shown, or (a default that is not used) that nobody reads."""


def load_in_memory(document: Any, arrays: dict[int, np.ndarray]) -> None:
    from neurosim.saving.build import network
    from neurosim.saving.nodes import Arrays, DocumentError, Node, parse

    try:
        network(Node(parse(json.dumps(document).encode()), "", Arrays(arrays)), "net.h5")
    except DocumentError as error:
        raise ResultFileError(str(error)) from None


def test_code_in_every_text_is_text(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    """Every text of a document becomes every text of CODE; nothing of it is carried out."""
    codes = CODE if full else (*CODE[:2], *CODE[12:14])
    monkeypatch.chdir(tmp_path)
    with h5py.File(whole, "r") as found:
        arrays = {int(k): d[()] for k, d in found["arrays"].items()}
    ran: list[str] = []
    watching = True

    def hook(event: str, args: Any) -> None:
        if watching and event in ("exec", "os.system", "subprocess.Popen", "pickle.find_class", "open"):
            ran.append(f"{event} {args!r}"[:200])

    load_in_memory(json.loads(DOCUMENT), arrays)  # what is loaded late is loaded
    sys.addaudithook(hook)
    refusals = 0
    try:
        for path in places(str)[:: 1 if full else 4]:
            for text in codes:
                document = json.loads(DOCUMENT)
                put(document, path, text)
                try:
                    load_in_memory(document, arrays)
                except NeurosimError:
                    refusals += 1
                else:
                    unread = path[-1] in FREE or "init" in path  # an initial value that the population has itself
                    assert unread or not text.strip(), (path, text)  # no statements at all are legal
    finally:
        watching = False
    assert ran == [] and refusals > 100
    assert not list(tmp_path.iterdir())


def test_names_that_are_code_are_no_names(file: Path) -> None:
    for text in ("__class__", "self", "a.b", "os.system", "", "1", "a b", "name", "equations", "t"):
        document = read(file)
        params = document["populations"][0]["cell"]["params"]
        params[text] = {"default": 1.0}
        write(file, document)
        assert said_of(file)


@pytest.mark.parametrize("value", [None, [], {}, [[]], True, -1, 0, 1.5, 1e308, 2**63, 2**70, 10**400, "x" * 70_000])
def test_numbers_that_are_something_else(value: Any, whole: Path, full: bool) -> None:
    with h5py.File(whole, "r") as found:
        arrays = {int(k): d[()] for k, d in found["arrays"].items()}
    for path in (*places(int), *places(float), *places(bool))[:: 1 if full else 7]:
        document = json.loads(DOCUMENT)
        put(document, path, value)
        try:
            load_in_memory(document, arrays)
        except NeurosimError:
            continue
        assert isinstance(value, (int, float)) or path[-1] == "default", (path, value)  # text: an expression


def test_every_member_that_lacks_and_every_one_too_many(whole: Path, full: bool) -> None:
    with h5py.File(whole, "r") as found:
        arrays = {int(k): d[()] for k, d in found["arrays"].items()}

    def objects(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        below = [x for key, each in items for x in objects(each, (*path, key))]
        return [path, *below] if isinstance(node, dict) else below

    users = {"published", "params", "values", "init", "receptors", "events", "somewhere"}  # whose names are the user's
    for path in objects(json.loads(DOCUMENT))[:: 1 if full else 6]:
        document = json.loads(DOCUMENT)
        node = document
        for key in path:
            node = node[key]
        if not (path and path[-1] in users):
            node["extra"] = 1
            with pytest.raises(ResultFileError, match=r"extra is not known|neither text nor|is neither of"):
                load_in_memory(document, arrays)
            del node["extra"]
        for key in list(node):
            kept = node.pop(key)
            try:
                load_in_memory(document, arrays)
            except NeurosimError as error:
                assert str(error)
            node[key] = kept


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("[]", "is [], not an object"),
        ("{}", "lacks 'format'"),
        ('{"format": "x", "format": "y"}', "has the name 'format' twice"),
        ("NaN", "holds the number NaN"),
        ('{"a": -Infinity}', "holds the number -Infinity"),
        ('{"a": 1e400}', "a number that is not finite"),
        ('{"a": ' + "1" * 5000 + "}", "is not JSON"),
        ('{"a":' * 100 + "1" + "}" * 100, "nested too deeply"),
        ("[" * 200_000, "nested too deeply"),
        ('"\\ud800"', "holds half a character"),
        (b"\xff\xfe{}", "is not UTF-8"),
        ("import os", "is not JSON"),
        (b"\x80\x04\x95cposix\nsystem\n.", "is not UTF-8"),
    ],
)  # fmt: skip
def test_documents_that_are_none(text: Any, says: str, file: Path) -> None:
    write(file, text)
    assert says in said_of(file)


def test_a_document_that_is_too_large(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.saving.file.MOST_BYTES", 2000)
    assert "at most 2,000 are read" in said_of(file)
    with pytest.raises(NeurosimError, match="a file holds at most 2,000"):
        busy().save(file.with_name("other.h5"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["populations"].append(d["populations"][0]), "belongs to something else already"),
        (lambda d: d["populations"][0].update(n=2**40), "not a whole number from 1 to 2147483647"),
        (lambda d: d["populations"][0].update(n=13), "positions of population 'a' must be [13, 1 to 3]"),
        (lambda d: d["built"].append(d["built"][0] | {"pre": [{"population": "none"}]}), "no population 'none'"),
        (lambda d: d["built"][0].update(pre=[]), "pre is empty"),
        (lambda d: d["built"][0].update(pre=[{"population": "b"}] * 2), "names a neuron of 'b' twice"),
        (lambda d: d["built"][0].update(receptor="none"), "has no receptor 'none'"),
        (lambda d: d["built"][0].update(weight={"si": 1.0, "unit": "A"}), "must be a voltage"),
        (lambda d: d["built"][0].update(weight={"si": 1.0, "unit": "mV"}), "not a unit of the SI"),
        (lambda d: d["built"][0].update(weight="w_pre"), "w_pre"),
        (lambda d: d["built"][0].update(delay=-1.0), "must be a time"),
        (lambda d: d["built"][0].update(rule={"kind": "Rule"}), "and not one of AllToAll"),
        (lambda d: d["built"][0].update(rule={"kind": "FixedInDegree", "k": 99, "multapses": False}), "is more than"),
        (lambda d: d["built"][0].update(rule={"kind": "EdgeList", "pre": {"array": 0}}), "lacks 'post'"),
        (lambda d: d["populations"][0]["cell"].update(kind="receptor"), "and not one of cell"),
        (lambda d: d["populations"][0]["cell"].update(method="magic"), "method must be one of"),
        (lambda d: d["populations"][0]["cell"]["values"].update(tau_m="v_rest"), "must be a time"),
        (lambda d: d["populations"][0]["cell"]["values"].update(tau_m="tau_m"), "refer to each other in a circle"),
        (lambda d: d["populations"][0]["cell"]["values"].update(tau_m="tau_m + t_ref", t_ref="tau_m"), "in a circle"),
        (lambda d: d["populations"][0]["cell"]["params"].update(tau_m={"default": 1.0, "unit": "s"}), "unit is 's'"),
        (lambda d: d["populations"][0]["cell"]["values"].update(
            tau_m={"draw": {"kind": "normal", "a": 1.0, "b": -1.0}, "unit": "s"}), "sd must be at least 0"),
        (lambda d: d["populations"][0]["cell"]["values"].update(
            tau_m={"si": 1.0, "unit": "s", "shown": "\x1b[2J"}), "which is no unit of"),
        (lambda d: d["populations"][0]["init"].update(nothing=1.0), "no state variable 'nothing'"),
        (lambda d: d["settings"][0].update(parameter="a.none"), "has no parameter 'none'"),
        (lambda d: d["probes"][0].update(variable="none"), "no variable 'none' to record"),
        (lambda d: d["probes"].append({"projection": "none", "variable": "weight"}), "names no projection"),
        (lambda d: d["probes"].append({"variable": "weight"}), "neither of a population nor of a projection"),
        (lambda d: d["probes"].pop(), None),
        (lambda d: d.update(version=2), "version is 2"),
        (lambda d: d.update(version=True), "version is true"),
        (lambda d: d.update(seed=2**64), "seed is 18446744073709551616"),
        (lambda d: d.update(dt=0.0), "dt of the network must be positive"),
        (lambda d: d.update(duration={"si": 1.0, "unit": "V"}), "duration is not a time"),
        (lambda d: d.update(published={"a": {"b": "c"}}), "published.a.b is 'c', not a number"),
        (lambda d: d.update(published={"\x1b": {}}), "a name in published holds the character"),
    ],
)  # fmt: skip
def test_documents_that_are_not_as_they_should_be(change: Any, says: str | None, file: Path) -> None:
    if says is None:  # a probe less is another network
        found = read(file)
        change(found)
        write(file, found)
        ns.Network.load(file)
        return
    assert says in changed(file, change)


def test_a_chain_of_parameters_has_an_end(file: Path) -> None:
    chain = {f"p{k}": {"default": f"p{k + 1}"} for k in range(300)} | {"p300": {"default": 1.0}}
    assert "more than 50 links" in changed(file, lambda d: d["populations"][0]["cell"]["params"].update(chain))


def test_sizes_are_checked_before_anything_is_made(tmp_path: Path) -> None:
    """Two thousand million neurons of which two are connected: loading takes no memory for them."""
    net = ns.Network(dt=0.1 * ms)
    p = net.population("p", 9, LIF(receptors={"e": ExpCurrent()}))
    net.connect(p[[3, 1]], p[2:5], weight=1 * mV)
    net.stimulate(p[[3, 1]], ns.Current(output="1*mV"))
    net.record(p[[3, 1]], "v")
    net.save(tmp_path / "net.h5")
    found = read(tmp_path / "net.h5")
    found["populations"][0]["n"] = 2**31 - 1
    write(tmp_path / "net.h5", found)
    tracemalloc.start()
    try:
        big = ns.Network.load(tmp_path / "net.h5")
        assert len(big["p"]) == 2**31 - 1
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


# -- arrays


def at(k: int, make: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Put something else in the place of an array."""

    def change(found: Any) -> None:
        del found[f"arrays/{k}"]
        make(found)

    return change


def elsewhere(found: Any) -> None:
    layout = h5py.VirtualLayout(shape=(12, 3), dtype="<f8")
    layout[...] = h5py.VirtualSource("other.h5", "x", shape=(12, 3))
    found.create_virtual_dataset("arrays/1", layout)


def ragged(found: Any) -> None:
    rows = np.empty(3, dtype=object)
    rows[:] = [np.arange(2.0)] * 3
    found.create_dataset("arrays/1", data=rows, dtype=h5py.vlen_dtype("f8"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (at(1, lambda f: None), "'1' is missing"),
        (at(1, lambda f: f.update({"arrays/1": h5py.SoftLink("/arrays/2")})), "'1' in /arrays is a link"),
        (at(1, lambda f: f.update({"arrays/1": h5py.ExternalLink("/etc/passwd", "/")})), "'1' in /arrays is a link"),
        (at(1, lambda f: f.update({"arrays/1": f["arrays"]})), "is not an array of a network"),
        (at(1, lambda f: f.update({"arrays/1": f["/"]})), "is not an array of a network"),
        (at(1, lambda f: f.update({"arrays/1": f["arrays/2"]})), "refers to an array"),
        (at(1, lambda f: f.update({"arrays/1": np.dtype("f8")})), "is not an array of a network"),
        (at(1, elsewhere), "lies in another file"),
        (at(1, lambda f: f.create_dataset("arrays/1", (12, 3), "<f8", external=[("/etc/passwd", 0, 288)])),
         "lies in another file"),
        (at(1, ragged), "is not an array of a network"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=["a"] * 12)), "is not an array of a network"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.zeros(12, "f8, i4"))), "is not an array of a network"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.zeros((12, 3), ">f8"))), "is not an array of a network"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.zeros((12, 3), "f4"))), "is not an array of a network"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.zeros((12, 3), "c16"))), "is not an array of a network"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.zeros((12, 3, 1)))), "is not an array of a network"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=1.0)), "is not an array of a network"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=h5py.Empty("f8"))), "is not an array of a network"),
        (at(1, lambda f: f.create_dataset("arrays/1", (10**9, 3), "<f8")), "more than the file can hold"),
        (at(1, lambda f: f.create_dataset("arrays/1", (2**60,), "<f8")), "more than the file can hold"),
        (at(1, lambda f: f.create_dataset("arrays/1", (10**7, 3), "<f8", chunks=(10**5, 3), compression="gzip",
                                          fillvalue=0.0)), "is packed"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.zeros((12, 3)), fletcher32=True)), "is packed"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.full((12, 3), np.nan))), "values that are not finite"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.full((12, 3), np.inf))), "values that are not finite"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.zeros((13, 3)))), "must be [12, 1 to 3]"),
        (at(1, lambda f: f.create_dataset("arrays/1", data=np.zeros((12, 3), "<i8"))), "has to be <f8 with 2"),
        (lambda f: f.create_dataset("arrays/99", data=[1.0]), "is missing from /arrays"),
        (lambda f: f.create_dataset(f"arrays/{len(f['arrays'])}", data=[1.0]), "belongs to nothing"),
        (lambda f: f.create_group("more"), "and nothing else"),
        (lambda f: f.attrs.update({"code": "import os"}), "and nothing else"),
        (lambda f: f.__delitem__("arrays"), "and nothing else"),
        (lambda f: f.__delitem__("network"), "and nothing else"),
    ],
)  # fmt: skip
def test_arrays_that_are_not_as_they_should_be(change: Any, says: str, file: Path) -> None:
    with h5py.File(file.with_name("other.h5"), "w") as other:
        other["x"] = np.zeros((12, 3))
    assert says in reshaped(file, change)


def test_one_array_under_many_names_takes_its_room_once(file: Path) -> None:
    def many(found: Any) -> None:
        del found["arrays"]
        found["arrays/0"] = np.zeros(100_000)
        for k in range(1, 1000):
            found[f"arrays/{k}"] = found["arrays/0"]

    assert "more than the file can hold" in reshaped(file, many)


def test_indices_beyond_the_neurons(file: Path) -> None:
    document = read(file)
    part = next(x for x in document["built"] if x.get("projection") == "s_a_exc")
    k = part["rule"]["post"]["array"]
    said = reshaped(file, at(k, lambda f: f.create_dataset(f"arrays/{k}", data=np.array([0, 1, 12], "<u4"))))
    assert said == "projection 's_a_exc': edge 2 has target 12; legal indices are 0 to 11"


# -- bytes


def test_every_flipped_bit_is_found(whole: Path, tmp_path: Path) -> None:
    data, path = whole.read_bytes(), tmp_path / "net.h5"
    for place in range(0, len(data), 397):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert said_of(path)


def test_every_truncation_is_found(whole: Path, tmp_path: Path) -> None:
    data, path = whole.read_bytes(), tmp_path / "net.h5"
    for length in range(1, len(data), 997):
        path.write_bytes(data[:length])
        assert "truncated" in said_of(path) or length < 512
    path.write_bytes(b"")
    assert said_of(path) == f"'{path}' is empty"


def test_the_same_in_a_process_of_its_own(file: Path) -> None:
    """Nothing in this process remembers having written the file: the helper of `neurosim.recording.endure` looks."""
    code = "import sys, neurosim as ns; print(ns.Network.load(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout == "<Network 'busy': 22 neurons, 5 projections>\n"
