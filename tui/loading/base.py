"""The base of a Python environment: what it holds once torch, transformers and a modeling module are imported.

Measured once by a child and kept in the user's cache directory, by interpreter, package versions and class.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.core.estimate import Base
from tui.core.text import printable
from tui.errors import WorkerError
from tui.loading.child import Child, default_python
from tui.system.environments import describe

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint

TIMEOUT = 180.0
_COUNTED = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "accelerate")
_MOST = 1 << 44
_LARGEST_FILE = 1 << 16


def question(checkpoint: Checkpoint, model_class: str | None = None) -> dict[str, Any]:
    """What the child is asked to import for this checkpoint."""
    library = checkpoint.kind in ("transformers", "sentence_transformers")
    names = checkpoint.settings.get("architectures")
    named = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None
    return {
        "loader": "transformers" if library else "torch",
        "class": model_class,
        "values": {"architectures": [named]} if named is not None and library else {},
    }


def known(python: str | None, asked: dict[str, Any]) -> Base | None:
    """What was measured earlier, `None` where nothing was; reads one small file."""
    try:
        with open(_place(python or default_python(), asked), "rb") as file:
            value = json.loads(file.read(_LARGEST_FILE))
    except (OSError, ValueError, RecursionError):
        return None
    return _base(value) if isinstance(value, dict) else None


async def probe(python: str | None, asked: dict[str, Any]) -> Base:
    """Measure, or take what was measured earlier; raises `WorkerError` where the environment cannot import them."""
    found = known(python, asked)
    if found is not None:
        return found
    answer = await _ask(python or default_python(), asked)
    made = _base(answer)
    if made is None:
        error = answer.get("error") or {}
        words = printable(f"{error.get('type', 'no answer')}: {error.get('message', '')}", 300)
        raise WorkerError(f"the base of {printable(python or default_python())} was not measured: {words}")
    _keep(_place(python or default_python(), asked), answer)
    return made


async def _ask(python: str, asked: dict[str, Any]) -> dict[str, Any]:
    """One child, one answer."""
    answers: list[dict[str, Any]] = []
    said: list[str] = []
    child = Child(python, "base", answers.append, lambda _, line: said.append(line), lambda: None)
    await child.start()
    try:
        await child.send(asked)
        async with asyncio.timeout(TIMEOUT):
            await child.drained.wait()
    except TimeoutError:
        raise WorkerError(f"{printable(python)} did not import its libraries in {TIMEOUT:.0f} s") from None
    finally:
        await child.close()
    if answers:
        return answers[-1]
    return {"error": {"type": "no answer", "message": said[-1] if said else ""}}


def _base(value: dict[str, Any]) -> Base | None:
    """A base from an answer or from the cache, which is a file like any other."""
    anonymous, file = value.get("anonymous"), value.get("file")
    if not isinstance(anonymous, int) or not isinstance(file, int):
        return None
    if not (0 < anonymous < _MOST and 0 <= file < _MOST):
        return None
    return Base(anonymous, file, "probed")


def _place(python: str, asked: dict[str, Any]) -> Path:
    """The cache file of this interpreter, its packages' versions and what is imported."""
    packages = describe(os.path.abspath(python)).packages
    parts = [os.path.abspath(python), *(f"{name} {packages.get(name)}" for name in _COUNTED)]
    parts += [str(asked.get("loader")), str(asked.get("class")), json.dumps(asked.get("values"), sort_keys=True)]
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(root) / "ckptriage" / "base" / f"{digest}.json"


def _keep(place: Path, answer: dict[str, Any]) -> None:
    """Write the answer beside its final name first: another process may read at any moment."""
    kept = {key: answer.get(key) for key in ("anonymous", "file", "virtual", "model_class", "packages")}
    beside = place.with_suffix(f".{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(kept), "utf-8")
        beside.replace(place)
    except OSError:
        return
