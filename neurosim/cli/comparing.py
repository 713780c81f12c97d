"""What ``neurosim compare`` does."""

from __future__ import annotations

import contextlib
import json
import os
import sys

from neurosim.cli.load import load, parse_duration
from neurosim.cli.show import console
from neurosim.comparison import compare
from neurosim.errors import ParameterError
from neurosim.recording.atomic import begin, discard
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
    if loaded.options.get("trial"):
        trial = loaded.options["trial"]
        raise ParameterError(f"'{network}' runs trial {trial}, and compare trial 0: leave it out there")
    options = {k: loaded.options.get(k) for k in ("precision", "weight_bits")}
    if precision is not None:
        options["precision"] = precision
    if weight_bits is not None:
        options["weight_bits"] = int(weight_bits)
    result = compare(loaded.network, asked or loaded.duration or 1 * second, named,
                     precision=options["precision"] or "double", weight_bits=options["weight_bits"],
                     progress=not silent, overrides=loaded.overrides)  # fmt: skip
    if report is not None:
        result.save_report(report)
    if as_json:
        told = {**result.to_dict(), "files": {} if report is None else {"report": report}}
        print(json.dumps(told, indent=2, allow_nan=False), flush=True)
    elif not quiet:
        from neurosim.cli.show import closing
        from neurosim.comparison.table import show

        show(result, console())
        closing({} if report is None else {"report": report}, [])
    return 0 if result.agrees else DIFFERENT
