from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tui.system.cache_tree import Repository, repositories

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = "1" * 40, "2" * 40


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two revisions that share a blob; one blob gone, one of no use, one half fetched."""
    root = tmp_path / "hub" / "models--acme--bert"
    for place in ("blobs", "refs/pr", f"snapshots/{ONE}/sub", f"snapshots/{TWO}"):
        (root / place).mkdir(parents=True)
    for blob, size in (("a" * 64, 100), ("b" * 40, 7), ("c" * 64, 50), ("d" * 64 + ".incomplete", 30)):
        (root / "blobs" / blob).write_bytes(bytes(size))
    (root / "snapshots" / ONE / "model.safetensors").symlink_to("../../blobs/" + "a" * 64)
    (root / "snapshots" / ONE / "sub" / "config.json").symlink_to("../../../blobs/" + "b" * 40)
    (root / "snapshots" / TWO / "model.safetensors").symlink_to("../../blobs/" + "a" * 64)
    (root / "snapshots" / TWO / "gone.bin").symlink_to("../../blobs/" + "e" * 64)
    (root / "refs" / "main").write_text(TWO, "ascii")
    (root / "refs" / "pr" / "1").write_text("3" * 40, "ascii")
    (tmp_path / "hub" / "datasets--squad").mkdir()
    (tmp_path / "hub" / ".locks").mkdir()
    return tmp_path / "hub"


def _bert(cache: Path) -> Repository:
    return next(item for item in repositories(cache) if item.name == "acme/bert")


def test_repositories_revisions_and_blobs(cache: Path) -> None:
    assert [(item.name, item.kind) for item in repositories(cache)] == [("squad", "dataset"), ("acme/bert", "model")]
    bert = _bert(cache)
    assert (bert.bytes, bert.blobs, bert.shared, bert.unused_bytes) == (187, 3, 1, 50)
    assert bert.incomplete == (("d" * 64 + ".incomplete", 30),)
    assert bert.lost_refs == ("pr/1",)
    one, two = bert.revisions
    assert (one.commit, one.refs, one.files, one.bytes, one.dangling) == (ONE, (), 2, 107, ())
    assert (two.commit, two.refs, two.files, two.bytes, two.dangling) == (TWO, ("main",), 2, 100, ("gone.bin",))


def test_files_without_links_count_once(cache: Path) -> None:
    before = _bert(cache)
    (before.root / "snapshots" / ONE / "notes.txt").write_bytes(bytes(11))
    after = _bert(cache)
    assert (after.bytes - before.bytes, after.revisions[0].bytes - before.revisions[0].bytes) == (11, 11)


def test_a_cache_that_is_not_there(tmp_path: Path) -> None:
    assert list(repositories(tmp_path / "none")) == []


def test_it_counts_as_huggingface_hub_does(cache: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    bert = _bert(cache)
    (bert.root / "snapshots" / TWO / "gone.bin").unlink()  # the library refuses a repository with a dangling link
    (bert.root / "refs" / "pr" / "1").unlink()
    [found] = [item for item in hub.scan_cache_dir(cache).repos if item.repo_id == "acme/bert"]
    bert = _bert(cache)
    assert {(item.commit_hash, item.size_on_disk, item.nb_files) for item in found.revisions} == {
        (item.commit, item.bytes, item.files) for item in bert.revisions
    }
