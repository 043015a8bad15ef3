"""No byte sequence of a checkpoint reaches the terminal, whatever pane is open: the raw bytes are searched."""

from __future__ import annotations

import base64
import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders.hostile_files import EVIL, JSON, MARK, write_directories, write_files
from tests.builders.hostile_pickles import RUNS, call, name, text
from tests.conftest import SAMPLES
from tests.terminal.test_terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.terminal, pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")]

SEQUENCES = re.compile(
    rb"\x1b\][0-9;]*[^\x07\x1b]{0,200}" + MARK.encode()
    + rb"|\x1b\[[^A-Za-z]{0,40}" + MARK.encode()
    + rb"|\x1bc|\x1bP|\x1b_|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]"
)  # fmt: skip
"""Titles, clipboard and colours with the mark in them, resets, device strings, C1, text turned round."""

PANES = "123456789"
DIALOGUES = "?edcx"
MOVES = ("j", "j", "\r", "n", "h", "l", " ", "z", "z", "/", f"{MARK}\x1b")
KEYS = (*MOVES, *(key for opens in DIALOGUES for key in (opens, "\x1b")), "y")
"""Moves, opens, filters, help, edit, diff, class, export, copy; each dialogue is left again."""


def _tree(place: Path) -> None:
    """Some of every kind, and one whole model whose every text is evil."""
    kept = ("evil.safetensors", "evil.gguf", "evil.msgpack", "dtype.safetensors", "lfs.bin", "page.bin", "descr.npy")
    other = place.parent / "other"
    other.mkdir()
    for path in write_files(other):
        if path.name in kept:
            shutil.copy(path, place / path.name)
    write_directories(place)
    shutil.rmtree(place / "deep")
    shutil.rmtree(place / "many-shards")
    for file in ("plain.pkl", "torch.pt", "objects.npy"):
        (place / file).write_bytes(RUNS[file])
    named = b"\x80\x02}" + text(EVIL) + call(name("ev\x1b]0;" + MARK + "\x07il", "C\x9b" + MARK), text(EVIL)) + b"s."
    (place / "named.pkl").write_bytes(named)
    assert set(JSON) - {"many-shards"} <= {path.name for path in place.iterdir()}


def _search(run: Terminal) -> None:
    found = SEQUENCES.search(run.raw)
    assert found is None, run.raw[max(found.start() - 100, 0) : found.end() + 100]
    for copied in re.findall(rb"\x1b\]52;c;([^\x07]*)\x07", run.raw):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", base64.b64decode(copied).decode()), copied


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (140, 40)])
def test_no_sequence_of_a_file_reaches_the_terminal(tmp_path: Path, columns: int, rows: int) -> None:
    place = tmp_path / "tree"
    place.mkdir()
    _tree(place)
    run = Terminal(str(place), columns=columns, rows=rows)
    try:
        run.wait("plain.pkl", 60)
        _walk(run)
        run.child.send("q")
        assert run.ended() == 0
        _search(run)
        assert MARK.encode() in run.raw, "the evil text was never on the screen, so that nothing was tested"
    finally:
        run.child.close(force=True)


def _walk(run: Terminal) -> None:
    """Every row of the tree in every pane, then every key."""
    for row in range(30):
        run.child.send("1")
        run.child.send("j")
        for pane in PANES if row % 3 == 0 else "2347":
            run.child.send(pane)
            run.pump(0.12)
        _search(run)
    run.child.send("1")
    for key in KEYS:
        run.child.send(key)
        run.pump(0.3)
    run.child.send("\x10")
    run.pump(0.5)
    run.child.send("\x1b")
    run.pump(0.5)


@pytest.mark.loader
def test_the_log_of_a_load_passes_nothing_on(tmp_path: Path) -> None:
    """A load whose error quotes the file: torch names the class that it refuses, bytes and all."""
    place = tmp_path / "tree"
    place.mkdir()
    shutil.copytree(SAMPLES / "bert-ner", place / "a-model")
    module = "ev\x1b]0;" + MARK + "\x07il"
    (place / "named.pt").write_bytes(b"\x80\x02}" + text("a") + call(name(module, "C" + MARK), text(EVIL)) + b"s.")
    run = Terminal(str(place / "named.pt"), columns=120, rows=40)
    try:
        run.wait("named.pt", 60)
        run.pump(1.0)
        run.child.send("r")
        run.wait("predicted", 90)
        run.pump(8.0)
        run.child.send("9")
        run.pump(1.0)
        run.child.send("q")
        run.ended()
        _search(run)
    finally:
        run.child.close(force=True)
