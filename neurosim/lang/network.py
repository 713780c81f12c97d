"""The network a user builds: populations, projections, stimuli and probes."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurosim.errors import (
    ConnectivityError,
    DimensionError,
    NeurosimError,
    ParameterError,
    UnknownNameError,
    caller,
    suggest,
)
from neurosim.ir.rules import Rule
from neurosim.lang.checks import example, fits, groups, initial, named, same_ids, variables
from neurosim.lang.components import Cell, Current, Drive, check_stimulus
from neurosim.lang.connect import Connection, DistanceDependent, Where, check_shared, edge_quantity, prepare_rule
from neurosim.lang.groups import Group, Population, intermediates
from neurosim.lang.links import linked, weight_dimension
from neurosim.lang.plasticity import Plasticity, attach, detach
from neurosim.lang.short_term import LABEL, ShortTerm, enter, leave
from neurosim.lang.stored import Stored
from neurosim.lang.values import by_name
from neurosim.units import DIMENSIONLESS, TIME, Quantity, parse_quantity, quantity, scalar


@dataclass(frozen=True)
class Probe:
    """What is recorded, and every how many seconds (None: every step)."""

    target: Any
    variable: str
    ids: np.ndarray | None
    every: float | None
    where: str | None
    edge: bool = False


class Network(Stored):
    """A spiking network.

    Parameters
    ----------
    name : str
        Used in results and on plots.
    dt : Quantity
        Duration of a step.
    seed : int
        Of every random number: connectivity, weights, initial values, stimuli. The same on every backend.
    """

    def __init__(self, name: str = "network", *, dt: Quantity, seed: int = 0) -> None:
        self.where = caller()
        self.name = str(name)
        self._dt = scalar(dt, TIME, "dt of the network", self.where)
        if not self.dt > 0:
            raise ParameterError(f"dt of the network must be positive, got {dt}", self.where)
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ParameterError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed!r}", self.where)
        self.seed = int(seed)
        self.populations: dict[str, Population] = {}
        self.projections: dict[str, Connection] = {}
        self.links: dict[str, Connection] = {}
        self.probes: list[Probe] = []
        self.published: dict[str, dict[str, float]] = {}
        self.default_duration: Quantity | None = None
        self.origin: dict[str, Any] = {}  # format -> what its reader keeps for its writer

    @property
    def dt(self) -> float:
        """Duration of a step, s."""
        return self._dt

    @dt.setter
    def dt(self, value: Any) -> None:  # delays that were not given are one step
        raise ParameterError("a network keeps the step it was made with: make another, ns.Network(dt=…)", caller())

    # -- building -----------------------------------------------------------------------------------------------

    def population(
        self, name: str, n: int, cell: Cell, *, init: Mapping[str, Any] | None = None, positions: Any = None
    ) -> Population:
        """Add a population.

        Parameters
        ----------
        name : str
            Its name, unique in the network.
        n : int
            Number of neurons.
        cell : Cell
            The model, with its parameters.
        init : mapping, optional
            Initial values of state variables: quantity, array of n, distribution, or expression of the parameters.
        positions : Quantity, optional
            [n, 1 to 3] lengths, for distance-dependent rules.
        """
        where = caller()
        if name in self.populations:
            raise ParameterError(f"the network has a population '{name}' already", where)
        named(name, "population", where)
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise ParameterError(f"population '{name}' needs a whole number of neurons, at least 1; got {n!r}", where)
        if not isinstance(cell, Cell):
            raise ParameterError(f"population '{name}' needs a cell such as LIF(), got {cell!r}", where)
        values = by_name(init, f"initial values of population '{name}'", "init={'v': -65*mV}", where)
        pop = Population(self, name, int(n), cell, values, positions)
        known = variables(pop)
        for var, value in {**cell.init, **pop.init}.items():
            if var not in known:
                raise UnknownNameError(
                    f"population '{name}' has no state variable '{var}'{suggest(var, known)}", where
                )
            pop.init[var] = initial(pop, "", var, value, where)
        for prefix, part in pop.scope.parts.items():
            for key in part.params:
                fits(part.value(key), int(n), f"{prefix and prefix + '.'}{key} of population '{name}'", where)
            for var, value in part.init.items() if prefix else ():
                made = initial(pop, prefix, var, value, where)
                if isinstance(value, (list, tuple)):  # of quantities: by now an array
                    pop.init[f"{prefix}.{var}"] = made
        self.populations[name] = pop
        return pop

    def connect(
        self,
        pre: Group | Iterable[Group],
        post: Group | Iterable[Group],
        *,
        receptor: str | None = None,
        rule: Rule | Where | DistanceDependent | str | None = None,
        weight: Any = None,
        delay: Any = None,
        plasticity: Plasticity | None = None,
        short_term: ShortTerm | None = None,
        name: str | None = None,
    ) -> Any:
        """Add a projection (or, for lists of populations, one for each pair).

        Parameters
        ----------
        pre, post : Group
            Source and target; a union ``a + b`` counts as one group for the rule, a list makes separate projections.
        receptor : str, optional
            Receptor of the target; may be left out where there is only one. One with a link, such as
            :func:`~neurosim.models.GapJunction`, takes no spikes: its edges act in every step, and have no delay.
        rule : Rule, optional
            All to all by default.
        weight : Quantity, array, distribution, expression, matrix, or the kernel of a convolution
            In the unit that the receptor adds up. A matrix [pre, post], dense or sparse, is rule and weight in one.
        delay : Quantity, array, distribution or expression
            A whole number of steps, at least 1; drawn delays are rounded to one.
        plasticity : Plasticity, optional
            A learning rule such as ``PairSTDP(…)``; ``weight`` is then the weight at the start.
        short_term : ShortTerm, optional
            Short-term plasticity such as ``TsodyksMarkram(…)``: a spike delivers the weight times what it releases.
        """
        where = caller()
        if not isinstance(pre, Group) or not isinstance(post, Group):
            pres, posts = groups(pre, self, where), groups(post, self, where)
            return [
                self.connect(
                    a,
                    b,
                    receptor=receptor,
                    rule=rule,
                    weight=weight,
                    delay=delay,
                    plasticity=plasticity,
                    short_term=short_term,
                    name=None if name is None else f"{name}_{a.name}_{b.name}",
                )
                for a in pres
                for b in posts
            ]
        for group in (pre, post):
            if group.parts[0][0].network is not self:
                raise ParameterError(f"'{group.name}' belongs to another network", where)
        receptor = self._receptor(post, receptor, where)
        coupling = linked(post, receptor, where)
        if coupling is not None:
            for what, given in (("delay", delay), ("learning rule", plasticity), ("short-term plasticity", short_term)):
                if given is not None:
                    raise ParameterError(
                        f"receptor '{receptor}' of '{post.name}' takes no spikes ({coupling.link_text}), and what acts "
                        f"in every step has no {what}",
                        where,
                    )
            dims = {weight_dimension(pre, post, receptor, where)}
        else:
            dims = {pop.scope.weight_dimension(receptor) for pop, _ in post.parts}
        if len(dims) > 1:
            raise DimensionError(f"receptor '{receptor}' takes weights of different dimensions in '{post.name}'", where)
        label = self._free(f"{pre.name}_{post.name}_{receptor}") if name is None else name
        if name is not None:
            named(name, "projection", where, "+")
        if label in self.projections or label in self.links:
            raise ParameterError(f"the network has a projection '{label}' already", where)
        chosen, matrix = prepare_rule(rule, weight, next(iter(dims)), pre, post, where)
        if matrix is not None:
            weight = matrix
        what = f"weight of the projection '{label}'"
        if weight is None:
            raise ParameterError(f"{what} is missing: give weight={example(dims)}", where)
        if delay is None:
            delay = Quantity(self.dt, TIME)
        try:
            chosen.check(len(pre), len(post))
        except ConnectivityError as e:
            raise ConnectivityError(f"projection '{label}': {e.message}", where) from None
        dim = dims.pop()
        check_shared(chosen, label, weight, plasticity, where)
        learned = None if plasticity is None else attach(plasticity, label, pre, post, dim, where)
        try:
            model = None if short_term is None else enter(short_term, label, pre, where)
            if model is not None:
                for pop in dict.fromkeys(pop for pop, _ in pre.parts):
                    for var, value in model.init.items():
                        initial(pop, f"{label}.{LABEL}", var, value, model.where)
        except NeurosimError:
            leave(label, pre)
            if learned is not None:
                detach(label, pre, post)
            raise
        conn = Connection(
            label,
            pre,
            post,
            receptor,
            chosen,
            edge_quantity(weight, dim, what, pre, post, chosen, where),
            edge_quantity(delay, TIME, f"delay of the projection '{label}'", pre, post, chosen, where),
            where,
            learned,
            model,
        )
        (self.projections if coupling is None else self.links)[label] = conn
        return conn

    def stimulate(self, target: Group | Iterable[Group], stimulus: Current | Drive, *, name: str | None = None) -> None:
        """Inject a current, or drive a receptor with Poisson input.

        Parameters
        ----------
        target : Group
            Which neurons; the others of the population get nothing.
        stimulus : Current or Drive
            Such as ``SineCurrent(...)`` or ``PoissonInput(...)``.
        """
        where = caller()
        if not isinstance(target, Group):
            for one in groups(target, self, where):
                self.stimulate(one, stimulus, name=name)
            return
        if target.parts[0][0].network is not self:
            raise ParameterError(f"'{target.name}' belongs to another network", where)
        if name is not None:
            named(name, "stimulus", where)
        check_stimulus(stimulus, where)
        for pop, ids in target.parts:
            taken = pop.scope.parts.keys()
            key = name or next(k for k in (f"{stimulus.name.lower()}{i or ''}" for i in range(10**6)) if k not in taken)
            if key in taken:
                raise ParameterError(
                    f"population '{pop.label}' has a stimulus, receptor or learning rule '{key}' already", where
                )
            for p in stimulus.params:
                fits(stimulus.value(p), pop.n, f"{p} of {stimulus.name} for population '{pop.label}'", where)
            receptor = None
            if isinstance(stimulus, Drive):
                receptor = self._receptor(Group([(pop, ids)]), stimulus.receptor, where)
                if pop.cell.receptors[receptor].link is not None:
                    raise ParameterError(f"receptor '{receptor}' of population '{pop.label}' takes no spikes: "
                                         "drive another", where)  # fmt: skip
                pop.scope.add_drive(key, stimulus, receptor)
            else:
                pop.scope.add_current(key, stimulus)
                for var, value in stimulus.init.items():
                    initial(pop, key, var, value, where)
            pop.stimuli.append((key, stimulus, ids, receptor))

    def record(
        self, target: Group | Connection | Iterable[Any], variable: str | list[str], *, every: Quantity | None = None
    ) -> None:
        """Record ``"spikes"``, ``"rate"``, a state variable (``"v"``, ``"exc.x"``) or a projection's ``"weight"``, or
        another variable of its synapses; a list of names records each.

        Parameters
        ----------
        every : Quantity, optional
            Interval between samples, a whole number of steps; every step by default.
        """
        where = caller()
        if not isinstance(target, (Group, Connection)):
            for one in groups(target, self, where, Connection):
                self.record(one, variable, every=every)
            return
        if isinstance(variable, (list, tuple)):
            for name in variable:
                self.record(target, name, every=every)
            return
        if (target.parts[0][0].network if isinstance(target, Group) else self) is not self:
            raise ParameterError(f"'{target.name}' belongs to another network", where)
        if not isinstance(variable, str):
            raise ParameterError(f"what is recorded is a name, such as 'spikes' or 'v'; got {variable!r}", where)
        seconds = None if every is None else scalar(every, TIME, "every", where)
        if isinstance(target, Connection):
            known = ["weight", *(() if target.plasticity is None else target.plasticity.edge)]
            if variable not in known:
                raise UnknownNameError(
                    f"projection '{target.name}' has no variable '{variable}'; known: {', '.join(known)}", where
                )
            if target.name in self.links:
                raise ParameterError(f"the weights of '{target.name}' act in every step and do not change: "
                                     f"net.edges('{target.name}') has them", where)  # fmt: skip
            if self.projections.get(target.name) is not target:
                raise ParameterError(f"the projection '{target.name}' belongs to another network", where)
            self._probe(Probe(target.name, variable, None, seconds, where, True))
            return
        for pop, ids in target.parts:
            known = ["spikes", "rate", *variables(pop)]
            if variable not in known:
                if variable in intermediates(pop):
                    raise UnknownNameError(
                        f"'{variable}' of population '{pop.label}' is an intermediate, which nothing keeps: only state "
                        f"variables are recorded ({', '.join(variables(pop))})",
                        where,
                    )
                raise UnknownNameError(
                    f"population '{pop.label}' has no variable '{variable}' to record{suggest(variable, known)}", where
                )
            self._probe(Probe(pop.label, variable, ids, seconds, where))

    def _probe(self, new: Probe) -> None:
        """Keep a probe; a second one of the same variable adds its neurons to the first."""
        for k, old in enumerate(self.probes):
            if (old.target, old.variable, old.edge) != (new.target, new.variable, new.edge):
                continue
            if old.every != new.every or (new.variable == "rate" and not same_ids(old.ids, new.ids)):
                raise ParameterError(
                    f"'{new.variable}' of '{new.target}' is recorded already, with another interval or of other "
                    "neurons: record it once",
                    new.where,
                )
            both = None if old.ids is None or new.ids is None else np.unique(np.concatenate([old.ids, new.ids]))
            self.probes[k] = replace(old, ids=both)
            return
        self.probes.append(new)

    # -- running ------------------------------------------------------------------------------------------------

    def run(self, duration: Quantity, *, backend: str = "native", **options: Any) -> Any:
        """Simulate, and return a :class:`~neurosim.recording.result.RunResult`.

        Parameters
        ----------
        duration : Quantity
            Biological time; a whole number of steps.
        backend : str
            ``native``, ``reference``, or another that is installed.
        **options
            ``threads``, ``precision``, ``progress``, ``output`` … as :func:`neurosim.run.simulate` takes them.
        """
        simulate = importlib.import_module("neurosim.run").simulate  # lang does not depend on what runs it
        return simulate(self, duration, backend=backend, **options)

    def run_trials(self, duration: Quantity, trials: Any, *, vary: Mapping[str, Any] | None = None,
                   **options: Any) -> Any:  # fmt: skip
        """Simulate several trials, built once and run side by side, and return :class:`~neurosim.trials.Trials`.

        Parameters
        ----------
        duration : Quantity
            Of each.
        trials : int or sequence of int
            How many, or which. They differ in what is drawn in every step.
        vary : mapping, optional
            ``population.parameter`` -> an array with a row for each trial.
        **options
            ``backend``, ``threads``, ``precision``, ``progress`` … as :func:`neurosim.trials.run_trials` takes them.
        """
        return importlib.import_module("neurosim.trials").run_trials(self, duration, trials, vary=vary, **options)

    def start(self, **options: Any) -> Any:
        """Build the network, and return a :class:`~neurosim.simulation.Simulation`, which runs as far as it is told,
        and can be changed in between.

        Parameters
        ----------
        **options
            ``backend``, ``threads``, ``precision``, ``weight_bits``, ``output`` as :meth:`run` takes them.
        """
        return importlib.import_module("neurosim.simulation").Simulation(self, **options)

    def stream(self, every: Quantity | None = None, duration: Quantity | None = None, **options: Any) -> Any:
        """Simulate, and stop every so often: ``for step in net.stream(every=1 * ms)``.

        Parameters
        ----------
        every : Quantity, optional
            Time from one stop to the next, a whole number of steps; one step by default.
        duration : Quantity, optional
            When to end; by default the loop is left with ``break``.
        **options
            As :meth:`start` takes them; a file that is given as ``output`` is finished when the loop is left.

        Returns
        -------
        iterator of Step
            With the spikes of the stretch and the states at its end; ``step.simulation`` changes what follows.
        """
        simulation = self.start(**options)
        return simulation.alone(simulation.stream(every, duration))

    def edges(self, projection: str) -> Any:
        """Return the edges of a projection as every backend builds them, without running anything.

        They have the attributes ``pre`` and ``post`` (indices within the groups that it joins), ``weight`` (SI, on the
        grid) and ``delay`` (seconds; 0 where no spikes travel), in the order of ``result.weights(projection)``; and
        ``kernel``, what they share.

        Parameters
        ----------
        projection : str
            Its name. In a union, indices count through the parts.

        Raises
        ------
        UnknownNameError
            The network has no such projection.
        """
        known = {**self.projections, **self.links}
        if projection not in known:
            like = suggest(projection, known)
            raise UnknownNameError(f"no projection '{projection}' in network '{self.name}'{like}", caller())
        graph = importlib.import_module("neurosim.compile").compile_network(self)
        node = next(p for p in (*graph.projections, *(k.edges for k in graph.links)) if p.name == projection)
        table = importlib.import_module("neurosim.ir.edges").edge_table(graph, node)
        return replace(table, delay=table.delay * (graph.dt if projection in self.projections else 0.0))

    def to_torch(self, **options: Any) -> Any:
        """Return the network as a ``torch.nn.Module`` that can be trained.

        Its steps are those of every backend. ``module(inputs, steps=..., state=...)`` takes and gives spikes [batch,
        time, neurons] by population.

        Parameters
        ----------
        surrogate : str, callable or None
            What has a derivative in place of the threshold's: the name of one of snnTorch's (``atan`` by default), or
            a callable of how far a neuron is above its threshold, in units of ``scale``. None: no gradients.
        scale : mapping
            Population -> that unit, in the dimension of what is compared. By default the distance between threshold
            and reset (``v_th`` or ``v_threshold``, and ``v_reset``, ``v_rest`` or ``v_leak``).
        detach_reset : bool
            Whether the reset has no derivative; True by default, as in snnTorch.
        precision : {"single", "double"}
            Of the module; single by default.
        train : sequence of str, or mapping
            What is trained besides the weights: ``population.parameter`` of a cell, receptor or stimulus, and
            ``projection.delay``. One value, or one per neuron where the network has one per neuron. In a mapping each
            has the unit in which it is trained.
        max_delay : Quantity, optional
            The longest that trained delays may become.
        fuse : bool
            Whether all steps of a population are one operation where that is possible; True by default.

        Raises
        ------
        BackendMissingError
            Without torch and snnTorch.
        UnsupportedError
            The network has learning rules: weights are trained by gradients there.
        ParameterError
            Something in `train` cannot be trained; the error says what can.
        """
        return importlib.import_module("neurosim.learning").to_torch(self, **options)

    def load_torch(self, module: Any) -> None:
        """Take the weights and trained parameters of a module made by :meth:`to_torch`, as they are now.

        Projections become lists of their edges, convolutions get their kernel. In double precision the network then
        gives the module's spikes, on every backend.

        Raises
        ------
        ParameterError
            The module is not of this network, or its weights are no longer finite.
        """
        importlib.import_module("neurosim.learning").load_torch(self, module)

    # -- helpers ------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Population:
        if name not in self.populations:
            raise UnknownNameError(f"no population '{name}'{suggest(name, self.populations)}", caller())
        return self.populations[name]

    def _free(self, label: str) -> str:
        taken = self.projections.keys() | self.links.keys()
        return next(k for k in (label, *(f"{label}_{i}" for i in range(2, 10**6))) if k not in taken)

    @staticmethod
    def _receptor(post: Group, receptor: str | None, where: str | None) -> str:
        known = [set(pop.cell.receptors) for pop, _ in post.parts]
        common = set.intersection(*known)
        if not all(known):
            raise ConnectivityError(
                f"'{post.name}' has no receptors: give its cell some, as in "
                "LIF(receptors={'exc': ExpCurrent(tau=5*ms)})",
                where,
            )
        if receptor is None:
            if len(common) != 1 or any(len(k) != 1 for k in known):
                raise ConnectivityError(
                    f"'{post.name}' has the receptors {', '.join(sorted(common)) or 'none'}: say which with receptor=",
                    where,
                )
            return next(iter(common))
        if receptor not in common:
            raise UnknownNameError(f"'{post.name}' has no receptor '{receptor}'{suggest(receptor, common)}", where)
        return receptor

    def copy(self) -> Network:
        """Return a network of its own with the same populations, projections, stimuli and probes."""
        shared: list[Any] = [part for pop in self.populations.values() for part in pop.scope.parts.values()]
        shared += [pop.cell for pop in self.populations.values()]
        for c in (*self.projections.values(), *self.links.values()):
            shared += [c.rule, c.plasticity, c.short_term]
        # components and rules do not change: parameters are set by putting another one in the place of one
        return copy.deepcopy(self, {id(part): part for part in shared})

    def set_parameter(self, path: str, value: Any) -> None:
        """Change ``population.parameter`` (or ``population.receptor.parameter``) before a run; used by ``--set``."""
        where = caller()
        pop_name, _, key = path.partition(".")
        pop = self[pop_name]
        prefix, _, last = key.rpartition(".")
        part = pop.scope.parts.get(prefix)
        if part is None or last not in part.params:
            known = [f"{p}.{k}" if p else k for p, c in pop.scope.parts.items() for k in c.params]
            raise UnknownNameError(f"population '{pop_name}' has no parameter '{key}'{suggest(key, known)}", where)
        dim = pop.scope.solver.known[f"{prefix}.{last}" if prefix else last]
        si = quantity(parse_quantity(value) if isinstance(value, str) else value, dim, path, where)
        new = part(**{last: Quantity(si, dim) if dim != DIMENSIONLESS else si})
        fits(new.value(last), pop.n, path, where)
        pop.scope.parts[prefix] = new
        if prefix == "":
            pop.cell = new
        elif prefix in pop.cell.receptors:
            pop.cell = pop.cell(receptors={**pop.cell.receptors, prefix: new})
            pop.scope.parts[""] = pop.cell
        else:
            pop.stimuli = [(k, new if k == prefix else c, ids, r) for k, c, ids, r in pop.stimuli]

    def __repr__(self) -> str:
        neurons = sum(p.n for p in self.populations.values())
        links = f", {len(self.links)} links" if self.links else ""
        return f"<Network '{self.name}': {neurons} neurons, {len(self.projections)} projections{links}>"
