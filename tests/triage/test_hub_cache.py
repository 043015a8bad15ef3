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
