from __future__ import annotations

import pytest

from tests.conformance import run
from tests.conformance.healthy import accused, healthy

pytestmark = [pytest.mark.conformance, pytest.mark.loader, pytest.mark.timeout(600)]
SHARE = 0.012


async def test_prediction_equals_the_load_on_a_sample_of_all_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[run.Case] = []
    monkeypatch.setattr(run, "yield_cases", kept.extend)
    await run.check(run.sampled(SHARE), set())
    assert len({case.model_class for case in kept}) >= 5
    assert [run.as_line(case) for case in kept if not case.agrees] == []


async def test_healthy_models_of_a_dozen_families_are_not_accused() -> None:
    found = [(name, accused(triage)) async for name, triage in healthy(12)]
    assert len(found) == 12
    assert [item for item in found if item[1]] == []
