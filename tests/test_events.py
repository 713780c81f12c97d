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


@pytest.mark.parametrize("precision", ["double", "single"])
def test_the_age_ends_at_two_to_the_24(precision):
    cell = ns.Cell("k[n+1] = k + 1", events={"e": ns.Event("k < 0")}, init={"e": float((1 << 24) - 2)})
    r = run(cell, 4, ("e",), "native", precision=precision)
    assert samples(r, "e") == [float((1 << 24) - 1)] + [float(1 << 24)] * 3


def test_in_steps_rounds_to_whole_steps():
    cell = ns.Cell("a[n+1] = in_steps(t_a)\nb[n+1] = in_steps(t_b)\nc[n+1] = in_steps(t_c)",
                   t_a=0.3 * ms, t_b=0.349 * ms, t_c=0.351 * ms)  # fmt: skip
    r = run(cell, 1, ("a", "b", "c"))
    assert [samples(r, name) for name in "abc"] == [[3], [3], [4]]


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
    ({"events": {"e": "v > 1"}}, ParameterError, "event 'e' must be an Event, such as Event"),
    ({"events": {"spike": ns.Event("v > 1")}}, EquationError, "'spike' cannot name an event: it is what the threshold"),
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
    with pytest.raises(UnknownNameError, match="'f'"):
        net.run(1 * ms, backend="reference").events("p", "f")
