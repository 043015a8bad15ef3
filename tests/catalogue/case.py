"""What a case is, and the steps from which cases are built."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tui.core.estimate import Available

    Build = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """One failure and its look-alike."""

    rule: str
    what: str
    """The damaged checkpoint, in a few words."""

    built: Build
    like: str
    """What looks the same and must stay silent."""

    alike: Build
    says: str = ""
    """A piece of the real loader's message; empty where it loads without a word."""

    loader: str = "transformers"
    """Whose words these are: `transformers`, `tokenizer`, `text` (a pass over every token), `torch`, `remote code`, `own
    code` (model.py's `load`), `hdf5`, `gguf`, or `recorded`: those of a version or machine that is not here."""

    first: bool = True
    """Whether this rule is the first to be shown; an info stands behind what it explains."""

    names: tuple[str, str] = ("model", "model")
    """Of the two directories, where the name is what tells."""

    classes: tuple[str | None, str | None] = (None, None)
    """The classes asked for, where the class is what tells."""

    packages: tuple[dict[str, str], dict[str, str]] = ({}, {})
    """Versions of other environments, where these are what tells."""

    deep: bool = False
    """Whether every byte has to be read."""

    machines: tuple[Available | None, Available | None] = (None, None)
    """Machines, where these are what tells."""


def copy(name: str) -> Build:
    """A sample as it is."""

    def build(root: Path) -> None:
        shutil.copytree(SAMPLES / name, root, dirs_exist_ok=True)

    return build


def steps(*parts: Build) -> Build:
    """One after another."""

    def build(root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        for part in parts:
            part(root)

    return build


def config(**changes: Any) -> Build:
    """config.json with other values; `None` removes a key."""

    def build(root: Path) -> None:
        path = root / "config.json"
        value = json.loads(path.read_text("utf-8")) if path.exists() else {}
        value.update(changes)
        path.write_text(json.dumps({key: item for key, item in value.items() if item is not None}), "utf-8")

    return build


def file(name: str, content: bytes | str | dict[str, Any]) -> Build:
    """A file with this content, whatever was there."""

    def build(root: Path) -> None:
        data = json.dumps(content) if isinstance(content, dict) else content
        (root / name).write_bytes(data.encode() if isinstance(data, str) else data)

    return build


def without(*names: str) -> Build:
    """Files taken away."""

    def build(root: Path) -> None:
        for name in names:
            (root / name).unlink()

    return build


def half(name: str) -> Build:
    """A file cut to half its size."""

    def build(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: len(data) // 2])

    return build


def tensors(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Build:
    """model.safetensors with other tensors."""

    def build(root: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = root / "model.safetensors"
        save_file(change(load_file(path)), path, metadata={"format": "pt"})

    return build


def saved(model: Callable[[], Any]) -> Build:
    """A tiny model as `save_pretrained` writes it."""

    def build(root: Path) -> None:
        model().save_pretrained(root)

    return build


def pickled(name: str, make: Callable[[], Any]) -> Build:
    """An object as `torch.save` writes it."""

    def build(root: Path) -> None:
        import torch

        torch.save(make(), root / name)

    return build


def archive(name: str, data: bytes) -> Build:
    """A torch archive around a pickle that is written by hand: nothing it names need exist."""

    def build(root: Path) -> None:
        with zipfile.ZipFile(root / name, "w", zipfile.ZIP_STORED) as made:
            made.writestr("archive/data.pkl", data)
            made.writestr("archive/byteorder", "little")
            made.writestr("archive/version", "3\n")

    return build


def as_bin(change: Callable[[dict[str, Any]], Any] = lambda state: state) -> Build:
    """The weights of model.safetensors as pytorch_model.bin instead."""

    def build(root: Path) -> None:
        import torch
        from safetensors.torch import load_file

        path = root / "model.safetensors"
        torch.save(change(load_file(path)), root / "pytorch_model.bin")
        path.unlink()

    return build


def prefixed(prefix: str) -> Build:
    """Every name behind a prefix."""
    return tensors(lambda state: {f"{prefix}{name}": value for name, value in state.items()})
