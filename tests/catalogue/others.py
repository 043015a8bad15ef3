"""Permissions, checksums, own code, and files of llama.cpp, HDF5 and other libraries."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from tests.builders.checkpoints import write_safetensors
from tests.builders.gguf_files import small
from tests.catalogue.case import Case, config, copy, file, half, pickled, steps
from tests.catalogue.contents import PIECES, PLAIN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.catalogue.case import Build

NER = copy("bert-ner")

NOBODY = "/proc/sys/vm/compact_memory"
"""A file that not even root may open to read."""

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(2, 2)
        self.{head} = torch.nn.Linear(2, 2)

def load(path):
    return Net().load_state_dict(torch.load(path, weights_only=True), strict={strict})
"""


def forbidden(name: str) -> Build:
    """A link to a blob that may not be read."""

    def build(root: Path) -> None:
        (root / name).unlink()
        (root / name).symlink_to(NOBODY)

    return build


def blob(content: bytes, name: str = "") -> Build:
    """model.safetensors as a link to a blob that is named by a sha256: its own, or another."""

    def build(root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        data = content or (root / "model.safetensors").read_bytes()
        target = root.parent / f"{root.name}-blobs" / (name or hashlib.sha256(data).hexdigest())
        target.parent.mkdir()
        target.write_bytes(data)
        (root / "model.safetensors").unlink(missing_ok=True)
        (root / "model.safetensors").symlink_to(target)

    return build


def net(head: str, strict: bool) -> Build:
    """A state dict of `body` and `head`, and the code that would load it."""

    def state() -> dict[str, Any]:
        import torch

        return {f"{part}.{name}": torch.ones(2, 2)[: 2 if name == "weight" else 1].squeeze() if name == "bias"
                else torch.ones(2, 2) for part in ("body", "head") for name in ("weight", "bias")}  # fmt: skip

    return steps(file("model.py", NET.format(head=head, strict=strict)), pickled("net.pt", state))


def hdf5(root: Path) -> None:
    import h5py

    with h5py.File(root / "model.h5", "w") as made:
        made["x"] = [1.0] * 300


def gguf(**changes: Any) -> Build:
    def build(root: Path) -> None:
        small(root / "model.gguf", **changes)

    return build


def eight_bits(root: Path) -> None:
    write_safetensors(root / "model.safetensors", {"bert.pooler.dense.weight": ("F8_E4M3", (4, 4))})


def modules(*names: str) -> Build:
    """A sentence-transformers directory that names two modules, with those of `names` there."""
    listed = [
        {"idx": number, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling")))
    ]

    def build(root: Path) -> None:
        (root / "modules.json").write_text(json.dumps(listed), "utf-8")
        (root / "config_sentence_transformers.json").write_text("{}", "utf-8")
        for name in names:
            (root / name).mkdir()
            (root / name / "config.json").write_text("{}", "utf-8")

    return steps(PLAIN, build)


def consolidated(*names: str) -> Build:
    return steps(*(pickled(name, dict) for name in names), file("params.json", {"dim": 8}))


BROKEN = b"\x10\0\0\0\0\0\0\0{broken header!}"
SPM = steps(PLAIN, file("spiece.model", PIECES))
LORA = [("general.type", 8, "adapter")]

CASES = [
    Case("hub-permission", "weights that this user may not read", steps(NER, forbidden("model.safetensors")), "weights that may be read", NER, "No such file or directory"),
    Case("file-upstream-corrupt", "a broken file whose sha256 is its blob's name", steps(NER, blob(BROKEN)), "a whole file under its blob's name", steps(NER, blob(b"")), "Error while deserializing header", deep=True, first=False),
    Case("file-sha256-mismatch", "a whole file under another blob's name", steps(NER, blob(b"", "0" * 64)), "a whole file under its blob's name", steps(NER, blob(b"")), "the SHA256 checksum does not match", loader="recorded", deep=True, first=False),
    Case("tokenizer-class-needs-sentencepiece", "a tokenizer of sentencepiece, which is not installed", steps(SPM, file("tokenizer_config.json", {"tokenizer_class": "BertGenerationTokenizer"})), "a tokenizer that needs none", NER, "requires the SentencePiece library", loader="tokenizer", first=False),
    Case("key-strict-false-silent", "strict=False over a class whose head has another name", net("classifier", False), "strict=False over the class that saved it", net("head", False), "missing_keys=['classifier.weight', 'classifier.bias']", loader="own code", first=False),
    Case("state-dict-class-drift", "a class whose head has another name", net("classifier", True), "the class that saved it", net("head", True), 'Missing key(s) in state_dict: "classifier.weight", "classifier.bias"', loader="own code", first=False),
    Case("environment-fp8-dtype-torch", "8-bit floats under torch 2.0", steps(config(model_type="bert", architectures=["BertModel"]), eight_bits), "the same under torch 2.1", steps(config(model_type="bert", architectures=["BertModel"]), eight_bits), "module 'torch' has no attribute 'float8_e4m3fn'", loader="recorded", packages=({"torch": "2.0.1"}, {"torch": "2.1.0"}), first=False),
    Case("class-st-missing-module-dir", "modules.json names 1_Pooling, which is absent", modules(), "1_Pooling is there", modules("1_Pooling"), "No such file or directory: '…/1_Pooling/config.json'", loader="recorded"),
    Case("shard-mp-world-size", "consolidated.00 and .02, and not .01", consolidated("consolidated.00.pth", "consolidated.02.pth"), "a state dict of another name", steps(pickled("model.00.pth", dict), file("params.json", {"dim": 8})), "Loading a checkpoint for MP=2 but world size is 1", loader="recorded"),
    Case("hdf5-truncated", "an HDF5 file cut to half its size", steps(hdf5, half("model.h5")), "the whole file", hdf5, "truncated file", loader="hdf5"),
    Case("hdf5-no-signature", "a safetensors file under the name model.h5", file("model.h5", b"\x08\0\0\0\0\0\0\0{}      "), "an HDF5 file under it", hdf5, "file signature not found", loader="hdf5"),
    Case("html-gguf", "a page under the name model.gguf", file("model.gguf", b"<!DOCTYPE html><title>x</title>" * 9), "a model under it", gguf(), "GGUF magic invalid", loader="gguf"),
    Case("gguf-zero-header", "a GGUF file of nothing but zeros", file("model.gguf", bytes(9000)), "a GGUF file", gguf(), "GGUF magic invalid", loader="gguf"),
    Case("gguf-truncated", "a GGUF file without its last 500 bytes", steps(gguf(), lambda root: cut(root / "model.gguf")), "the whole file", gguf(), "cannot reshape array", loader="gguf"),
    Case("gguf-lora-truncated-silent", "an adapter of GGUF without its last 500 bytes", steps(gguf(pairs=LORA), lambda root: cut(root / "model.gguf")), "the whole adapter", gguf(pairs=LORA), "cannot reshape array", loader="gguf", first=False),
]  # fmt: skip


def cut(path: Path) -> None:
    """The last 500 bytes taken off."""
    path.write_bytes(path.read_bytes()[:-500])
