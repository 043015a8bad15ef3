from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tui.core.scan import scan
from tui.system.cache_tree import Repository, blob_words, repositories, repository_of

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


def test_blobs_with_their_names_and_users(cache: Path) -> None:
    stored = {blob.name[:1]: blob for blob in _bert(cache).stored}
    assert [blob.bytes for blob in _bert(cache).stored] == [100, 50, 30, 7]
    assert (stored["a"].files, stored["a"].revisions) == (("model.safetensors",), 2)
    assert (stored["b"].files, stored["b"].revisions) == (("sub/config.json",), 1)
    assert (stored["c"].files, stored["c"].revisions) == ((), 0)
    assert [blob_words(stored[name]).split("  ")[-1] for name in "abcd"] == [
        "model.safetensors, in 2 revisions", "sub/config.json", "of no use to any revision",
        "a download that has not ended",
    ]  # fmt: skip


def test_a_path_knows_its_repository(cache: Path) -> None:
    for place in ("", f"snapshots/{ONE}", f"snapshots/{ONE}/sub"):
        found = repository_of(cache / "models--acme--bert" / place)
        assert found is not None
        assert found.name == "acme/bert"
    assert repository_of(cache) is None
    assert repository_of(cache / "datasets--squad") is None


def test_downloads_that_have_begun_are_rows(cache: Path) -> None:
    begun = cache / "models--acme--begun" / "blobs"
    begun.mkdir(parents=True)
    (begun / ("f" * 64 + ".incomplete")).write_bytes(bytes(9))
    rows = {row.path: row.read() for row in scan(cache, "hub")}
    assert [problem.code for problem in rows["hub/models--acme--begun"].problems] == ["hub-incomplete"]
    snapshot = rows[f"hub/models--acme--bert/snapshots/{ONE}"]
    [problem] = [problem for problem in snapshot.problems if problem.code == "hub-incomplete"]
    assert problem.detail == (f"blobs/{'d' * 64}.incomplete: 30 B so far",)
    (cache / "models--acme--bert" / "blobs" / ("d" * 64 + ".incomplete")).unlink()
    rows = {row.path: row.read() for row in scan(cache, "hub")}
    assert not rows[f"hub/models--acme--bert/snapshots/{ONE}"].problems
