"""Faults in what ``native`` does in Python: the layout of neurons and edges, the logs, the samples."""

from __future__ import annotations

from mutants.kit import Mutant
from mutants.native_printed import _on_native

_ENGINE = "backends/native/engine.py"
_KERNELS = "backends/native/kernels.py"
_PART = "backends/native/part.py"
_PRINTER = "backends/native/printer.py"
_LAYOUT = "backends/native/layout.py"
_PIECES = "            if len(edges):\n                yield edges\n"
_KEPT = """                yield Edges(edges.start, edges.pre[keep], edges.post[keep],
                            edges.weight if np.ndim(edges.weight) == 0 else edges.weight[keep],
                            edges.delay if np.ndim(edges.delay) == 0 else edges.delay[keep])
"""

MUTANTS: tuple[Mutant, ...] = (
    # -- edges and their rows -----------------------------------------------------------------------------------------
    _on_native(
        "native_autapse_dropped",
        "Connections of a neuron to itself are left out.",
        _LAYOUT,
        _PIECES,
        "            if len(edges):\n                keep = np.asarray(edges.pre) != np.asarray(edges.post)\n" + _KEPT,
        "multapses_and_autapses",
    ),
    _on_native(
        "native_multapse_dropped",
        "Of several connections between two neurons the first is made.",
        _LAYOUT,
        _PIECES,
        "            if len(edges):\n"
        "                pairs = (np.asarray(edges.pre, np.int64) << 32) | np.asarray(edges.post, np.int64)\n"
        "                keep = np.sort(np.unique(pairs, return_index=True)[1])\n" + _KEPT,
        "multapses_and_autapses",
    ),
    _on_native(
        "native_shared_weight_off_grid",
        "A weight that all edges share is not rounded to its grid.",
        _LAYOUT,
        "return float(np.rint(projection.weight / grid) * grid) if isinstance(projection.weight, float) else None",
        "return float(projection.weight) if isinstance(projection.weight, float) else None",
        "lif_drives",
    ),
    _on_native(
        "native_blocks_share_weights",
        "Projections of one source and receptor share the weight of the first.",
        _LAYOUT,
        "alike = found.setdefault((index[segment], proj.receptor, weight, ring), [])",
        "alike = found.setdefault((index[segment], proj.receptor, weight is None, ring), [])",
        "multapses_and_autapses",
    ),
    _on_native(
        "native_receptors_share_inboxes",
        "All receptors of a population share one inbox.",
        _LAYOUT,
        "                at += (hi - lo) * K.TILE\n",
        "                at += 0 if receptor != list(pop.receptors)[-1] else (hi - lo) * K.TILE\n",
        "gains_read_before_the_jumps",
    ),
    _on_native(
        "native_targets_too_narrow",
        "Targets 65536 places apart are stored in 16 bits.",
        _LAYOUT,
        "int(span[1] - span[0]) < 65536",
        "int(span[1] - span[0]) <= 65536",
    ),
    _on_native(
        "native_border_tile_lost",
        "A tile on the border of two threads belongs to neither.",
        _LAYOUT,
        "tiles.append((count * tid // threads, count * (tid + 1) // threads))",
        "tiles.append((min(-(-count * tid // threads), count * (tid + 1) // threads), count * (tid + 1) // threads))",
        "test_same_spikes_on_any_number_of_threads",
    ),
    _on_native(
        "native_bound_of_uniform_delays",
        "The largest delay of a uniform distribution is taken one step too small.",
        _LAYOUT,
        "return max(1, int(np.rint(low / graph.dt))), max(1, int(np.rint(high / graph.dt)))",
        "return max(1, int(np.rint(low / graph.dt))), max(1, int(np.rint(high / graph.dt)) - 1)",
        "drawn_delays",
        "test_same_spikes_in_every_run",
    ),
    _on_native(
        "native_compiled_draws_start_at_blocks",
        "Compiled draws that begin within a block of four begin with it.",
        "backends/native/draws.py",
        "return out[:, start - 4 * first : start - 4 * first + count]",
        "return out[:, :count]",
        "2",
        "3",
    ),
    # -- steps, threads, logs -----------------------------------------------------------------------------------------
    _on_native(
        "native_window_too_long",
        "Threads meet, and scatter spikes, one step too seldom.",
        "backends/native/memory.py",
        "return min(shortest, LONGEST_WINDOW)",
        "return min(shortest, LONGEST_WINDOW) + 1",
        "drawn_delays",
    ),
    _on_native(
        "native_history_too_short",
        "Logs forget spikes of the longest delay when they are collected.",
        "backends/native/memory.py",
        "return longest + 2 * steps + 2",
        "return max(1, longest - 1)",
        "0",
        "1",
        "2",
        "3",
    ),
    _on_native(
        "native_threads_reordered",
        "Spikes of one step are handed over thread by thread from the last.",
        _ENGINE,
        "            steps, ids = np.concatenate(steps_of), np.concatenate(ids_of)\n",
        "            steps, ids = np.concatenate(steps_of[::-1]), np.concatenate(ids_of[::-1])\n",
        "test_same_spikes_on_any_number_of_threads",
        "0",
        "1",
    ),
    _on_native(
        "native_border_neuron_silent",
        "The last neuron of a thread's part does not spike.",
        _PART,
        "row[K.VALID] = max(0, min(hi * K.TILE, pop.size) - first)",
        "row[K.VALID] = max(0, min(hi * K.TILE, pop.size) - first - 1)",
        "stamp",
    ),
    _on_native(
        "native_samples_late",
        "Samples are labelled one step late.",
        _ENGINE,
        "steps = (first // every + 1 + np.arange(taken)) * every - 1",
        "steps = (first // every + 1 + np.arange(taken)) * every",
        "stamp",
    ),
    _on_native(
        "native_last_step_dropped",
        "The last step of a run is left out.",
        _ENGINE,
        "        last = self.n + steps\n        while self.n < last:",
        "        last = self.n + steps - (steps > 1)\n        while self.n < last:",
        "stamp",
    ),
    _on_native(
        "native_seed_local",
        "Random numbers are drawn from streams without the population's name.",
        _PART,
        "key = stream_key(graph.chance, pop.streams[attr])",
        "key = stream_key(graph.chance, attr)",
        "random_numbers",
    ),
    _on_native(
        "native_seed_plus_one",
        "Random numbers of a run are those of the next seed.",
        _PART,
        "key = stream_key(graph.chance, pop.streams[attr])",
        "key = stream_key(graph.chance + 1, pop.streams[attr])",
        "poisson_drive",
    ),
    _on_native(
        "native_trials_alike",
        "Every trial draws the numbers of the first.",
        _PART,
        "key = stream_key(graph.chance, pop.streams[attr])",
        "key = stream_key(graph.seed, pop.streams[attr])",
        "trials",
    ),
    _on_native(
        "native_release_of_an_early_step",
        "A spike carries what the step after it has left.",
        _PRINTER,
        "then = blocks[b, B_RELEASE] + (m % hslots)",
        "then = blocks[b, B_RELEASE] + ((m + 1) % hslots)",
        "release_leaves_with_the_spike",
    ),
    _on_native(
        "native_release_off_the_grid",
        "The product of a shared weight and what a spike carries is not rounded.",
        _KERNELS,
        "add_shared(inbox, target, a, b, np.rint(weight * np.float64(carried) * (1.0 / grid)) * grid)",
        "add_shared(inbox, target, a, b, weight * np.float64(carried))",
        "release_on_the_grid",
    ),
    _on_native(
        "native_listed_neuron_at_the_border",
        "The first neuron of a thread's part loses its listed spikes.",
        _PART,
        "mine = (plan.neurons >= first) & (plan.neurons < hi * K.TILE)",
        "mine = (plan.neurons > first - (first == 0)) & (plan.neurons < hi * K.TILE)",
        "1",
        "2",
        "4",
        "5",
    ),
    _on_native(
        "native_initial_values_of_parts",
        "Every thread starts with the initial values of the first neurons.",
        _PART,
        "wanted = np.minimum(np.arange(lo * K.TILE, hi * K.TILE), pop.size - 1)",
        "wanted = np.minimum(np.arange((hi - lo) * K.TILE), pop.size - 1)",
        "test_same_spikes_on_any_number_of_threads",
    ),
    _on_native(
        "native_recorded_tile",
        "Variables of neurons beyond the first tile are recorded from the first.",
        _PART,
        "place = row[K.STATE] + (local // K.TILE) * shape.height * K.TILE",
        "place = row[K.STATE] + (local // K.TILE) * 0",
        "random_numbers",
    ),
    _on_native(
        "native_overflow_unseen",
        "Sums of weights that leave their grid are not noticed.",
        _ENGINE,
        "if most * 2.0**self.graph.weight_bits > 2.0**53:",
        "if most * 2.0**self.graph.weight_bits > 2.0**83:",
    ),
    _on_native(
        "native_padding_by_repetition",
        "Places beyond the last neuron are filled with the first ones' values.",
        _PART,
        "wanted = np.minimum(np.arange(lo * K.TILE, hi * K.TILE), pop.size - 1)",
        "wanted = np.arange(lo * K.TILE, hi * K.TILE) % pop.size",
        equivalent="What stands in the places beyond the last neuron is never sent, recorded or handed over.",
    ),
)
