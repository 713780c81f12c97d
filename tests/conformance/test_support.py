"""README's table of support: what evidence/support.json holds is true, and this can fail."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from neurosim.conformance.cases import CASES
from neurosim.conformance.constructs import CONSTRUCTS
from neurosim.conformance.survey import outdated
from neurosim.conformance.unsupported import Entry, read_unsupported
from neurosim.registry import GENERAL

pytestmark = pytest.mark.checkout
ROOT = Path(__file__).resolve().parents[2]
LIST = read_unsupported(Path(__file__).with_name("unsupported.toml"))


@pytest.fixture
def tables() -> dict[str, Any]:
    with open(ROOT / "evidence" / "support.json", encoding="utf-8") as file:
        return json.load(file)["results"]["tables"]


def test_the_table_is_current(tables: dict[str, Any]) -> None:
    assert outdated(tables, LIST) == [], "run scripts/evidence support, then scripts/docs"


def test_every_backend_has_a_column(tables: dict[str, Any]) -> None:
    assert {table["backend"] for table in tables.values()} == set(GENERAL)


def test_a_table_that_is_not_true_is_seen(tables: dict[str, Any]) -> None:
    def says(change: Any) -> str:
        changed = copy.deepcopy(tables)
        change(changed)
        return "; ".join(outdated(changed, LIST))

    case, construct = CASES[0].name, next(iter(CONSTRUCTS))
    assert "'native' has no table" in says(lambda t: t.pop("native"))
    assert f"other cases than there are: {case}" in says(lambda t: t["native"]["cases"].pop(case))
    assert f"other constructs: {construct}" in says(lambda t: t["native"]["constructs"].pop(construct))
    refused = says(lambda t: t["native"]["constructs"].update({construct: "refused"}))
    assert f"native: 'refused' for '{construct}' is not what the backend says now" in refused
    assert f"'differs' for case {case}, which the list lacks" in says(
        lambda t: t["native"]["cases"].update({case: "differs"})
    )
    assert "native: oh" in says(lambda t: t["native"]["problems"].append("oh"))
    more = {**LIST, (case, "native"): Entry("not written", "no")}
    assert f"native: 'bits' for case {case}, which the list holds" in outdated(tables, more)


def test_a_backend_that_is_not_installed_keeps_its_column(
    tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be run here is not looked at; its words stay."""
    from neurosim.conformance import survey

    monkeypatch.setattr(survey, "missing", lambda name: "pip install it")
    construct = next(iter(CONSTRUCTS))
    tables["native"]["constructs"][construct] = "refused"
    assert outdated(tables, LIST) == []
