"""What Brian2, PyNN and NEST call things, and what they are here: for messages alone, nothing runs by these names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_SAME = (
    {"v_th", "v_thresh", "v_threshold", "vthresh", "vth", "vt"},
    {"v_reset", "vreset", "vr"},
    {"v_rest", "e_l", "el", "vrest", "v_leak", "e_leak"},
    {"t_ref", "tau_refrac", "tau_ref", "refractory", "tref"},
    {"tau_m", "taum", "tau_mem"},
    {"tau", "tau_syn", "tau_syn_e", "tau_syn_i", "tau_syn_ex", "tau_syn_in"},
    {"exc", "excitatory", "ex"},
    {"inh", "inhibitory", "in"},
)
"""Names of one thing, in lower case."""

FUNCTIONS = {
    "rand": "uniform() draws from 0 to 1",
    "randn": "normal() draws with mean 0 and standard deviation 1",
    "int": "where(condition, 1, 0) makes a number of a condition",
    "poisson": "PoissonInput and PoissonSource of neurosim.models spike at random",
}
"""Functions of Brian2's that equations have not, and what they have."""

NAMES = {
    "xi": "white noise is normal()/sqrt(dt)",
    "not_refractory": "what the threshold reads stands still while refractory, and clamp= names other variables",
    "lastspike": "a variable that the reset sets to 0 and that grows by dx/dt = 1 is the time since the last spike",
}
"""Names that Brian2 defines in equations."""

OPTIONS = {
    "dt": "the step is the network's: ns.Network(dt=…)",
    "seed": "the seed is the network's: ns.Network(seed=…)",
    "report": "progress=True shows how far the run is",
    "namespace": "parameters are given to the cell",
    "record": "net.record(population, 'spikes') comes before the run",
}
"""What `run` takes elsewhere."""

PUBLIC = {
    "NeuronGroup": "neurons are made by net.population(name, n, cell), of a cell such as ns.Cell('dv/dt = …')",
    "Synapses": "synapses are made by net.connect(pre, post, …); what a spike does is said by a receptor of the target",
    "SpikeMonitor": "net.record(population, 'spikes') records spikes, and result.spikes has them",
    "StateMonitor": "net.record(population, 'v') records a variable, and result.state has it",
    "PopulationRateMonitor": "net.record(population, 'rate') records a rate, and result.population_rates has it",
    "SpikeGeneratorGroup": "given spikes are a population of SpikeSource, which is in neurosim.models",
    "PoissonGroup": "Poisson spikes are a population of PoissonSource, which is in neurosim.models",
    "defaultclock": "the step belongs to a network: ns.Network(dt=0.1*ms)",
    "start_scope": "there is no scope: a network holds what it is told to",
    "seed": "the seed belongs to a network: ns.Network(dt=…, seed=1)",
    "setup": "a network has what setup() sets: ns.Network(dt=…, seed=…); scripts of PyNN's run with neurosim.pynn",
    "Projection": "connections are made by net.connect(pre, post, …); scripts of PyNN's run with neurosim.pynn",
    "Equations": "equations are the text that ns.Cell takes",
}
"""Public names elsewhere, and what does that here."""

GROUP = {
    "record": "net.record(population, 'v') records it",
    "set": "parameters are given with the cell: cell(tau_m=…)",
    "get": "population.cell.value('tau_m') is a parameter",
    "initialize": "initial values are given where it is made: net.population(…, init={'v': …})",
    "inject": "net.stimulate(population, …) puts a current in",
    "size": "len(population) is its size",
    "N": "len(population) is its size",
    "get_data": "what is recorded comes with the result of net.run()",
    "spikes": "net.record(population, 'spikes') records them, and the result of net.run() has them",
}
"""What populations have elsewhere."""

RESULT = {
    "t": "each population has its own: result.spikes['name'].t, result.state['name']['v'].times",
    "i": "result.spikes['name'].ids are the neurons that spiked",
    "v": "result.state['name']['v'] is a recorded variable",
    "rate": "result.rates() are mean rates, result.population_rates['name'] is a recorded rate over time",
    "get_data": "result.spikes, result.state and result.population_rates have it; result.to_neo() makes Neo's objects",
    "smooth_rate": "ns.analysis.population_rate(result.spikes['name'], 5*ms) counts spikes in bins",
}
"""What results have elsewhere."""


def elsewhere(name: str, words: Mapping[str, str]) -> str:
    """Return the end of a message about a name of another simulator's: what does it here; empty where it is none."""
    return f": {words[name]}" if name in words else ""


def same_thing(name: str, known: Iterable[str]) -> str | None:
    """Return the one known name of what another simulator calls ``name``, or writes with other capitals, or None."""
    lower = name.lower()
    found = {k for k in known if k.lower() == lower} or {k for s in _SAME if lower in s for k in known if k in s}
    return found.pop() if len(found) == 1 else None
