from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent / "tui"
FORBIDDEN = ("torch", "transformers", "tensorflow", "keras", "jax")
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in ROOT.rglob("*.py")
    if "worker" not in path.parts and path.name != "__main__.py" and "_samples" not in path.parts
)


def test_no_module_of_the_app_brings_in_an_ml_framework() -> None:
    code = (
        f"import importlib, sys\nfor name in {MODULES!r}:\n"
        "    importlib.import_module(name.removesuffix('.__init__'))\n"
        f"print([m for m in {FORBIDDEN!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == "[]"


LAYERS = ("tui.core.report.plain", "tui.triage.flow", "tui.loading.attempt", "tui.system.memory")


@pytest.mark.parametrize("layer", LAYERS)
def test_the_core_needs_no_textual(layer: str) -> None:
    code = f"import {layer}, sys; print('textual' in sys.modules, 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.split() == ["False", "False"]


def test_the_worker_is_python_3_9() -> None:
    import ast

    for path in (ROOT / "worker").glob("*.py"):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 9))


def test_text_of_files_reaches_widgets_through_one_door() -> None:
    for path in (ROOT / "ui").rglob("*.py"):
        text = path.read_text("utf-8")
        assert "Text.from_markup" not in text, path
        assert "markup=True" not in text, path
        for call in text.split(".notify(")[1:]:
            assert "markup=False" in call.split("\n\n")[0], path
