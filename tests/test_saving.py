"""Networks in files: what is read again is the network that was saved, to the bit, and saving says what it cannot."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from net_kit import refused

import neurosim as ns
from neurosim import models
from neurosim.cli.main import cli
from neurosim.compile import compile_network
from neurosim.conformance.cases import CASES
from neurosim.conformance.constructs import CONSTRUCTS
from neurosim.conformance.random_networks.cells import ALL, ALL_PLASTIC, family, plastic_family
from neurosim.conformance.random_networks.dice import Seeded
from neurosim.conformance.random_networks.writing import _Writer
from neurosim.errors import NeurosimError, ParameterError, ResultFileError
from neurosim.ir.distributions import Draw
from neurosim.ir.graph import digest
from neurosim.ir.program import Program
from neurosim.ir.rules import Rule, Where
from neurosim.lang.component import Component
from neurosim.lang.components import Cell, Current, Drive, Receptor
from neurosim.lang.connect import Connection
from neurosim.lang.event import Event, ParsedEvent
from neurosim.lang.groups import Group, Population
from neurosim.lang.network import Network, Probe
from neurosim.lang.plasticity import Plasticity, Traces
from neurosim.lang.short_term import ShortTerm
from neurosim.lang.values import Random, TimedArray
from neurosim.models import LIF, ExpCurrent, PairSTDP, PoissonInput, PoissonSource, SpikeSource, TsodyksMarkram
from neurosim.params import Param
from neurosim.registry import NETWORKS, load_network
from neurosim.saving.rules import FIELDS
from neurosim.saving.table import KINDS
from neurosim.units import Hz, ms, mV, nA, nS, pA, second, um

CHILD = """
import json, sys
import neurosim as ns
from neurosim.compile import compile_network
from neurosim.ir.graph import digest
print(json.dumps({path: digest(compile_network(ns.Network.load(path))) for path in sys.argv[1:]}))
"""


def document(path: Path) -> Any:
    """Return what a file says, apart from its arrays."""
    with h5py.File(path, "r") as file:
        return json.loads(bytes(file["network"][()]))


def compiled(net: ns.Network) -> str:
    """Return the digest of what engines get, or what the compiler says of the network."""
    try:
        return digest(compile_network(net))
    except NeurosimError as error:
        return f"{type(error).__name__}: {error.message}"


def kept(net: ns.Network, tmp_path: Path) -> ns.Network:
    """Save a network, load it, and see that it is the same: compiled, and saved again."""
    net.save(tmp_path / "net.h5")
    back = ns.Network.load(tmp_path / "net.h5")
    assert compiled(back) == compiled(net)
    back.save(tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "net.h5").read_bytes()
    assert (back.name, back.published) == (net.name, net.published)
    assert str(back.default_duration) == str(net.default_duration)
    assert [str(p.scope.parts) for p in back.populations.values()] == [
        str(p.scope.parts) for p in net.populations.values()
    ]
    return back


def spikes(net: ns.Network, duration: Any = 20 * ms) -> dict[str, list[Any]]:
    result = net.run(duration, backend="reference")
    return {name: [s.steps.tolist(), s.ids.tolist()] for name, s in result.spikes.items()}


def busy() -> ns.Network:
    """A network with everything that is not a component: parts, unions, positions, arrays, texts, settings."""
    net = ns.Network("busy", dt=0.1 * ms, seed=2**64 - 1)
    receptors = {"exc": ExpCurrent(), "inh": ExpCurrent(tau="2*tau_m")}
    cell = LIF(tau_m=ns.normal(20 * ms, 2 * ms, lo=5 * ms), receptors=receptors)
    a = net.population("a", 12, cell, init={"v": ns.uniform(-70 * mV, -50 * mV), "exc.x": np.linspace(0, 1, 12) * mV},
                       positions=np.arange(24.0).reshape(12, 2) * um)  # fmt: skip
    b = net.population("b", 7, cell(v_th=np.linspace(-52, -48, 7) * mV), positions=np.ones((7, 3)) * um)
    s = net.population("s", 3, SpikeSource([[1, 2] * ms, [] * ms, [0.5] * ms], period=5 * ms))
    net.connect(a[::2] + b[3:5] + a[1:4:2], b, receptor="exc", weight="mV*(1 + i)/N_pre", delay="0.1*ms*(1 + j)")
    net.connect(a, b, receptor="inh", rule=ns.DistanceDependent("exp(-distance/(5*um))", 9 * um, autapses=False),
                weight=ns.lognormal(1 * mV, 0.3, hi=3 * mV),
                delay=ns.exponential(1 * ms, lo=0.2 * ms, how="clip"))  # fmt: skip
    net.connect(a, a, receptor="exc", rule=ns.Where("i != j and x_pre < x_post", p="0.5 + 0*tau_m_pre/ms"),
                weight=2 * mV, delay=1.5 * ms, name="near")  # fmt: skip
    net.connect(s, a, receptor="exc", rule=ns.EdgeList([0, 2, 2], [11, 0, 1]), weight=np.array([60.0, 1, 2]) * mV,
                delay=np.array([0.1, 0.2, 3.0]) * ms)  # fmt: skip
    net.stimulate(b, models.DCInput(20 * mV))
    rule = PairSTDP(rate=0.1, w_max=5 * mV, delay_type="dendritic")
    net.connect(a, b[2:], receptor="exc", rule=ns.FixedInDegree(3, multapses=False), weight=1 * mV, plasticity=rule,
                short_term=TsodyksMarkram(U=0.2), name="learns")  # fmt: skip
    waves = np.linspace(0, 1, 120).reshape(10, 12) * mV
    net.stimulate(a[[3, 1, 2]], models.ArrayCurrent(waves, 1 * ms, True))
    net.stimulate(b, PoissonInput("300*Hz*(1 + sin(2*pi*10*Hz*t))", 5 * mV, "exc"), name="drive")
    net.stimulate(a, ns.Current(output="5*mV + strange", strange=0.5 * mV, name="A name of its own"))
    net.set_parameter("a.exc.tau", 7 * ms)
    net.set_parameter("b.learns.tau_plus", 11 * ms)
    net.record(a + b, "spikes")
    net.record(a[[5, 2]], "v", every=0.3 * ms)
    net.record(net.projections["learns"], "weight", every=1 * ms)
    net.record(a, "learns.stp.x")
    net.published = {"somewhere": {"a": 1.5}}
    net.default_duration = 1 * second
    return net


# -- what comes back


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases_of_the_conformance_suite(case: Any, tmp_path: Path) -> None:
    net = built(case)
    if net is None:
        assert case.refusal is not None
    else:
        kept(net, tmp_path)


def built(case: Any) -> ns.Network | None:
    """Return the network of a case; None where it is refused while it is made."""
    try:
        return case.build()
    except NeurosimError:
        return None


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_constructs_of_the_support_table(name: str, tmp_path: Path) -> None:
    net = CONSTRUCTS[name]()
    if any(type(c.rule) not in FIELDS for c in net.projections.values()):
        said = refused(ParameterError, lambda: net.save(tmp_path / "net.h5"))
        assert "the rule Ring is a class of your own, and a file holds no code" in said
        net.projections = {k: c for k, c in net.projections.items() if type(c.rule) in FIELDS}
    kept(net, tmp_path)


def rest_of_the_library() -> list[ns.Network]:
    """Networks of what is in no case and no construct."""
    out = []
    for cell in (*(models.GLIF(level) for level in range(1, 6)), models.GLIF(3, n_asc=3), models.LiveSource,
                 models.CA1Pyramidal, models.L5Pyramidal, models.ClopathAdEx(2), models.IntrinsicUnit,
                 models.ReleaseSite, models.UrbanczikSenn,
                 models.Passive().insert(na=models.DendriticSpike())):  # fmt: skip
        net = ns.Network("rest", dt=0.1 * ms)
        net.population("p", 3, cell)
        out.append(net)
    net = ns.Network("inputs", dt=0.1 * ms)
    p = net.population("p", 3, LIF(receptors={"exc": ExpCurrent()}))
    net.stimulate(p, models.LiveCurrent, name="live")
    net.stimulate(p, models.StepCurrent([1, 3] * ms, [1, 2] * mV))
    learn = ns.Network("learn", dt=0.1 * ms)
    source = learn.population("source", 2, models.PoissonSource(100 * Hz))
    receptor = {"e": models.DeltaCurrent()}
    targets = {
        "voltage": (models.ClopathAdEx(2, receptors=receptor), models.ClopathSTDP(w_1=1 * mV, w_max=2 * mV)),
        "dendrite": (models.UrbanczikSenn(receptors={"e": ExpCurrent(port="i_dend")}),
                     models.DendriticPrediction(w_1=1 * pA, w_max=2 * pA)),
        "centred": (LIF(receptors=receptor), models.PreCentredSTDP(w_max=2 * mV)),
        "restricted": (LIF(receptors=receptor), models.RestrictedSTDP(w_max=2 * mV)),
    }  # fmt: skip
    for name, (cell, rule) in targets.items():
        target = learn.population(name, 2, cell)
        unit = pA if name == "dendrite" else mV
        learn.connect(source, target, weight=1 * unit, delay=1 * ms, plasticity=rule, name=f"onto_{name}")
    return [*out, net, learn]


def test_the_rest_of_the_library(tmp_path: Path) -> None:
    for net in rest_of_the_library():
        kept(net, tmp_path)


def test_all_of_the_library_has_been_saved() -> None:
    nets = [net for case in CASES if (net := built(case)) is not None]
    nets += [build() for build in CONSTRUCTS.values()] + rest_of_the_library()
    seen = {part.name for net in nets for pop in net.populations.values() for part in pop.scope.parts.values()}
    seen |= {name[:4] for name in seen if name.startswith("GLIF")}
    seen |= {"DendriticSpike", "StepCurrent"}  # a channel becomes equations, and steps an array
    assert set(models.__all__) <= seen


@pytest.mark.parametrize("seed", range(10))
def test_random_networks(seed: int, tmp_path: Path, full: bool) -> None:
    for number in range(seed, 120, 10) if full else (seed,):
        for fam in (family(number % ALL), plastic_family(number % ALL_PLASTIC)):
            kept(_Writer(Seeded(number), fam).net, tmp_path)


@pytest.mark.parametrize("name", ["cuba", "coba", "brunel", "dendritic", "song", "potjans_diesmann"])
def test_networks_of_the_library(name: str, tmp_path: Path) -> None:
    small = {"potjans_diesmann": {"scale": 0.02}, "brunel": {"n": 1250, "in_degree": 100}}.get(name, {})
    net = load_network(name)(**small)
    back = kept(net, tmp_path)
    if name in ("cuba", "song"):
        assert spikes(back) == spikes(net) != {}


def test_who_learns_digits(tmp_path: Path) -> None:
    kept(load_network("diehl_cook")(n=5), tmp_path)


def test_a_worm(tmp_path: Path) -> None:
    kept(load_network("c_elegans")(), tmp_path)


@pytest.mark.full
def test_a_network_with_hours_of_given_spikes(tmp_path: Path) -> None:
    kept(load_network("masquelier")(), tmp_path)


LOBE, BODY = "fly_optic_lobe/fib25-fib19_v2.2.json", "fly_mushroom_body/mb_fafb783.npz"


@pytest.mark.parametrize(
    ("name", "file"),
    [pytest.param("optic_lobe", LOBE, marks=pytest.mark.shared_data(LOBE)),
     pytest.param("mushroom_body", BODY, marks=pytest.mark.shared_data(BODY))],
)  # fmt: skip
def test_connectomes(name: str, file: str, tmp_path: Path, shared: Path) -> None:
    more = {"extent": 1} if name == "optic_lobe" else {}
    kept(load_network(name)(path=str(shared / file), **more), tmp_path)


def test_the_list_of_networks_is_whole() -> None:
    here = "cuba coba brunel dendritic song potjans_diesmann masquelier diehl_cook optic_lobe mushroom_body c_elegans"
    assert set(NETWORKS) == set(here.split())


def test_the_same_spikes_and_values(tmp_path: Path) -> None:
    net = busy()
    back = kept(net, tmp_path)
    one, two = (each.run(60 * ms, backend="reference") for each in (net, back))
    assert sum(len(s) for s in one.spikes.values()) > 50
    assert all(one.spikes[k].identical(two.spikes[k]) for k in one.spikes)
    assert one.state["a"]["v"].values.tobytes() == two.state["a"]["v"].values.tobytes()
    assert one.weight_traces["learns"].values.tobytes() == two.weight_traces["learns"].values.tobytes()
    assert np.ptp(one.weight_traces["learns"].values[-1]) > 0
    assert one.provenance.network_hash == two.provenance.network_hash  # so a checkpoint of one is one of the other


def test_in_another_process(tmp_path: Path) -> None:
    nets = {"busy": busy(), "cuba": load_network("cuba")(n=200)}
    for name, net in nets.items():
        net.save(tmp_path / f"{name}.h5")
    paths = [str(tmp_path / f"{name}.h5") for name in nets]
    done = subprocess.run([sys.executable, "-c", CHILD, *paths], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {p: compiled(net) for p, net in zip(paths, nets.values(), strict=True)}


def test_networks_of_other_formats(tmp_path: Path) -> None:
    import nir_kit
    import sonata_kit

    from neurosim.cli.load import load

    sonata_kit.small(tmp_path)
    kept(load(str(tmp_path / "simulation.json")).network, tmp_path)
    nir_kit.write(tmp_path, *nir_kit.lif_graph())
    (graph,) = tmp_path.glob("*.nir")
    back = kept(load(str(graph), ("dt=1ms", "scheme=exact", "reset=value")).network, tmp_path)
    cells = importlib.import_module("neurosim.interchange.nir.cells")
    assert any(pop.cell.prototype in cells.every() for pop in back.populations.values())  # so it can be exported again


def test_a_script_of_pynn(tmp_path: Path) -> None:
    import neurosim.pynn as sim

    sim.setup(timestep=0.1, backend="reference")
    p = sim.Population(5, sim.IF_cond_exp(), structure=sim.Line())
    source = sim.Population(2, sim.SpikeSourcePoisson(rate=50.0))
    sim.Projection(source, p, sim.FixedProbabilityConnector(0.5), sim.StaticSynapse(weight=0.01, delay=1.0))
    sim.Projection(p, p, sim.DistanceDependentProbabilityConnector("d < 3"), sim.StaticSynapse(weight=0.01))
    p.record("spikes")
    net = sim.network()
    sim.end()
    kept(net, tmp_path)


def test_what_the_library_calls_lif_is_its_lif_again(tmp_path: Path) -> None:
    net = ns.Network(dt=0.1 * ms)
    net.population("p", 2, LIF(tau_m=5 * ms, method="euler", receptors={"exc": ExpCurrent(tau=2 * ms, when="before")}))
    net.population("q", 2, models.LiveSource)
    back = kept(net, tmp_path)
    assert back["p"].cell.prototype is LIF
    assert back["p"].cell.receptors["exc"].prototype is ExpCurrent
    assert back["q"].cell.prototype is models.LiveSource


def test_a_cell_that_is_only_called_lif_keeps_its_own_equations(tmp_path: Path) -> None:
    net = ns.Network(dt=0.1 * ms)
    text = LIF.text.replace("v_rest - v", "v_rest - 2*v")
    assert text != LIF.text
    cell = Cell(text, threshold="v > 0*mV", name="LIF", **LIF.params)
    net.population("p", 2, cell)
    back = kept(net, tmp_path)
    assert back["p"].cell.prototype is not LIF and back["p"].cell.text == text


def test_what_a_person_reads_of_a_cell_stays(tmp_path: Path) -> None:
    net = ns.Network(dt=0.1 * ms)
    cell = Cell("dv/dt = -g*v/c # ναί", g=Param(2 * nS, nS, "leak", lo=0 * nS, source="me"), name="Mine", doc="a cell",
                c=Param(3 * nS * ms, None, lo=0), source="nobody (2026)", k=Param(1.0, 1, hi=float("inf")))  # fmt: skip
    net.population("p", 2, cell(g=5 * nS))
    back = kept(net, tmp_path)
    assert back["p"].cell.describe() == net["p"].cell.describe()
    assert repr(back["p"].cell) == repr(net["p"].cell)


# -- when it is saved


def test_a_run_does_not_change_what_is_saved(tmp_path: Path) -> None:
    net = busy()
    net.save(tmp_path / "before.h5")
    net.run(10 * ms, backend="reference")
    net.save(tmp_path / "after.h5")
    assert (tmp_path / "before.h5").read_bytes() == (tmp_path / "after.h5").read_bytes()


def test_parameters_that_were_set_are_saved_and_those_of_a_simulation_are_not(tmp_path: Path) -> None:
    net = busy()
    net.set_parameter("a.v_th", -40 * mV)
    back = kept(net, tmp_path)
    assert back["a"].cell.value("v_th") == -40 * mV
    assert back["b"].scope.parts["learns"].value("tau_plus") == 11 * ms
    assert back["a"].scope.parts["learns"].value("tau_plus") == net["a"].scope.parts["learns"].value("tau_plus")
    with net.start(backend="reference") as simulation:
        simulation.run(1 * ms)
        simulation.set("a.v", -70 * mV)
    assert compiled(back) == compiled(net)


def test_the_users_arrays_stay_the_users(tmp_path: Path) -> None:
    net = busy()
    c = net.projections["s_a_exc"]
    net.save(tmp_path / "net.h5")
    assert c.weight.flags.writeable
    back = ns.Network.load(tmp_path / "net.h5")
    more = back.connect(back["a"], back["b"], receptor="exc", weight=1 * mV)  # it can be built further
    assert more.where is not None and "test_saving.py:" in more.where


def test_a_place_in_the_file_is_blamed_later_too(tmp_path: Path) -> None:
    net = ns.Network(dt=0.1 * ms)
    net.population("p", 2, Cell("dv/dt = -v/tau", tau="1*ms/index"))
    net.save(tmp_path / "net.h5")
    back = ns.Network.load(tmp_path / "net.h5")
    with pytest.raises(ParameterError, match=r"must be finite.*net\.h5: population 'p'\)$"):
        back.run(1 * ms, backend="reference")


def test_two_writers_leave_one_whole_file(tmp_path: Path) -> None:
    code = """
import sys, neurosim as ns
net = ns.network("cuba")(n=100, seed=int(sys.argv[1]))
for _ in range(20):
    net.save(sys.argv[2])
"""
    jobs = [subprocess.Popen([sys.executable, "-c", code, str(k), str(tmp_path / "net.h5")]) for k in (1, 2)]
    assert [job.wait() for job in jobs] == [0, 0]
    assert ns.Network.load(tmp_path / "net.h5").seed in (1, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["net.h5"]


LIMITED = """
import resource, signal, sys
import numpy as np
import neurosim as ns
from neurosim.models import LIF, ExpCurrent
from neurosim.units import ms, mV
net = ns.Network("n", dt=0.1*ms)
p = net.population("p", 1000, LIF(receptors={"e": ExpCurrent()}))
k = np.arange(200_000) % 1000
net.connect(p, p, rule=ns.EdgeList(k, k[::-1]), weight=np.ones(200_000)*mV)
net.save(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in (0, 300, 700, 5000, 100_000, 2_000_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        net.save(sys.argv[1])
    except ns.errors.ResultFileError as error:
        print(error.message)
"""


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    said = f"cannot write '{path}': it would be larger than the largest file allowed here (ulimit -f)"
    assert done.stdout.splitlines() == [said] * 6 and done.stderr == ""
    assert [p.name for p in tmp_path.iterdir()] == ["net.h5"]
    assert ns.Network.load(path).populations["p"].n == 1000


def test_many_edges_go_as_arrays(tmp_path: Path) -> None:
    net = ns.Network(dt=0.1 * ms)
    p = net.population("p", 1000, LIF(receptors={"e": ExpCurrent()}))
    k = np.arange(10**6, dtype=np.uint32) % 1000
    net.connect(p, p, rule=ns.EdgeList(k, k[::-1]), weight=np.linspace(0, 1, 10**6) * mV)
    kept(net, tmp_path)
    size = (tmp_path / "net.h5").stat().st_size
    assert 16 * 10**6 < size < 16 * 10**6 + 20_000


# -- what cannot be saved


@dataclasses.dataclass(frozen=True)
class Ring(Rule):
    hops: int = 1

    def edges(self, ctx: Any) -> Any:
        i = np.arange(ctx.n_pre, dtype=np.uint32)
        yield i, (i + np.uint32(self.hops)) % np.uint32(ctx.n_post)


class MyCell(Cell):
    pass


class MySpikes:
    pass


def small() -> ns.Network:
    net = ns.Network("small", dt=0.1 * ms)
    net.population("p", 4, LIF(receptors={"exc": ExpCurrent()}))
    return net


def test_a_rule_of_ones_own_and_what_to_do_instead(tmp_path: Path) -> None:
    net = small()
    net.connect(net["p"], net["p"], rule=Ring(2), weight=1 * mV, name="ring")
    said = refused(ParameterError, lambda: net.save(tmp_path / "n.h5"))
    assert "projection 'ring': the rule Ring is a class of your own" in said
    edges = net.edges("ring")
    other = small()
    other.connect(other["p"], other["p"], rule=ns.EdgeList(edges.pre, edges.post), weight=1 * mV, name="ring")
    back = kept(other, tmp_path)
    assert back.edges("ring").post.tolist() == edges.post.tolist()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda net: net.population("q", 2, MyCell("dv/dt = -v/tau", tau=1 * ms)),
         "the cell of population 'q': MyCell is a class of your own, and a file holds no code"),
        (lambda net: net.population("q", 2, Cell(schedule=MySpikes())), "which is no SpikeSource"),
        (lambda net: setattr(net, "name", "a\x1bb"), r"the network's name: it holds the character '\x1b'"),
        (lambda net: net.connect(net["p"], net["p"], weight=1 * mV, rule=Where(Program((), 0))),
         "condition of Where of projection 'p_p_exc': it is a program that was made without text"),
        (lambda net: net.population("q", 2, LIF(receptors={"e": ns.Receptor(event="v += w", name="\u202e")})),
         "receptor 'e' of the cell of population 'q': it holds the character '\\u202e'"),
        (lambda net: setattr(net, "published", {"x": {"p": object()}}), "published"),
        (lambda net: net["p"].scope.parts.update(other=ExpCurrent), "was not put there by the functions of Network"),
        (lambda net: setattr(net["p"], "label", "0"), "population 'p' is called '0' by itself"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved(change: Callable[[ns.Network], Any], says: str, tmp_path: Path) -> None:
    net = small()
    change(net)
    said = refused(ParameterError, lambda: net.save(tmp_path / "n.h5"))
    assert "cannot be saved" in said and says in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_option_of_a_component_is_in_the_table(kind: Any) -> None:
    """Fails where a component of the language gets an option that the format of files does not know."""
    options = [p for p in inspect.signature(kind.make.__init__).parameters if p not in ("self", "params")]
    assert list(kind.fields) == options and kind.unknown is None


KNOWN: dict[type, set[str]] = {
    Network: {"where", "name", "_dt", "seed", "populations", "projections", "links", "probes", "published",
              "default_duration", "origin"},
    Population: {"parts", "network", "label", "n", "cell", "where", "scope", "init", "positions", "stimuli"},
    Connection: {"name", "pre", "post", "receptor", "rule", "weight", "delay", "where", "plasticity", "short_term"},
    Probe: {"target", "variable", "ids", "every", "where", "edge"},
    Random: {"draw", "dim"},
    TimedArray: {"where", "dim", "values", "dt", "repeat"},
    Event: {"where", "condition", "reaction", "edge", "refractory"},
    Cell: {"where", "name", "source", "summary", "text", "params", "values", "init", "prototype", "equations", "draws",
           "events", "ports", "schedule", "edge", "method", "precision", "threshold", "threshold_text", "reset",
           "refractory", "refractory_text", "clamp", "receptors"},
    Receptor: {"where", "name", "source", "summary", "text", "params", "values", "init", "prototype", "equations",
               "draws", "when", "port", "output", "output_text", "event_text", "event", "gains", "link", "link_text"},
    Current: {"where", "name", "source", "summary", "text", "params", "values", "init", "prototype", "equations",
              "draws", "port", "output", "output_text"},
    Drive: {"where", "name", "source", "summary", "text", "params", "values", "init", "prototype", "equations", "draws",
            "receptor", "rate_text", "rate_expr"},
    Plasticity: {"where", "name", "source", "summary", "text", "params", "values", "init", "prototype", "equations",
                 "draws", "timing", "sides", "traces", "edge", "events", "every_text", "require_text", "every",
                 "require", "edge_dimensions", "bounds_text", "bounds"},
    ShortTerm: {"where", "name", "source", "summary", "text", "params", "values", "init", "prototype", "equations",
                "draws", "marks"},
}  # fmt: skip
"""What objects of the language hold, all of which a file holds or lets follow from what it holds."""


def test_no_object_of_the_language_holds_more_than_is_saved() -> None:
    """Fails where a class gets an attribute: see whether ``neurosim.saving`` has to write it, then enter it above."""
    net = busy()
    a, c = net["a"], net.projections["learns"]
    found: list[Any] = [net, a, c, *net.probes, ns.uniform(0.0, 1.0), TimedArray([1.0], 1 * ms), Event("v > 1")]
    found += [LIF, ExpCurrent, models.LiveCurrent, PoissonInput(1 * Hz, 1 * mV), PairSTDP, TsodyksMarkram]
    assert {type(x) for x in found} == set(KNOWN)
    for each in found:
        assert set(vars(each)) == KNOWN[type(each)], type(each)
    assert {f.name for f in dataclasses.fields(Draw)} == {"kind", "a", "b", "lo", "hi", "how"}
    assert {f.name for f in dataclasses.fields(ParsedEvent)} == {
        "condition", "reaction", "refractory", "refractory_text", "edge", "event"}  # fmt: skip
    assert {f.name for f in dataclasses.fields(Param)} == {
        "default", "unit", "meaning", "lo", "hi", "source", "lo_open", "hi_open"}  # fmt: skip


def test_every_rule_and_component_is_in_the_tables() -> None:
    def below(base: type) -> set[type]:
        # a class made within a function stands for one of a user's own (the conformance suite has such a rule)
        return {each for sub in base.__subclasses__()
                if sub.__module__.startswith("neurosim.") and "<locals>" not in sub.__qualname__
                for each in {sub, *below(sub)}}  # fmt: skip

    for rule, fields in FIELDS.items():
        assert [f.name for f in dataclasses.fields(rule)] == list(fields)  # type: ignore[arg-type]
    elsewhere = importlib.import_module("neurosim.interchange.sonata").SonataEdges  # its edges lie in their own file
    assert below(Rule) == {*FIELDS, elsewhere}
    # a channel becomes equations of its cell, and traces are those of a learning rule
    assert below(Component) == {kind.make for kind in KINDS.values()} | {ns.Channel, Traces}


def test_what_makes_a_network_takes_what_is_saved() -> None:
    """Fails where one of the functions that make a network gets an argument."""
    takes = {
        Network.__init__: "self name dt seed", Network.population: "self name n cell init positions",
        Network.connect: "self pre post receptor rule weight delay plasticity short_term name",
        Network.stimulate: "self target stimulus name", Network.record: "self target variable every",
        Group.__init__: "self parts",
    }  # fmt: skip
    for function, arguments in takes.items():
        assert list(inspect.signature(function).parameters) == arguments.split()


# -- on the command line


def test_commands_take_a_saved_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = load_network("cuba")(n=200)
    net.save("net.h5")

    def told(*words: str) -> str:
        done = CliRunner().invoke(cli, list(words))
        assert done.exit_code == 0, done.output
        return done.stdout

    seen = json.loads(told("run", "net.h5", "-b", "reference", "-d", "30ms", "--json", "--seed", "5", "--set",
                           "exc.tau_m=15ms", "-o", "out.h5"))  # fmt: skip
    net.seed = 5
    net.set_parameter("exc.tau_m", 15 * ms)
    assert seen["spikes"] == sum(len(s[0]) for s in spikes(net, 30 * ms).values()) > 0
    assert seen["provenance"]["overrides"] == {"exc.tau_m": "15ms"}
    assert "E0" in told("compare", "net.h5", "--backends", "reference,reference:threads=1", "-d", "5ms")
    assert "400" not in told("map", "net.h5")
    assert "begin with" in told("export", "net.h5", "--to", "sonata", "-o", "circuit")
    assert "dv" in told("ir", "net.h5") or "load" in told("ir", "net.h5")
    told("sweep", "net.h5", "--set", "exc.tau_m=10ms,20ms", "-b", "reference", "-d", "2ms", "-o", "s.h5", "-j", "1")


def test_the_name_of_a_file_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_network("cuba")(n=100).save("saved")
    done = CliRunner().invoke(cli, ["run", "saved", "-b", "reference", "-d", "1ms", "-q"])
    assert done.exit_code == 0, done.output


def test_a_checkpoint_goes_on_with_the_network_from_its_file(tmp_path: Path) -> None:
    net = busy()
    net.save(tmp_path / "net.h5")
    net.run(5 * ms, backend="reference", checkpoint=tmp_path / "kept")
    back = ns.Network.load(tmp_path / "net.h5")
    gone_on = back.run(10 * ms, backend="reference", checkpoint=tmp_path / "kept", resume=True)
    whole = net.run(10 * ms, backend="reference")
    assert all(gone_on.spikes[k].identical(whole.spikes[k]) for k in whole.spikes)


def test_weights_that_a_run_has_learned_are_not_in_it(tmp_path: Path) -> None:
    net = ns.Network(dt=0.1 * ms)
    p = net.population("p", 20, PoissonSource(100 * Hz))
    q = net.population("q", 5, LIF(receptors={"exc": ExpCurrent()}))
    rule = PairSTDP(rate=0.1, w_max=9 * mV)
    net.connect(p, q, weight=4 * mV, plasticity=rule, name="pq")
    result = net.run(50 * ms, backend="reference")
    assert np.ptp(result.weights("pq")) > 0
    back = kept(net, tmp_path)
    assert np.ptp(back.edges("pq").weight) == 0


def test_the_layout_is_the_one_that_is_documented(tmp_path: Path) -> None:
    busy().save(tmp_path / "net.h5")
    found = document(tmp_path / "net.h5")
    assert (found["format"], found["version"]) == ("neurosim network", 1)
    assert list(found) == ["format", "version", "name", "dt", "seed", "duration", "published", "populations", "built",
                           "settings", "probes"]  # fmt: skip
    with h5py.File(tmp_path / "net.h5", "r") as file:
        assert set(file) == {"network", "arrays"}
        assert all(d.chunks is None and d.dtype.str in ("<f8", "<i8", "<u4") for d in file["arrays"].values())
        assert (tmp_path / "net.h5").read_bytes()[:512].startswith(b"neurosim network 1\nbytes ")


def test_units_of_every_kind_come_back(tmp_path: Path) -> None:
    net = ns.Network(dt=0.1 * ms)
    cell = Cell("dv/dt = (i - v)/tau", tau=10 * ms, a=1 * nA, b=2 * pA / (3 * mV**2), c=np.array([1.0, -0.0]), d=5e-324,
                e=[1 * ms, 2 * ms], f=(4 * um) ** 0.5, g=7)  # fmt: skip
    net.population("p", 2, cell)
    back = kept(net, tmp_path)["p"].cell
    for key in ("a", "b", "d", "f", "g"):
        assert back.value(key) == cell.value(key)
    assert np.signbit(back.value("c")).tolist() == [False, True]
    assert "there is no file" in refused(ResultFileError, lambda: ns.Network.load(tmp_path / "other.h5"))
