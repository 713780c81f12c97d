"""The suite's tests need the pytest plugin that neurosim brings."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.has_plugin("neurosim_conformance"):
        raise pytest.UsageError(
            "the plugin neurosim_conformance is not installed: this checkout was installed by an earlier version, so "
            "run pip install -e '.[test,dev]' -c constraints.txt once more"
        )
