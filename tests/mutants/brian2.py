"""Faults in the backend ``brian2``: what it prints, where things lie, Brian2's objects, the two engines.

Most run in mode ``numpy``, which compiles nothing; those in the C header run in ``cython``, those of standalone
programs in ``standalone``.
"""

from __future__ import annotations

from mutants.kit import Mutant

_FUNCTIONS = "backends/brian2_backend/functions.py"
_PRINTER = "backends/brian2_backend/printer.py"
_LAYOUT = "backends/brian2_backend/layout.py"
_NETWORK = "backends/brian2_backend/network.py"
_ENGINE = "backends/brian2_backend/engine.py"
_STANDALONE = "backends/brian2_backend/standalone.py"


def _on(mode: str, name: str, breaks: str, file: str, old: str, new: str, *first: str, **more: object) -> Mutant:
    return Mutant(name, breaks, file, old, new, f"brian2:mode={mode}", first, **more)  # type: ignore[arg-type]


MUTANTS = (
    # -- the C header -------------------------------------------------------------------------------------------------
    _on(
        "cython",
        "brian2_c_flush_threshold",
        "In C, decaying variables become 0 below 1e-290.",
        _FUNCTIONS,
        "return std::fabs(a) < 1e-300 ? 0.0 : a;",
        "return std::fabs(a) < 1e-290 ? 0.0 : a;",
        "flush_to_zero",
    ),
    _on(
        "cython",
        "brian2_c_word_reversed",
        "In C, the four words of a block are taken in the opposite order.",
        _FUNCTIONS,
        "return (double)c[i & 3];",
        "return (double)c[3 - (i & 3)];",
        "random_numbers",
    ),
    _on(
        "cython",
        "brian2_c_table_repeats",
        "In C, every time array is repeated.",
        _FUNCTIONS,
        "k = d[2] != 0.0 ? k % rows : (k < rows ? k : rows - 1);",
        "k = k % rows;",
        "time_arrays",
    ),
    _on(
        "cython",
        "brian2_c_list_bisection",
        "In C, the search in a list of times stops before the time itself.",
        _FUNCTIONS,
        "if (sorted[at] <= x) lo = at + 1; else hi = at;",
        "if (sorted[at] < x) lo = at + 1; else hi = at;",
        "spike_lists",
    ),
    # -- the numpy target ---------------------------------------------------------------------------------------------
    _on(
        "numpy",
        "brian2_table_row_early",
        "A time array holds its second to last row at the end.",
        _FUNCTIONS,
        "k = np.where(repeat != 0, k % rows, np.minimum(k, rows - 1))",
        "k = np.where(repeat != 0, k % rows, np.minimum(k, np.maximum(rows - 2, 0)))",
        "time_arrays",
    ),
    _on(
        "numpy",
        "brian2_wide_table_first_column",
        "Time arrays with a column per neuron give all the first one.",
        _FUNCTIONS,
        "np.where(width > 1, index, 0)]",
        "np.where(width > 1, 0 * index, 0)]",
        "time_arrays",
    ),
    _on(
        "numpy",
        "brian2_key_halves_swapped",
        "The two halves of a stream's key are swapped.",
        _FUNCTIONS,
        "(int(key) & 0xFFFFFFFF, int(key) >> 32))",
        "(int(key) >> 32, int(key) & 0xFFFFFFFF))",
        "random_numbers",
    ),
    # -- printed programs ---------------------------------------------------------------------------------------------
    _on(
        "numpy",
        "brian2_ge_is_gt",
        "v >= v_th is printed as v > v_th.",
        _PRINTER,
        '    "ge": _infix(">="),',
        '    "ge": _infix(">"),',
        "first_step",
    ),
    _on(
        "numpy",
        "brian2_time_ahead",
        "Equations see the time of the end of the step.",
        _PRINTER,
        """return f"{STEP}*{self.slot('dt')}\"""",
        """return f"({STEP} + 1.0)*{self.slot('dt')}\"""",
        "time_of_a_step",
    ),
    _on(
        "numpy",
        "brian2_states_not_copied",
        "The old value of a variable is handed to another without a copy.",
        _PRINTER,
        'moved = program.instrs[k].op == "load"',
        'moved = program.instrs[k].op == "param"',
        "discrete_updates",
        "explicit_schemes",
        equivalent="Brian2 itself copies an array that is both read and written (numpy_generator.py, read_arrays; its "
        "issue 259).",
    ),
    _on(
        "numpy",
        "brian2_uniform_off_centre",
        "uniform() can be 0: the half is not added.",
        _PRINTER,
        'return f"({self.word(stream)} + 0.5)*{2.0**-32!r}"',
        'return f"{self.word(stream)}*{2.0**-32!r}"',
        "random_numbers",
    ),
    _on(
        "numpy",
        "brian2_choice_of_conditions",
        "A choice between two conditions is the first one or the choice itself.",
        _PRINTER,
        'return f"({a[0]} and {a[1]}) or ((not {a[0]}) and {a[2]})"',
        'return f"({a[0]} and {a[1]}) or {a[2]}"',
        equivalent="No expression of the language chooses between two conditions, so that this is never printed.",
    ),
    # -- layout -------------------------------------------------------------------------------------------------------
    _on(
        "numpy",
        "brian2_receptors_swapped",
        "Populations with two receptors have them swapped.",
        _LAYOUT,
        "block.boxes = {name: boxes[pops[0].name, receptor] for receptor, name in printed.inboxes.items()}",
        "block.boxes = {name: boxes[pops[0].name, receptor]\n"
        "                       for receptor, name in zip(reversed(printed.inboxes), printed.inboxes.values())}",
        "gains_read_before_the_jumps",
        "test_same_spikes_in_every_run",
    ),
    _on(
        "numpy",
        "brian2_populations_share_parameters",
        "Populations with one program have the first one's parameters.",
        _LAYOUT,
        "if all(np.ndim(v) == 0 for v in values) and len({np.float64(v).tobytes() for v in values}) == 1:",
        "if all(np.ndim(v) == 0 for v in values):",
        "refractory_steps",
    ),
    _on(
        "numpy",
        "brian2_list_period",
        "The period of a spike list is one step longer.",
        _LAYOUT,
        "self.add([b - a, schedule.period], steps[a:b])",
        "self.add([b - a, schedule.period + (schedule.period > 0)], steps[a:b])",
        "spike_lists",
    ),
    _on(
        "numpy",
        "brian2_tables_never_repeat",
        "Time arrays hold their last row.",
        _LAYOUT,
        "float(table.repeat), width]",
        "0.0, width]",
        "time_arrays",
    ),
    _on(
        "numpy",
        "brian2_poisson_row_mixed_up",
        "All neurons draw their Poisson counts at the first rate.",
        _LAYOUT,
        "starts[np.asarray(table.row)]",
        "starts[0 * np.asarray(table.row)]",
        "poisson_drive",
    ),
    _on(
        "numpy",
        "brian2_seed_plus_one",
        "Random numbers of a run are those of the next seed.",
        _LAYOUT,
        "stream_key(graph.chance, pop.streams[key])",
        "stream_key(graph.chance + 1, pop.streams[key])",
        "random_numbers",
    ),
    _on(
        "numpy",
        "brian2_index_of_the_block",
        "Random numbers are indexed by the place in a block of populations.",
        _LAYOUT,
        "return np.arange(pop.size, dtype=np.float64)",
        "return float(graph.offsets()[pop.name]) + np.arange(pop.size)",
        "independent_streams",
    ),
    # -- Brian2's objects ---------------------------------------------------------------------------------------------
    _on(
        "numpy",
        "brian2_one_delay_longer",
        "Where all delays are equal they are one step longer.",
        _NETWORK,
        '{"delay": float(edges.delays[0] - 1) * second}',
        '{"delay": float(edges.delays[0]) * second}',
        "jump_after_or_before",
    ),
    _on(
        "numpy",
        "brian2_delays_longer",
        "Where delays differ they are one step longer.",
        _NETWORK,
        "synapses.pre.delay = (edges.delays - 1).astype(np.float64) * second",
        "synapses.pre.delay = edges.delays.astype(np.float64) * second",
        "arrival",
    ),
    _on(
        "numpy",
        "brian2_arrivals_not_added",
        "Of several arrivals in one step only the last counts.",
        _NETWORK,
        'on_pre="x_post += w"',
        'on_pre="x_post = w"',
        "multapses_and_autapses",
    ),
    _on(
        "numpy",
        "brian2_boxes_emptied_early",
        "Inboxes are emptied before the cells have read them.",
        _NETWORK,
        'boxes.run_regularly("x = 0.0", when="groups", order=1,',
        'boxes.run_regularly("x = 0.0", when="groups", order=-1,',
        "arrival",
    ),
    _on(
        "numpy",
        "brian2_weights_after_sorting",
        "Weights go to the edges in the order of their delays.",
        _NETWORK,
        "    synapses.w = edges.weights\n",
        '    synapses.w = edges.weights[np.argsort(edges.delays, kind="stable")]\n',
        "weights and delays per edge: distributions, arrays, expressions",
    ),
    # -- the runtime engine -------------------------------------------------------------------------------------------
    _on(
        "numpy",
        "brian2_samples_not_copied",
        "All samples of a probe are those of the last step.",
        _ENGINE,
        "self.samples[k].append((self.n, values.copy() if probe.ids is None else values[probe.ids]))",
        "self.samples[k].append((self.n, values if probe.ids is None else values[probe.ids]))",
        "stamp",
    ),
    _on(
        "numpy",
        "brian2_sampling_early",
        "Probes sample after steps 0, k, 2k, ... instead of k-1, 2k-1, ...",
        _ENGINE,
        "if (self.n + 1) % probe.every:",
        "if self.n % probe.every:",
        "sampling",
    ),
    _on(
        "numpy",
        "brian2_delivery_after_step",
        "Arrivals are added at the end of a step, instead of at the start of the next.",
        _ENGINE,
        "        for obj in self.arriving:\n            obj.run()\n",
        "",
        "release_on_the_grid",
        more=(
            (
                "        for obj in self.stepping:\n            obj.run()\n",
                "        for obj in self.stepping:\n            obj.run()\n"
                "        for obj in self.arriving:\n            obj.run()\n",
            ),
        ),
    ),
    _on(
        "numpy",
        "brian2_clock_late",
        "Brian2's clock stands one step behind from the second step on.",
        _ENGINE,
        "timestep[0] = t[0] = self.n\n",
        "timestep[0] = t[0] = self.n - 1\n",
        "time_of_a_step",
    ),
    _on(
        "numpy",
        "brian2_last_cell_unheard",
        "The last neuron of every population is not heard to spike.",
        _ENGINE,
        "at = np.searchsorted(ids, self.bounds)\n",
        "at = np.searchsorted(ids, self.bounds - (self.bounds == self.bounds[-1]))\n",
        "spike_lists",
        "stamp",
    ),
    _on(
        "numpy",
        "brian2_overflow_unseen",
        "Sums of weights that leave their grid are not noticed.",
        _ENGINE,
        "if self.layout.may_overflow and np.any(np.abs(self.sums) > self.layout.limits):",
        "if self.layout.may_overflow and np.any(np.abs(self.sums) > 2.0**60 * self.layout.limits):",
    ),
    # -- standalone programs ------------------------------------------------------------------------------------------
    _on(
        "standalone",
        "brian2_standalone_last_step",
        "A program runs for one step less.",
        _STANDALONE,
        "neurosim_cells.{HORIZON}={float(steps)!r}",
        "neurosim_cells.{HORIZON}={float(max(steps - 1, 0))!r}",
        "stamp",
    ),
    _on(
        "standalone",
        "brian2_standalone_order",
        "In a program, spikes arrive after the cells have been stepped.",
        _NETWORK,
        'SCHEDULE = ["start", "synapses", "groups", "thresholds", "resets", "end"]',
        'SCHEDULE = ["start", "groups", "synapses", "thresholds", "resets", "end"]',
        "arrival",
    ),
    _on(
        "standalone",
        "brian2_standalone_labels",
        "Samples of a program are labelled one step late.",
        _STANDALONE,
        "times, values = times[1:] - 1, values[1:]",
        "times, values = times[1:], values[1:]",
        "stamp",
    ),
    # -- the timing of learning ---------------------------------------------------------------------------------------
    _on(
        "numpy",
        "brian2_target_seen_one_delay_late",
        "Behind a dendritic delay, spikes of the target are seen one delay late instead of two.",
        "backends/brian2_backend/learning.py",
        '(("learn", e.delay), ("fire", late))',
        '(("learn", e.delay), ("fire", late // 2))',
        "dendritic_delay",
    ),
    _on(
        "numpy",
        "brian2_delivers_before_learning",
        "What is to be delivered after its change is delivered before.",
        "backends/brian2_backend/learning.py",
        "synapses.deliver.order = 0",
        "synapses.deliver.order = -9",
        "delivery_after_learning",
    ),
)
