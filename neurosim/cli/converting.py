"""What ``neurosim convert`` and ``neurosim animate`` do with a results file."""

from __future__ import annotations

import os
from pathlib import Path

from neurosim.cli.load import parse_duration
from neurosim.errors import ParameterError
from neurosim.recording import RunResult
from neurosim.recording.atomic import write_bytes

FORMATS = (".nwb", ".csv")


def convert_command(file: str, output: str, description: str | None) -> str:
    """Write a results file in another format, by the suffix of the output; return what to say."""
    suffix = Path(output).suffix.lower()
    if suffix not in FORMATS:
        raise ParameterError(f"'{output}' should end in one of {', '.join(FORMATS)}, which names the format")
    if description is not None and suffix != ".nwb":
        raise ParameterError(f"--description is for .nwb files, not for '{output}'")
    result = RunResult.load(file)
    if suffix == ".nwb":
        result.to_nwb(output, description)
    else:
        write_bytes(output, result.to_pandas().spikes.to_csv(index=False).encode())
    return f"wrote {output} ({os.path.getsize(output) / 1e3:,.0f} kB)"


def animate_command(
    file: str, output: str | None, kind: str, start: str | None, stop: str | None, slower: float, fps: int
) -> str:
    """Write the film of a results file; return what to say."""
    path = output or os.path.splitext(file)[0] + ".gif"
    given = (("start", start), ("stop", stop))
    window = {name: parse_duration(text, f"--{name}") for name, text in given if text is not None}
    RunResult.load(file).animate(path, kind, slower=slower, fps=fps, **window)
    return f"wrote {path} ({os.path.getsize(path) / 1e3:,.0f} kB)"
