"""The command line: options, help texts, and how an error ends.

Only click is imported here; every command imports what it needs when it is called, so that ``--help`` is quick.
Exit codes: 0 done, 1 a fault of ours (or ``doctor`` found one), 2 the user's mistake, 3 the run failed, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import traceback
import unicodedata
from collections.abc import Callable
from typing import Any, NoReturn

import click

from neurosim import __version__
from neurosim.cli import ranks
from neurosim.errors import DivergedError, NeurosimError, ResourceError, ResultFileError, VerifyError

_RUN_FAILED = (DivergedError, ResourceError, ResultFileError, MemoryError)
_DEBUG = "neurosim.debug"
_WIDTH = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Commands(click.Group):
    """Lists commands in the order of this file, and turns exceptions into a sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            _end(ctx, "interrupted; nothing was kept", 130)
        except Exception as e:
            if ctx.meta.get(_DEBUG):
                if ranks.several():
                    _end(ctx, traceback.format_exc().rstrip(), 1)
                raise
            if isinstance(e, NeurosimError) and not isinstance(e, VerifyError):
                _end(ctx, f"error: {sentence(e)}", 3 if isinstance(e, _RUN_FAILED) else 2)
            if isinstance(e, MemoryError):
                _end(ctx, "error: there is not enough memory: use a smaller scale, or --weight-bits 24", 3)
            text = str(e).strip() or "no message"
            _end(ctx, f"error: neurosim failed, which is not your fault ({type(e).__name__}: {text}); "
                      "please report it with the traceback that --debug shows", 1)  # fmt: skip


def sentence(e: NeurosimError) -> str:
    """Return the message, with the place in the user's file where there is one."""
    # Where the command line itself made the object, the frame outside neurosim is one of click's or of Python's own.
    homes = [os.path.dirname(os.path.abspath(str(module.__file__))) + os.sep for module in (click, os)]
    if not e.where or os.path.abspath(e.where).startswith(tuple(homes)):
        return e.message
    first, *more = e.message.split("\n")
    return "\n".join([f"{first} ({e.where})", *more])


def plain(text: str) -> str:
    """Return a text with what a terminal would obey, or could not show, written as an escape.

    Messages quote the user's files: a quoted character must not move the cursor, turn the direction of writing, or
    have no encoding (half a surrogate pair).
    """
    return "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else ascii(c)[1:-1]
                   for c in text)  # fmt: skip


def _end(ctx: click.Context, text: str, code: int) -> NoReturn:
    text = plain(text)
    ranks.say(text, code, lambda line: click.echo(line, err=True))
    ctx.exit(code)


def _debug(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_DEBUG] = True


def _options(*which: str) -> Callable[[Any], Any]:
    """Return a decorator that adds options several commands share."""
    shared = {
        "set": click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE",
            help="Set a parameter of a population (exc.tau_m=15ms) or a keyword of the builder (scale=0.1)."),
        "seed": click.option("--seed", type=int, metavar="N", help="Seed of everything random."),
        "precision": click.option("--precision", type=click.Choice(["double", "single"]), help="Of the state."),
        "weight_bits": click.option(
            "--weight-bits", type=click.Choice(["40", "24"]),
            help="Bits of the weights below the largest; 24 takes less memory."),
        "debug": click.option("--debug", is_flag=True, expose_value=False, callback=_debug, help="Show tracebacks."),
    }  # fmt: skip

    def add(command: Any) -> Any:
        for key in reversed(which):
            command = shared[key](command)
        return command

    return add


@click.group(cls=_Commands, context_settings=_WIDTH)
@click.version_option(__version__, prog_name="neurosim")
@_options("debug")
def cli() -> None:
    """Write a spiking network once; run it on every engine and get the same spikes.

    \b
    neurosim new                                       a network to begin with
    neurosim run potjans_diesmann --set scale=0.1      a network of the library
    neurosim run net.py --duration 2s -o out.h5        a network of your own
    neurosim run net.h5                                one that net.save() wrote
    neurosim networks                                  what the library has
    """


@cli.command(short_help="Write a network to begin with, for you to change.")
@click.argument("place", metavar="[NAME|DIR]", required=False)
@click.option("--template", "-t", default="cell", show_default=True, metavar="KIND", help="One of those above.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@_options("debug")
def new(place: str | None, template: str, force: bool) -> None:
    """Write a small network, with comments, for you to change; say how to run it.

    \b
    --template cell      a cell of your own: equations, parameters, input
    --template balanced  excitation and inhibition in balance
    --template stdp      a cell that learns which inputs come together
    --template dendrite  cells with a dendrite that spikes

    The file is NAME.py, or my_network.py in the folder DIR. It works with 'neurosim run', 'compare', 'sweep' and all
    other commands, and under python.
    """
    from neurosim.cli.starting import new_command

    click.echo(new_command(place, template, force))


@cli.command()
@click.argument("network", metavar="NET.py|NET.h5|NAME")
@click.option("--backend", "-b", metavar="NAME", help="Engine that runs it (native; see 'neurosim backends').")
@click.option(
    "--backend-option",
    "extra",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of its own, such as mode=standalone.",
)
@click.option("--duration", "-d", metavar="TIME", help="Biological time, such as 1s or 500ms.")
@_options("set", "seed")
@click.option("--threads", type=int, metavar="N", help="Threads; the spikes do not depend on it.")
@_options("precision", "weight_bits")
@click.option("-o", "--output", metavar="FILE.h5", help="Write what is recorded to this file (HDF5, SONATA).")
@click.option("--checkpoint-every", metavar="TIME", help="Keep where the run is, such as every 10s of biological time.")
@click.option("--checkpoint", metavar="FOLDER", help="Where it is kept.  [default: FILE.h5.checkpoint]")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in FOLDER.")
@click.option("--plot", metavar="FILE.png", help="Draw raster and rates to this file (png, svg or pdf).")
@click.option("--report", metavar="FILE.html", help="Write one page with activity, statistics and network.")
@click.option("--raster/--no-raster", default=None, help="Draw a raster in the terminal.  [default: if it is one]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@_options("debug")
@click.pass_context
def run(ctx: click.Context, **options: Any) -> None:
    """Run a network and show what it did.

    NET.py is a Python file that defines 'network' (a Network, or a function that returns one), or simply builds one
    Network; if it runs the network itself, it is read up to there. NET.h5 is a network that net.save("NET.h5") wrote;
    no code is in it. NAME is a network of the library.

    Ctrl-C stops the run and keeps what was recorded. With --checkpoint-every the same command, with --resume, goes on
    after Ctrl-C, a crash or a kill, and gives the spikes of a run that was never interrupted.
    """
    from neurosim.cli.running import run_command

    ctx.exit(run_command(**options))


@cli.command(short_help="Make a page of a results file.")
@click.argument("file", metavar="FILE.h5")
@click.option("-o", "--output", metavar="FILE.html", help="The page.  [default: FILE.html]")
@_options("debug")
def report(file: str, output: str | None) -> None:
    """Make one offline HTML page of a run: spikes, rates and states to zoom into, statistics, weights, provenance.

    'neurosim run --report FILE.html' makes it together with the run, and with the picture of the network.
    """
    from neurosim.cli.running import report_command

    click.echo(report_command(file, output))


@cli.command(short_help="Make a film of a results file.")
@click.argument("file", metavar="FILE.h5")
@click.option("-o", "--output", metavar="FILE.gif", help="The film.  [default: FILE.gif]")
@click.option("--kind", type=click.Choice(["raster", "activity"]), default="raster", show_default=True,
              help="The raster as it grows, or a map with a square a neuron.")
@click.option("--start", metavar="TIME", help="Biological time at which it begins, such as 200ms.")
@click.option("--stop", metavar="TIME", help="Biological time at which it ends.")
@click.option("--slower", type=float, default=10.0, show_default=True, metavar="X",
              help="Seconds that a biological second takes.")
@click.option("--fps", type=int, default=20, show_default=True, metavar="N", help="Frames a second.")
@_options("debug")
def animate(**options: Any) -> None:
    """Make a film of a run: its raster and rates as they grow, or the activity of all neurons on a map."""
    from neurosim.cli.converting import animate_command

    click.echo(animate_command(**options))


@cli.command(short_help="Write a results file for other tools: NWB, or a table.")
@click.argument("file", metavar="FILE.h5")
@click.option("-o", "--output", required=True, metavar="FILE.nwb|FILE.csv", help="Its suffix names the format.")
@click.option("--description", metavar="TEXT", help="Of the session, in an NWB file.")
@_options("debug")
def convert(**options: Any) -> None:
    """Write a results file for other tools.

    \b
    .nwb   Neurodata Without Borders: spikes, variables, rates, weights, provenance
    .csv   a table of the spikes: time in s, population, neuron

    In Python a result is also result.to_neo(), to_pandas() and to_xarray().
    """
    from neurosim.cli.converting import convert_command

    click.echo(convert_command(**options))


@cli.command(short_help="Run a network many times: all values of some settings, several trials.")
@click.argument("network", metavar="NET.py|NET.h5|NAME")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUES",
              help="KEY=FIRST:LAST:STEP (LAST included), KEY=A,B,C, or one fixed VALUE; several vary together.")
@click.option("--trials", type=int, default=1, metavar="N", help="Runs of each combination; trial k has seed + k.")
@click.option("-o", "--output", required=True, metavar="FILE.h5", help="Where all results go.")
@_options("seed")
@click.option("--duration", "-d", metavar="TIME", help="Biological time of each run, such as 1s or 500ms.")
@click.option("--backend", "-b", metavar="NAME", help="Engine that runs it (native; see 'neurosim backends').")
@click.option("--backend-option", "extra", multiple=True, metavar="KEY=VALUE",
              help="An option of its own, such as mode=standalone.")
@click.option("--jobs", "-j", type=int, metavar="N", help="Processes at a time.  [default: one per core]")
@click.option("--threads", type=int, metavar="N", help="Threads of each process (1).")
@click.option("--scheduler", metavar="ADDRESS", help="Run on a Dask cluster: the address of its scheduler.")
@_options("precision")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@_options("debug")
@click.pass_context
def sweep(ctx: click.Context, **options: Any) -> None:
    """Run a network over all combinations of some settings.

    \b
    neurosim sweep brunel --set g=4:6:0.5 --set eta=1,2,4 --trials 3 -d 1s -o sweep.h5

    Each run gives the spikes that 'neurosim run' gives with the same --set and --seed. Finished runs are kept in
    FILE.h5.points until the last one is done: after Ctrl-C, or a crash, the same command goes on where it was.
    """
    from neurosim.cli.sweeping import sweep_command

    ctx.exit(sweep_command(**options))


@cli.command(short_help="Run a network on several engines and compare them.")
@click.argument("network", metavar="NET.py|NET.h5|NAME")
@click.option("--backends", default="native,reference", metavar="A,B,...", show_default=True,
              help="Engines, each with options of its own as in brian2:mode=standalone or native:threads=2.")
@click.option("--duration", "-d", metavar="TIME", help="Biological time, such as 1s or 500ms.")
@_options("set", "seed", "precision", "weight_bits")
@click.option("--metric", "metrics", multiple=True, metavar="FUNCTION",
              help="A function of NET.py, or FILE.py:FUNCTION, that makes a number of each result.")
@click.option("--report", metavar="FILE.html", help="Write one HTML page with tables, rasters and the difference.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@_options("debug")
@click.pass_context
def compare(ctx: click.Context, **options: Any) -> None:  # fmt: skip
    """Run a network on several engines and compare every two of them.

    \b
    E0         identical spikes
    E1         identical until a tie in floating point, then alike in statistics
    R          alike in statistics: rate 5 %, CV 0.03, synchrony 20 %, KS test
    DIFFERENT  none of these

    The first spike that differs is followed to where the two sides part: a tie, a choice of the model, or a fault of
    one side. An engine that cannot run the network is a line of the result.

    With loihi2 or lava among the engines, --report says what their integers did: weights on their grid, decays and
    thresholds, overflows, cores and energy. A --metric says what the network is still worth.

    Exit code 0 if all pairs are E0 or E1 (or R, with an engine that has the option approximate=yes), else 3: also where
    an engine did not run.
    """
    from neurosim.cli.comparing import compare_command

    ctx.exit(compare_command(**options))


@cli.command(short_help="Write a network in another format, such as SONATA.")
@click.argument("network", metavar="NET.py|NET.h5|NAME")
@click.option("--to", "target", required=True, metavar="FORMAT", help="lava, nir, pynn or sonata.")
@click.option("-o", "--output", required=True, metavar="DIR", help="A folder, new or empty.")
@_options("set", "seed")
@click.option("--duration", "-d", metavar="TIME", help="Biological time that the files are for, such as 1s or 500ms.")
@click.option("--lossy", is_flag=True, help="Write what can be written, where something cannot.")
@click.option("--nir-scheme", metavar="SCHEME", help="How readers of the NIR graph take a step: euler, or exact.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@_options("debug")
def export(**options: Any) -> None:
    """Write a network so that other programs can open and run it.

    \b
    neurosim export cuba --to sonata -o cuba_sonata
    neurosim run cuba_sonata/simulation_config.json

    Everything that other programs will take differently is printed, and stands in DIR/README.txt. What cannot be
    written is refused, and listed; with --lossy the rest is written.
    """
    from neurosim.cli.exporting import export_command

    export_command(**options)


@cli.command(short_help="Print what a network is compiled to.")
@click.argument("network", metavar="NET.py|NET.h5|NAME")
@click.option("--after", default="order", metavar="PASS", help="units, expand, discretise, delays or order (the last).")
@_options("set", "seed", "precision", "weight_bits", "debug")
def ir(network: str, after: str, settings: tuple[str, ...], seed: int | None, precision: str | None,
       weight_bits: str | None) -> None:  # fmt: skip
    """Print what a network is compiled to: populations, programs, projections.

    Before the pass 'discretise' a population is its equations; from there on it is the program of one step, which
    every backend prints in its own language. All numbers are in SI units.
    """
    from neurosim.cli.running import ir_command

    click.echo(ir_command(network, after, settings, seed, precision, weight_bits))


@cli.command(short_help="Bring a network to Loihi 2's integers, and say what changes.")
@click.argument("network", metavar="NET.py|NET.h5|NAME")
@click.option("--below", type=float, metavar="X", help="Room of v below the reset, in distances to the threshold [2].")
@_options("set", "seed", "debug")
def quantise(network: str, below: float | None, settings: tuple[str, ...], seed: int | None) -> None:
    """Bring a network to Loihi 2's integers, and say what changes: time constants, thresholds, weights.

    \b
    neurosim run NET.py --backend loihi2                       runs it in integers
    neurosim compare NET.py --backends native,loihi2,lava      says how far its spikes go
    neurosim export NET.py --to lava -o DIR                    writes it as a script for Lava
    """
    from neurosim.cli.running import quantise_command

    click.echo(quantise_command(network, below, settings, seed))


@cli.command(name="map", short_help="Put a network on a chip, and say what binds.")
@click.argument("network", metavar="NET.py|NET.h5|NAME")
@click.option("--chip", default="loihi2", metavar="CHIP", help="loihi2, brainscales2 or memristor [loihi2].")
@click.option("--order", default="given", metavar="ORDER", help="Of the neurons: given, or local (needs SciPy).")
@click.option("--duration", "-d", metavar="TIME", help="Run so long, and estimate what it costs there.")
@_options("set", "seed", "debug")
def map_(network: str, chip: str, order: str, duration: str | None, settings: tuple[str, ...],
         seed: int | None) -> None:  # fmt: skip
    """Put a network on a chip: how full its parts are, what binds, what does not fit.

    Neurons are dealt out in their order, or on Loihi 2 in one that keeps what is connected close together. Limits and
    costs are the published ones, with their sources; where none of Loihi 2 is published it is Loihi 1's.
    """
    from neurosim.cli.running import map_command

    click.echo(map_command(network, chip, order, duration, settings, seed))


@cli.command()
@_options("debug")
def networks() -> None:
    """List the networks of the library and what can be --set."""
    from neurosim.cli.environment import networks_command

    networks_command()


@cli.command(short_help="List the engines, and how to install what is missing.")
@_options("debug")
def backends() -> None:
    """List the engines: what is available, what is missing and the line that installs it."""
    from neurosim.cli.environment import backends_command

    backends_command()


@cli.group(short_help="Lava, in an environment of its own: neurosim lava install.")
def lava() -> None:
    """Lava 0.10 needs Python 3.10 and lives in an environment of its own."""


@lava.command(short_help="Install Lava.")
@_options("debug")
def install() -> None:
    """Make an environment with Lava 0.10, or make it anew.

    It needs Python 3.10, which is looked for in PATH, with pyenv and with uv. The environment is put into the user's
    cache folder, or where the variable NEUROSIM_LAVA says.
    """
    from neurosim.registry import installer

    click.echo(f"Lava is installed: {installer('lava')()}")


@cli.command(short_help="Check this installation.")
@_options("debug")
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Check this installation; exit code 1 if the default backend cannot run."""
    from neurosim.cli.environment import doctor_command

    ctx.exit(doctor_command())


def main() -> None:
    """Run the command line."""
    cli(prog_name="neurosim")
