"""Weights of TensorFlow and Keras in the Compare view: asked about when they are looked at, said to be unknown else."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY, SAMPLES
from tests.ui.test_explorer import explorer, text, until
from tui.triage.options import Options
from tui.triage.session import Session
from tui.ui.app import CkptriageApp

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.loader, pytest.mark.timeout(300)]
ENCODERS = REPOSITORY / "tests" / "tensorflow" / "data" / "encoders"


async def _compared(path: Path, wanted: str) -> str:
    """The Compare view once it holds `wanted`, without its line breaks; the verdict is what it was."""
    session = Session([str(path)], Options())
    app = CkptriageApp(session)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(app.screen_stack) > 1 and explorer(app).triage is not None)
        await pilot.pause(0.3)
        assert not session.compared
        verdict = session.triages[str(path)].verdict
        await pilot.press("3")
        await until(pilot, lambda: wanted in " ".join(text(app, "compare").split()), 120)
        assert session.triages[str(path)].verdict == verdict
        assert session.triages[str(path)].comparison is None
        return " ".join(text(app, "compare").split())


async def test_a_bert_of_the_model_garden_is_compared_under_transformers_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(ENCODERS / "garden-objects.zip") as archive:
        archive.extractall(tmp_path / "bert")
    (tmp_path / "bert" / "answer.json").unlink()
    shown = await _compared(tmp_path / "bert", "39 match · 0 missing")
    assert "class BertModel" in shown
    assert "✗ NotConverted: transformers 5 reads no weights of TensorFlow or Keras" in shown


async def test_a_file_without_a_config_is_compared_under_the_recovered_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(ENCODERS / "transformers-h5-alone.zip") as archive:
        archive.extract("weights.h5", tmp_path)
    shown = await _compared(tmp_path / "weights.h5", "41 match · 0 missing")
    assert "config recovered from the weights: BertForSequenceClassification (bert)" in shown
    assert "1 guessed (num_attention_heads)" in shown
    assert "✗ NotConverted" in shown


async def test_names_that_nobody_knows_are_no_comparison() -> None:
    shown = await _compared(SAMPLES / "keras-lambda", "✗ NotTranslated")
    assert "Whether a class would fit them is not known" in shown
    assert "0 match" not in shown
