from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tui.loading.worker import Worker


def _python_3_9() -> str | None:
    """An interpreter that really runs: a shim on the PATH may point at none."""
    candidates = [shutil.which("python3.9"), *sorted(map(str, Path.home().glob(".pyenv/versions/3.9.*/bin/python")))]
    for candidate in candidates:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


async def test_the_worker_answers_under_python_3_9() -> None:
    python = _python_3_9()
    if python is None:
        pytest.skip("no Python 3.9 here; the sources are parsed as 3.9 in any case")
    worker = Worker(python)
    try:
        info = await worker.ready()
        assert info.python.startswith("3.9.")
        assert info.available is False
        assert "not installed" in info.reason
    finally:
        await worker.close()
