"""C. elegans: the published counts of two reconstructions, and the dynamics of a solver that shares no code of ours."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neurosim.errors import ParameterError, UnknownNameError
from neurosim.models.networks.connectomes import Worm, read_c_elegans

COOK = "celegans/cook2019_herm.npz"
cook_data = pytest.mark.shared_data(COOK)


def matrices(worm: Worm) -> tuple[np.ndarray, np.ndarray]:
    """Return synapses [post, pre] and gap junctions, symmetric, as dense matrices."""
    n = len(worm.names)
    synapses, junctions = np.zeros((n, n)), np.zeros((n, n))
    synapses[worm.post, worm.pre] = worm.n_syn
    junctions[worm.left, worm.right] = junctions[worm.right, worm.left] = worm.n_gap
    return synapses, junctions


# -- the data ---------------------------------------------------------------------------------------------------------


def test_the_published_counts_of_varshney() -> None:
    """Varshney et al. count 279 neurons, 6393 synapses and 890 gap junctions, three of which join a cell to itself."""
    worm = read_c_elegans()
    assert len(worm.names) == 279 and abs(worm.n_syn.sum() - 6393) <= 1 and worm.n_gap.sum() == 890 - 3
    assert len(worm.pre) == 2194 and len(worm.left) == 514 and np.all(worm.left < worm.right)
    assert not {"CANL", "CANR", "VC6", "I1L", "M1", "NSML"} & set(worm.names)
    assert worm.gabaergic.sum() == 26
    synapses, _ = matrices(worm)
    a, b = worm.cells("AVAL"), worm.cells("VA8")
    assert synapses.sum() == 6394 and synapses[b, a] > synapses[a, b] == 0  # command neurons drive motor neurons


@cook_data
def test_the_counts_of_cook(shared: Path) -> None:
    worm = read_c_elegans(shared / COOK, "cook2019")
    assert len(worm.names) == 302 and worm.gabaergic.sum() == 26
    pharynx = [n for n in worm.names if re.fullmatch(r"I\d[LR]?|M\d[LR]?|MC[LR]|MI|NSM[LR]", n)]
    assert len(pharynx) == 20
    assert (len(worm.pre), worm.n_syn.sum(), len(worm.left), worm.n_gap.sum()) == (3709, 20_965, 1091, 5744)
    with np.load(shared / COOK) as z:  # one connection, by hand
        names, pre, post = z["nodes"], z["Generic_CS_pre"], z["Generic_CS_post"]
        here = (names[pre] == "PLML") & (names[post] == "DVA")
        size = z["Generic_CS_w"][here]
    synapses, junctions = matrices(worm)
    assert synapses[worm.cells("DVA"), worm.cells("PLML")] == size == 9
    assert junctions[worm.cells("PLML"), worm.cells("PVCL")] == 4


@cook_data
def test_the_json_file_of_cect_and_its_wheel_are_read_too(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(shared / COOK) as z:
        n = len(z["nodes"])
        dense = {}
        for kind in ("Generic_CS", "Generic_GJ"):
            dense[kind] = np.zeros((n, n))
            dense[kind][z[f"{kind}_pre"], z[f"{kind}_post"]] = z[f"{kind}_w"]
        data = {"nodes": z["nodes"].tolist(), "connections": {k: m.tolist() for k, m in dense.items()}}
    file, member = tmp_path / "Cook2019HermReader.json", "cect/cache/Cook2019HermReader.json"
    file.write_text(json.dumps(data))
    with zipfile.ZipFile(tmp_path / "cect-0.3.5-py3-none-any.whl", "w") as archive:
        archive.write(file, member)
    ours = read_c_elegans(shared / COOK, "cook2019")
    for path in (file, tmp_path / "cect-0.3.5-py3-none-any.whl"):
        theirs = read_c_elegans(path, "cook2019")
        assert theirs.names == ours.names and np.array_equal(theirs.n_gap, ours.n_gap)
    with zipfile.ZipFile(tmp_path / "cect-0.3.5-py3-none-any.whl") as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "site" / "cect" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert np.array_equal(read_c_elegans(dataset="cook2019").n_syn, ours.n_syn)
    data["connections"]["Generic_GJ"][0][1] += 1.0
    file.write_text(json.dumps(data))
    with pytest.raises(ParameterError, match=r"no connectome of C\. elegans.*cect==0\.3\.5"):
        read_c_elegans(file, "cook2019")


def test_what_cannot_be_read_says_where_the_data_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    with pytest.raises(ParameterError, match=r"'cect' is not installed here.*pip download --no-deps cect==0\.3\.5"):
        read_c_elegans(dataset="cook2019")
    (tmp_path / "other.json").write_text("{}")
    for file in (tmp_path / "none.json", tmp_path / "other.json"):
        with pytest.raises(ParameterError, match="cect==0.3.5") as e:
            read_c_elegans(file, "cook2019")
        assert str(file) in str(e.value)
    with pytest.raises(ParameterError, match="dataset must be 'varshney2011' or 'cook2019', got 'white'"):
        read_c_elegans(dataset="white")


def test_neurons_are_found_by_name_and_by_class() -> None:
    worm = read_c_elegans()

    def found(which: str) -> list[str]:
        return [worm.names[k] for k in worm.cells(which)]

    assert found("PLM, AVAL") == ["AVAL", "PLML", "PLMR"] and found("") == []
    assert found("RME") == ["RMED", "RMEL", "RMER", "RMEV"] and len(found("VB")) == 11 and found("DVA") == ["DVA"]
    assert found("SMD") == ["SMDDL", "SMDDR", "SMDVL", "SMDVR"] and len(found("DB,VB,DD,VD")) == 7 + 11 + 6 + 13
    with pytest.raises(UnknownNameError, match="is named 'PLN1'; did you mean 'PLN[LR]'"):
        worm.cells("PLN1")
