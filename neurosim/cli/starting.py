"""What ``neurosim new`` does: a template of ``neurosim.templates`` under the user's name for it."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import os
import shlex
import sys
from importlib import resources

from neurosim.errors import ParameterError, UnknownNameError, suggest
from neurosim.recording.atomic import refusal, write_bytes

PLACEHOLDER = "my_network"
"""The name that stands in the templates, and the one that is taken where none is given."""

_MEANINGS = (
    "run it",
    "change an argument and a parameter, and draw a picture",
    "run it on two engines, and compare them spike by spike",
    "run it with several values of an argument",
    "do what stands at the end of the file",
)
"""Of the commands in a template's docstring, in their order."""


def templates() -> dict[str, str]:
    """Return name -> text of every template."""
    files = sorted(resources.files("neurosim.templates").iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".py"): file.read_text(encoding="utf-8")
        for file in files
        if file.name.endswith(".py") and not file.name.startswith("_")
    }


def summary(text: str) -> str:
    """Return what a template is, from the first line of its docstring."""
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0].partition(": ")[2].rstrip(".")


def new_command(place: str | None, template: str, force: bool) -> str:
    """Write a template to a file; return what to say."""
    known = templates()
    if template not in known:
        kinds = "".join(f"\n  {name:9} {summary(text)}" for name, text in known.items())
        raise UnknownNameError(f"no template '{template}'{suggest(template, known)}{kinds}")
    path = destination(place)
    name = os.path.basename(path).removesuffix(".py")
    if os.path.lexists(path) and not force:
        raise ParameterError(f"'{path}' is there already and was left as it is: give another name, or --force to write "
                             "over it")  # fmt: skip
    _acceptable(name, path)
    folder = os.path.dirname(path)
    try:
        if folder:
            os.makedirs(folder, exist_ok=True)
    except FileExistsError:
        raise ParameterError(f"cannot write '{path}': '{folder}' is a file, not a folder") from None
    except OSError as error:
        raise refusal(path, error) from None
    write_bytes(path, known[template].replace(PLACEHOLDER, name).encode())
    return told(path, name, known[template])


def destination(place: str | None) -> str:
    """Return the path of the file: a name gets its .py, a folder a file of the usual name."""
    if place is None:
        return f"{PLACEHOLDER}.py"
    if not place.strip():
        raise ParameterError("the name is empty: give one such as 'neurosim new retina'")
    if os.path.isdir(place) or place.endswith(("/", os.sep)):
        return os.path.join(place, f"{PLACEHOLDER}.py")
    return place if place.endswith(".py") else f"{place}.py"


def _acceptable(name: str, path: str) -> None:
    """Refuse a name under which the file could not be used."""
    if not (name.isascii() and name.isidentifier() and name[0].isalpha()):
        better = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_0123456789")
        raise ParameterError(f"'{name}' cannot name a network: use letters, digits and '_', a letter first, as in "
                             f"'{better if better.isidentifier() else PLACEHOLDER}'")  # fmt: skip
    if keyword.iskeyword(name):
        raise ParameterError(f"'{name}' is a word of Python's, which cannot name a module: take '{name}_net'")
    spec = None if name in sys.stdlib_module_names else importlib.util.find_spec(name)
    taken = spec is not None and spec.origin is not None and os.path.realpath(spec.origin) != os.path.realpath(path)
    if name in sys.stdlib_module_names or taken:
        raise ParameterError(f"there is a module '{name}' already, and a file of that name would hide it from every "
                             f"script beside it: take another name, such as '{name}_net'")  # fmt: skip


def told(path: str, name: str, text: str) -> str:
    """Return what was written and what to do with it: the commands that the template's docstring shows."""
    commands = [
        line.strip().replace(f"{PLACEHOLDER}.py", shlex.quote(path)).replace(PLACEHOLDER, name)
        for line in (ast.get_docstring(ast.parse(text)) or "").splitlines()
        if line.startswith("    ")
    ]
    lines = [f"wrote {path}", f"  {summary(text)}", "", "Open it and change what you like; it runs as it stands:"]
    for meaning, command in zip(_MEANINGS, commands, strict=True):
        lines += ["", f"  # {meaning}", *_wrapped(command)]
    return "\n".join([*lines, "", "'neurosim new --help' lists the other templates, 'neurosim doctor' the engines."])


def _wrapped(command: str) -> list[str]:
    """Return a command in lines of a terminal of 80 columns, each but the last continued."""
    lines = [""]
    for word in command.replace(" -", "\n-").split("\n"):  # an option and its value stay together
        if lines[-1] and len(lines[-1]) + len(word) > 74:
            lines.append("  " + word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip() if len(lines) == 1 else f"{lines[-1]} {word}"
    return [f"  {line}{'' if line is lines[-1] else ' ' + chr(92)}" for line in lines]
