"""neurosim new: every template runs as its text says, and no file of the user's is lost."""

from __future__ import annotations

import ast
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_kit import call, here, mistake  # noqa: F401  (a fixture: every test has a folder of its own)

import neurosim as ns
from neurosim.cli.load import load
from neurosim.cli.starting import PLACEHOLDER, templates
from neurosim.units import ms

KINDS = ("balanced", "cell", "dendrite", "stdp")


def made(*args: str) -> str:
    done = call("new", *args)
    assert done.exit_code == 0, done.output
    return done.stdout


def commands(said: str) -> list[list[str]]:
    """The commands that are printed, without the lines that explain them."""
    lines = said.replace(" \\\n", " ").splitlines()
    return [line.split() for line in lines if line.startswith(("  neurosim ", "  python "))]


def test_templates_are_those_that_the_help_lists() -> None:
    assert tuple(templates()) == KINDS
    text = call("new", "--help").output
    for kind in KINDS:
        assert text.count(f"--template {kind} ") == 1
    assert text.count("--template ") - text.count("--template KIND") == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_short_and_bears_the_users_name(kind: str) -> None:
    made("retina", "--template", kind)
    text = Path("retina.py").read_text(encoding="utf-8")
    assert 60 <= len(text.splitlines()) <= 90 and max(map(len, text.splitlines())) <= 120
    assert PLACEHOLDER not in text and text == templates()[kind].replace(PLACEHOLDER, "retina")
    assert load("retina.py").network.name == "retina"
    assert load("retina.py", seed=7).network.seed == 7
    assert load("retina.py").network.default_duration is not None


@pytest.mark.parametrize("kind", KINDS)
def test_its_commands_run(kind: str) -> None:
    """The five of its docstring, on the reference for 20 ms, but for the comparison, which has the engines it names."""
    said = made("retina", "--template", kind)
    run, change, compare, sweep, script = commands(said)
    short = ["--duration", "20ms"]
    for command in (run, change):
        done = call(*command[1:], "--backend", "reference", "--no-raster", *short)
        assert done.exit_code == 0, done.output
    assert Path("retina.png").stat().st_size > 10_000
    assert "wrote retina.png" in done.stdout and change.count("--set") >= 1
    done = call(*compare[1:], *short)
    assert done.exit_code == 0 and "E0         native – reference: identical spikes" in done.stdout, done.output
    done = call(*sweep[1:], "--backend", "reference", "--jobs", "1", *short)
    assert done.exit_code == 0 and "wrote retina.sweep.h5" in done.stdout, done.output
    assert script == ["python", "retina.py"]
    tree = ast.get_docstring(ast.parse(Path("retina.py").read_text(encoding="utf-8")))
    assert tree is not None
    shown = [line.split() for line in tree.splitlines() if line.startswith("    ")]
    assert shown == [run, change, compare, sweep, script]


def network_of(kind: str, **arguments: str) -> ns.Network:
    made("retina", "--template", kind, "--force")
    return load("retina.py", tuple(f"{k}={v}" for k, v in arguments.items())).network


def test_a_cell_of_ones_own_tires() -> None:
    tiring, other = (network_of("cell", **changed).run(400 * ms) for changed in ({}, {"cells.b": "0mV"}))
    assert other.rates("cells") > 1.2 * tiring.rates("cells") > 10
    w = tiring.state["cells"]["w"].values
    assert (w[0] == 0).all() and w.max() > 2e-3


def test_inhibition_makes_rates_low_and_spikes_irregular() -> None:
    weak, strong = (network_of("balanced", g=str(g)).run(400 * ms) for g in (3, 6))
    assert weak.rates("exc") > 3 * strong.rates("exc") > 10
    assert weak.cv_isi("exc") + 0.2 < strong.cv_isi("exc")


def test_synapses_of_inputs_that_come_together_grow() -> None:
    result = network_of("stdp").run(4000 * ms)
    volley, random = (result.weight_traces[f"from_{k}"].values.mean(1) for k in ("volley", "random"))
    assert volley[-1] > 1.05 * volley[0] and random[-1] < 0.97 * random[0]


def test_dendrites_spike_and_make_somata_spike() -> None:
    off = {"pyramids.g_rise_na_apical": "0nS", "pyramids.g_fall_na_apical": "0nS"}
    active, passive = (network_of("dendrite", **changed).run(400 * ms) for changed in ({}, off))
    assert len(active.events("pyramids", "spike_na_apical")) > 5
    assert active.rates("pyramids") > 1.1 * passive.rates("pyramids") > 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_as_a_script(kind: str, tmp_path: Path) -> None:
    made("retina", "--template", kind)
    done = subprocess.run([sys.executable, "-W", "error", "retina.py"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "wrote retina.png" in done.stdout and Path("retina.png").exists()


# -- where it goes ----------------------------------------------------------------------------------------------------


def test_what_is_printed_fits_80_columns() -> None:
    for kind in KINDS:
        said = made("a_network_with_a_name_of_some_length", "--force", "--template", kind)
        assert max(map(len, said.splitlines())) <= 80, said
    with_folder = made("some/folder/", "--template", "cell")
    assert ["neurosim", "run", "some/folder/my_network.py"] in commands(with_folder)


@pytest.mark.parametrize(
    ("place", "path", "name"),
    [
        ((), "my_network.py", "my_network"),
        (("retina",), "retina.py", "retina"),
        (("retina.py",), "retina.py", "retina"),
        (("there",), "there/my_network.py", "my_network"),
        (("there/",), "there/my_network.py", "my_network"),
        (("there/v1",), "there/v1.py", "v1"),
        (("new/deep/",), "new/deep/my_network.py", "my_network"),
        (("new/deep/v1.py",), "new/deep/v1.py", "v1"),
    ],
)
def test_where_it_goes(place: tuple[str, ...], path: str, name: str) -> None:
    Path("there").mkdir()
    assert made(*place).startswith(f"wrote {path}\n")
    assert load(path).network.name == name


def test_nothing_is_written_over_unless_it_is_asked_for() -> None:
    Path("retina.py").write_text("mine\n", encoding="utf-8")
    said = mistake("new", "retina")
    assert said == (
        "'retina.py' is there already and was left as it is: give another name, or --force to write over it"
    )
    assert Path("retina.py").read_text(encoding="utf-8") == "mine\n"
    Path("dangling.py").symlink_to("nowhere.py")
    assert "is there already" in mistake("new", "dangling")
    made("retina", "--force")
    assert Path("retina.py").read_text(encoding="utf-8").startswith('"""retina: ')
    assert sorted(os.listdir()) == ["dangling.py", "retina.py"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my net", "'my net' cannot name a network: use letters, digits and '_', a letter first, as in 'my_net'"),
        ("my-net.py", "'my-net' cannot name a network: use letters, digits and '_', a letter first, as in 'my_net'"),
        ("3d", "'3d' cannot name a network: use letters, digits and '_', a letter first, as in 'd'"),
        ("_x", "'_x' cannot name a network: use letters, digits and '_', a letter first, as in 'x'"),
        ("__main__", "as in 'main'"),
        ("réseau", "as in 'r_seau'"),
        ("sub/.py", "as in 'my_network'"),
        ("  ", "the name is empty"),
        ("lambda", "'lambda' is a word of Python's, which cannot name a module: take 'lambda_net'"),
        ("random", "there is a module 'random' already"),
        ("numpy.py", "there is a module 'numpy' already"),
        ("neurosim", "take another name, such as 'neurosim_net'"),
    ],
)
def test_names_under_which_it_could_not_be_used(name: str, said: str) -> None:
    assert said in mistake("new", name)
    assert os.listdir() == []


def test_a_kind_that_is_not_there() -> None:
    said = mistake("new", "--template", "stpd")
    assert said.startswith("no template 'stpd'; did you mean 'stdp'?\n  balanced  excitation and ")
    assert len(said.splitlines()) == 1 + len(KINDS)
    assert os.listdir() == []


def failed(*args: str) -> str:
    done = call(*args)
    assert done.exit_code == 3 and done.stdout == "", done.output
    return done.stderr


def test_places_that_cannot_be_written() -> None:
    Path("file").write_text("", encoding="utf-8")
    assert mistake("new", "file/x") == "cannot write 'file/x.py': 'file' is a file, not a folder"
    assert "its name is too long" in failed("new", "x" * 300)
    Path("folder.py").mkdir()
    Path("folder.py/my_network.py").mkdir()
    assert "is there already" in mistake("new", "folder.py")
    assert "it is a directory" in failed("new", "folder.py", "--force")


@pytest.mark.parametrize("folder", ["", "locked/", "locked/deeper/"])
def test_a_folder_without_permission(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by the operating system, which would let root write anywhere."""

    def refused(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.makedirs" if folder else "neurosim.recording.atomic.os.open", refused)
    assert failed("new", f"{folder}x") == (
        f"error: cannot write '{folder}x.py': you have no permission to write there\n"
    )
