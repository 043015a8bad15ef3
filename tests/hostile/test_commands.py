"""Every hostile input through every command: nothing runs, hangs, acts on a terminal or is called clean."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tests.builders.hostile_files import FILES, JSON, MARK, write_directories, write_files
from tests.builders.hostile_pickles import COMMAND, EVIL, RUNS, exhausting
from tests.conftest import SAMPLES
from tui.cli.compare import to_text
from tui.cli.main import run
from tui.core.comparison_words import to_json
from tui.core.json_text import dumps
from tui.loading.worker import Worker
from tui.triage.ask import Asker
from tui.triage.paths import checkpoints

pytestmark = pytest.mark.filterwarnings("ignore")
SECONDS = 5.0
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal acts on, or a reader is misled by; a tab and a newline are layout."""

FORMATS = ("text", "json", "markdown", "html", "sarif")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of one's own to run in, where the payloads would leave their file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _command(*arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    """Exit code and output of one command, after what must hold of any: no traceback, no hang, no acting byte."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    errors = io.TextIOWrapper(io.BytesIO(), "utf-8")
    before, kept = time.process_time(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8", "surrogateescape")
    try:
        with redirect_stdout(out), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            run(list(arguments))
    finally:
        sys.stdin = kept
    taken = time.process_time() - before
    said, complained = (_written(stream) for stream in (out, errors))
    shown = arguments[:1], arguments[-1][-80:]
    assert taken < SECONDS, (shown, taken)
    assert "Traceback (most recent call last)" not in complained, (shown, complained[-2000:])
    assert "internal error" not in complained, (shown, complained[-2000:])
    for text in (said, complained):
        found = ACTS.search(text)
        assert found is None, (shown, text[max(found.start() - 60, 0) : found.end() + 60])
    assert not Path("canary").exists(), shown
    code = ended.value.code
    assert code in (0, 1, 2), (shown, code)
    assert isinstance(code, int)
    return code, said


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer: Any = stream.buffer
    return str(buffer.getvalue().decode("utf-8", "surrogatepass"))


def _every_command(path: Path) -> dict[str, Any]:
    """All that look without a worker; what `check --json` says of the path."""
    for form in FORMATS:
        _command("check", "--files-only", "--format", form, str(path))
    for command in ("inspect", "memory"):
        _command(command, str(path), *(["--no-probe"] if command == "memory" else []))
        _, said = _command(command, str(path), "--json", *(["--no-probe"] if command == "memory" else []))
        if said:
            json.loads(said)
    for other in (path, SAMPLES / "bert-ner"):
        _command("diff", str(path), str(other))
    _command("diff", str(SAMPLES / "bert-ner"), str(path), "--json")
    _, said = _command("check", "--files-only", "--json", str(path))
    answer: dict[str, Any] = json.loads(said)
    return answer


@pytest.mark.parametrize("name", RUNS)
def test_what_runs_code_is_never_clean_and_never_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / name
    path.write_bytes(RUNS[name])
    answer = _every_command(path)
    [checkpoint] = answer["checkpoints"]
    safety = checkpoint.get("safety")
    assert safety is None or safety["level"] != "tensors_only", safety
    assert checkpoint["verdict"] != "loads"
    if b"system\n" in RUNS[name] and safety is not None:
        assert safety["level"] in ("dangerous", "suspicious", "not_verified"), safety
    _command("explain", stdin=RUNS[name])


@pytest.mark.parametrize("name", list(exhausting()))
def test_what_exhausts_is_answered(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(exhausting()[name])
    _command("check", "--files-only", str(path))  # what costs is the reading, which all formats share
    _command("inspect", "--json", str(path))
    _command("memory", "--no-probe", str(path))
    _command("diff", str(path), str(SAMPLES / "bert-ner"))


@pytest.mark.parametrize("name", FILES)
def test_files_that_lie_are_answered(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name]())
    _every_command(path)
    if len(path.read_bytes()) < 1 << 16:
        _command("explain", stdin=path.read_bytes())


@pytest.mark.parametrize("name", [*JSON, "links", "names", "deep"])
def test_directories_that_lie_are_answered(tmp_path: Path, name: str) -> None:
    place = tmp_path / "all"
    place.mkdir()
    write_directories(place)
    _every_command(place / name)


def test_all_of_it_in_one_tree(tmp_path: Path) -> None:
    place = tmp_path / "all"
    place.mkdir()
    write_files(place)
    for name, data in RUNS.items():
        (place / name).write_bytes(data)
    _, said = _command("check", "--files-only", "--json", str(place))
    checkpoints = json.loads(said)["checkpoints"]
    assert len(checkpoints) > 100
    for form in FORMATS:
        target = tmp_path / f"report.{form}"
        _command("check", "--files-only", "--format", form, "--output", str(target), str(place))
        text = target.read_text("utf-8")
        found = ACTS.search(text)
        assert found is None, text[max(found.start() - 60, 0) : found.end() + 60]
        assert form in ("json", "sarif") or f"\x1b]0;{MARK}" not in text


@pytest.mark.loader
async def test_the_comparison_of_any_of_them_is_answered(tmp_path: Path) -> None:
    """By one warm worker, as in the app, and written as the command writes it."""
    place = tmp_path / "all"
    place.mkdir()
    for name, data in {**RUNS, **exhausting()}.items():
        (place / name).write_bytes(data)
    files = {*write_files(place), *place.iterdir()}
    worker = Worker()
    try:
        asker = Asker(worker)
        await worker.ready()
        found = checkpoints([str(path) for path in sorted({*files, *write_directories(place)})])
        assert len(found) > 100
        for checkpoint in found:
            comparison = await asyncio.wait_for(asker.compare(checkpoint), 60)
            assert not comparison.loads, checkpoint.path
            for text in (to_text(comparison, checkpoint), dumps(to_json(comparison, checkpoint.path))):
                acting = ACTS.search(text)
                assert acting is None, (checkpoint.path, text[max(acting.start() - 60, 0) : acting.end() + 60])
    finally:
        await worker.close()
    assert list(tmp_path.rglob("canary")) == []


@pytest.mark.loader
@pytest.mark.parametrize("name", ["eval.pkl", "evil-config"])
def test_the_command_compare(tmp_path: Path, name: str) -> None:
    place = tmp_path / "all"
    place.mkdir()
    write_directories(place)
    write_files(place)
    (place / "eval.pkl").write_bytes(RUNS["eval.pkl"])
    code, said = _command("compare", str(place / name))
    assert (code, bool(said)) == (1, True)
    _, said = _command("compare", "--json", str(place / name))
    assert json.loads(said)["loads"] is False


SEVERAL = ("memo.pkl", "torch-first.pt", "torch-legacy.pt")


@pytest.mark.loader
@pytest.mark.parametrize("name", SEVERAL)
def test_a_load_attempt_runs_nothing(tmp_path: Path, name: str) -> None:
    """In a real child: refused, or `weights_only` refuses it; with consent the command is stopped at the cage."""
    path = tmp_path / name
    path.write_bytes(RUNS[name])
    for consent in ((), ("--unpickle", "--trust-this-file")):
        code, said = _command("load", str(path), "--json", "--timeout", "120", *consent)
        assert (code, json.loads(said)["outcome"] == "loaded") == (1, False), said
        assert list(tmp_path.rglob("canary")) == []


def test_the_payload_does_run_where_nothing_stops_it(tmp_path: Path) -> None:
    """Else the tests above would prove nothing."""
    import subprocess

    assert COMMAND.encode() in EVIL
    code = f"import pickle; pickle.loads({EVIL!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60)
    assert (tmp_path / "canary").exists()
