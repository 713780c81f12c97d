"""What ``neurosim run`` and ``neurosim ir`` do."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from neurosim import memory
from neurosim import run as runner
from neurosim.cli import ranks, silence
from neurosim.cli.load import Loaded, load, parse_duration
from neurosim.cli.main import sentence
from neurosim.cli.progress import Bar
from neurosim.compile import compile_network
from neurosim.errors import DivergedError, NeurosimError, ParameterError, ResultFileError
from neurosim.lang.network import Network
from neurosim.recording.atomic import begin, discard
from neurosim.registry import load_backend
from neurosim.units import second

_WORTH_SAYING = 2**30
"""Bytes from which the estimate of the memory is shown before the network is built."""

_PICTURES = (".png", ".svg", ".pdf", "")


def run_command(
    network: str,
    *,
    backend: str | None,
    extra: tuple[str, ...],
    duration: str | None,
    settings: tuple[str, ...],
    seed: int | None,
    threads: int | None,
    precision: str | None,
    weight_bits: str | None,
    output: str | None,
    checkpoint_every: str | None,
    checkpoint: str | None,
    resume: bool,
    plot: str | None,
    report: str | None,
    raster: bool | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Load, run and show a network; return the exit code."""
    started = time.perf_counter()
    if ranks.rank():  # the first one shows and draws; each writes the file of results, as they may have a disk each
        as_json, quiet, plot, report = False, True, None, None
    silent = as_json or quiet
    can_write(output)
    apart({"-o": output, "--plot": plot, "--report": report}, network)
    if plot is not None and os.path.splitext(plot)[1].lower() not in _PICTURES:
        raise ParameterError(f"cannot draw a '{os.path.splitext(plot)[1]}' file; png, svg and pdf are known")
    can_write(plot)
    can_write(report)
    asked = None if duration is None else parse_duration(duration)
    if backend is not None:
        load_backend(backend)  # a name that is wrong is said before the user's script runs
    with contextlib.redirect_stdout(sys.stderr) if silent else contextlib.nullcontext():
        loaded = load(network, settings, seed)
    net = loaded.network
    notes = list(loaded.notes)
    if loaded.finish is not None:
        loaded.finish.ready()
    if not any(p.variable == "spikes" for p in net.probes):
        cells = {p: p.cell for p in net.populations.values()}
        spiking = [p for p, cell in cells.items() if cell.threshold is not None or cell.schedule is not None]
        net.record(spiking, "spikes")
        none = "no cell of this network spikes: -o FILE keeps what it records, --report FILE draws it"
        notes.append("the network records no spikes, so those of all populations were recorded" if spiking else none)
    options = _options(loaded, backend, threads, precision, weight_bits)
    options.update(engine_options(extra, options.get("backend", "native")))
    options.update(_checkpoint(checkpoint_every, checkpoint, resume, output, net.name))
    if not silent:
        _say_memory(net, options)
    failure: NeurosimError | None = None
    bar = None if silent else Bar(net.dt)
    with bar or contextlib.nullcontext():
        try:
            result = runner.simulate(net, asked or loaded.duration or 1 * second, progress=bar, output=output,
                                     overrides=loaded.overrides, **options)  # fmt: skip
        except DivergedError as e:
            if getattr(e, "result", None) is None:
                raise
            result, failure = e.result, e  # type: ignore[attr-defined]
    files = {"output": output} if output else {}
    if loaded.finish is not None:
        files.update(loaded.finish(result))
    whole = time.perf_counter() - started
    from neurosim.cli import show

    if not silent:
        drawn = sys.stdout.isatty() if raster is None else raster
        show.report(result, net.published, whole, drawn)
    if plot is not None:
        lost = _draw(result, plot, output)
        if lost is None:
            files["plot"] = plot
        elif failure is None:
            failure = lost
    if report is not None:
        lost = _page(result, report, net, options, output)
        if lost is None:
            files["report"] = report
        elif failure is None:
            failure = lost
    if as_json:
        show.as_json(result, net.published, whole, files, None if failure is None else sentence(failure))
    elif not quiet:
        show.closing(files, notes + silence.silent(net, result))
    if failure is not None:
        raise failure
    if result.provenance.status == "interrupted":
        _say(_interrupted(result.provenance, output))
        if "checkpoint" in options:
            _say(f"the run is kept in {options['checkpoint']}: the same command with --resume goes on")
        return 130
    return 0


def report_command(file: str, output: str | None) -> str:
    """Write the page of a results file; return what to say."""
    from neurosim.recording import RunResult
    from neurosim.report import run as page

    path = output if output is not None else os.path.splitext(file)[0] + ".html"
    apart({"-o": path}, file)
    can_write(path)
    page.write(RunResult.load(file), path)
    return f"wrote {path} ({os.path.getsize(path) / 1e3:,.0f} kB)"


def _page(result: Any, path: str, net: Network, options: dict[str, Any], output: str | None) -> NeurosimError | None:
    """Write the page of a run; return what went wrong, which must not cost the user the numbers."""
    from neurosim.report import run as page

    try:
        if not result.spikes and output is not None:
            return ResultFileError(f"'{path}' was not written: the recording is too large for the memory that is free")
        graph = compile_network(net, precision=options.get("precision", "double"),
                                weight_bits=options.get("weight_bits"))  # fmt: skip
        page.write(result, path, graph, net, net.published)
    except NeurosimError as e:
        return e
    return None


def ir_command(network: str, after: str, settings: tuple[str, ...], seed: int | None, precision: str | None,
               weight_bits: str | None) -> str:  # fmt: skip
    """Return the text of a network's graph."""
    from neurosim.ir.printer import render_graph

    with contextlib.redirect_stdout(sys.stderr):
        net = load(network, settings, seed).network
    bits = None if weight_bits is None else int(weight_bits)
    return render_graph(compile_network(net, precision=precision or "double", weight_bits=bits, after=after))


def quantise_command(network: str, below: float | None, settings: tuple[str, ...], seed: int | None) -> str:
    """Return what becomes of a network in Loihi 2's integers, as text."""
    quantise = importlib.import_module("neurosim.hardware.loihi2").quantise
    with contextlib.redirect_stdout(sys.stderr):
        net = load(network, settings, seed).network
    return str(quantise(net, **({} if below is None else {"below": below})))


def map_command(network: str, chip: str, order: str, duration: str | None, settings: tuple[str, ...],
                seed: int | None) -> str:  # fmt: skip
    """Return where a network lies on a chip, as text; with a duration, what a step of it costs."""
    asked = None if duration is None else parse_duration(duration)
    base = importlib.import_module("neurosim.hardware.base")
    with contextlib.redirect_stdout(sys.stderr):
        net = load(network, settings, seed).network
    placement = base.place(net, chip, order=order)
    if asked is None:
        return str(placement)
    net.probes = []
    for pop in net.populations.values():
        net.record(pop, "spikes")
    result = runner.simulate(net, asked, backend="loihi2" if chip == "loihi2" else "native")
    steps = result.provenance.n_steps
    each = {name: np.bincount(s.ids, minlength=len(net[name])) / steps for name, s in result.spikes.items()}
    if chip != "loihi2":
        return f"{placement}\n\n{placement.cost_lines(each, steps, net.dt)}"
    cost = placement.costs(each)
    return (f"{placement}\n\na step at the rates of {duration} (Loihi 1's figures before silicon, lower bounds): "
            f"{cost['synops']:,.1f} synaptic operations,\n{cost['energy'] * 1e9:.3g} nJ, {cost['time'] * 1e6:.3g} us "
            f"for a network time of {net.dt * 1e6:g} us")  # fmt: skip


def _options(loaded: Loaded, backend: str | None, threads: int | None, precision: str | None,
             weight_bits: str | None) -> dict[str, Any]:  # fmt: skip
    """Return how to run: as the script says, unless the command line says otherwise."""
    given = {"backend": backend, "threads": threads, "precision": precision,
             "weight_bits": None if weight_bits is None else int(weight_bits)}  # fmt: skip
    return {**loaded.options, **{k: v for k, v in given.items() if v is not None}}


def _checkpoint(every: str | None, folder: str | None, resume: bool, output: str | None,
                name: str) -> dict[str, Any]:  # fmt: skip
    """Return the options of a run that is kept, none where it is not."""
    if every is None and folder is None and not resume:
        return {}
    chosen = folder or f"{output or name}.checkpoint"
    if resume and not os.path.isdir(chosen):
        raise ParameterError(f"there is no checkpoint '{chosen}' to resume from: leave --resume out, or name the "
                             "folder with --checkpoint")  # fmt: skip
    seconds = None if every is None else parse_duration(every, "--checkpoint-every")
    return {"checkpoint": chosen, "checkpoint_every": seconds, "resume": resume}


def engine_options(pairs: Iterable[str], backend: str) -> dict[str, str]:
    """Return the engine's own options, as text; the engine knows their values."""
    out, known = {}, load_backend(backend).options
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise ParameterError(f"--backend-option {pair}: an option is written KEY=VALUE, such as mode=standalone")
        if key.strip() not in known:
            what = f"its options are {', '.join(known)}" if known else "it has none"
            raise ParameterError(f"--backend-option {pair}: backend '{backend}' has no option '{key.strip()}'; {what}")
        out[key.strip()] = value.strip()
    return out


def can_write(path: str | None) -> None:
    """Complain now, not after the run, about a file that cannot be written."""
    if path is not None:
        descriptor, part, _ = begin(path)
        os.close(descriptor)
        discard(part)


def apart(files: dict[str, str | None], source: str) -> None:
    """Refuse files that would be written over one another, or over what is read."""
    seen = {os.path.realpath(source): "what is read"} if os.path.exists(source) else {}
    for option, path in files.items():
        if path:
            other = seen.setdefault(os.path.realpath(path), f"the file of {option}")
            if other != f"the file of {option}":
                raise ParameterError(f"{option} {path} would write over {other}: give it another name")


def _say_memory(net: Network, options: dict[str, Any]) -> None:
    """Print what a large network will take."""
    every = (*net.projections.values(), *net.links.values())
    edges = sum(p.rule.expected(len(p.pre), len(p.post)) for p in every)
    if 64 * edges < _WORTH_SAYING / 4:
        return
    engine = load_backend(options.get("backend", "native"))
    graph = compile_network(net, precision=options.get("precision", "double"), weight_bits=options.get("weight_bits"))
    threads = options.get("threads")
    need = int(engine.estimate(graph, threads) if threads and engine.threads else engine.estimate(graph))
    free = memory.available_memory()
    if need >= _WORTH_SAYING:
        count = f"{edges / 1e6:,.0f} M" if edges >= 1e7 else f"{edges:,.0f}"
        room = "" if free is None else f", {free / 2**30:.1f} GiB free"
        _say(f"about {count} synapses, needs {need / 2**30:.1f} GiB{room}")


def _draw(result: Any, plot: str, output: str | None) -> NeurosimError | None:
    """Save the picture; return what went wrong, which must not cost the user the numbers."""
    try:
        if not result.spikes and output is not None:
            return ResultFileError(f"'{plot}' was not drawn: the recording is too large for the memory that is free; "
                                   f"draw a part of it with RunResult.load('{output}').plot(...)")  # fmt: skip
        result.plot(plot)
    except NeurosimError as e:
        return e
    return None


def _interrupted(provenance: Any, output: str | None) -> str:
    reached = provenance.n_steps * provenance.dt
    kept = f"what was recorded is kept in {output}" if output else "with -o FILE.h5 what was recorded would be kept"
    return f"interrupted after {reached:.6g} s of {provenance.duration_s:.6g} s: {kept}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
