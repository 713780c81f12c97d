"""What is said to names of other simulators: it is about names that are not ours, and points to names that are."""

from __future__ import annotations

import copy
import inspect
import re

import pytest

import neurosim as ns
from neurosim import habits, models
from neurosim.errors import UnknownAttributeError, suggest
from neurosim.lang.parser import RESERVED
from neurosim.models import LIF
from neurosim.recording import Provenance, RunResult
from neurosim.run import simulate
from neurosim.units import ms

TABLES = {name: value for name, value in vars(habits).items() if name.isupper() and isinstance(value, dict)}


def network() -> ns.Network:
    net = ns.Network("n", dt=0.1 * ms)
    net.population("p", 3, LIF())
    return net


def test_no_name_of_ours_is_taken_for_another_simulators():
    net = network()
    result = RunResult({"p": 3}, Provenance(dt=1e-4))
    assert not {"t", "dt", *RESERVED} & {*habits.FUNCTIONS, *habits.NAMES}
    assert not habits.OPTIONS.keys() & inspect.signature(simulate).parameters.keys()
    for owner, words in ((ns, habits.PUBLIC), (net["p"], habits.GROUP), (net["p"][:2], habits.GROUP),
                         (result, habits.RESULT)):  # fmt: skip
        assert [name for name in words if hasattr(owner, name)] == []


def test_what_the_messages_point_to_is_there():
    result = RunResult({"p": 3}, Provenance(dt=1e-4))
    owners = {"ns": ns, "net": network(), "result": result, "population": network()["p"]}
    seen = set()
    for words in TABLES.values():
        for text in words.values():
            for owner, path in re.findall(r"\b(ns|net|result|population)\.(\w+(?:\.\w+)*)", text):
                found = owners[owner]
                for name in path.split("."):
                    found = getattr(found, name)
                seen.add(owner)
            for name in re.findall(r"\b[A-Z][a-z]+(?:Source|Input)\b", text):
                assert hasattr(models, name), name
    assert seen == owners.keys()


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("v_thresh", ["v_rest", "v_th"], "; did you mean 'v_th'?"),
        ("C_m", ["c_m", "r_m"], "; did you mean 'c_m'?"),
        ("tau_refrac", ["tau_m", "t_ref"], "; did you mean 't_ref'?"),
        ("excitatory", ["exc", "inh"], "; did you mean 'exc'?"),
        ("V", ["u", "v"], "; did you mean 'v'?"),
        ("tau", ["tau_m", "t_ref"], "; did you mean 'tau_m'?"),
        ("zz", ["u", "v"], "; known: u, v"),
    ],
)
def test_the_same_thing_comes_before_the_same_letters(name, known, said):
    assert suggest(name, known) == said


def test_two_names_of_one_thing_decide_nothing():
    assert habits.same_thing("V_TH", ["v_th", "V_th"]) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NeuronGroup", "neurons are made by net.population(name, n, cell)"),
        ("LIF", "write 'from neurosim.models import LIF'"),
        ("ms", "write 'from neurosim.units import ms'"),
    ],
)
def test_public_names_that_are_elsewhere(name, said):
    with pytest.raises(AttributeError, match=re.escape(f"module 'neurosim' has no attribute '{name}': {said}")):
        getattr(ns, name)


def test_other_names_are_not_explained():
    with pytest.raises(AttributeError, match="^module 'neurosim' has no attribute 'nowhere'$"):
        _ = ns.nowhere
    assert not hasattr(ns, "__wrapped__") and not hasattr(network()["p"], "__wrapped__")


def test_groups_and_results_are_copied_as_before():
    net = network()
    part, result = copy.deepcopy(net["p"][1:]), copy.deepcopy(RunResult({"p": 3}, Provenance(dt=1e-4)))
    assert len(part) == 2 and result.populations == {"p": 3}
    with pytest.raises(UnknownAttributeError, match=r"has no 'size': len\(population\)"):
        _ = part.size
