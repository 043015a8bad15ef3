"""The warm worker is shut in: what its process and its copies reach, and that it still answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SAMPLES
from tests.worker.test_confine import ALLOWED, PROBE, REACHES, answers_in
from tui.core.assemble import read_directory
from tui.loading.isolation import can_isolate, is_below, places_of
from tui.loading.worker import Worker
from tui.triage.ask import Asker

pytestmark = pytest.mark.skipif(not can_isolate(), reason="this kernel has no Landlock")

COPYING = """
import signal, time
def copy():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            open(secret)
            words = b"read"
        except OSError as error:
            words = type(error).__name__.encode()
        os.write(write, words)
        time.sleep(60)
    said = os.read(read, 100).decode()
    os.kill(child, signal.SIGKILL)
    return said + " " + str(os.waitpid(child, 0)[1])

def namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(56 if os.uname().machine == "x86_64" else 220, 0x10000000 | 17, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "refused")

answers["copy"] = tried(copy)
answers["namespace"] = tried(namespace)
answers["kill group"] = tried(lambda: os.kill(-1, 0))
print(json.dumps({"held": held, "answers": answers}))
"""


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    probe = PROBE.replace("[writable])", "[writable], copies=True)").replace('    "fork": tried(os.fork),\n', "")
    probe = probe.rpartition("print(")[0] + COPYING
    return answers_in(tmp_path_factory.mktemp("cage"), probe, own_session=True)


@pytest.mark.parametrize("name", ALLOWED)
def test_what_the_worker_needs_is_allowed(probed: dict[str, Any], name: str) -> None:
    assert probed["answers"][name][0] == "done", probed["answers"][name]


def test_a_copy_is_shut_in_too_and_can_be_ended(probed: dict[str, Any]) -> None:
    assert probed["answers"]["copy"] == ["done", "PermissionError 9"]


@pytest.mark.parametrize("name", [*(name for name in REACHES if name != "fork"), "namespace"])
def test_reaching_out_is_stopped(probed: dict[str, Any], name: str) -> None:
    kind, words = probed["answers"][name]
    assert kind in ("PermissionError", "ZeroDivisionError", "OSError"), (kind, words)


@pytest.mark.loader
async def test_it_answers_shut_in_audit_and_tokenizer_included() -> None:
    root = SAMPLES / "bert-ner"
    worker = Worker(readable=[str(root)])
    try:
        asker = Asker(worker)
        checkpoint = read_directory(root, str(root))
        answer = await asker.compare(checkpoint, mode="audit")
        assert answer.loads is True
        assert worker.environment.isolation.startswith("isolated (landlock, seccomp, limits)")
        assert worker._child is not None and worker._child.process is not None
        first = worker._child.process.pid
        lines = Path(f"/proc/{first}/status").read_text("utf-8").splitlines()
        status = dict(line.split(":\t", 1) for line in lines)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        made = await asker.tokenizer(checkpoint)
        assert made is not None and made["class"].startswith("Bert"), made
        assert worker._child.process.pid == first
    finally:
        await worker.close()


@pytest.mark.loader
async def test_a_directory_that_was_not_named_is_opened_up(tmp_path: Path) -> None:
    """Its files are links, as in a hub cache; the process is replaced by one that may read what they point to."""
    blobs, place = tmp_path / "blobs", tmp_path / "snapshot"
    shutil.copytree(SAMPLES / "bert-ner", blobs)
    place.mkdir()
    for path in blobs.iterdir():
        (place / path.name).symlink_to(path)
    worker = Worker(readable=[str(SAMPLES / "bert-ner-cased")])
    try:
        made = await worker.request("tokenizer", path=str(place))
        assert made.get("class", "").startswith("Bert"), made
        assert not is_below(str(blobs), worker.readable)
        assert set(places_of(str(place))) <= set(worker.readable)
    finally:
        await worker.close()
