"""The real loaders, run by hand: what they do with a case, in their own words."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.catalogue.case import Case


def outcome(case: Case, root: Path) -> tuple[str, str]:
    """(`loads`, `degraded` or `fails`, the message) of the loader that the case names."""
    run = {
        "transformers": _transformers,
        "tokenizer": _tokenizer,
        "torch": _torch,
        "text": _text,
        "pickle": _pickle,
        "remote code": _remote,
        "own code": _own_code,
        "hdf5": _hdf5,
        "gguf": _gguf,
    }[case.loader]
    try:
        return run(case, root)
    except Exception as error:
        return "fails", f"{type(error).__name__}: {error}"


def _transformers(case: Case, root: Path) -> tuple[str, str]:
    import transformers

    path = root / "config.json"
    try:
        named = (json.loads(path.read_text("utf-8")).get("architectures") or ["AutoModel"])[0]
    except (OSError, ValueError):
        named = "AutoModel"
    name = case.classes[0] or (str(named) if hasattr(transformers, str(named)) else "AutoModel")
    _, info = getattr(transformers, name).from_pretrained(root, output_loading_info=True)
    words = []
    for kind in ("missing_keys", "unexpected_keys"):
        keys = [key for key in sorted(info[kind]) if ".pooler." not in key]  # left out by design where no head uses it
        if keys:
            words.append(f"{kind}: {', '.join(keys[:4])}")
    return ("degraded" if words else "loads"), "; ".join(words)


def _tokenizer(case: Case, root: Path) -> tuple[str, str]:
    import transformers

    made = transformers.AutoTokenizer.from_pretrained(root)
    return "loads", f"{type(made).__name__} of {len(made)} entries"


def _text(case: Case, root: Path) -> tuple[str, str]:
    """A pass over every word of the tokenizer, which shows what a load does not."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(root)
    model = transformers.BertForTokenClassification.from_pretrained(root).eval()
    with torch.no_grad():
        for number in range(len(tokenizer)):
            model(input_ids=torch.tensor([[number]]))
    return "loads", str(tokenizer.tokenize("London"))


def _pickle(case: Case, root: Path) -> tuple[str, str]:
    [file] = root.glob("*.pkl")
    return "loads", type(pickle.loads(file.read_bytes())).__name__


def _torch(case: Case, root: Path) -> tuple[str, str]:
    import torch

    [file] = [path for path in root.iterdir() if path.suffix in (".pt", ".pth", ".bin")]
    value: Any = torch.load(file, map_location="cpu", weights_only=True)
    return "loads", type(value).__name__


def _remote(case: Case, root: Path) -> tuple[str, str]:
    import transformers

    transformers.AutoModel.from_pretrained(root, trust_remote_code=True)
    return "loads", ""


def _own_code(case: Case, root: Path) -> tuple[str, str]:
    """model.py's own `load`, as a script of the user's would call it."""
    made: dict[str, Any] = {}
    exec((root / "model.py").read_text("utf-8"), made)
    return "loads", str(made["load"](root / "net.pt"))


def _hdf5(case: Case, root: Path) -> tuple[str, str]:
    import h5py

    with h5py.File(root / "model.h5") as file:
        return "loads", str(list(file))


def _gguf(case: Case, root: Path) -> tuple[str, str]:
    import gguf

    return "loads", str(len(gguf.GGUFReader(root / "model.gguf").tensors))
