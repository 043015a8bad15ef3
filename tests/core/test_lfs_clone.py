"""Clones with git-lfs: the real git makes the repositories, the store is laid out as git-lfs does it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY, SAMPLES
from tui.core import git_index
from tui.core.assemble import read_directory, read_one_file
from tui.core.deep.verify import verify
from tui.core.diagnosis.evidence import Evidence
from tui.core.lfs_clone import LfsClone, commands, concerns, object_words, read_clone, root_of, summary
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def git(root: Path, *arguments: str) -> None:
    clean = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "filter.lfs.required=false")
    subprocess.run(["git", *who, "-C", str(root), *arguments], check=True, env=clean, capture_output=True)


def pointer(data: bytes) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n".encode()


def store(root: Path, data: bytes) -> Path:
    digest = hashlib.sha256(data).hexdigest()
    place = root / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


WHOLE = (SAMPLES / "bert-ner" / "model.safetensors").read_bytes()
ONE, TWO, THREE, OLD = WHOLE, b"two" * 400, b"three" * 300, b"old" * 500


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """One object written out, one fetched and not written out, one not fetched, one of an earlier revision."""
    root = tmp_path / "clone"
    (root / "sub").mkdir(parents=True)
    git(root, "init", "-q")
    for name, data in (("model.safetensors", ONE), ("copy.bin", ONE), ("b.bin", TWO), ("sub/c.safetensors", THREE)):
        (root / name).write_bytes(pointer(data))
    shutil.copy(SAMPLES / "bert-ner" / "config.json", root)
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "pointers")
    for data in (ONE, TWO, OLD):
        store(root, data)
    (root / "model.safetensors").write_bytes(ONE)  # git-lfs has written it out
    (root / "copy.bin").unlink()
    os.link(store(root, ONE), root / "copy.bin")
    (root / ".git" / "lfs" / "incomplete").mkdir()
    (root / ".git" / "lfs" / "incomplete" / ("f" * 64 + ".part")).write_bytes(bytes(70))
    return root


def read(root: Path) -> LfsClone:
    found = read_clone(root)
    assert found is not None
    return found


def test_objects_files_and_what_they_take(clone: Path) -> None:
    found = read(clone)
    rows = {item.oid: item for item in found.objects}
    one, two, three, old = (rows[hashlib.sha256(data).hexdigest()] for data in (ONE, TWO, THREE, OLD))
    assert len(rows) == 4
    assert (sorted(one.files), one.pointers, one.is_here, one.in_tree) == (
        ["copy.bin", "model.safetensors"], (), True, len(ONE),
    )  # fmt: skip
    assert (two.files, two.pointers, two.is_here, two.in_tree) == (("b.bin",), ("b.bin",), True, 0)
    assert (three.files, three.pointers, three.is_here) == (("sub/c.safetensors",), ("sub/c.safetensors",), False)
    assert (old.files, old.is_here) == ((), True)
    assert found.store_bytes == len(ONE) + len(TWO) + len(OLD)
    assert found.disk_bytes == found.store_bytes + len(ONE)
    assert (found.unused_bytes, found.shared, found.missing) == (len(OLD), 1, (three,))
    assert found.incomplete == (("f" * 64 + ".part", 70),)
    assert [item.bytes for item in found.objects] == sorted((item.bytes for item in found.objects), reverse=True)
    for words in ("1 object not fetched", "1 of several files", "1 download not ended", "of no use"):
        assert words in summary(found)
    assert "not written out" in object_words(two)
    assert commands(found) == (
        f"git -C {clone} lfs pull --include=sub/c.safetensors",
        f"git -C {clone} lfs checkout b.bin",
    )


def test_the_index_is_read_as_git_reads_it(clone: Path) -> None:
    for version in ("2", "3", "4"):
        git(clone, "update-index", "--index-version", version)
        if version == "3":
            git(clone, "update-index", "--skip-worktree", "b.bin")
        listed = subprocess.run(["git", "-C", str(clone), "ls-files", "-s"], capture_output=True, text=True, check=True)
        expected = [(row.split("\t")[1], row.split()[1]) for row in listed.stdout.splitlines()]
        assert [(name, digest.hex()) for name, digest in git_index.entries(clone / ".git")] == expected


def test_a_damaged_index_ends_the_list_and_raises_nothing(clone: Path) -> None:
    index = clone / ".git" / "index"
    whole = index.read_bytes()
    for cut in range(0, len(whole), 5):
        index.write_bytes(whole[:cut])
        assert len(list(git_index.entries(clone / ".git"))) <= 5
        read_clone(clone)
    index.write_bytes(whole[:8] + b"\xff\xff\xff\xff" + whole[12:])
    assert len(list(git_index.entries(clone / ".git"))) <= len(whole) // 62
    index.write_bytes(whole.replace(b"b.bin", b"../bx"))
    assert all(".." not in name for name, _ in git_index.entries(clone / ".git"))


def test_a_clone_without_git_lfs_and_a_repository_that_does_not_use_it(tmp_path: Path, clone: Path) -> None:
    shutil.rmtree(clone / ".git" / "lfs")
    (clone / "model.safetensors").write_bytes(pointer(ONE))
    assert {item.is_here for item in read(clone).objects} == {False}
    assert "--include=b.bin,model.safetensors,sub/c.safetensors" in commands(read(clone))[0]
    plain = tmp_path / "plain"
    plain.mkdir()
    git(plain, "init", "-q")
    assert (root_of(plain / "a" / "b"), read_clone(plain), root_of(tmp_path)) == (plain, None, None)


def test_whom_a_clone_concerns(clone: Path) -> None:
    found = read(clone)
    yes = (clone, clone / "sub", clone / "b.bin", clone / "sub" / "c.safetensors")
    no = (clone / "su", clone / "config.json", clone.parent, clone / "other")
    assert [concerns(found, place) for place in yes + no] == [True] * 4 + [False] * 4


def test_another_working_tree_shares_the_store(tmp_path: Path, clone: Path) -> None:
    git(clone, "worktree", "add", "-q", str(tmp_path / "second"))
    found = read(tmp_path / "second")
    assert found.store_bytes == read(clone).store_bytes
    assert {name for item in found.objects for name in item.pointers} == {
        "model.safetensors", "copy.bin", "b.bin", "sub/c.safetensors",
    }  # fmt: skip


def test_the_fix_names_every_pointer_of_the_checkpoint(clone: Path) -> None:
    for name in ("model.safetensors", "b.bin"):
        (clone / name).write_bytes(pointer(ONE))
    checkpoint = read_directory(clone, str(clone))
    fixes = [item.fix[0] for item in triage_of(Evidence(checkpoint)).findings if item.rule.startswith("lfs-pointer")]
    assert fixes
    for fix in fixes:
        assert fix.startswith(f"git -C {clone} lfs pull --include=")
        assert set(fix.partition("--include=")[2].split(",")) == {"model.safetensors", "b.bin"}


def test_deep_verification_holds_a_file_against_its_pointer(clone: Path) -> None:
    path = clone / "model.safetensors"
    report = verify(read_one_file(path, str(path))).files[0]
    assert (report.matches, report.known and report.known.source) == (True, "its git-lfs pointer in the repository")
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    checkpoint = read_one_file(path, str(path))
    deep = verify(checkpoint)
    assert deep.files[0].matches is False
    assert "file-sha256-mismatch" in {item.rule for item in triage_of(Evidence(checkpoint, deep=deep)).findings}


def test_inspect_lists_the_objects(clone: Path) -> None:
    program = [sys.executable, "-m", "tui", "inspect", str(clone)]
    told = subprocess.run([*program, "--json"], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    held = json.loads(told.stdout)["git_lfs"]
    assert (held["bytes"], held["shared_objects"], len(held["objects"])) == (read(clone).disk_bytes, 1, 4)
    text = subprocess.run(program, capture_output=True, text=True, cwd=REPOSITORY, check=False).stdout
    assert "lfs pull --include=sub/c.safetensors" in text
