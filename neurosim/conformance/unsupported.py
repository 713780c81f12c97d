"""The list of cases that a backend is known not to pass, each with a reason.

An entry whose case passes fails the run, so the list can only shrink by itself.
"""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurosim.conformance.cases import BY_NAME
from neurosim.errors import ParameterError, suggest

REASONS = {
    "no such construct": "the engine cannot express it",
    "other semantics": "the engine has it, and it means something else: the note says what",
    "not written": "the engine could, the backend does not yet",
}
"""Why a case does not pass: the vocabulary of unsupported.toml."""


@dataclass(frozen=True)
class Entry:
    """Why a case does not pass on a backend."""

    reason: str
    note: str


Unsupported = Mapping[tuple[str, str], Entry]
"""(case, backend or label of a target) -> the reason."""


def read_unsupported(path: str | Path) -> Unsupported:
    """Read a list of cases that do not pass.

    A file of entries ``[[unsupported]]`` with ``cases`` (a list of names), ``backend`` (a name, or one with options as
    in ``"brian2:mode=standalone"``), ``reason`` (one of :data:`REASONS`) and ``note`` (a sentence for the reader).

    Raises
    ------
    ParameterError
        Not such a file, a case that does not exist, a reason outside the vocabulary, an empty note, a case twice.
    """
    try:
        with open(path, "rb") as file:
            rows = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise ParameterError(f"the list of unsupported cases cannot be read from {path}: {e}") from e
    if set(rows) - {"unsupported"}:
        raise ParameterError(
            f"{path}: entries are called [[unsupported]], not {', '.join(set(rows) - {'unsupported'})}"
        )
    out: dict[tuple[str, str], Entry] = {}
    for k, row in enumerate(rows.get("unsupported", []), 1):
        where = f"entry {k} of {path}"
        if set(row) != {"cases", "backend", "reason", "note"}:
            raise ParameterError(
                f"{where} needs cases, backend, reason and note, and has {', '.join(row) or 'nothing'}"
            )
        if row["reason"] not in REASONS:
            raise ParameterError(f"{where}: the reason must be one of {', '.join(REASONS)}, not {row['reason']!r}")
        if not str(row["note"]).strip() or not row["cases"] or not isinstance(row["cases"], list):
            raise ParameterError(f"{where}: cases must be a list of names, and the note a sentence")
        for name in row["cases"]:
            if name not in BY_NAME:
                raise ParameterError(f"{where}: no case '{name}'{suggest(str(name), BY_NAME)}")
            if (name, row["backend"]) in out:
                raise ParameterError(f"{where}: '{name}' is listed for '{row['backend']}' twice")
            out[name, row["backend"]] = Entry(row["reason"], row["note"])
    return out


def excuse(unsupported: Unsupported, case: str, backend: str, label: str) -> Entry | None:
    """Return the entry for a case, under the backend's name with its options or without, if there is one."""
    return unsupported.get((case, label)) or unsupported.get((case, backend))


def write_refused(path: str | Path, rows: Iterable[Sequence[str]]) -> None:
    """Write a list to start from: (case, backend, what it said) each, those refused for the same in one entry."""
    together: dict[tuple[str, str], list[str]] = {}
    for case, backend, message in rows:
        said = message.partition("cannot run this network: ")[2].partition("; run it with")[0] or message
        said = re.split(r" \(| (?:in|of) population", said)[0]  # what it is, without the names of this network
        together.setdefault((backend, said), []).append(case)
    lines = [f"# {reason}: {meaning}" for reason, meaning in REASONS.items()]
    for (backend, said), cases in together.items():
        names = textwrap.fill(", ".join(json.dumps(case) for case in cases), 116)
        lines += ["", "[[unsupported]]", "cases = [", textwrap.indent(names, "    ") + ",", "]",
                  f"backend = {json.dumps(backend)}", 'reason = "not written"',
                  f"note = {json.dumps(said, ensure_ascii=False)}"]  # fmt: skip
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
