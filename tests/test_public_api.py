"""The public surface: ``__all__`` names what is there, all of it, in order; the version is the one in setup.cfg."""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import inspect
from pathlib import Path
from types import ModuleType

import pytest

# Where users import from. In the packages below, an import written `X as X` says that X is public.
PUBLIC = ["neurosim", "neurosim.models"]


def public_names(module: ModuleType) -> set[str]:
    """What stands in a module under a public name; submodules appear there by themselves and do not count."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and type(value).__name__ != "_Feature"
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_what_is_there(name: str) -> None:
    module = importlib.import_module(name)
    listed = list(getattr(module, "__all__", ()))
    assert listed == sorted(set(listed))
    for entry in listed:  # a name may be loaded on first use
        getattr(module, entry)
    modules = {entry for entry in listed if inspect.ismodule(getattr(module, entry))}
    dunders = {entry for entry in listed if entry.startswith("__")}
    assert set(listed) - modules - dunders == public_names(module)


@pytest.mark.checkout
def test_version(root: Path) -> None:
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    assert importlib.metadata.version("neurosim-snn") == config["metadata"]["version"]
    neurosim = importlib.import_module("neurosim")
    if hasattr(neurosim, "__version__"):
        assert neurosim.__version__ == config["metadata"]["version"]
