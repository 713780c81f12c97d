"""The command line: which network a name or a file means, and what --set and --seed change."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cli_kit import BUILDER, HEAD, ONE, call, here, mistake, told, write

from neurosim.cli.load import load

__all__ = ["here"]  # every test runs in a folder of its own


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
    assert mistake("run", "folder.py") == "cannot read 'folder.py': it is a folder"


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
    assert mistake("run", "net.py", "--set", "tau=3mz").startswith(
        "--set tau: cannot read '3mz' as a quantity: unknown unit 'mz'"
    )
    assert mistake(
        "run", write("o.py", BUILDER.replace("scale: float = 1.0", "**more")), "--set", "kind=x."
    ).startswith("o.py:7: NameError: name 'scale'")
    assert mistake("run", write("one.py", ONE), "--set", "n=3") == (
        "'one.py' defines a network, not a function that builds one, so it has no keyword 'n': "
        "--set takes POPULATION.PARAMETER=VALUE there"
    )
    assert mistake("run", "cuba", "--set", "n=many") == ("--set n: it takes a number (by default 4000), got 'many'")


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
