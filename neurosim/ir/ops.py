"""The closed list of operations, on one page.

A program is a sequence of these and nothing else; each printer (NumPy, numba, Brian2, torch, …) has one row per
operation. Result types: ``f`` float in the run's precision, ``i`` 64-bit integer, ``b`` boolean, ``=`` the type of
the arguments. Adding an operation means one row here, one in :mod:`neurosim.ir.interp`, and one per printer; the
verifier refuses a graph that uses an operation its printer lacks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpInfo:
    """One operation: number of arguments, result type, group, and what it computes."""

    name: str
    arity: int
    result: str
    group: str
    meaning: str


_ROWS = """
const      0 f leaf      the literal in attr (an integer literal has type i)
param      0 f leaf      a parameter of the population: one value, or one per neuron
load       0 f leaf      a state variable as it stood when the step began
inbox      0 f leaf      what arrived at a receptor in this step (a sum on the receptor's grid)
step       0 i leaf      the number n of the step
time       0 f leaf      n * dt, in seconds
index      0 i leaf      the neuron's index in its population
scheduled  0 b leaf      whether the spike list in attr holds this neuron in this step
pre        0 f leaf      over edges: a variable of the source, as the step left it whose spike arrives (link: the last)
post       0 f leaf      over edges: a variable of the target, as left by this step (link: by the last)
since      0 f leaf      over edges: steps since the decaying variables of the edge were last computed
arg        0 f leaf      an argument of a function's body
uniform    0 f random    (w + 1/2) / 2^32, in (0, 1); w: 32 random bits of the stream in attr, for this neuron and step
normal     0 f random    ndtri of that uniform number: mean 0, variance 1
poisson    0 f random    Poisson count by inversion; thresholds tabulated for a constant mean
poisson_of 1 f random    Poisson count by inversion; the mean is computed in the step
add        2 = float     a + b
sub        2 = float     a - b
mul        2 = float     a * b
div        2 f float     a / b
neg        1 = float     -a
abs        1 = float     |a|
min        2 = float     the smaller
max        2 = float     the larger
sqrt       1 f float     square root, correctly rounded
floor      1 f float     largest integer not above a
rint       1 f float     nearest integer, ties to even
flush      1 f float     0 where |a| is below the smallest magnitude a decay may leave (1e-300; single 1e-30)
round_to   1 f float     rounded to a multiple of the power of two in attr, ties to even
float      1 f float     an integer or boolean as float
pow2       1 f bits      2^a for an integral a in the normal range
exponent   1 f bits      e with |a| = m 2^e, 1 <= m < 2, for normal a
mantissa   1 f bits      that m, with the sign of a
lt         2 b compare   a < b
le         2 b compare   a <= b
gt         2 b compare   a > b
ge         2 b compare   a >= b
eq         2 b compare   a == b
ne         2 b compare   a != b
and        2 b logic     both
or         2 b logic     either
not        1 b logic     negation
select     3 = logic     the second where the first holds, else the third
table      1 f table     row a of a time array (held at its ends, or repeated), one value or one per neuron
exp        1 f function  e^a
expm1      1 f function  e^a - 1
exprel     1 f function  (e^a - 1) / a, 1 at 0
log        1 f function  natural logarithm
log1p      1 f function  log(1 + a)
sigmoid    1 f function  1 / (1 + e^-a)
tanh       1 f function  hyperbolic tangent
sin        1 f function  sine, argument in radians
cos        1 f function  cosine
pow        2 f function  a^b for a >= 0
ndtri      1 f function  inverse of the standard normal distribution function, for a in (0, 1)
store      1 = effect    write a state variable, visible from the next step on
emit       1 b effect    raise the event in attr where the argument holds
"""

OPS: dict[str, OpInfo] = {}
for _row in _ROWS.strip().splitlines():
    _name, _arity, _result, _group, _meaning = _row.split(None, 4)
    OPS[_name] = OpInfo(_name, int(_arity), _result, _group, _meaning)

LEAVES = frozenset(n for n, o in OPS.items() if o.group in ("leaf", "random") and o.arity == 0)
FUNCTIONS = frozenset(n for n, o in OPS.items() if o.group == "function")
COMPARE = frozenset(n for n, o in OPS.items() if o.group == "compare")
RANDOM = frozenset(n for n, o in OPS.items() if o.group == "random")
EFFECTS = frozenset(("store", "emit"))
EDGE_OPS = frozenset(
    {"const", "param", "load", "pre", "post", "since", "store"}
    | {n for n, o in OPS.items() if o.group in ("float", "bits", "compare", "logic", "function")}
)
"""What a program over edges may use."""

PHASES = ("input", "deliver", "couple", "integrate", "detect", "react", "emit", "learn", "structure", "record")
"""The phases of one step, in order; an instruction carries the index of its phase."""

INPUT, DELIVER, COUPLE, INTEGRATE, DETECT, REACT, EMIT, LEARN, STRUCTURE, RECORD = range(10)
