"""`tf_model.h5` as transformers 4 wrote it: what that made of it is what our names, shapes and program say."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import load_file

from tests.conftest import as_printed
from tests.triage.test_command_line import answer
from tui.core.assemble import read_directory
from tui.core.diagnosis import keras_weights
from tui.core.diagnosis.evidence import Evidence
from tui.core.report.model import triage_of

pytestmark = pytest.mark.loader
pytest.importorskip("h5py")
DATA = Path(__file__).parent / "data"
CLASSES = {
    "bert": "BertForSequenceClassification", "gpt2": "GPT2LMHeadModel", "vit": "ViTForImageClassification",
    "t5": "T5ForConditionalGeneration",
}  # fmt: skip


def _copy(name: str, place: Path) -> Path:
    """The files as a user has them."""
    target = place / f"it's {name}"
    target.mkdir()
    for file in ("config.json", "tf_model.h5"):
        shutil.copy(DATA / name / file, target / file)
    return target


@pytest.mark.parametrize("name", CLASSES)
def test_names_and_shapes_are_those_that_transformers_4_made(name: str, tmp_path: Path) -> None:
    checkpoint = read_directory(_copy(name, tmp_path), "x")
    ours = {tensor.name: tensor.shape for tensor in keras_weights.as_transformers(checkpoint).tensors}
    theirs = {key: value.shape for key, value in load_file(DATA / name / "as_transformers_4.safetensors").items()}
    assert ours == theirs


@pytest.mark.parametrize("name", CLASSES)
def test_the_printed_program_converts_as_transformers_4_did(name: str, tmp_path: Path) -> None:
    import transformers

    source = _copy(name, tmp_path)
    [finding] = [item for item in triage_of(Evidence(read_directory(source, "x"))).findings if item.fix]
    assert finding.rule == "shard-no-weights"
    done = as_printed(finding.fix[0])
    assert done.returncode == 0, done.stderr[-2000:]
    made = Path(f"{source}-safetensors")
    ours = load_file(made / "model.safetensors")
    for key, value in load_file(DATA / name / "as_transformers_4.safetensors").items():
        assert numpy.array_equal(ours.pop(key), value), key
    assert not ours
    _, info = getattr(transformers, CLASSES[name]).from_pretrained(made, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    again = as_printed(finding.fix[0])
    assert "is there already" in again.stderr


def test_it_is_compared_under_torchs_names_and_still_fails(tmp_path: Path) -> None:
    import transformers

    source = _copy("bert", tmp_path)
    code, told = answer("compare", str(source), "--json")
    assert (code, told["model_class"], told["loads"]) == (1, "BertForSequenceClassification", False)
    assert (told["matched"], told["missing"], told["unexpected"], told["mismatched"]) == (41, [], [], [])
    code, told = answer("compare", str(source), "--json", "--set", "intermediate_size=32")
    assert {item["key"].rpartition(".")[0] for item in told["mismatched"]} == {
        f"bert.encoder.layer.{number}.{part}.dense" for number in (0, 1) for part in ("intermediate", "output")
    }
    with pytest.raises(OSError, match=r"no file named model\.safetensors") as raised:
        transformers.BertForSequenceClassification.from_pretrained(source)
    _, told = answer("check", str(source), "--json")
    [checkpoint] = told["checkpoints"]
    assert checkpoint["verdict"] == "fails"
    [finding] = [item for item in checkpoint["findings"] if item["rule"] == "shard-no-weights"]
    assert "transformers 5 reads no more" in finding["evidence"][0]
    assert str(raised.value)[:60] in finding["evidence"][1]


def test_weights_of_torch_beside_it_are_what_is_loaded(tmp_path: Path) -> None:
    source = _copy("bert", tmp_path)
    shutil.copy(DATA / "bert" / "as_transformers_4.safetensors", source / "model.safetensors")
    checkpoint = read_directory(source, "x")
    assert keras_weights.tf_model(checkpoint) is None
    assert keras_weights.as_transformers(checkpoint) is checkpoint
    assert answer("check", str(source), "--json")[1]["checkpoints"][0]["verdict"] == "loads"


def test_a_family_with_rules_of_its_own_is_marked(tmp_path: Path) -> None:
    source = _copy("bert", tmp_path)
    config = source / "config.json"
    config.write_text(config.read_text("utf-8").replace('"model_type": "bert"', '"model_type": "mobilebert"'), "utf-8")
    [finding] = [
        item for item in triage_of(Evidence(read_directory(source, "x"))).findings if item.rule == "shard-no-weights"
    ]
    assert "the names of mobilebert may follow rules of its own" in finding.evidence


NAMES = {
    ("g/scope/layer_._3/attn/kernel:0", (2, 4)): ("layer.3.attn.weight", (4, 2)),
    ("g/scope/conv/kernel:0", (3, 3, 2, 8)): ("conv.weight", (8, 2, 3, 3)),
    ("g/scope/conv/kernel:0", (5, 2, 8)): ("conv.weight", (8, 2, 5)),
    ("g/scope/norm/gamma:0", (4,)): ("norm.weight", (4,)),
    ("g/scope/norm/beta:0", (4,)): ("norm.bias", (4,)),
    ("g/scope/words/embeddings:0", (9, 4)): ("words.weight", (9, 4)),
    ("g/scope/c_attn/bias:0", (1, 12)): ("c_attn.bias", (12,)),
    ("g/scope/one___two/x/weight:0", (3,)): ("two.x.weight", (3,)),
    ("g/final_logits_bias:0", (1, 9)): ("final_logits_bias", (1, 9)),
    ("g/scope/sep/pointwise_kernel:0", (1, 4, 8)): ("sep.pointwise.weight", (8, 4, 1)),
    ("odd", ()): ("odd", ()),
}  # fmt: skip


@pytest.mark.parametrize("given", NAMES)
def test_single_names(given: tuple[str, tuple[int, ...]]) -> None:
    assert keras_weights.translated(*given) == NAMES[given]


def test_names_from_files_that_mean_harm_take_no_time() -> None:
    for name in ("g/" + "___" * 5000 + "/x", "g/" + "a/" * 30_000, "/", "", "g/" + "_._" * 9000):
        keras_weights.translated(name, (1, 2, 3, 4, 5))
