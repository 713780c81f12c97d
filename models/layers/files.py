"""Weights and states in safetensors files: no code is run by reading one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from neurosim.errors import ResultFileError


def save(module: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a module's parameters and buffers."""
    from safetensors.torch import save_file

    save_file({name: value.detach().contiguous().clone() for name, value in module.state_dict().items()}, path)


def load(module: nn.Module, path: str | os.PathLike[str]) -> None:
    """Read what :func:`save` wrote, into a module made with the same arguments."""
    _fill(module.state_dict(), path)


def save_state(state: Any, path: str | os.PathLike[str]) -> None:
    """Write a state: any nesting of tuples, lists and dictionaries with tensors or None at the ends."""
    from safetensors.torch import save_file

    save_file({name: value.detach().contiguous().clone() for name, value in _leaves(state, "state")}, path)


def load_state(like: Any, path: str | os.PathLike[str]) -> Any:
    """Return the state that :func:`save_state` wrote; ``like`` is one of the same shape."""
    from safetensors.torch import load_file

    return _rebuilt(like, _read(load_file, path), "state", path)


def _read(reader: Any, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    from safetensors import SafetensorError

    try:
        return reader(path)
    except (SafetensorError, OSError) as e:
        raise ResultFileError(f"'{path}' cannot be read as a safetensors file: {e}") from e


def _fill(target: dict[str, Tensor], path: str | os.PathLike[str]) -> None:
    from safetensors.torch import load_file

    found = _read(load_file, path)
    wrong = sorted(
        {n for n in target if n not in found or found[n].shape != target[n].shape} | (found.keys() - target.keys())
    )
    if wrong:
        raise ResultFileError(
            f"'{path}' does not hold the weights of this module: '{wrong[0]}' is missing, has another shape, or is of "
            "another module; make the module with the arguments with which it was saved"
        )
    for name, value in target.items():
        value.copy_(found[name])


def _children(state: Any) -> list[tuple[str, Any]] | None:
    if isinstance(state, dict):
        return [(str(k), v) for k, v in state.items()]
    return [(str(k), v) for k, v in enumerate(state)] if isinstance(state, (tuple, list)) else None


def _leaves(state: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    for key, value in _children(state) or []:
        if isinstance(value, Tensor):
            yield f"{name}.{key}", value
        elif value is not None:
            yield from _leaves(value, f"{name}.{key}")


def _rebuilt(like: Any, found: dict[str, Tensor], name: str, path: str | os.PathLike[str]) -> Any:
    if isinstance(like, Tensor):
        if name not in found:
            raise ResultFileError(f"'{path}' holds no '{name}': it is of another module, or no state")
        return found[name].to(like.device)
    children = _children(like)
    if children is None:
        return like
    values = [_rebuilt(value, found, f"{name}.{key}", path) for key, value in children]
    if isinstance(like, dict):
        return dict(zip(like, values, strict=True))
    return type(like)(*values) if hasattr(like, "_fields") else type(like)(values)
