"""Every case: its rule is found, first where it is the cause; the look-alike is silent; the verdict is the outcome."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from tests.catalogue import real
from tests.catalogue.table import CASES, table
from tui.core.assemble import read_directory
from tui.core.deep.verify import verify
from tui.core.diagnosis import adapters
from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.groups import GROUPS
from tui.core.diagnosis.proofs import proofs
from tui.core.estimate import estimate
from tui.core.report.model import Triage, triage_of
from tui.triage.flow import triage_all
from tui.triage.options import Options

if TYPE_CHECKING:
    from pathlib import Path

    from tests.catalogue.case import Case

pytestmark = pytest.mark.loader


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """(rule, 0 for the case and 1 for its look-alike) → the directory that was built."""
    top = tmp_path_factory.mktemp("catalogue")
    made: dict[tuple[str, int], Path] = {}
    for case in CASES:
        for number, build in enumerate((case.built, case.alike)):
            root = top / case.rule / ("case", "like")[number] / case.names[number]
            root.mkdir(parents=True)
            build(root)
            made[case.rule, number] = root
    return made


@pytest.fixture(scope="module")
def triages(places: dict[tuple[str, int], Path]) -> dict[tuple[str, int], Triage]:
    """What the program says of each: one worker for all that are asked about alike."""
    found: dict[tuple[str, int], Triage] = {}
    asked: list[tuple[str, tuple[str, int]]] = []
    for case in CASES:
        for number in (0, 1):
            key = (case.rule, number)
            if case.packages[number] or case.machines[number] or case.deep:
                found[key] = _elsewhere(case, number, places[key])
            else:
                asked.append((case.classes[number] or "", key))
    for name, group in groupby(sorted(asked), key=lambda item: item[0]):
        keys = [key for _, key in group]
        checkpoints = [read_directory(places[key], str(places[key])) for key in keys]
        report = asyncio.run(triage_all(checkpoints, Options(model_class=name or None)))
        found.update(zip(keys, report.triages, strict=True))
    return found


def _elsewhere(case: Case, number: int, root: Path) -> Triage:
    """What the program says of it in another environment, on another machine, or once every byte is read."""
    checkpoint, machine = read_directory(root, str(root)), case.machines[number]
    made = estimate(checkpoint, machine) if machine is not None else None
    read = verify(checkpoint) if case.deep else None
    packages = case.packages[number] or None
    return triage_of(Evidence(checkpoint, packages=packages, available=machine, estimate=made, deep=read))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_the_rule_names_the_cause(case: Case, triages: dict[tuple[str, int], Triage]) -> None:
    findings = triages[case.rule, 0].findings
    assert case.rule in {item.rule for item in findings}, [item.rule for item in findings]
    if case.first:
        assert findings[0].rule == case.rule, [item.rule for item in findings]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_the_look_alike_is_silent(case: Case, triages: dict[tuple[str, int], Triage]) -> None:
    assert case.rule not in {item.rule for item in triages[case.rule, 1].findings}


@pytest.mark.parametrize("case", [case for case in CASES if case.loader != "recorded"], ids=lambda case: case.rule)
def test_the_real_loader_says_so(
    case: Case, places: dict[tuple[str, int], Path], triages: dict[tuple[str, int], Triage]
) -> None:
    outcome, words = real.outcome(case, places[case.rule, 0])
    assert case.says in words, words
    if case.loader in ("transformers", "torch"):
        assert triages[case.rule, 0].verdict == outcome, words


def test_a_group_of_rules_that_does_not_apply_has_nothing_to_say(places: dict[tuple[str, int], Path]) -> None:
    skipped = 0
    for place in places.values():
        evidence = Evidence(read_directory(place, str(place)))
        for group in GROUPS:
            if not group.applies(evidence) and adapters.ranks not in group.rules:  # those rely on their group
                assert [item.rule for rule in group.rules for item in rule(evidence)] == [], place
                skipped += 1
    assert skipped > len(places)


def test_the_table_in_the_help_is_made_from_these_cases() -> None:
    made, kept = table({}), proofs().rules
    assert {rule: (item.case, item.look_alike, item.samples) for rule, item in made.items()} == {
        rule: (item.case, item.look_alike, item.samples) for rule, item in kept.items()
    }
    assert all(case.says in kept[case.rule].says for case in CASES)
