from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import tensorflow_models
from tests.conftest import SAMPLES
from tests.gallery import Sample, gallery
from tui.triage.flow import triage_all
from tui.triage.options import Options
from tui.triage.paths import checkpoints

if TYPE_CHECKING:
    from tui.core.report.model import Triage

pytestmark = pytest.mark.loader


@pytest.fixture(scope="module")
def triages() -> dict[str, Triage]:
    import asyncio

    report = asyncio.run(triage_all(checkpoints([str(SAMPLES)]), Options()))
    return {Path(triage.checkpoint.path).name: triage for triage in report.triages}


def test_every_sample_is_in_the_table_and_every_row_has_a_sample() -> None:
    assert {entry.name for entry in SAMPLES.iterdir() if entry.is_dir()} == {sample.name for sample in gallery()}


@pytest.mark.parametrize("sample", gallery(), ids=lambda sample: sample.name)
def test_the_rules_of_the_table_are_found_and_no_other_error(sample: Sample, triages: dict[str, Triage]) -> None:
    triage = triages[sample.name]
    found = {item.rule for item in triage.findings}
    assert set(sample.rules) <= found
    errors = {item.rule for item in triage.findings if item.severity == "error"}
    assert errors <= set(sample.rules)
    assert triage.verdict == sample.verdict
    for item in triage.findings:
        assert item.evidence
        assert item.fix


OTHER = {
    "gguf-tiny": "gguf", "gguf-truncated": "gguf", "onnx-external-missing": "onnx", "adapter-wrong-rank": "peft",
    "numpy-objects": "numpy",
}  # fmt: skip
"""Samples of other formats, and the library that is their loader."""


def _other(library: str, root: Path) -> tuple[str, Any]:
    """The outcome of that library's own loader on the one file, or on the directory."""
    loader = pytest.importorskip(library)
    [file] = [path for path in root.iterdir() if path.suffix in (".gguf", ".onnx", ".npz", ".safetensors")]
    try:
        if library == "gguf":
            loader.GGUFReader(file)
        elif library == "onnx":
            loader.load(file)
        elif library == "numpy":
            dict(loader.load(file))
        else:
            import transformers

            base = transformers.BertForTokenClassification.from_pretrained(SAMPLES / "bert-ner")
            loader.PeftModel.from_pretrained(base, str(root))
    except Exception as error:
        return "fails", error
    return "loads", None


_TENSORFLOW = frozenset(row.name for row in tensorflow_models.SAMPLES)


def _telling(says: str) -> list[str]:
    """The pieces of a message in the table that are long enough to be one's own."""
    pieces = re.split(r"…|; |: |tfhub-[\w-]+|\(", says.replace("\\", ""))
    return [piece.strip(" .") for piece in pieces if len(piece.strip()) > 24 and "exception" not in piece]


def _real_tensorflow(root: Path) -> tuple[str, Any]:
    """`hub.load` and one call, or the file's own loader: by hand, not through the program's own plan."""
    import tensorflow as tf
    import tensorflow_hub as hub

    def ids() -> Any:
        return tf.ones([2, 6], tf.int32)

    named = {name: ids() for name in ("input_word_ids", "input_mask", "input_type_ids")}
    try:
        if root.name.startswith("keras-"):
            import keras

            [file] = root.iterdir()
            keras.models.load_model(file)
        elif root.name == "google-bert-checkpoint":
            reader = tf.train.load_checkpoint(str(root / "bert_model.ckpt"))
            assert reader.get_tensor("bert/pooler/dense/kernel").shape == (8, 8)
        else:
            model = hub.load(str(root))
            text = "text" in root.name or "preprocess" in root.name
            model(tf.constant(["a sentence"]) if text else list(named.values()) if "list" in root.name else named)
    except Exception as error:
        return "fails", error
    return "loads", None


def _real(sample: str) -> tuple[str, Any]:
    """The real loader's outcome: `loads`, `degraded` by its own loading info, or `fails`."""
    import torch
    import transformers

    root = SAMPLES / sample
    if sample in OTHER:
        return _other(OTHER[sample], root)
    if sample in _TENSORFLOW:
        return _real_tensorflow(root)
    if sample.startswith("torch-"):
        [file] = [path for path in root.iterdir() if path.suffix == ".pt"]
        try:
            torch.load(file, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            return "fails", error
        return "loads", None
    config = root / "config.json"
    name = "AutoModel"
    if config.exists():
        import json

        named = json.loads(config.read_text("utf-8")).get("architectures", ["AutoModel"])[0]
        name = named if hasattr(transformers, named) else "AutoModel"
    try:
        _, info = getattr(transformers, name).from_pretrained(root, output_loading_info=True)
    except Exception as error:
        return "fails", error
    return ("degraded" if info["missing_keys"] or info["unexpected_keys"] else "loads"), info


@pytest.mark.parametrize("sample", gallery(), ids=lambda sample: sample.name)
def test_verdict_equals_outcome(sample: Sample, triages: dict[str, Triage]) -> None:
    outcome, detail = _real(sample.name)
    triage = triages[sample.name]
    tokenizer_only = {"tokenizer-len-gt-embed", "tokenizer-files-missing", "tokenizer-case-mismatch"}
    if set(sample.rules) & tokenizer_only:
        assert outcome == "loads"
        assert triage.verdict == "degraded"
        return
    assert triage.verdict == outcome, detail
    if sample.name in _TENSORFLOW and outcome == "fails":
        assert any(words in str(detail) for words in _telling(sample.says)), (sample.says, detail)
    if outcome == "degraded" and triage.comparison is not None:
        assert set(triage.comparison.missing) == set(detail["missing_keys"])
        assert set(triage.comparison.unexpected) == set(detail["unexpected_keys"])
    if outcome == "fails" and triage.comparison is not None and triage.comparison.error is not None:
        assert triage.comparison.error[0] == type(detail).__name__
        first = triage.comparison.error[1].split(str(SAMPLES))[0][:60]
        assert first in str(detail)


def test_the_tokenizer_samples_are_what_they_say() -> None:
    import transformers

    def load(name: str) -> Any:
        return transformers.AutoTokenizer.from_pretrained(SAMPLES / name)

    assert len(load("bert-ner-tokenizer-missing")) == 5
    assert len(load("bert-ner-tokenizer-larger")) > 300
    cased = load("bert-ner-cased")
    assert cased.tokenize("London") == ["[UNK]"]
    assert load("bert-ner").tokenize("London") != ["[UNK]"]
