"""What every compiled engine holds besides its cells: the barrier, the random words, the delivery of spikes.

The text of this module is printed in front of the generated programs (:mod:`neurosim.backends.native.printer`) and
compiled with them, so that one hash covers all. A kernel touches only its own thread's arrays, except for the spike
logs, which the others read after the barrier; so nothing is locked and the order of additions does not matter (every
sum lies on its receptor's grid).
"""

from __future__ import annotations

import platform

import numpy as np
from llvmlite import ir as llvm
from numba import njit, types
from numba.core import cgutils
from numba.core.typing.templates import signature
from numba.extending import intrinsic

from neurosim.backends.native.philox import philox_words
from neurosim.backends.native.tables import ABORT, ARRIVED, GENERATION, SPIN, TILE


@intrinsic
def atomic_add(typingctx, array, index, value):
    """Add to a control word and return what it was."""

    def codegen(context, builder, sig, args):
        ary = context.make_array(sig.args[0])(context, builder, args[0])
        ptr = cgutils.get_item_pointer(context, builder, sig.args[0], ary, [args[1]])
        return builder.atomic_rmw("add", ptr, args[2], "seq_cst")

    return signature(types.int64, array, types.intp, types.int64), codegen


@intrinsic
def atomic_load(typingctx, array, index):
    """Read a control word that others write."""

    def codegen(context, builder, sig, args):
        ary = context.make_array(sig.args[0])(context, builder, args[0])
        ptr = cgutils.get_item_pointer(context, builder, sig.args[0], ary, [args[1]])
        return builder.load_atomic(ptr, "seq_cst", 8)

    return signature(types.int64, array, types.intp), codegen


@intrinsic
def pause(typingctx):
    """Tell the processor that this is a waiting loop."""

    def codegen(context, builder, sig, args):
        if platform.machine() in ("x86_64", "AMD64"):
            kind = llvm.FunctionType(llvm.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return signature(types.none), codegen


yield_core = types.ExternalFunction(
    "SwitchToThread" if platform.system() == "Windows" else "sched_yield", signature(types.int32)
)


@njit
def barrier(control, threads):
    """Wait until all threads have come here."""
    if threads == 1:
        return
    generation = atomic_load(control, GENERATION)  # pyright: ignore[reportCallIssue]
    if atomic_add(control, ARRIVED, 1) == threads - 1:
        atomic_add(control, ARRIVED, -threads)
        atomic_add(control, GENERATION, 1)
        return
    spins = 0
    while atomic_load(control, GENERATION) == generation and atomic_load(control, ABORT) == 0:
        spins += 1
        if spins < SPIN:
            pause()
        else:
            yield_core()


@njit(error_model="numpy")
def philox_tile(key0, key1, block, step, out):
    """Write the words of 16 consecutive blocks (64 neurons) at a step."""
    first = np.uint64(block)
    for b in range(16):
        out[4 * b], out[4 * b + 1], out[4 * b + 2], out[4 * b + 3] = philox_words(
            key0, key1, first + np.uint64(b), step
        )


@njit(error_model="numpy")
def poisson_tile(words, thresholds, at, count, counts):
    """Count for every word the thresholds that it reaches; all neurons share one row."""
    table = thresholds[at : at + count]
    for k in range(TILE):
        counts[k] = 0
    for c in range(count):
        limit = table[c]
        if limit == np.uint32(0xFFFFFFFF):
            break
        for k in range(TILE):
            counts[k] += np.int32(words[k] >= limit)


@njit(error_model="numpy")
def poisson_rows(words, thresholds, at, count, row, counts):
    """The same where each neuron has its own row."""
    for k in range(TILE):
        start = at + np.int64(row[k]) * count
        n = 0
        while n < count and thresholds[start + n] != np.uint32(0xFFFFFFFF) and words[k] >= thresholds[start + n]:
            n += 1
        counts[k] = n


@njit
def table_row(n, every, length, repeat):
    """Return the row of a time array that holds in step n."""
    k = n // every
    return k % length if repeat else min(k, length - 1)


# A slice makes the indices of the loop over it count from 0: an index of unknown sign would cost a test per element.


@njit(error_model="numpy")
def add_shared(inbox, target, a, b, weight):
    """Add one weight to a run of targets."""
    run = target[a:b]
    for k in range(run.shape[0]):
        inbox[run[k]] += weight


@njit(error_model="numpy")
def add_each(inbox, target, weights, a, b, shift):
    """Add each edge's weight to its target."""
    run, weight = target[a:b], weights[a + shift : b + shift]
    for k in range(run.shape[0]):
        inbox[run[k]] += np.float64(weight[k])


@njit(error_model="numpy")
def add_plastic(inbox, target, edges, a, b, shift, grid):
    """Add each edge's weight of now, on its receptor's grid, to its target."""
    run, weight = target[a:b], edges[a + shift : b + shift]
    per = 1.0 / grid  # a power of two: exact
    for k in range(run.shape[0]):
        inbox[run[k]] += np.rint(np.float64(weight[k]) * per) * grid


@njit(error_model="numpy")
def released_shared(inbox, target, a, b, weight, carried, grid):
    """Add one weight, times what the spike carries, to a run of targets."""
    add_shared(inbox, target, a, b, np.rint(weight * np.float64(carried) * (1.0 / grid)) * grid)


@njit(error_model="numpy")
def released_each(inbox, target, weights, a, b, shift, carried, grid):
    """Add each edge's weight, times what the spike carries, on its receptor's grid, to its target."""
    run, weight = target[a:b], weights[a + shift : b + shift]
    per, factor = 1.0 / grid, np.float64(carried)
    for k in range(run.shape[0]):
        inbox[run[k]] += np.rint(np.float64(weight[k]) * factor * per) * grid


@njit(error_model="numpy")
def keep_past(n, copies, f, lhist, hslots):
    """Copy into their rings what this thread's neurons leave of a step.

    ``copies`` rows: where a row of the first tile lies, valid neurons, height of a tile, where the ring starts, its
    width.
    """
    for c in range(copies.shape[0]):
        start, valid, height = copies[c, 0], copies[c, 1], copies[c, 2]
        out = copies[c, 3] + (n % hslots) * copies[c, 4]
        for k in range(valid):
            lhist[out + k] = f[start + (k // TILE) * height + k % TILE]


@njit(error_model="numpy")
def ring_shared(inbox, width, slots, n, target, delay, a, b, late, weight):
    """Scatter one weight into the slots of the steps in which it arrives."""
    run, wait = target[a:b], delay[a + late : b + late]
    now, size, turns = np.uint64(n % slots), np.uint64(width), np.uint64(slots)
    for k in range(run.shape[0]):
        slot = now + np.uint64(wait[k])
        if slot >= turns:  # a delay is at most one turn of the ring
            slot -= turns
        inbox[slot * size + np.uint64(run[k])] += weight


@njit(error_model="numpy")
def ring_each(inbox, width, slots, n, target, delay, weights, a, b, late, shift):
    """Scatter each edge's weight."""
    run, wait, weight = target[a:b], delay[a + late : b + late], weights[a + shift : b + shift]
    now, size, turns = np.uint64(n % slots), np.uint64(width), np.uint64(slots)
    for k in range(run.shape[0]):
        slot = now + np.uint64(wait[k])
        if slot >= turns:
            slot -= turns
        inbox[slot * size + np.uint64(run[k])] += np.float64(weight[k])


@njit(error_model="numpy")
def sample(step, f, table, where, out):
    """Copy recorded state variables of this thread at the end of a step.

    ``table`` rows: every, first sample's number, start and end in ``where``, offset in ``out``, width of a sample.
    ``where`` rows: position in ``f``, column of the sample.
    """
    for r in range(table.shape[0]):
        every = table[r, 0]
        if (step + 1) % every == 0:
            at = table[r, 4] + ((step + 1) // every - table[r, 1]) * table[r, 5]
            for k in range(table[r, 2], table[r, 3]):
                out[at + where[k, 1]] = f[where[k, 0]]
