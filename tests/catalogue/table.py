"""The table of rules with what proves them, made from the cases, the gallery and the recorded messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.catalogue import contents, files, machines, models, others
from tests.catalogue.words import WORDS
from tests.gallery import gallery
from tui.core.diagnosis.pages import PAGES
from tui.core.diagnosis.proofs import Proof

if TYPE_CHECKING:
    from tests.catalogue.case import Case

CASES: list[Case] = [*files.CASES, *models.CASES, *contents.CASES, *machines.CASES, *others.CASES]


def table(heard: dict[str, str]) -> dict[str, Proof]:
    """Rule → proof; `heard` has the first line of each loader's message by rule."""
    cases = {case.rule: case for case in CASES}
    recorded = dict(WORDS)
    samples: dict[str, list[str]] = {}
    for sample in gallery():
        for rule in sample.rules:
            samples.setdefault(rule, []).append(sample.name)
    out: dict[str, Proof] = {}
    for rule in PAGES:
        case = cases.get(rule)
        says = heard.get(rule, "") or (case.says if case is not None else "") or recorded.get(rule, "")
        proof = Proof(
            case.what if case is not None else "",
            case.like if case is not None else "",
            says,
            (case.loader if case is not None else "recorded") if says else "",
            tuple(samples.get(rule, ())),
        )
        if proof != Proof():
            out[rule] = proof
    return out
