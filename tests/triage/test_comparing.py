"""What the loader is asked beyond missing and unexpected keys: the field behind it, edits, refused values, drafts."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import torch
import transformers

from tests.conformance.run import build
from tui.core.assemble import read_directory
from tui.loading.worker import Worker
from tui.triage.ask import Asker, header_digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tui.core.compare import Comparison

pytestmark = [pytest.mark.loader, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def asker() -> AsyncIterator[Asker]:
    worker = Worker()
    yield Asker(worker)
    await worker.close()


def saved(place: Path, model_type: str, name: str, **changes: Any) -> Path:
    """A tiny model of the library's own, its config.json changed afterwards."""
    build(model_type, name).save_pretrained(place)
    path = place / "config.json"
    config = json.loads(path.read_text("utf-8"))
    for key, value in changes.items():
        part = config
        *steps, last = key.split("__")
        for step in steps:
            part = part[step]
        part[last] = value
    path.write_text(json.dumps(config), "utf-8")
    return place


async def ask(asker: Asker, place: Path, name: str | None = None, **options: Any) -> Comparison:
    return await asker.compare(read_directory(place, str(place)), name, **options)


FIELDS = [
    ("bert", "BertForTokenClassification", "hidden_size", 64, 32),
    ("bert", "BertForTokenClassification", "vocab_size", 120, 99),
    ("bert", "BertForTokenClassification", "num_hidden_layers", 3, 2),
    ("bert", "BertForTokenClassification", "type_vocab_size", 4, 2),
    ("gpt2", "GPT2LMHeadModel", "n_layer", 4, 2),
    ("llama", "LlamaForCausalLM", "num_key_value_heads", 4, 2),
    ("llama", "LlamaForCausalLM", "head_dim", 16, 8),
    ("mixtral", "MixtralForCausalLM", "num_local_experts", 8, 4),
    ("t5", "T5ForConditionalGeneration", "d_kv", 16, 8),
    ("vit", "ViTForImageClassification", "image_size", 64, 32),
    ("opt", "OPTForCausalLM", "max_position_embeddings", 128, 64),
    ("gemma3_text", "Gemma3ForCausalLM", "intermediate_size", 96, 48),
]


@pytest.mark.parametrize(("model_type", "name", "field", "wrong", "right"), FIELDS)
async def test_the_field_behind_differences_is_found(
    asker: Asker, tmp_path: Path, model_type: str, name: str, field: str, wrong: int, right: int
) -> None:
    place = saved(tmp_path / "model", model_type, name, **{field: wrong})
    found = await ask(asker, place, candidates=False)
    assert [(item.field, item.config, item.weights) for item in found.fields] == [(field, wrong, right)]
    mended = await ask(asker, place, changes={field: right}, candidates=False)
    assert mended.loads and not (mended.missing or mended.unexpected or mended.mismatched)


async def test_a_field_that_the_file_leaves_out_is_found(asker: Asker, tmp_path: Path) -> None:
    place = saved(tmp_path / "model", "bert", "BertForTokenClassification")
    config = json.loads((place / "config.json").read_text("utf-8"))
    del config["intermediate_size"]
    (place / "config.json").write_text(json.dumps(config), "utf-8")
    found = await ask(asker, place, candidates=False)
    assert [(item.field, item.config, item.weights) for item in found.fields] == [("intermediate_size", 3072, 48)]


REFUSED = [
    ({"hidden_size": 33}, "hidden_size", "not a multiple of the number of attention heads"),
    ({"hidden_size": "32"}, "hidden_size", "expected int, got str"),
    ({"hidden_act": "geluu"}, "hidden_act", "geluu"),
    ({"vocab_size": -1}, "vocab_size", "negative dimension"),
]


@pytest.mark.parametrize(("changes", "field", "words"), REFUSED)
async def test_a_value_that_the_class_refuses_is_blamed(
    asker: Asker, tmp_path: Path, changes: dict[str, Any], field: str, words: str
) -> None:
    place = saved(tmp_path / "model", "bert", "BertForTokenClassification", **changes)
    with pytest.raises(Exception, match=words):
        transformers.AutoModelForTokenClassification.from_pretrained(place)
    found = await ask(asker, place, candidates=False)
    assert found.loads is False
    assert found.error is not None
    assert words in found.error[1]
    assert [item.field for item in found.blamed] == [field]


async def test_layer_types_that_contradict_the_layer_count_are_blamed(asker: Asker, tmp_path: Path) -> None:
    place = saved(tmp_path / "model", "gemma3_text", "Gemma3ForCausalLM", num_hidden_layers=5)
    found = await ask(asker, place, candidates=False)
    assert found.error is not None
    assert "layer_types" in found.error[1]
    assert found.blamed
    assert found.blamed[0].field in ("num_hidden_layers", "layer_types")


async def test_nothing_is_blamed_where_the_class_builds(asker: Asker, tmp_path: Path) -> None:
    found = await ask(asker, saved(tmp_path / "model", "bert", "BertForTokenClassification"), candidates=False)
    assert found.loads
    assert (found.blamed, found.fields, found.unknown_fields) == ((), (), ())


async def test_an_alias_edits_the_key_that_is_in_the_file(asker: Asker, tmp_path: Path) -> None:
    place = saved(tmp_path / "model", "gpt2", "GPT2LMHeadModel")
    found = await ask(asker, place, changes={"hidden_size": 64}, candidates=False)
    assert found.edited is not None
    assert found.edited["n_embd"] == 64
    assert "hidden_size" not in found.edited
    assert found.mismatched
    assert "hidden_size is n_embd in this file" in found.edit_notes


async def test_layer_types_follow_the_layer_count(asker: Asker, tmp_path: Path) -> None:
    place = saved(tmp_path / "model", "gemma3_text", "Gemma3ForCausalLM")
    found = await ask(asker, place, changes={"num_hidden_layers": 3}, candidates=False)
    assert found.error is None
    assert found.edited is not None
    assert len(found.edited["layer_types"]) == 3
    assert any("layers.2." in key for key in found.missing)


async def test_labels_are_renamed_and_counted_in_both_maps(asker: Asker, tmp_path: Path) -> None:
    place = saved(tmp_path / "model", "bert", "BertForTokenClassification", id2label={"0": "O", "1": "PER"})
    found = await ask(asker, place, changes={"num_labels": 3}, candidates=False)
    assert found.edited is not None
    assert found.edited["id2label"] == {"0": "O", "1": "PER", "2": "LABEL_2"}
    assert found.edited["label2id"] == {"O": 0, "PER": 1, "LABEL_2": 2}
    assert {item.key for item in found.mismatched} == {"classifier.weight", "classifier.bias"}


async def test_unknown_keys_are_marked_and_known_ones_are_not(asker: Asker, tmp_path: Path) -> None:
    place = saved(
        tmp_path / "model", "bert", "BertForTokenClassification", hiden_size=48, torch_dtype="float32", my_note="x"
    )
    found = await ask(asker, place, candidates=False)
    assert dict(found.unknown_fields) == {"hiden_size": "", "my_note": ""}
    config = json.loads((place / "config.json").read_text("utf-8"))
    del config["hidden_size"]
    (place / "config.json").write_text(json.dumps(config), "utf-8")
    assert dict((await ask(asker, place, candidates=False)).unknown_fields)["hiden_size"] == "hidden_size"


DRAFTED = [
    ("bert", "BertForTokenClassification", ("hidden_size", "vocab_size", "num_hidden_layers", "intermediate_size")),
    ("gpt2", "GPT2LMHeadModel", ("n_embd", "n_layer", "vocab_size")),
    ("t5", "T5ForConditionalGeneration", ("d_model", "d_ff", "num_layers")),
    ("vit", "ViTForImageClassification", ("hidden_size", "image_size", "patch_size")),
    ("qwen3_moe", "Qwen3MoeForCausalLM", ("hidden_size", "moe_intermediate_size", "num_hidden_layers")),
]


@pytest.mark.parametrize(("model_type", "name", "fields"), DRAFTED)
async def test_a_config_is_recovered_from_the_weights(
    asker: Asker, tmp_path: Path, model_type: str, name: str, fields: tuple[str, ...]
) -> None:
    place = saved(tmp_path / "model", model_type, name)
    truth = json.loads((place / "config.json").read_text("utf-8"))
    (place / "config.json").unlink()
    found = await ask(asker, place)
    assert found.loads is False
    draft, under = found.drafts[0], found.drafted
    assert under is not None
    assert (draft.model_type, draft.model_class, draft.differences) == (model_type, name, 0)
    assert {field: draft.config[field] for field in fields} == {field: truth[field] for field in fields}
    assert all(draft.marks[field] == "inferred" for field in fields)
    assert under.loads and not (under.missing or under.unexpected or under.mismatched)
    (place / "config.json").write_text(json.dumps(draft.config), "utf-8")
    _, info = getattr(transformers, name).from_pretrained(place, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


async def test_no_draft_for_names_of_no_family(asker: Asker, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"alpha": torch.zeros(2), "beta.gamma": torch.zeros(3)}, str(tmp_path / "model.safetensors"))
    found = await ask(asker, tmp_path)
    assert (found.drafts, found.drafted) == ((), None)
    assert found.error is not None
    assert "Unrecognized model" in found.error[1]


async def test_a_withdrawn_audit_is_ended_and_the_next_question_is_answered(asker: Asker, tmp_path: Path) -> None:
    place = saved(tmp_path / "model", "bert", "BertForTokenClassification")
    await ask(asker, place, mode="live", candidates=False)
    waiting = asyncio.create_task(ask(asker, place, changes={"intermediate_size": 64}, candidates=False))
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    began = time.monotonic()
    answer = await ask(asker, place, changes={"intermediate_size": 65}, mode="live", candidates=False)
    assert len(answer.mismatched) == 6
    assert time.monotonic() - began < 30
    audited = await ask(asker, place, changes={"intermediate_size": 64}, candidates=False)
    assert (audited.path, len(audited.mismatched), audited.disagreement) == ("audit", 6, ())


async def test_audits_leave_the_worker_as_it_was(asker: Asker, tmp_path: Path) -> None:
    """The copies that audit are gone afterwards: no child of the worker is left."""
    import psutil

    place = saved(tmp_path / "model", "gpt2", "GPT2LMHeadModel")
    for size in (64, 96, 128):
        await ask(asker, place, changes={"n_inner": size}, fields=False, candidates=False)
    worker = asker.worker._child
    assert worker is not None
    assert worker.process is not None
    assert psutil.Process(worker.process.pid).children() == []


async def test_the_live_path_alone_says_that_it_was_not_audited(
    asker: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = saved(tmp_path / "model", "bert", "BertForTokenClassification")
    assert (await ask(asker, place, mode="live", candidates=False)).path == "live"
    assert (await ask(asker, place, mode="audit", candidates=False)).path == "audit"


BAD = [
    {"num_hidden_layers": 10**12},
    {"layer_norm_eps": float("nan")},
    {"vocab_size": 10**400},
    {"hidden_size": None},
    {"id2label": [1, 2]},
    {"num_attention_heads": 0},
]


@pytest.mark.parametrize("changes", BAD)
async def test_absurd_values_are_answered(asker: Asker, tmp_path: Path, changes: dict[str, Any]) -> None:
    place = saved(tmp_path / "model", "bert", "BertForTokenClassification", **changes)
    found = await ask(asker, place, candidates=False)
    assert found.loads is not None
    fine = saved(tmp_path / "fine", "bert", "BertForTokenClassification")
    assert (await ask(asker, fine, candidates=False)).loads


async def test_a_class_that_does_not_exist(asker: Asker, tmp_path: Path) -> None:
    place = saved(tmp_path / "model", "bert", "BertForTokenClassification")
    found = await ask(asker, place, "BertForNothing", candidates=False)
    assert (found.loads, found.stage) == (False, "class")


async def test_a_worker_that_dies_is_started_again(asker: Asker, tmp_path: Path) -> None:
    place = saved(tmp_path / "model", "bert", "BertForTokenClassification")
    await ask(asker, place, mode="live", candidates=False)
    child = asker.worker._child
    assert child is not None
    child.signal_group()
    await asyncio.sleep(0.3)
    assert (await ask(asker, place, changes={"intermediate_size": 77}, candidates=False)).mismatched


async def test_a_checkpoint_that_the_worker_has_dropped_is_opened_again(asker: Asker, tmp_path: Path) -> None:
    place = saved(tmp_path / "model", "bert", "BertModel")
    (place / "config.json").unlink()
    checkpoint = read_directory(place, str(place))
    asker.worker.opened.add(header_digest(checkpoint))  # as though the worker had it and dropped it
    drafts = await asker.drafts(checkpoint)
    assert drafts[0].model_class == "BertModel"
