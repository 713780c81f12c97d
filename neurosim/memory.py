"""The memory that a run takes, estimated before anything is allocated, and what there is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from neurosim.errors import ResourceError
from neurosim.ir.graph import Graph


def fits(backend: Any, graph: Graph, threads: int | None = None) -> int:
    """Return the estimate of the memory a run takes, in bytes; refuse a run that has no chance.

    Raises
    ------
    ResourceError
        The estimate exceeds what is free.
    """
    need = int(backend.estimate(graph, threads) if threads and backend.threads else backend.estimate(graph))
    free = available_memory()
    if free is not None and need > free:
        edges = expected_edges(graph)
        raise ResourceError(
            f"the network needs about {need / 2**30:.1f} GiB ({graph.size:,} neurons, {edges:,.0f} edges), and "
            f"{free / 2**30:.1f} GiB are free: use a smaller scale, or weight_bits=24 (--weight-bits 24)"
        )
    return need


def holds(graph: Graph, steps: int, streamed: bool = False, runs: int = 1) -> None:
    """Refuse a run whose samples have no chance to be kept in memory: known before anything is built.

    Spikes are not counted, as nobody knows how many there will be. What is ``streamed`` is not held, but for the
    weights of a projection, which are written in the end. A recording is held twice when its pieces are joined, as all
    are but the weights of a projection that does not learn.

    Raises
    ------
    ResourceError
        They would take more than what is free.
    """
    need, most, largest, elsewhere = 0.0, 0.0, "", False
    for probe in graph.probes:
        times = 2.0
        if probe.edge:
            p = graph.projection(probe.target)
            times = 2.0 if p.plasticity is not None else 1.0
            columns = p.rule.expected(sum(s.size for s in p.pre), sum(s.size for s in p.post))
        elif probe.sampled and not streamed:
            columns = len(probe.ids) if probe.ids is not None else graph.population(probe.target).size
        else:
            continue
        bytes_ = times * 8 * columns * (steps // probe.every) * runs
        need += bytes_
        if bytes_ > most:
            most, largest = bytes_, f"'{probe.variable}' of '{probe.target}'"
            elsewhere = not (streamed or probe.edge or runs > 1)
    free = available_memory()
    if free is not None and need > free:
        cure = ", or write them to a file (output=, -o FILE.h5)" if elsewhere else ""
        raise ResourceError(
            f"what is recorded needs about {need / 2**30:.1f} GiB, most of it {largest}, and {free / 2**30:.1f} GiB "
            f"are free: record less of it, or less often (every=1*ms){cure}"
        )


def expected_edges(graph: Graph) -> float:
    """Return how many edges the rules are expected to make."""
    every = (*graph.projections, *(link.edges for link in graph.links))
    return sum(p.rule.expected(sum(s.size for s in p.pre), sum(s.size for s in p.post)) for p in every)


def available_memory(root: str = "/") -> int | None:
    """Return the memory that a new process could take, in bytes, where the system tells.

    The least of what the machine has free and what each control group of this process leaves: a container's limit is
    not in /proc/meminfo. Pages of files that a group holds (``inactive_file``) are given up when memory is short.
    """
    rooms = [room for room in (_machine_memory(root), *_group_memory(root)) if room is not None]
    return min(rooms, default=None)


def _machine_memory(root: str) -> int | None:
    try:
        with open(os.path.join(root, "proc/meminfo"), encoding="ascii") as f:
            for line in f:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


_GROUP_FILES = {
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    "": ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
}
"""Control groups, versions 1 and 2: controller in /proc/self/cgroup -> folder, limit, usage, and what can be freed."""


def _group_memory(root: str) -> list[int]:
    """Return what each memory group of this process, and each group around it, leaves."""
    rooms: list[int] = []
    try:
        lines = Path(root, "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return rooms
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, limit, usage, freed = _GROUP_FILES["memory" if controllers else ""]
        own = Path(path.lstrip("/"))
        for group in (own, *own.parents):  # inside a container, its own group may be mounted at the top
            at = Path(root, folder, group)
            try:
                most = (at / limit).read_text(encoding="ascii").strip()
                used = int((at / usage).read_text(encoding="ascii"))
                stat = dict(x.split() for x in (at / "memory.stat").read_text(encoding="ascii").splitlines())
            except (OSError, ValueError):
                continue
            if most != "max":
                rooms.append(max(0, int(most) - used + int(stat.get(freed, 0))))
    return rooms


__all__ = ["available_memory", "expected_edges", "fits", "holds"]
