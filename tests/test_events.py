"""Events besides the spike: when they happen, in which order they react, what their names mean, and what is refused."""

import numpy as np
import pytest

import neurosim as ns
from neurosim.errors import EquationError, ParameterError, UnknownNameError
from neurosim.models import DCInput
from neurosim.recording.result import RunResult
from neurosim.units import ms, mV

ENGINES = ("reference", "native")


def run(cell, steps=30, record=(), backend="reference", n=1, dt=0.1, **options):
    net = ns.Network("events", dt=dt * ms)
    pop = net.population("p", n, cell)
    for name in record:
        net.record(pop, name)
    return net.run(steps * dt * ms, backend=backend, **options)


def samples(result, name, neuron=0):
    return result.state["p"][name].values[:, neuron].tolist()


@pytest.mark.parametrize("backend", ENGINES)
def test_the_name_counts_the_steps_since(backend):
    cell = ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k == 3 or k == 7")})
    r = run(cell, 10, ("e", "k"), backend)
    never = float(1 << 24)
    assert samples(r, "e") == [never, never, 0, 1, 2, 3, 0, 1, 2, 3]
    assert r.events("p", "e").steps.tolist() == [2, 6] and r.events("p", "e").ids.tolist() == [0, 0]
    assert r.events("p", "e").t.tolist() == pytest.approx([2e-4, 6e-4])


def test_equations_read_the_age_in_the_present_step():
    """In step m an event of step n is m - n old: the value that the sample of step m has too."""
    cell = ns.Cell("k[n+1] = k + 1\nage[n+1] = e", events={"e": ns.Event("k == 3")})
    r = run(cell, 6, ("e", "age"))
    assert samples(r, "age")[3:] == [1, 2, 3] == samples(r, "e")[3:]


def test_a_reaction_sees_what_was_done_before_it():
    """All conditions are tested before anything reacts; the spike reacts first, then the events as declared."""
    cell = ns.Cell(
        "k[n+1] = k + 1\nx[n+1] = x\ny[n+1] = y",
        threshold="k >= 2",
        reset="k = 0; x += 1",
        events={
            "first": ns.Event("k >= 2", "x = 10*x + 2; y = x"),
            "second": ns.Event("k >= 2 and x == 0", "x = 10*x + 3"),
            "third": ns.Event("x > 100", "y = -1"),
        },
    )
    r = run(cell, 2, ("x", "y", "k", "third", "spikes"))
    assert samples(r, "x") == [0, 123] and samples(r, "y") == [0, 12] and samples(r, "k") == [1, 0]
    assert len(r.events("p", "third")) == 0 and r.spikes["p"].steps.tolist() == [1]


def test_refractory_period_of_an_event():
    """As for the spike: not tested in the next t/dt steps."""
    for period, gap in ((None, 1), (0 * ms, 1), (0.1 * ms, 2), (0.5 * ms, 6)):
        cell = ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k > 0", refractory=period)})
        assert run(cell, 13, ("e",)).events("p", "e").steps.tolist() == list(range(0, 13, gap))


def test_a_refractory_period_for_each_neuron_and_by_name():
    cell = ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k > 0", refractory="rest")}, rest=[0.0, 0.2, 0.4] * ms)
    found = run(cell, 10, ("e",), n=3).events("p", "e")
    assert [found.steps[found.ids == k].tolist() for k in range(3)] == [list(range(10)), [0, 3, 6, 9], [0, 5]]


def test_edge():
    cell = ns.Cell("k[n+1] = k + 1\nm[n+1] = sin(k)", events={"e": ns.Event("m > 0", edge=True)})
    plain = ns.Cell("k[n+1] = k + 1\nm[n+1] = sin(k)", events={"e": ns.Event("m > 0")})
    high = run(plain, 40, ("e",)).events("p", "e").steps
    rises = [int(k) for k in high if k - 1 not in set(high.tolist())]
    assert run(cell, 40, ("e",)).events("p", "e").steps.tolist() == rises and len(rises) == 7


def test_samples_as_far_apart_as_the_refractory_period_lose_no_event():
    cell = ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k > 4", refractory=0.6 * ms)})
    net = ns.Network("sparse", dt=0.1 * ms)
    pop = net.population("p", 1, cell)
    net.record(pop, "e", every=0.5 * ms)
    sparse = net.run(5 * ms, backend="reference").events("p", "e").steps.tolist()
    every = run(cell, 50, ("e",)).events("p", "e").steps.tolist()
    assert sparse == every == list(range(4, 50, 7))


def test_a_result_from_a_file_has_the_events(tmp_path):
    cell = ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k == 3")})
    r = run(cell, 10, ("e",))
    r.save(tmp_path / "r.h5")
    assert RunResult.load(tmp_path / "r.h5").events("p", "e").steps.tolist() == [2]


def test_an_age_may_be_given_at_the_start():
    cell = ns.Cell("k[n+1] = k + 1\nage[n+1] = e", events={"e": ns.Event("k < 0")}, init={"e": 4.0})
    assert samples(run(cell, 3, ("age",)), "age") == [5, 6, 7]


@pytest.mark.parametrize("age", [-3.0, 0.5, 3e7])
def test_an_age_is_whole_and_not_negative(age):
    with pytest.raises(ParameterError, match="initial e of population 'p' is a number of steps since the event: whole"):
        run(ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k < 0")}, init={"e": age}))


@pytest.mark.parametrize("precision", ["double", "single"])
def test_the_age_ends_at_two_to_the_24(precision):
    cell = ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k < 0")}, init={"e": float((1 << 24) - 2)})
    r = run(cell, 4, ("e",), "native", precision=precision)
    assert samples(r, "e") == [float((1 << 24) - 1)] + [float(1 << 24)] * 3


def test_in_steps():
    """A constant is a whole number of steps; what differs between neurons or varies in time is rounded to one."""
    cell = ns.Cell("a[n+1] = in_steps(t_a + 2*t_a)\nb[n+1] = in_steps(t_b)\nc[n+1] = in_steps(t + t_a/3)",
                   t_a=0.3 * ms, t_b=[0.349, 0.351] * ms)  # fmt: skip
    r = run(cell, 3, ("a", "b", "c"), n=2)
    assert [samples(r, name) for name in "abc"] == [[9] * 3, [3] * 3, [1, 2, 3]] and samples(r, "b", 1) == [4] * 3
    with pytest.raises(ParameterError, match=r"in_steps\(t_a\) of population 'p' is 0.25 ms, which is not a whole"):
        run(ns.Cell("a[n+1] = in_steps(t_a)", t_a=0.25 * ms))
    with pytest.raises(ns.errors.DimensionError, match=r"in_steps\(\) takes a time: voltage"):
        run(ns.Cell("a[n+1] = in_steps(3*mV)"))


def test_what_is_not_counted_any_more():
    long = 1700.0 * ns.units.second
    for cell in (
        ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k > 0", refractory=long)}),
        ns.Cell("k[n+1] = where(e < in_steps(t_long), 1, 0)", events={"e": ns.Event("k > 2")}, t_long=long),
    ):
        with pytest.raises(ParameterError, match="16777216"):
            run(cell)


def test_the_refractory_period_is_a_parameter():
    cell = ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k > 0", refractory=0.5 * ms)})
    shorter = cell(t_e_refractory=0.1 * ms)
    assert run(shorter, 5, ("e",)).events("p", "e").steps.tolist() == [0, 2, 4]
    with pytest.raises(ParameterError, match="becomes the parameter 't_e_refractory', which there is already"):
        ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k > 0", refractory=1 * ms)}, t_e_refractory=3 * ms)


def test_a_rule_reads_the_age_of_an_event():
    """Synapses onto a neuron whose event is young grow; in_steps is known to rules too."""
    cell = ns.Cell("k[n+1] = k + 1\nx[n+1] = 0*x", events={"e": ns.Event("k == 5")},
                   receptors={"r": ns.Receptor(event="x += w")})  # fmt: skip
    net = ns.Network("rule", dt=0.1 * ms)
    pop = net.population("p", 1, cell)
    source = net.population("source", 3, ns.Cell("k[n+1] = k + 1", threshold="k == when", when=[3.0, 6.0, 12.0]))
    rule = ns.Plasticity(on_pre="w += where(e_post <= in_steps(window), 1, 0)", window=0.5 * ms, upper="9")
    net.connect(source, pop, weight=1.0, plasticity=rule, delay=0.1 * ms, name="s")
    assert net.run(2 * ms, backend="native").weights("s").tolist() == [1, 2, 1]
    assert net.run(2 * ms, backend="reference").weights("s").tolist() == [1, 2, 1]


def test_a_dendritic_spike_by_hand():
    """A current that flows for a time after the event, in a loop written without any of neurosim's code."""
    cell = ns.Cell(
        "dv/dt = (i + a*where(up <= in_steps(t_up), 1, 0) - v)/tau",
        events={"up": ns.Event("v >= 10*mV", refractory="t_ref")},
        method="euler", a=40 * mV, t_up=1 * ms, t_ref=5 * ms, tau=10 * ms,
    )  # fmt: skip
    net = ns.Network("hand", dt=0.1 * ms)
    pop = net.population("p", 1, cell)
    net.stimulate(pop, DCInput(12 * mV))
    net.record(pop, "v")
    net.record(pop, "up")
    r = net.run(40 * ms, backend="native")
    v, last, events, trace = 0.0, -(10**9), [], []
    for n in range(400):
        v += 1e-4 * (12e-3 + (40e-3 if n - last <= 10 else 0.0) - v) / 10e-3
        if v >= 10e-3 and n - last > 50:
            last = n
            events.append(n)
        trace.append(v)
    assert len(events) == 5 and r.events("p", "up").steps.tolist() == events
    assert np.allclose(samples(r, "v"), trace, rtol=0, atol=1e-15)


# -- what is refused -------------------------------------------------------------------------------------------------


REFUSED = [
    ({"events": {"e": "v > 1"}}, ParameterError, "event 'e' of Cell must be an Event, such as Event"),
    (
        {"events": {"spike": ns.Event("v > 1")}},
        ParameterError,
        "'spike' cannot name an event of Cell: it is what the threshold",
    ),
    (
        {"events": {"v": ns.Event("v > 1")}},
        ParameterError,
        "'v' cannot name an event of Cell: it is a name of the cell",
    ),
    ({"events": {"t": ns.Event("v > 1")}}, ParameterError, "'t' cannot name an event of Cell: the name is reserved"),
    ({"events": {"e": ns.Event("v")}}, EquationError, "a condition compares values"),
    ({"events": {"e": ns.Event("v > 1", "z = 1")}}, EquationError, "event 'e' changes 'z', which is no state variable"),
    ({"events": {"e": ns.Event("v > 1", "e = 1")}}, EquationError, "event 'e' changes 'e', which is no state variable"),
    ({"events": {"e": ns.Event("v[n+1] > 1")}}, EquationError, r"the condition of event 'e' of Cell cannot read a new"),
    ({"threshold": "v > 1", "reset": "e = 0", "events": {"e": ns.Event("v > 1")}}, EquationError, "reset changes 'e'"),
]


@pytest.mark.parametrize("options, error, message", REFUSED)
def test_refused_by_the_cell(options, error, message):
    with pytest.raises(error, match=message) as found:
        ns.Cell("v[n+1] = v + 1", **options)
    assert "test_events.py" in str(found.value)


@pytest.mark.parametrize(
    "event, error, message",
    [
        (lambda: ns.Event("v > 1*mV"), ns.errors.DimensionError, "cannot compare"),
        (lambda: ns.Event("v > 1", "v = 2*ms"), ns.errors.DimensionError, "the two sides differ"),
        (lambda: ns.Event("v > q"), UnknownNameError, "unknown name 'q'"),
        (lambda: ns.Event("v > 1", refractory="v"), ns.errors.DimensionError, "the refractory period of event 'e'"),
    ],
)
def test_refused_by_the_population(event, error, message):
    net = ns.Network("refused", dt=0.1 * ms)
    with pytest.raises(error, match=message):
        net.population("p", 1, ns.Cell("v[n+1] = v + 1 : 1", events={"e": event()}))


@pytest.mark.parametrize(
    "given, message",
    [
        ((3,), "the condition of an event is text"),
        (("v > 1", 5), "the reaction of an event is text"),
        (("v > 1",), None),
    ],
)
def test_refused_by_the_event(given, message):
    if message is None:
        with pytest.raises(ParameterError, match="the refractory period of an event is a time"):
            ns.Event(*given, refractory=5)
        return
    with pytest.raises(ParameterError, match=message):
        ns.Event(*given)


@pytest.mark.parametrize(
    "period, message",
    [(0.25 * ms, "the refractory period of event 'e' of population 'p' is 0.25 ms"), (-1 * ms, "must not be negative")],
)
def test_a_refractory_period_is_whole_steps(period, message):
    with pytest.raises(ParameterError, match=message):
        run(ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k > 0", refractory=period)}))


def test_what_is_shown():
    cell = ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k > 0", "k = 0", refractory=1 * ms, edge=True)})
    assert "e when k > 0 (where it becomes true): k = 0, refractory for t_e_refractory" in cell.describe()
    assert repr(ns.Event("k > 0", "k = 0")) == "Event('k > 0', 'k = 0')"
    net = ns.Network("shown", dt=0.1 * ms)
    pop = net.population("p", 1, cell)
    with pytest.raises(UnknownNameError, match="variables of 'p'"):
        net.run(1 * ms, backend="reference").events("p", "e")
    net.record(pop, "e")
    net.record(pop, "k")
    r = net.run(1 * ms, backend="reference")
    with pytest.raises(UnknownNameError, match="'f'"):
        r.events("p", "f")
    net = ns.Network("none", dt=0.1 * ms)
    net.population("p", 1, ns.Cell("x[n+1] = x + 0.5"))
    net.record(net["p"], "x")
    with pytest.raises(ParameterError, match="'x' of 'p' is no event: its samples are not numbers of steps"):
        net.run(1 * ms, backend="reference").events("p", "x")
