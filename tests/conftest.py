"""Shared fixtures: the gallery, and an environment that does not depend on the user's."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
SAMPLES = REPOSITORY / "sample_models"

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")


def as_printed(command: str) -> subprocess.CompletedProcess[str]:
    """Run a printed command in a shell, with this tree's `ckptriage`."""
    here = f'ckptriage() {{ {shlex.quote(sys.executable)} -m tui "$@"; }}\n'
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        ["sh", "-c", here + command], capture_output=True, text=True, check=False, timeout=300, env=environment
    )


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("NO_COLOR", "SSH_CONNECTION", "TEXTUAL_THEME", "TMUX", "CKPTRIAGE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def samples() -> Path:
    return SAMPLES
