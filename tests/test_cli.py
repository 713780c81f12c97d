"""The command line: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import neurosim
from neurosim import registry
from neurosim.cli.load import load, parse_duration
from neurosim.cli.main import cli
from neurosim.cli.progress import Bar, clock
from neurosim.errors import ParameterError, UnknownNameError
from neurosim.recording import Provenance, RunResult, Spikes
from neurosim.units import ms

HEAD = """
import neurosim as ns
from neurosim.units import ms, mV
cell = ns.Cell("dv/dt = (1.5 - v)/tau", threshold="v >= 1", reset="v = 0", init={"v": "index/N"}, tau=10*ms)
"""
ONE = HEAD + """
net = ns.Network("one", dt=0.1*ms, seed=3)
net.population("p", 8, cell)
"""
BUILDER = HEAD + """
def network(n: int = 8, tau: object = 10*ms, kind: str = "plain", fast: bool = False, scale: float = 1.0):
    net = ns.Network(f"{kind}{fast}{scale}", dt=0.1*ms, seed=3)
    net.population("p", n, cell(tau=tau))
    return net
"""
DIVERGES = """
import neurosim as ns
from neurosim.units import ms
net = ns.Network("div", dt=0.1*ms)
cell = ns.Cell("dv/dt = v*v/tau", threshold="v < 0", reset="v = 0", init={"v": 1.0}, tau=1*ms, method="euler")
net.population("p", 5, cell)
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def call(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), prog_name="neurosim")


def ran(*args: str) -> Result:
    """Run on the reference for 20 ms, unless the arguments say otherwise."""
    done = call("run", "-b", "reference", "-d", "20ms", *args)
    assert done.exit_code == 0, done.output
    return done


def told(*args: str) -> dict[str, Any]:
    return json.loads(ran("--json", *args).stdout)


def mistake(*args: str) -> str:
    """The sentence that a command ends with; its exit code must be 2 and it must print nothing else."""
    done = call(*args)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert done.stderr.startswith("error: ") and done.stderr.endswith("\n")
    return done.stderr[len("error: ") : -1]


def process(*args: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "neurosim", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


# -- start ----------------------------------------------------------------------------------------------------------


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom neurosim.cli.main import main\nsys.argv = ['neurosim', '--help']\ntry:\n    main()\n"
        "except SystemExit:\n    pass\nprint(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    help_text, _, modules = done.stdout.rstrip().rpartition("\n")
    assert "neurosim run potjans_diesmann --set scale=0.1" in help_text
    assert not {"numpy", "numba", "rich", "matplotlib", "h5py", "torch", "brian2"} & set(modules.split())


def test_public_names_are_those_of_the_lazy_table() -> None:
    assert sorted(neurosim._HOMES) == list(neurosim.__all__)
    assert set(neurosim.__all__) <= set(dir(neurosim))
    assert neurosim.units.ms is ms
    with pytest.raises(AttributeError, match="^module 'neurosim' has no attribute 'Netwrok'$"):
        neurosim.Netwrok  # noqa: B018


def test_python_m_and_version() -> None:
    out, err = process("--version").communicate()
    assert (out, err) == (f"neurosim, version {neurosim.__version__}\n", "")


@pytest.mark.parametrize(
    ("args", "hint"),
    [(["rnu"], "Did you mean 'run'?"), (["run", "x.py", "--durration", "1s"], "Did you mean '--duration'?")],
)  # fmt: skip
def test_mistyped_commands_and_options(args: list[str], hint: str) -> None:
    done = call(*args)
    assert done.exit_code == 2
    assert hint in done.stderr


# -- run ------------------------------------------------------------------------------------------------------------


def test_run_prints_a_table() -> None:
    done = ran(write("net.py", ONE))
    lines = done.stdout.splitlines()
    assert lines[0] == "one  8 neurons · 0 synapses · 0.02 s"
    assert re.fullmatch(r"reference \S+ · double · 1 thread · dt 0.1 ms · seed 3", lines[1])
    assert lines[3] == "population  neurons  spikes  rate Hz  CV ISI  synchrony"
    assert re.fullmatch(r"p +8 +13 +81.25 +– +\d\.\d\d", lines[5])
    assert re.fullmatch(r"build \S+ s, simulate \S+ s \(real-time factor \S+\), whole \S+ s", lines[7])
    assert lines[8] == "note: the network records no spikes, so those of all populations were recorded"
    assert done.stderr == ""


def test_json_is_one_object_and_nothing_else() -> None:
    script = ONE + "print('the script talks')\n"
    done = ran("--json", write("net.py", script))
    out = json.loads(done.stdout)
    assert done.stderr == "the script talks\n"
    assert out["populations"]["p"]["spikes"] == out["spikes"] == 13
    assert out["populations"]["p"]["rate_hz"] == pytest.approx(13 / (8 * 0.02))
    assert out["populations"]["p"]["cv_isi"] is None
    assert (out["status"], out["error"], out["files"], out["neurons"], out["synapses"]) == ("finished", None, {}, 8, 0)
    assert out["provenance"]["backend"] == "reference"
    assert out["times"]["whole_s"] > out["times"]["simulate_s"] > 0


def test_quiet_prints_nothing() -> None:
    done = ran("--quiet", write("net.py", ONE))
    assert (done.stdout, done.stderr) == ("", "")


def test_files_are_written_and_said() -> None:
    done = ran("-o", "out.h5", "--plot", "p.png", write("net.py", ONE))
    assert re.search(r"^wrote out\.h5 \(\S+ k?B\)\nwrote p\.png \(\S+ kB\)$", done.stdout, re.MULTILINE)
    assert RunResult.load("out.h5").spikes["p"].count == 13
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    assert told("-o", "out.h5", "--plot", "p.png", "net.py")["files"] == {"output": "out.h5", "plot": "p.png"}


def test_published_rates_stand_beside_ours() -> None:
    ours = ONE + "net.published = {'A. Author (2001)': {'p': 65.0}}\n"
    lines = ran(write("net.py", ours)).stdout.splitlines()
    assert re.fullmatch(r"p +8 +13 +81.25 +– +\S+ +65.00 +\+25.0 %", lines[5])
    assert "published: A. Author (2001)" in lines
    many = ONE + "net.published = {'A': {'p': 65.0}, 'B': {}, 'C': {'p': 0.0}, 'D': {'p': 81.25}}\n"
    text = ran(write("net.py", many)).stdout
    assert re.search(r"^p +81.25 +65.00 +\+25.0 % +– +– +0.00 +–$", text, re.MULTILINE)
    assert re.search(r"^p +81.25 +81.25 +\+0.0 %$", text, re.MULTILINE)
    assert "[1] A\n[2] B\n[3] C\n[4] D\n" in text
    assert told("net.py")["populations"]["p"]["published"]["A"] == {"rate_hz": 65.0, "difference": 0.25}


def test_probes_of_the_network_are_kept() -> None:
    script = ONE + "net.record(net['p'][:2], 'spikes')\n"
    done = ran("-o", "out.h5", write("net.py", script))
    assert "note:" not in done.stdout
    assert re.search(r"^p +8 +13 +81.25 ", done.stdout, re.MULTILINE)  # of all neurons, as the engine counted them
    assert len(RunResult.load("out.h5").spikes["p"].recorded) == 2  # type: ignore[arg-type]


def test_default_duration() -> None:
    script = write("net.py", ONE + "net.default_duration = 5*ms\n")
    assert json.loads(call("run", "-b", "null", "--json", script).stdout)["simulated_s"] == 0.005
    assert json.loads(call("run", "-b", "null", "--json", write("one.py", ONE)).stdout)["simulated_s"] == 1.0
    assert parse_duration("2 ms") == 2 * ms


# -- which network --------------------------------------------------------------------------------------------------


def test_a_script_that_runs_its_network_is_read_up_to_there() -> None:
    def how(*args: str) -> tuple[float, str, str]:
        p = json.loads(call("run", "--json", "net.py", *args).stdout)["provenance"]
        return p["duration_s"], p["backend"], p["precision"]

    script = "try:\n    net.run(7*ms, backend='null', precision='single')\nexcept Exception:\n    pass\n1/0\n"
    write("net.py", ONE + script)
    assert how() == (0.007, "null", "single")
    assert how("-d", "3ms", "--precision", "double") == (0.003, "null", "double")
    assert mistake("run", "net.py", "--set", "n=3") == (
        "'net.py' runs its network itself, so it has no keyword 'n': --set takes POPULATION.PARAMETER=VALUE there"
    )


def test_which_object_of_a_script_is_the_network() -> None:
    two = ONE + "network = ns.Network('two', dt=1*ms)\nnetwork.population('q', 2, cell)\n"
    assert load(write("a.py", two)).network.name == "two"
    assert load(write("b.py", ONE + "again = net\n")).network.name == "one"
    assert load(write("c.py", BUILDER.replace("def network", "def c"))).network.name == "plainFalse1.0"
    assert load(write("d.py", BUILDER.replace("def network", "def build"))).network.name == "plainFalse1.0"
    guarded = "from neighbour import *\nif __name__ == '__main__':\n    raise SystemExit(1)\n"
    write("neighbour.py", ONE)
    assert load(write("e.py", guarded)).network.name == "one"
    assert str(Path.cwd()) not in sys.path
    assert mistake("run", write("f.py", ONE + "b = ns.Network('b', dt=1*ms)\n")) == (
        "'f.py' defines 2 networks (net, b): name the one to run 'network'"
    )
    assert mistake("run", write("g.py", "x = 1\n")) == (
        "'g.py' defines no network: make one (network = ns.Network(...)), or write a function network() "
        "that returns one"
    )
    assert mistake("run", write("h.py", "def network():\n    return 3\n")) == (
        "network() of 'h.py' returned int, not a Network"
    )
    write("i.py", "def network(n):\n    pass\n")
    assert mistake("run", "i.py") == "network() of 'i.py' needs a value: --set n=…"
    assert mistake("run", write("j.py", HEAD + "network = ns.Network('j', dt=1*ms)\n")) == (
        "the network 'j' of 'j.py' has no population"
    )


def test_names_of_the_library() -> None:
    assert load("cuba", ("n=100",)).network.populations["exc"].n == 80
    assert mistake("run", "cubb") == "no network 'cubb'; did you mean 'cuba'? (a file is named with its .py)"
    assert mistake("run", "cubb.py") == "cannot read 'cubb.py': there is no such file"
    Path("folder.py").mkdir()
    assert mistake("run", "folder.py") == "cannot read 'folder.py': Is a directory"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\ny = 1/0\n", "net.py:2: ZeroDivisionError: division by zero"),
        ("def f():\n    raise KeyError('k')\n\nf()\n", "net.py:2: KeyError: 'k'"),
        ("import numpy as np\nnp.zeros(-1)\n", "net.py:2: ValueError: negative dimensions are not allowed"),
        ("x = (1\n", "net.py:1: SyntaxError: '(' was never closed"),
        ("import nowhere_at_all\n", "net.py:1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit(4)\n", "net.py:1: the script ended itself before it had built a network"),
        ("def network():\n    assert False\n", "net.py:2: AssertionError"),
        (
            HEAD + "ns.Network('a', dt=1)\n",
            "dt of the network must be a time (s), got the plain number 1: write 1*ms (net.py:5)",
        ),
    ],
)
def test_exceptions_of_the_users_script(text: str, sentence: str) -> None:
    assert mistake("run", write("net.py", text)) == sentence


# -- --set and --seed -----------------------------------------------------------------------------------------------


def test_set_keywords_of_a_builder() -> None:
    write("net.py", BUILDER)
    given = ("n=3", "tau=20ms", "kind=15", "fast=yes", "scale=.5")
    out = told("net.py", *(word for one in given for word in ("--set", one)))
    assert (out["network"], out["neurons"]) == ("15True0.5", 3)
    assert out["provenance"]["overrides"] == {"n": "3", "tau": "20ms", "kind": "15", "fast": "yes", "scale": ".5"}
    assert load("net.py", ("fast=1", "scale=1e-3")).network.name == "plainTrue0.001"
    assert load("net.py", ("fast=False", "tau = 1 ms")).network.name == "plainFalse1.0"
    assert mistake("run", "net.py", "--set", "kin=a") == (
        "network() has no keyword 'kin'; did you mean 'kind'? It takes n, tau, kind, fast, scale"
    )
    assert mistake("run", "net.py", "--set", "zzz=a") == (
        "network() has no keyword 'zzz'; it takes n, tau, kind, fast, scale"
    )
    assert mistake("run", "net.py", "--set", "n") == (
        "--set takes KEY=VALUE, such as exc.tau_m=15ms or scale=0.1; got 'n'"
    )
    assert mistake("run", "net.py", "--set", "tau=3mz").startswith("cannot read '3mz' as a quantity: unknown unit 'mz'")
    assert mistake("run", write("o.py", BUILDER.replace("scale: float = 1.0", "**more")), "--set", "n=x.").startswith(
        "o.py:7: NameError: name 'scale'"
    )
    assert mistake("run", write("one.py", ONE), "--set", "n=3") == (
        "'one.py' defines a network, not a function that builds one, so it has no keyword 'n': "
        "--set takes POPULATION.PARAMETER=VALUE there"
    )
    assert mistake("run", "cuba", "--set", "n=many") == (
        "'cuba' cannot be built with n=many: unsupported operand type(s) for //: 'str' and 'int'"
    )


def test_set_parameters_of_a_population() -> None:
    write("one.py", ONE)
    slow, fast = told("one.py", "--set", "p.tau=20ms"), told("one.py", "--set", "p.tau = 5 ms")
    assert slow["spikes"] < 13 < fast["spikes"]
    assert slow["provenance"]["overrides"] == {"p.tau": "20ms"}
    assert slow["provenance"]["network_hash"] != fast["provenance"]["network_hash"]
    assert mistake("run", "one.py", "--set", "p.tua=1ms") == (
        "population 'p' has no parameter 'tua'; did you mean 'tau'?"
    )
    assert mistake("run", "one.py", "--set", "q.tau=1ms") == "no population 'q'; known: p"
    assert mistake("run", "one.py", "--set", "p.tau=1") == (
        "p.tau must be a time (s), got the plain number 1: write 1*ms"
    )
    assert told(write("b.py", BUILDER), "--set", "p.tau=5ms", "--set", "n=8")["spikes"] == fast["spikes"]


def test_seed() -> None:
    write("one.py", ONE)
    assert told("one.py", "--seed", "7")["provenance"]["seed"] == 7
    assert told("cuba", "--set", "n=50", "--seed", "7", "-d", "1ms")["provenance"]["seed"] == 7
    for network in ("one.py", "cuba"):
        assert mistake("run", network, "--seed", "-1") == "seed must be a whole number from 0 to 2**64 - 1, got -1"


# -- mistakes and failures ------------------------------------------------------------------------------------------


def test_whole_sentences() -> None:
    write("one.py", ONE)
    run = ("run", "one.py")
    assert mistake(*run, "-b", "nativ") == "no backend 'nativ'; did you mean 'native'?"
    assert mistake(*run, "-d", "2") == "--duration needs a unit of time: 2s or 2ms"
    assert mistake(*run, "-d", "2mV") == "--duration must be a time (s), got voltage (V): 2 mV"
    assert mistake(*run, "-b", "null", "-d", "0.15ms") == (
        "the duration is 0.15 ms, which is not a whole number of steps at dt = 0.1 ms; nearest legal: 0.1 ms or 0.2 ms"
    )
    assert mistake(*run, "-b", "null", "--threads", "0") == "threads must be a whole number of at least 1, got 0"
    assert mistake(*run, "--plot", "x.gif") == "cannot draw a '.gif' file; png, svg and pdf are known"
    assert mistake("ir", "one.py", "--after", "ordr") == (
        "no pass 'ordr'; the passes are units, expand, discretise, delays, order"
    )


def test_an_engine_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.Entry("nowhere:Engine", ("nowhere_at_all",), "pip install nowhere", "tests")
    monkeypatch.setitem(registry.BACKENDS, "absent", entry)
    assert mistake("run", "x.py", "-b", "absent") == "backend 'absent' is not installed: pip install nowhere"
    text = call("backends").stdout
    assert re.search(r"^absent +missing +– +tests", text, re.MULTILINE)
    assert "\nabsent: not installed: pip install nowhere\n" in text


def test_a_file_that_cannot_be_written_is_said_before_the_run() -> None:
    started = "raise RuntimeError('the script was read')\n"
    for option in ("-o", "--plot"):
        done = call("run", write("net.py", started), option, "none/x.png")
        assert (done.exit_code, done.stdout) == (3, "")
        assert done.stderr == "error: cannot write 'none/x.png': its directory does not exist; create it first\n"
    assert sorted(os.listdir()) == ["net.py"]


def test_a_run_that_diverges_keeps_what_it_had() -> None:
    write("net.py", DIVERGES)
    done = call("run", "-b", "reference", "-d", "100ms", "-o", "out.h5", "net.py")
    assert done.exit_code == 3
    assert re.match(r"error: \S.*", done.stderr) and len(done.stderr.splitlines()) == 1
    assert "wrote out.h5" in done.stdout
    assert RunResult.load("out.h5").provenance.status == "diverged"
    done = call("run", "-b", "reference", "-d", "100ms", "--json", "net.py")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["status"] == "diverged"
    assert done.stderr == f"error: {json.loads(done.stdout)['error']}\n"


def test_a_run_that_does_not_fit() -> None:
    script = HEAD.replace("(1.5 - v)", "(i - v)") + (
        "receptor = ns.Receptor('dx/dt = -x/tau', event='x += w', output='x', tau=5*ms)\n"
        "net = ns.Network('big', dt=0.1*ms)\n"
        "p = net.population('p', 10**6, cell(receptors={'e': receptor}))\n"
        "net.connect(p, p, weight=1.0, rule=ns.AllToAll())\n"
    )
    done = call("run", write("net.py", script))
    assert done.exit_code == 3, done.output
    assert re.fullmatch(
        r"about 1,000,000 M synapses, needs [\d.]+ GiB, [\d.]+ GiB free\n"
        r"error: the network needs about [\d.]+ GiB .* edges\), and [\d.]+ GiB are free: use a smaller scale.*\n",
        done.stderr,
    )


def test_faults_of_our_own_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("no idea")

    monkeypatch.setattr("neurosim.run.simulate", broken)
    done = call("run", write("one.py", ONE))
    assert done.exit_code == 1
    assert done.stderr == (
        "error: neurosim failed, which is not your fault (RuntimeError: no idea); "
        "please report it with the traceback that --debug shows\n"
    )
    assert isinstance(call("run", "one.py", "--debug").exception, RuntimeError)
    assert isinstance(call("--debug", "run", "one.py").exception, RuntimeError)


def test_debug_shows_the_users_traceback() -> None:
    done = call("run", "--debug", write("net.py", "x = 1/0\n"))
    assert isinstance(done.exception, ParameterError)
    assert isinstance(done.exception.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("as_json", [False, True])
def test_interrupt_keeps_what_was_recorded(as_json: bool) -> None:
    write("net.py", ONE)
    started = process("run", "-b", "reference", "-d", "1000s", "-o", "out.h5", "net.py", *["--json"] * as_json)
    for _ in range(600):
        if list(Path.cwd().glob("out.h5.*.part")):  # the file is opened just before the first step
            break
        time.sleep(0.05)
    time.sleep(0.5)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130, err
    assert re.fullmatch(r"interrupted after \S+ s of 1000 s: what was recorded is kept in out\.h5\n", err)
    result = RunResult.load("out.h5")
    assert result.provenance.status == "interrupted"
    assert 0 < result.provenance.n_steps < 10_000_000
    if as_json:
        assert json.loads(out)["status"] == "interrupted"
    else:
        assert re.search(r"^population ", out, re.MULTILINE)


def test_a_closed_pipe_is_no_error() -> None:
    line = f"{sys.executable} -m neurosim ir cuba --set n=100 | head -n 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("graph 'cuba' after the pass 'order'\n", "")


# -- width ----------------------------------------------------------------------------------------------------------


def wide(text: str) -> list[str]:
    return [line for line in text.splitlines() if len(line) > 80]


def test_everything_fits_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ["L23E", "a_population_with_a_very_long_name", "x" * 19, *(f"q{k}" for k in range(45))]
    script = HEAD + f"net = ns.Network('potjans_and_others_and_more', dt=0.1*ms, seed=2**63)\nfor k in {names}:\n"
    script += "    net.population(k, 12, cell)\n"
    script += "net.published = {'A. Author, B. Author and C. Author, table 5': dict.fromkeys(net.populations, 1.0)}\n"
    for args in (["run", "-b", "reference", "-d", "6ms", "--raster", write("net.py", script)], ["run", "-h"], ["-h"],
                 ["backends"], ["networks"], ["ir", "-h"]):  # fmt: skip
        done = call(*args)
        assert (done.exit_code, wide(done.stdout)) == (0, []), done.stderr
        assert ("a row of dots" in done.stdout) == ("--raster" in args)
    text = call("run", "-b", "null", "-d", "1ms", "net.py").stdout
    assert "and 8 smaller populations (--json and -o have all)" in text
    assert re.search(r"^a_popula\w+…", text, re.MULTILINE)
    out = json.loads(call("run", "-b", "null", "-d", "1ms", "--json", "net.py").stdout)
    assert len(out["populations"]) == 48


def test_raster() -> None:
    from neurosim.cli.raster import draw

    rng = np.random.default_rng(3)
    steps, n = 10_000, 400

    def result(**rates: float) -> RunResult:
        spikes = {}
        for name, hz in rates.items():
            at = rng.random((steps, n)) < hz * 1e-4
            spikes[name] = Spikes(*np.nonzero(at), n, 1e-4, steps)
        return RunResult(dict.fromkeys(rates, n), Provenance(dt=1e-4, n_steps=steps), spikes)

    picture = draw(result(exc=5.0, inh=10.0), 80, "utf-8")
    assert picture is not None
    lines = picture.plain.splitlines()
    assert len(lines) == 12 + 3
    assert [len(line) <= 80 for line in lines] == [True] * 15
    assert lines[0].startswith("exc ") and lines[6].startswith("inh ") and lines[12].startswith("rate ")
    assert lines[13].split() == ["0", "0.5", "1", "s"]
    note = r" +(one neuron|\d+ neurons) a row of dots, \d+ of 800; mean rate of all, highest \S+ Hz"
    assert re.fullmatch(note, lines[14])
    assert any("\u2800" < c <= "\u28ff" for c in lines[0])

    busy = draw(result(a=300.0), 80, "utf-8")  # a shorter window, for else every dot would be set
    assert busy is not None and busy.plain.splitlines()[-2].split()[0] in ("500", "800", "900")
    assert draw(result(a=0.0), 80, "utf-8") is None
    assert draw(result(a=10.0), 80, "ascii") is None


def test_raster_where_asked_for() -> None:
    write("one.py", ONE)
    assert "a row of dots" in ran("--raster", "one.py").stdout
    assert "a row of dots" not in ran("one.py").stdout  # no terminal
    assert told("--raster", "one.py")["spikes"] == 13


def test_a_terminal_gets_a_bar() -> None:
    pty = pytest.importorskip("pty")
    write("one.py", ONE)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="80")
        os.execv(sys.executable, [sys.executable, "-m", "neurosim", "run", "-b", "reference", "-d", "100ms", "one.py"])
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        shown += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    text = shown.decode()
    assert "building" in text and "simulating" in text and "RTF" in text and " left" in text
    assert "a row of dots" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is back
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert not wide("\n".join(re.split(r"[\r\n]+", plain)))


def test_bar_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("neurosim.cli.progress.time.perf_counter", lambda: now[0])
    with Bar(1e-4) as bar:
        bar("build", 0, 1000, 0.0)
        bar("build", 1000, 1000, 1.0)
        for done in range(10, 1001, 10):
            now[0] += 1.0
            bar("simulate", done, 1000, now[0])
    assert capsys.readouterr().err.splitlines() == [
        "simulated 0.025 of 0.1 s in 25 s, 1:15 to go",
        "simulated 0.05 of 0.1 s in 50 s, 50 s to go",
        "simulated 0.075 of 0.1 s in 1:15, 25 s to go",
    ]


def test_clock() -> None:
    shown = {0.04: "0.0 s", 9.94: "9.9 s", 9.96: "10 s", 59.4: "59 s", 59.6: "1:00", 3725.0: "1:02:05"}
    assert {seconds: clock(seconds) for seconds in shown} == shown


# -- ir, networks, backends, doctor ---------------------------------------------------------------------------------


def test_ir_prints_the_program_once() -> None:
    text = call("ir", "cuba", "--set", "n=100").stdout
    lines = text.splitlines()
    assert lines[0] == "graph 'cuba' after the pass 'order'"
    assert lines[1].startswith("  100 neurons, 2 populations, 2 projections, about ")
    assert re.fullmatch(r"  hash [0-9a-f]{64}", lines[3])
    assert "population exc: 80 neurons" in lines and "population inh: 20 neurons" in lines
    assert "  program as in population exc" in lines
    assert text.count("emit[spike]") == 1
    assert "    exc  grid 2^-49" in lines
    assert "  weight   1.62 mV, on the grid 2^-49" in lines
    assert "  delay    0.1 ms, 1 step" in lines
    assert "probe spikes of exc, all neurons, every step" in lines


def test_ir_prints_equations_before_they_are_discretised() -> None:
    text = call("ir", "cuba", "--set", "n=100", "--set", "exc.tau_m=15ms", "--after", "units").stdout
    lines = [line.strip() for line in text.splitlines()]
    for line in ("dv/dt = (v_rest - v + r_m * i) / tau_m", "i = exc.x + inh.x", "spike when v >= v_th",
                 "reset v = v_reset", "refractory for t_ref, holding v",
                 "on an arrival at exc: exc.x += w, after the decay"):  # fmt: skip
        assert line in lines
    assert "tau_m    0.015" in lines


@pytest.mark.parametrize("after", ["units", "expand", "discretise", "delays", "order"])
@pytest.mark.parametrize("network", ["brunel", "potjans_diesmann", "coba"])
def test_ir_prints_every_network_at_every_stage(network: str, after: str) -> None:
    size = "scale=0.01" if network == "potjans_diesmann" else "n=100"
    more = ("--set", "in_degree=10") if network == "brunel" else ()
    done = call("ir", network, "--set", size, *more, "--after", after)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"graph '{network}' after the pass '{after}'\n")


def test_networks_lists_what_can_be_set() -> None:
    text = call("networks").stdout
    for name in registry.NETWORKS:
        assert f"\n{name}\n" in f"\n{text}"
    assert "tau_m=20ms" in text and "scale=" in text


def test_backends_and_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    text = call("backends").stdout
    assert re.search(r"^reference +available +double", text, re.MULTILINE)
    monkeypatch.setattr("neurosim.cli.environment.DEFAULT", "reference")
    done = call("doctor")
    assert done.exit_code == 0, done.output
    assert "ok  reference   runs a network, and gives the spikes of the reference" in done.stdout
    assert done.stdout.endswith("All is well: the default backend 'reference' runs.\n")
    absent = registry.Entry("nowhere:X", ("nowhere_at_all",), "pip install x")
    monkeypatch.setitem(registry.BACKENDS, "reference", absent)
    done = call("doctor")
    assert done.exit_code == 1
    assert "no  reference   not installed: pip install x" in done.stdout


def test_unknown_networks_are_refused_in_python_too() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cuba'"):
        load("cubas")
