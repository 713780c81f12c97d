"""What ``neurosim export`` does."""

from __future__ import annotations

import contextlib
import sys

import click

from neurosim.cli.load import load, parse_duration
from neurosim.errors import ParameterError
from neurosim.interchange import exporter
from neurosim.units import second


def export_command(
    network: str,
    *,
    target: str,
    output: str,
    settings: tuple[str, ...],
    seed: int | None,
    duration: str | None,
    lossy: bool,
    nir_scheme: str | None,
    quiet: bool,
) -> None:
    """Load a network, write it, and print what was changed."""
    write = exporter(target)  # a name that is wrong is said before the user's script runs
    more = {}
    if nir_scheme is not None:
        if target != "nir":
            raise ParameterError(f"--nir-scheme is for --to nir, not for --to {target}")
        more["scheme"] = nir_scheme
    asked = None if duration is None else parse_duration(duration)
    with contextlib.redirect_stdout(sys.stderr):
        loaded = load(network, settings, seed)
    written = write(loaded.network, output, duration=asked or loaded.duration or 1 * second, lossy=lossy, **more)
    if quiet:
        return
    for title, items in (("changes", written.changes), ("left out (--lossy)", written.losses)):
        if items:
            click.echo(f"{title}:")
            for item in items:
                click.echo(f"  - {item}")
    click.echo(f"{len(written.files)} files in {written.directory}; begin with {written.directory.rstrip('/')}/"
               f"{written.start}")  # fmt: skip
