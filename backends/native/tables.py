"""What the compiled kernels and the Python around them agree on: sizes, columns of tables, classes, arguments."""

from __future__ import annotations

TILE = 64
"""Neurons of one tile: the unit of storage, of vector loops, and of the division among threads."""

SPIN = 2000
"""How often a waiting thread looks before it offers its core to others."""

# words that all threads of an engine share, a cache line apart; STOP has one for each parity of a meeting's number,
# since a thread may ask for the next meeting's while another has not yet read this one's
APART = 8
ARRIVED, GENERATION, STOP, ABORT = 0, APART, 2 * APART, 4 * APART
CONTROL_WORDS = 5 * APART

# words of one thread: whether a sum of weights left its grid, whether a state variable left the finite numbers, and up
# to which step spikes have been scattered into the ring
OVERFLOWED, DIVERGED, SCATTERED = range(3)
STATUS_WORDS = 8  # a cache line

# columns of the table of populations, one row per population and thread: program, tiles, index of the first neuron,
# size of the population, then where its state, scalars, inboxes, keys and time arrays start, the global id of the first
# neuron, and how many of the tiles' places hold a neuron
KIND, TILES, FIRST, SIZE, STATE, SCALARS, INBOX, KEYS, TABLES, NUMBER, VALID = range(11)

# words of an entry in the table of keys; a population has one for each list of spikes (where this thread's part starts
# and ends, its period, its length), each draw (the stream's key, where the thresholds of a Poisson draw start, how many
# a row has), each time array (where its values start, the steps that a row holds, the rows, whether they repeat)
ENTRY = 4
L_START, L_END, L_PERIOD, L_LENGTH = range(ENTRY)
D_KEY0, D_KEY1, D_THRESHOLDS, D_COUNT = range(ENTRY)
T_VALUES, T_EVERY, T_ROWS, T_REPEAT = range(ENTRY)

# columns of the table of blocks, one row per block and thread
B_POP, B_CLASS, B_FIRST, B_ROWS, B_ROW_AT, B_NDELAY, B_DELAY_AT, B_BASE, B_WEIGHT_AT, B_RELEASE, B_COLUMNS = range(11)

DUE16_SHARED, DUE32_SHARED, DUE16_F32, DUE32_F32, DUE16_F64, DUE32_F64, PLASTIC = range(7)
RELEASED_SHARED, RELEASED_F32, RELEASED_F64, RELEASED_PLASTIC = RELEASED = range(7, 11)
RING_SHARED, RING_F32, RING_F64 = range(11, 14)
"""Storage classes of a block: delivered when due, or scattered into a ring of steps; width of target and weight.
PLASTIC: delivered when due, weights that change. RELEASED: delivered when due, times what the spike carries, which
lies in the ring of the past that begins at the block's B_RELEASE."""

# columns of the table of learning, one row per block of plastic edges and thread: the block, its rule, the target's
# population, where its state begins, values in a tile of it, where its columns start, where the block's weights start,
# the delay (-1: they differ, and lie where the columns' delays start, less where the columns' edges do), neurons of the
# source population, where parameters, rings of the past and the target's rows are listed, steps between sweeps (0:
# none)
L_BLOCK, L_KIND, L_POST, L_STATE, L_HEIGHT, L_COLUMN, L_EDGE, L_LAG, L_DELAY_AT, L_SIZE = range(10)
L_PARAMS, L_PRE, L_POST_ROWS, L_EVERY, L_COLUMNS = range(10, 15)

# arguments of the building kernels (neurosim.backends.native.build_kernels), in the notation of the cache

BUILD_ENTRIES = {
    "philox_fill": ("i", "i", "i", "u8:1", "u4:2"),
    "philox_at": ("i", "i", "u8:1", "u8:1", "u4:2"),
    "count_edges": ("u4:1", "u4:1", "i8:1", "i", "i", "i", "i", "i4:1", "i8:1", "i8:1"),
}
"""Arguments of the entry points whose types do not vary."""

PLACE = (
    "u4:1",
    "u4:1",
    "i8:1",
    "f8:1",
    "i",
    "i",
    "i",
    "i",
    "i4:1",
    "i8:1",
    "i",
    "{target}:1",
    "{weight}:1",
    "i",
    "u2:1",
    "i",
)
"""Arguments of ``place_edges``; targets are u2 or u4, weights f4 or f8."""
