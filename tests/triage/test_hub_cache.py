from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLES
from tui.errors import UsageError
from tui.triage.paths import checkpoints, existing

if TYPE_CHECKING:
    from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache as huggingface_hub lays it out: blobs, and snapshots of links to them."""
    repo = tmp_path / "hub" / "models--acme--bert-ner"
    snapshot = repo / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(REVISION, "ascii")
    for number, file in enumerate(sorted((SAMPLES / "bert-ner").iterdir())):
        shutil.copy(file, repo / "blobs" / f"{number:064x}")
        (snapshot / file.name).symlink_to(f"../../blobs/{number:064x}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return repo


def test_a_repository_id_is_its_cached_snapshot(cache: Path) -> None:
    for text in ("acme/bert-ner", "acme/bert-ner@main", f"acme/bert-ner@{REVISION}"):
        assert existing(text).name == REVISION
        [checkpoint] = checkpoints([text])
        assert (checkpoint.kind, len(checkpoint.tensors), checkpoint.path) == ("transformers", 39, text)


def test_what_is_not_cached_names_the_command(cache: Path) -> None:
    with pytest.raises(UsageError) as raised:
        existing("acme/other@v2")
    assert "hf download acme/other --revision v2" in raised.value.hint
    with pytest.raises(UsageError) as raised:
        existing("https://tfhub.dev/google/bert_en/1")
    assert "hub.resolve" in raised.value.hint


def test_what_a_handle_means_is_told_line_by_line(cache: Path) -> None:
    from tests.triage.test_command_line import run

    done = run("check", "google/bert_uncased_L-12_H-768_A-12/1")
    lines = done.stderr.splitlines()
    assert (done.returncode, lines[0]) == (
        2, "ckptriage: google/bert_uncased_L-12_H-768_A-12/1 is not in the local TensorFlow Hub cache",
    )  # fmt: skip
    assert lines[1] == "  TensorFlow 1's hub.Module: under TensorFlow 2 it loads and cannot be called"
    assert lines[-1].startswith("  fetch it: python -c ")
    assert "x0a" not in done.stderr


def test_inspect_lists_the_cache(cache: Path) -> None:
    from tests.triage.test_command_line import answer, run

    for path in (cache.parent, cache):
        code, out = answer("inspect", str(path), "--json")
        [repository] = out["repositories"]
        assert (code, repository["name"], repository["revisions"][0]["refs"]) == (0, "acme/bert-ner", ["main"])
        assert repository["bytes"] == sum(file.stat().st_size for file in (cache / "blobs").iterdir())
    next((cache / "blobs").iterdir()).unlink()
    done = run("inspect", str(cache))
    assert done.returncode == 1
    assert "blobs are gone" in done.stdout


def test_the_whole_cache_is_a_tree(cache: Path) -> None:
    found = checkpoints([str(cache.parent)])
    assert [checkpoint.kind for checkpoint in found] == ["transformers"]


def test_a_blob_that_is_gone_is_named(cache: Path) -> None:
    from tui.core.diagnosis.evidence import Evidence
    from tui.core.report.model import triage_of

    weights = cache / "snapshots" / REVISION / "model.safetensors"
    weights.resolve().unlink()
    [checkpoint] = checkpoints([str(cache.parent)])
    triage = triage_of(Evidence(checkpoint))
    assert triage.verdict == "fails"
    first = triage.findings[0]
    assert first.rule == "hub-dangling-symlink"
    assert f"hf download acme/bert-ner model.safetensors --revision {REVISION}" in first.fix[0]


def test_a_link_of_a_file_beside_the_weights_is_named_and_refuses_nothing(cache: Path) -> None:
    from tui.core.diagnosis.evidence import Evidence
    from tui.core.report.model import triage_of

    place = cache / "snapshots" / REVISION
    (place / "vocab.txt").unlink(missing_ok=True)
    (place / "vocab.txt").symlink_to("../../blobs/" + "0" * 40)
    [checkpoint] = checkpoints([str(cache.parent)])
    triage = triage_of(Evidence(checkpoint))
    [found] = [item for item in triage.findings if item.rule == "hub-dangling-symlink"]
    assert (found.file, found.severity, triage.verdict) == ("vocab.txt", "warning", "unknown")


SAID = {
    "https://tfhub.dev/google/bert_uncased_L-12_H-768_A-12/1": "TensorFlow 1's hub.Module",
    "google/bert_uncased_L-12_H-768_A-12/1": "tensorflow-hub wants it as https://tfhub.dev/google/",
    "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/2": "a list [input_word_ids, input_mask",
    "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/3": "a dict of input_word_ids",
    "tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/4": "persistent gradient tapes",
    "https://tfhub.dev/tensorflow/bert_en_uncased_preprocess/3": "needs import tensorflow_text",
    "https://www.kaggle.com/models/google/bert/TensorFlow1/uncased-l-12-h-768-a-12/1": "TensorFlow 1's hub.Module",
    "tensorflow/bert/tensorFlow2/en-uncased-l-12-h-768-a-12/3": "Kaggle's tensorFlow2 variation",
}


@pytest.mark.parametrize("text", SAID)
def test_a_handle_is_explained_and_never_fetched(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refused(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    with pytest.raises(UsageError) as raised:
        existing(text)
    assert SAID[text] in raised.value.hint
    assert "fetch it: python -c" in raised.value.hint


def test_version_4_is_not_said_of_version_3() -> None:
    from tui.core.hub_handles import explain, parse

    handle = parse("https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/3")
    assert handle is not None
    assert "gradient" not in " ".join(explain(handle))
    other = parse("https://tfhub.dev/google/nnlm-en-dim128/2")
    assert other is not None
    assert explain(other) == ()
    assert parse("acme/bert-ner") is None
    assert parse("./a/b/1") is None
    assert parse("models/run/1") is None


def test_a_cached_module_is_read_under_its_handle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    handle = "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/3"
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    key = hashlib.sha1(handle.encode()).hexdigest()
    (tmp_path / f"{key}.lock").write_text("", "ascii")
    with pytest.raises(UsageError) as raised:
        existing(handle)
    assert f"{key}.lock" in raised.value.hint
    shutil.copytree(SAMPLES / "tfhub-bert-v3", tmp_path / key)
    for text in (handle, "tensorflow/bert_en_uncased_L-12_H-768_A-12/3"):
        [checkpoint] = checkpoints([text])
        assert (checkpoint.kind, checkpoint.path) == ("tensorflow_saved_model", text)


def test_kagglehubs_cache_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    place = tmp_path / "models" / "tensorflow" / "bert" / "tensorFlow2" / "en-uncased"
    shutil.copytree(SAMPLES / "tfhub-bert-v3", place / "3")
    shutil.copytree(SAMPLES / "tfhub-bert-v2-list", place / "2")
    assert existing("tensorflow/bert/tensorFlow2/en-uncased/2") == place / "2"
    assert existing("tensorflow/bert/tensorFlow2/en-uncased") == place / "3"
