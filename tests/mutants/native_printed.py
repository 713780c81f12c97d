"""Faults in what ``native`` prints and compiles: kernels, programs, expressions, random numbers."""

from __future__ import annotations

from mutants.kit import Mutant

_KERNELS = "backends/native/kernels.py"
_PRINTER = "backends/native/printer.py"
_EXPRESSIONS = "backends/compiled/expressions.py"
_DELIVER = (
    '            "        deliver_due(threads, n, slots, origin, inbox, width, blocks, rows, delays, target16, '
    'target32,",\n            f"                    weight32, weight64, shared, grids, logs, segments'
    '{_due_arguments(classes)})",\n'
)


def _on_native(name: str, breaks: str, file: str, old: str, new: str, *first: str, **more: object) -> Mutant:
    return Mutant(name, breaks, file, old, new, "native", first, **more)  # type: ignore[arg-type]


MUTANTS = (
    # -- kernels ------------------------------------------------------------------------------------------------------
    _on_native(
        "native_ring_late",
        "Edges with delays of their own deliver one step late.",
        _KERNELS,
        "    now, size, turns = np.uint64(n % slots), np.uint64(width), np.uint64(slots)\n",
        "    now, size, turns = np.uint64((n + 1) % slots), np.uint64(width), np.uint64(slots)\n",
        "heterogeneous_delays",
        count=2,
        occurrence=1,
    ),
    _on_native(
        "native_ring_one_delay",
        "All edges of a row wait as long as the first of them.",
        _KERNELS,
        "        slot = now + np.uint64(wait[k])\n        if slot >= turns:\n",
        "        slot = now + np.uint64(wait[0])\n        if slot >= turns:\n",
        "weights and delays per edge: distributions, arrays, expressions",
    ),
    _on_native(
        "native_weight_of_the_first_edge",
        "A run of edges gets the weight of its first one.",
        _KERNELS,
        "        inbox[run[k]] += np.float64(weight[k])\n",
        "        inbox[run[k]] += np.float64(weight[0])\n",
        "weight_grid",
    ),
    _on_native(
        "native_first_target_lost",
        "The first target of a run of edges with one weight gets nothing.",
        _KERNELS,
        "    for k in range(run.shape[0]):\n        inbox[run[k]] += weight\n",
        "    for k in range(1, run.shape[0]):\n        inbox[run[k]] += weight\n",
        "arrival",
    ),
    _on_native(
        "native_poisson_row_mixed_up",
        "The neurons of a tile draw with the rate of its first.",
        _KERNELS,
        "start = at + np.int64(row[k]) * count",
        "start = at + np.int64(row[0]) * count",
        "poisson_drive",
    ),
    _on_native(
        "native_poisson_tile_stops",
        "Poisson counts of one rate are cut off at 1.",
        _KERNELS,
        "        if limit == np.uint32(0xFFFFFFFF):\n",
        "        if limit == np.uint32(0xFFFFFFFF) or c == 1:\n",
        "Poisson input: constant, per neuron, varying in time",
        "0",
    ),
    _on_native(
        "native_table_held_too_long",
        "A row of a time array comes one step late.",
        _KERNELS,
        "    k = n // every\n",
        "    k = max(n - 1, 0) // every\n",
        "time_arrays",
    ),
    _on_native(
        "native_table_repeats_wrong",
        "A repeated time array leaves out its last row.",
        _KERNELS,
        "return k % length if repeat else",
        "return k % max(1, length - 1) if repeat else",
        "time_arrays",
    ),
    _on_native(
        "native_sampling_early",
        "Probes with an interval sample one step early.",
        _KERNELS,
        "        if (step + 1) % every == 0:\n"
        "            at = table[r, 4] + ((step + 1) // every - table[r, 1]) * table[r, 5]",
        "        if (step + 1) % every == every - 1:\n"
        "            at = table[r, 4] + max(0, (step + 2) // every - table[r, 1]) * table[r, 5]",
        "sampling",
    ),
    _on_native(
        "native_sampling_stride",
        "All samples of a stretch are written over its first row.",
        _KERNELS,
        "((step + 1) // every - table[r, 1]) * table[r, 5]",
        "0 * table[r, 5]",
        "stamp",
    ),
    _on_native(
        "native_philox_rounds",
        "The generator runs nine rounds.",
        "backends/native/philox.py",
        "    for _ in range(10):\n",
        "    for _ in range(9):\n",
        "random_numbers",
    ),
    _on_native(
        "native_build_block_off",
        "Compiled draws of building are those of the next block.",
        "backends/native/build_kernels.py",
        "np.uint64(first) + np.uint64(b), steps[s]",
        "np.uint64(first) + np.uint64(b + 1), steps[s]",
        "2",
        "3",
    ),
    _on_native(
        "native_weight_of_the_next_edge",
        "Sorting edges into rows gives each the weight of the next one.",
        "backends/native/build_kernels.py",
        "weight[0 if one else e]",
        "weight[0 if one else (e + 1) % weight.shape[0]]",
        "drawn_connectivity",
    ),
    _on_native(
        "native_ring_delay_longer",
        "Delays stored edge by edge are one step longer.",
        "backends/native/build_kernels.py",
        "            delays[k + delay_shift] = d\n",
        "            delays[k + delay_shift] = d + 1\n",
        "drawn_delays",
    ),
    # -- the printed step ---------------------------------------------------------------------------------------------
    _on_native(
        "native_delay_longer",
        "Edges looked up by their delay deliver one step late.",
        _PRINTER,
        "            m = n - delays[blocks[b, B_DELAY_AT] + d]\n",
        "            m = n - delays[blocks[b, B_DELAY_AT] + d] - 1\n",
        "arrival",
    ),
    _on_native(
        "native_other_threads_unheard",
        "A thread delivers its own neurons' spikes only.",
        _PRINTER,
        "            for q in range(threads):\n",
        "            for q in range(1):\n",
        "test_same_spikes_on_any_number_of_threads",
        "2",
    ),
    _on_native(
        "native_reset_before_delivery",
        "Spikes are delivered after the cells have been stepped.",
        _PRINTER,
        _DELIVER,
        "",
        "shortest_delay",
        more=(
            (
                '            "        sample(n, f, records, where, out)",\n',
                _DELIVER + '            "        sample(n, f, records, where, out)",\n',
            ),
        ),
    ),
    _on_native(
        "native_ring_scattered_late",
        "Spikes of the step before are left out when spikes are scattered.",
        _PRINTER,
        '"            while scattered < n:",',
        '"            while scattered < n - 1:",',
        "drawn_delays",
    ),
    _on_native(
        "native_inbox_of_the_last_place",
        "What arrived at the last neuron of a tile arrives again in the next step.",
        _PRINTER,
        'out += [f"        for k in range({TILE}):", "            inside[k] = 0.0"]',
        'out += [f"        for k in range({TILE - 1}):", "            inside[k] = 0.0"]',
        "drawn_delays",
    ),
    _on_native(
        "native_padding_spikes",
        "Places beyond a population's last neuron spike as well.",
        _PRINTER,
        "if spike[k] != np.uint8(0) and tile * {TILE} + k < pop[VALID]:",
        "if spike[k] != np.uint8(0):",
        "threshold_comparison",
    ),
    _on_native(
        "native_divergence_unseen",
        "Values that are no finite numbers any more are not noticed.",
        _PRINTER,
        'f"        if {call} < 0:",',
        'f"        if {call} < 0 and n < 0:",',
    ),
    _on_native(
        "native_time_ahead",
        "Equations see the time of the end of the step.",
        _PRINTER,
        'f"    time = {cast}(np.float64(n) * dt)",',
        'f"    time = {cast}(np.float64(n + 1) * dt)",',
        "time_of_a_step",
    ),
    _on_native(
        "native_uniform_off_centre",
        "uniform() can be 0: the half is not added.",
        _PRINTER,
        '"(np.float64(words[k]) + 0.5) * 2.3283064365386963e-10"',
        '"(np.float64(words[k]) + 0.0) * 2.3283064365386963e-10"',
        "random_numbers",
    ),
    _on_native(
        "native_single_uniform_bits",
        "In single precision uniform() takes 24 bits of its word.",
        _PRINTER,
        "(np.float32(words[k] >> np.uint32(9)) + np.float32(0.5)) * np.float32(1.1920928955078125e-07)",
        "(np.float32(words[k] >> np.uint32(8)) + np.float32(0.5)) * np.float32(5.960464477539063e-08)",
        "single_precision",
    ),
    _on_native(
        "native_word_of_the_block",
        "Two neighbouring blocks of four neurons draw the same words.",
        _PRINTER,
        "D_KEY1], index // 4, n, words)",
        "D_KEY1], index // 8, n, words)",
        "random_numbers",
    ),
    _on_native(
        "native_second_rate_of_ones_own",
        "A second Poisson drive with a rate per neuron reads the rows of the first.",
        _PRINTER,
        "number_row = body.row[names[own]] * TILE",
        "number_row = body.row[names[0]] * TILE",
    ),
    _on_native(
        "native_wide_table_stride",
        "Time arrays with a column per neuron are read with the stride of whole tiles.",
        _PRINTER,
        'T_VALUES] + row{i} * pop[SIZE] + index"',
        'T_VALUES] + row{i} * pop[TILES] * 64 + index"',
        "time_arrays",
    ),
    _on_native(
        "native_list_period",
        "The period of a spike list is one step longer.",
        _PRINTER,
        "when = n % period if period > 0 else n",
        "when = n % (period + 1) if period > 0 else n",
        "spike_lists",
    ),
    _on_native(
        "native_list_one_per_step",
        "Of several listed spikes in one step only the first is sent.",
        _PRINTER,
        "    while a < hi and scheduled[a] == when:\n        log[at]",
        "    if a < hi and scheduled[a] == when:\n        log[at]",
        "spike_lists",
    ),
    _on_native(
        "native_listed_marks_stay",
        "Neurons marked by a spike list stay marked.",
        _PRINTER,
        "            f[listed + k] = 0.0\n",
        "            f[listed + k] = f[listed + k]\n",
        "5",
    ),
    _on_native(
        "native_parameters_mixed_up",
        "Scalar parameters are handed over in the order of their names.",
        _PRINTER,
        "return [float(params[k]) for k in shape.scalars]",
        "return [float(params[k]) for k in sorted(shape.scalars)]",
        "exact_integration",
        "exponential_euler",
    ),
    _on_native(
        "native_poisson_inversion_step",
        "Counts of varying rates are inverted with a wrong recurrence.",
        _PRINTER,
        "        p = p * mean / np.float64(k)\n",
        "        p = p * mean / np.float64(k + 1)\n",
        "poisson_drive_varying",
    ),
    # -- expressions --------------------------------------------------------------------------------------------------
    _on_native(
        "native_ge_is_gt",
        "v >= v_th is printed as v > v_th.",
        _EXPRESSIONS,
        '"ge": _infix(">="),',
        '"ge": _infix(">"),',
        "threshold_comparison",
    ),
    _on_native(
        "native_gt_is_ge",
        "v > v_th is printed as v >= v_th.",
        _EXPRESSIONS,
        '"gt": _infix(">"),',
        '"gt": _infix(">="),',
        "threshold_comparison",
    ),
    _on_native(
        "native_flush_threshold",
        "Decaying variables become 0 below 1e-290.",
        _EXPRESSIONS,
        'TINY = {"f64": 1e-300,',
        'TINY = {"f64": 1e-290,',
        "flush_to_zero",
    ),
    _on_native(
        "native_flush_threshold_single",
        "In single precision decaying variables become 0 below 1e-36.",
        _EXPRESSIONS,
        '"f32": 1e-30}',
        '"f32": 1e-36}',
        "4",
        "5",
    ),
    _on_native(
        "native_single_literals_wide",
        "Literals of a run in single precision are doubles.",
        _EXPRESSIONS,
        '        return f"np.float32({text})"\n',
        "        return text\n",
        "single_precision",
        "4",
        "5",
    ),
    _on_native(
        "native_single_literals_rounded_once",
        "Literals in single precision are rounded where they are used only.",
        _EXPRESSIONS,
        "            x = float(np.float32(x))\n",
        "            x = float(x)\n",
        equivalent="The printed text np.float32(...) rounds the literal as well, and rounding twice changes nothing.",
    ),
    # -- the timing of learning ---------------------------------------------------------------------------------------
    _on_native(
        "native_target_seen_a_step_early",
        "Behind a dendritic delay, spikes of the target are seen a step early.",
        "backends/native/learning.py",
        "                m = n - lkeys[row[{late}] + d]\n",
        "                m = n - lkeys[row[{late}] + d] + 1\n",
        "dendritic_delay",
    ),
    _on_native(
        "native_arrivals_see_the_target_now",
        "Behind a dendritic delay, an arrival reads the target as it was in the step before.",
        "backends/native/learning.py",
        "goal = ((n - lkeys[row[{late}] + d]) % hslots) * goals",
        "goal = ((n - 1) % hslots) * goals",
        "cells_seen_late",
        count=2,
    ),
    _on_native(
        "native_column_of_another_delay",
        "A spike of a target changes the edges of another delay.",
        "backends/native/learning.py",
        "c = row[L_COLUMN] + j * nd + d",
        "c = row[L_COLUMN] + j * nd + nd - 1 - d",
        "targets_seen_late",
    ),
    _on_native(
        "native_delivers_before_learning",
        "What is to be delivered after its change is delivered before.",
        _PRINTER,
        "            *(_learn(early) if learning.early(rules) else []),\n"
        + _DELIVER
        + '            "        slot = inbox',
        _DELIVER
        + "            *(_learn(early) if learning.early(rules) else []),\n"
        + '            "        slot = inbox',
        "delivery_after_learning",
    ),
)
