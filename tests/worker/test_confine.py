from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import REPOSITORY
from tui.loading.isolation import can_isolate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not can_isolate(), reason="this kernel has no Landlock")

PROBE = """
import ctypes, importlib.util, json, os, socket, subprocess, sys, threading
spec = importlib.util.spec_from_file_location("start", sys.argv[1])
start = importlib.util.module_from_spec(spec)
spec.loader.exec_module(start)
start.register()
from ckptriage_worker import confine
readable, writable, secret, outside = sys.argv[2:6]
held = confine.apply([readable], [writable])

def tried(action):
    try:
        return ["done", str(action())[:80]]
    except BaseException as error:
        return [type(error).__name__, str(error)]

def parent_memory():
    return open(f"/proc/{os.getppid()}/mem", "rb").fileno()

def thread():
    out = []
    runner = threading.Thread(target=lambda: out.append(1))
    runner.start(); runner.join()
    return out

answers = {
    "read checkpoint": tried(lambda: open(os.path.join(readable, "a")).read()),
    "write own": tried(lambda: open(os.path.join(writable, "b"), "w").write("x")),
    "thread": tried(thread),
    "import": tried(lambda: __import__("decimal")),
    "read secret": tried(lambda: open(secret).read()),
    "list home": tried(lambda: os.listdir(os.path.dirname(secret))),
    "write outside": tried(lambda: open(outside, "w")),
    "change checkpoint": tried(lambda: open(os.path.join(readable, "a"), "w")),
    "passwd": tried(lambda: open("/etc/passwd").read()),
    "shell": tried(lambda: subprocess.run(["true"])),
    "os.system": tried(lambda: os.system("true") and 1 / 0),
    "fork": tried(os.fork),
    "tcp": tried(lambda: socket.socket().connect(("127.0.0.1", 9))),
    "udp": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "unix": tried(lambda: socket.socket(socket.AF_UNIX)),
    "kill parent": tried(lambda: os.kill(os.getppid(), 0)),
    "parent memory": tried(parent_memory),
}
print(json.dumps({"held": held, "answers": answers}))
"""

ALLOWED = ("read checkpoint", "write own", "thread", "import")


def answers_in(place: Path, probe: str, own_session: bool = False) -> dict[str, Any]:
    """What a probe answers from a cage made in `place`, whose secret and outside it must not reach."""
    for name in ("checkpoint", "own", "home"):
        (place / name).mkdir()
    (place / "checkpoint" / "a").write_text("weights", "utf-8")
    (place / "home" / "id_rsa").write_text("secret", "utf-8")
    paths = [place / "checkpoint", place / "own", place / "home" / "id_rsa", place / "outside"]
    start = REPOSITORY / "tui" / "worker" / "start.py"
    command = [sys.executable, "-I", "-c", probe, str(start), *map(str, paths)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, start_new_session=own_session
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert not (place / "outside").exists()
    return answer


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return answers_in(tmp_path_factory.mktemp("cage"), PROBE)


def test_every_layer_holds(probed: dict[str, Any]) -> None:
    assert probed["held"]["landlock"] is True
    assert probed["held"]["seccomp"] is True


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_load_needs_is_allowed(probed: dict[str, Any], name: str) -> None:
    assert probed["answers"][name][0] == "done", probed["answers"][name]


REACHES = (
    "read secret", "list home", "write outside", "change checkpoint", "passwd", "shell", "os.system", "fork", "tcp",
    "udp", "unix", "kill parent", "parent memory",
)  # fmt: skip


@pytest.mark.parametrize("name", REACHES)
def test_reaching_out_is_stopped(probed: dict[str, Any], name: str) -> None:
    kind, words = probed["answers"][name]
    assert kind in ("PermissionError", "ZeroDivisionError", "OSError"), (kind, words)


@pytest.mark.loader
def test_a_whole_module_loads_inside_with_consent(tmp_path: Path) -> None:
    import torch

    from tests.triage.test_command_line import answer

    torch.save(torch.nn.Linear(2, 3), tmp_path / "model.pt")
    code, out = answer("load", str(tmp_path), "--json", "--unpickle")
    assert (code, out["outcome"], out["isolation"]) == (0, "loaded", "isolated"), out
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]
