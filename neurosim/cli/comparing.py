"""What ``neurosim compare`` does."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import runpy
import sys
from collections.abc import Callable, Mapping
from typing import Any

from neurosim.cli.load import load, parse_duration
from neurosim.cli.show import console
from neurosim.comparison import compare
from neurosim.comparison.integers import as_dict
from neurosim.comparison.pairs import parse_side
from neurosim.comparison.table import plain
from neurosim.compile import compile_network
from neurosim.errors import BackendError, ParameterError, UnknownNameError, UnsupportedError, suggest
from neurosim.lang.network import Network
from neurosim.recording.atomic import begin, discard
from neurosim.registry import backends as known_backends
from neurosim.registry import load_backend, missing
from neurosim.units import second

DIFFERENT = 3
"""Exit code where a pair does not agree as far as is asked of it, or could not be compared."""


def compare_command(
    network: str,
    *,
    backends: str,
    duration: str | None,
    settings: tuple[str, ...],
    seed: int | None,
    precision: str | None,
    weight_bits: str | None,
    metrics: tuple[str, ...],
    report: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Load a network, run it on several backends, show how far they agree; return the exit code."""
    named = [part.strip() for part in backends.split(",") if part.strip()]
    if len(named) < 2:
        raise ParameterError(f"--backends {backends}: name at least two, such as native,reference")
    asked = None if duration is None else parse_duration(duration)
    if report is not None:
        descriptor, part, _ = begin(report)  # what cannot be written is said before anything runs
        os.close(descriptor)
        discard(part)
    silent = as_json or quiet
    with contextlib.redirect_stdout(sys.stderr) if silent else contextlib.nullcontext():
        loaded = load(network, settings, seed)
    measures = _metrics(metrics, network)
    if loaded.options.get("trial"):
        trial = loaded.options["trial"]
        raise ParameterError(f"'{network}' runs trial {trial}, and compare trial 0: leave it out there")
    options = {k: loaded.options.get(k) for k in ("precision", "weight_bits")}
    if precision is not None:
        options["precision"] = precision
    if weight_bits is not None:
        options["weight_bits"] = int(weight_bits)
    if report is not None:
        _refuse(loaded.network, named, options)
    result = compare(loaded.network, asked or loaded.duration or 1 * second, named,
                     precision=options["precision"] or "double", weight_bits=options["weight_bits"],
                     progress=not silent, overrides=loaded.overrides, metrics=measures)  # fmt: skip
    integers = [s for s in result.sides if s.in_integers]
    if report is not None:
        if integers and not any(p.populations for p in result.pairs):
            one = next(s for s in result.sides if s.refusal)
            raise BackendError(f"'{report}' was not written, as there are no two runs to compare: {one.refusal}")
        result.save_report(report)
    if as_json:
        told = {**result.to_dict(), "files": {} if report is None else {"report": report}}
        if report is not None and integers:
            told["integers"] = plain([as_dict(found) for found in result.integers])
        print(json.dumps(told, indent=2, allow_nan=False), flush=True)
    elif not quiet:
        from neurosim.cli.show import closing
        from neurosim.comparison.table import show

        show(result, console())
        closing({} if report is None else {"report": report}, [])
    return 0 if result.agrees else DIFFERENT


def _refuse(network: Network, named: list[str], options: Mapping[str, Any]) -> None:
    """Refuse now what no backend in integers can take, if there is nothing to compare without them.

    Raises
    ------
    UnsupportedError
        With what the first of them says.
    """
    known = known_backends()
    names = [parse_side(text)[0] for text in named]
    integers = [n for n in names if n in known and known[n].integers]
    if not integers or len(names) - len(integers) > 1:
        return
    graph = compile_network(network, precision=options["precision"] or "double", weight_bits=options["weight_bits"])
    first = None
    for name in integers:
        if missing(name):
            continue
        try:
            load_backend(name).check(graph)
            return
        except UnsupportedError as e:
            first = first or e
    if first is not None:
        raise first


def _metrics(texts: tuple[str, ...], network: str) -> dict[str, Callable[[Any], float]]:
    """Return name -> function of what was asked for."""
    found: dict[str, Callable[[Any], float]] = {}
    for text in texts:
        name = text.rpartition(":")[2]
        if name in found:
            raise ParameterError(f"--metric {text}: there is a metric '{name}' already, and each needs a name of its "
                                 "own: leave it out, or rename the function")  # fmt: skip
        found[name] = _ended(text, _metric(text, network))
    return found


def _ended(text: str, measure: Callable[[Any], float]) -> Callable[[Any], float]:
    """Return a function that cannot end the command: whoever reads its exit code would take that for agreement."""

    def measured(result: Any) -> float:
        try:
            return measure(result)
        except SystemExit as e:
            raise ParameterError(f"--metric {text}: it ended with SystemExit: {e}".rstrip(": ")) from e

    return measured


def _metric(text: str, network: str) -> Callable[[Any], float]:
    """Return a function of the network's file, or of another one (``FILE.py:FUNCTION``)."""
    place, _, name = text.rpartition(":")
    path = os.path.abspath(place or network)
    held = sys.modules.get(f"_network_{os.path.splitext(os.path.basename(path))[0]}")
    if held is not None and getattr(held, "__file__", None) == path:
        found = vars(held)  # load() has run it
    elif not os.path.isfile(path):
        raise ParameterError(f"--metric {text}: there is no file '{place or network}' that could define '{name}': "
                             "write FILE.py:FUNCTION")  # fmt: skip
    else:
        try:
            found = runpy.run_path(path, run_name="_metric")
        except (Exception, SystemExit) as e:
            raise ParameterError(f"--metric {text}: '{place}' ended with {type(e).__name__}: {e}".rstrip(": ")) from e
    if not callable(found.get(name)):
        own = [k for k, v in found.items() if inspect.isfunction(v) and v.__module__ == found.get("__name__")]
        raise UnknownNameError(f"--metric {text}: '{place or network}' has no function '{name}'{suggest(name, own)}")
    return found[name]
