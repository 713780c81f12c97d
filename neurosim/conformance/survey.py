"""The whole suite on one backend as a table of words, and whether such a table is still true.

The words are those of :class:`neurosim.conformance.judge.Found`: ``bits``, ``E0``, ``E1``, ``R`` where the backend
agrees with the reference, ``raises`` where it ends in the error that the case asks for, else ``refused`` or
``differs``; ``checked`` for a backend that runs nothing.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from neurosim.compile import compile_network
from neurosim.conformance.cases import BY_NAME, CASES
from neurosim.conformance.constructs import CONSTRUCTS, OPTIONS
from neurosim.conformance.judge import Found, Target, random_seeds, run_case, run_construct, run_random, verdict
from neurosim.conformance.unsupported import Unsupported, excuse
from neurosim.ir.graph import Graph
from neurosim.registry import BACKENDS, GENERAL, load_backend, missing

Step = Callable[[str, Callable[[], Any]], Any]
"""``step(name, function)`` returns ``function()``, or what it returned before an interruption (through JSON)."""


BAD = ("refused", "differs")
"""What came of a case that does not pass."""


def word(found: Found) -> str:
    """Return what came of a run in one word."""
    return found.reached if found.status == "agrees" else found.status


def survey(target: Target, unsupported: Unsupported, random: int, slow: bool, step: Step) -> dict[str, Any]:
    """Run everything on a backend.

    Returns
    -------
    dict
        ``cases``, ``constructs``: name -> word; ``random``: word -> number of networks; ``threads``: whether there are
        several; ``version`` of the engine; ``problems``: sentences on what is neither right nor in the list.
    """
    backend = load_backend(target.backend)
    problems: list[str] = []

    def one_case(name: str) -> str:
        found = run_case(BY_NAME[name], target)
        entry = excuse(unsupported, name, target.backend, target.label)
        problem = verdict(BY_NAME[name], target, found, entry)
        return f"problem: {problem}" if problem else word(found)

    def one(function: Callable[[Any, Target], Found], what: Any) -> str:
        found = function(what, target)
        return f"problem: {what} on {target.label}: {found.message}" if found.status == "differs" else word(found)

    def kept(name: str, function: Callable[[], str]) -> str:
        said = str(step(f"{target.label}: {name}", function))
        if said.startswith("problem: "):
            problems.append(said.removeprefix("problem: "))
            return "differs"
        return said

    names = [case.name for case in CASES if slow or not case.slow]
    cases = {name: kept(name, lambda n=name: one_case(n)) for name in names}
    constructs = {name: kept(name, lambda n=name: one(run_construct, n)) for name in CONSTRUCTS}
    networks = Counter(
        kept(f"random network {seed}", lambda s=seed: one(run_random, s)) for seed in random_seeds(random)
    )
    return {"backend": target.backend, "options": target.options, "version": backend.version(), "cases": cases,
            "constructs": constructs, "random": dict(networks), "threads": bool(backend.threads),
            "problems": problems}  # fmt: skip


def checked(name: str) -> dict[str, Any]:
    """Return the table of a backend that checks networks and runs nothing."""
    found = {key: "refused" if refuses(name, key) else "checked" for key in CONSTRUCTS}
    return {"backend": name, "options": {}, "version": "", "cases": {}, "constructs": found, "random": {},
            "threads": False, "problems": []}  # fmt: skip


def refuses(backend: str, construct: str) -> bool:
    """Tell whether a backend refuses the network of a construct."""
    return bool(load_backend(backend).unsupported(_graph(construct)))


@functools.cache
def _graph(construct: str) -> Graph:
    return compile_network(CONSTRUCTS[construct](), **OPTIONS.get(construct, {}))


def outdated(tables: Mapping[str, Mapping[str, Any]], unsupported: Unsupported) -> list[str]:
    """Say in what tables (by label of the target) are not true any more; what CI runs makes sure of the rest.

    A table has to name every case and construct there is; what a backend that is installed refuses has to be what it
    refuses now; and the cases that do not pass have to be those of the list.
    """
    out: list[str] = []
    have = {str(table["backend"]) for table in tables.values()}
    out += [f"backend '{name}' has no table" for name in GENERAL if name not in have]
    out += [f"there is no backend '{name}' any more" for name in sorted(have - set(GENERAL))]
    for label, table in tables.items():
        name = table["backend"]
        out += [f"{label}: {problem}" for problem in table["problems"]]
        runs = any(said != "checked" for said in table["constructs"].values())
        quick = {case.name for case in CASES if not case.slow}
        if runs and not quick <= set(table["cases"]) <= set(BY_NAME):
            apart = ", ".join(sorted(quick ^ (set(table["cases"]) - {c.name for c in CASES if c.slow})))
            out.append(f"{label}: other cases than there are: {apart}")
        if set(table["constructs"]) != set(CONSTRUCTS):
            out.append(f"{label}: other constructs: {', '.join(sorted(set(table['constructs']) ^ set(CONSTRUCTS)))}")
            continue
        for case, said in table["cases"].items():
            listed = excuse(unsupported, case, name, label) is not None
            if listed != (said in BAD):
                out.append(f"{label}: '{said}' for case {case}, which the list {'holds' if listed else 'lacks'}")
        if name in BACKENDS and missing(name) is None:
            for construct, said in table["constructs"].items():
                if refuses(name, construct) != (said == "refused"):
                    out.append(f"{label}: '{said}' for '{construct}' is not what the backend says now")
    return out
