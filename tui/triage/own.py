"""A comparison with a class of the user's own, imported and built in a confined child."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.core.compare import Comparison, from_answer
from tui.errors import UsageError
from tui.loading.attempt import LoadAttempt

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.tensors import Tensor

_SECONDS = 120.0


def is_own(model_class: str | None) -> bool:
    """Whether a class is named as `package.module:Name`."""
    return model_class is not None and ":" in model_class


def checked(model_class: str | None, code: str | None) -> None:
    """Refuse half of a pair, and a directory that is none, before a child is started."""
    if code is not None and not is_own(model_class):
        raise UsageError("--code wants --class package.module:Name", "write --class mypackage.model:Net --code DIR")
    if is_own(model_class) and code is None:
        raise UsageError(f"{model_class} is a class of your own", "say where its code lies: --code DIR")
    if code is not None and not Path(code).is_dir():
        raise UsageError(f"{code} is no directory", "--code names the directory that holds the package")


def container_of(checkpoint: Checkpoint) -> str:
    """The key of the dictionary that holds the state dict, empty where the file is one itself."""
    if any(tensor.role == "" for tensor in checkpoint.tensors):
        return ""
    held = [(count, name) for _, pickle in checkpoint.pickles for name, count in pickle.containers]
    preferred = [name for _, name in held if "state_dict" in name and "optim" not in name]
    return preferred[0] if preferred else max(held, default=(0, ""))[1]


def state_dict(checkpoint: Checkpoint) -> list[tuple[str, Tensor]]:
    """Names and tensors as `load_state_dict` would get them."""
    container = container_of(checkpoint)
    if not container:
        return [(tensor.name, tensor) for tensor in checkpoint.tensors if tensor.role in ("", "module")]
    stem = f"{container}."
    return [(tensor.name.removeprefix(stem), tensor) for tensor in checkpoint.tensors if tensor.name.startswith(stem)]


def recorded_arguments(checkpoint: Checkpoint) -> dict[str, Any]:
    """Constructor arguments that the checkpoint records in plain JSON, for classes that need some."""
    for name in ("config.json", "params.json", "hparams.json"):
        document = checkpoint.json_files.get(name)
        if document is not None and document.mapping and "model_type" not in document.mapping:
            return document.mapping
    return {}


async def compare_own(checkpoint: Checkpoint, model_class: str, code: str, python: str | None = None) -> Comparison:
    """What the class's `load_state_dict` says of the checkpoint; the import's or constructor's error where it fails."""
    root = checkpoint.root.absolute()
    place = str(Path(code).absolute())
    request = {
        "op": "compare",
        "class": model_class,
        "code": place,
        "tensors": [[name, tensor.dtype, list(tensor.shape)] for name, tensor in state_dict(checkpoint)],
        "arguments": recorded_arguments(checkpoint),
        "config": checkpoint.config.text if checkpoint.config is not None else None,
        "readable": [place, str(root)] if not checkpoint.is_file else [place],
        "must_isolate": True,
    }
    outcome = await LoadAttempt(request, python, timeout=_SECONDS).run()
    if outcome.outcome == "loaded":
        return from_answer(outcome.answer)
    error = outcome.error or {}
    words = (error.get("type", "Error"), error.get("message", outcome.words))
    return Comparison(model_class, f"your class in {place}", False, words, "build", path="live")
