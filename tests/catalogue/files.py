"""Integrity, shards and the hub's cache."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.catalogue.case import Case, as_bin, config, copy, file, half, steps, tensors, without

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.catalogue.case import Build

PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
NER, SHARDED = copy("bert-ner"), copy("bert-ner-sharded")


def header_padded(size: int, fill: bytes) -> Build:
    """The header filled up to `size` bytes, the data after it as before."""

    def build(root: Path) -> None:
        path = root / "model.safetensors"
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        head = data[8 : 8 + length].rstrip(b" ")
        path.write_bytes(size.to_bytes(8, "little") + head + fill * (size - len(head)) + data[8 + length :])

    return build


def renamed(old: str, new: str) -> Build:
    def build(root: Path) -> None:
        (root / old).rename(root / new)

    return build


def index(change: Callable[[dict[str, str]], dict[str, str]]) -> Build:
    """The shard index with another weight map."""

    def build(root: Path) -> None:
        path = root / "model.safetensors.index.json"
        value = json.loads(path.read_text("utf-8"))
        value["weight_map"] = change(value["weight_map"])
        path.write_text(json.dumps(value), "utf-8")

    return build


def appended(name: str, data: bytes) -> Build:
    def build(root: Path) -> None:
        with (root / name).open("ab") as handle:
            handle.write(data)

    return build


def patched(name: str, offset: int, data: bytes) -> Build:
    """Bytes overwritten in place."""

    def build(root: Path) -> None:
        with (root / name).open("r+b") as handle:
            handle.seek(offset)
            handle.write(data)

    return build


def other_shard(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """The weight map with one tensor in a shard that does not hold it."""

    def change(kept: dict[str, str]) -> dict[str, str]:
        return {**kept, name: next(shard for shard in sorted(set(kept.values())) if shard != kept[name])}

    return change


def linked_away(name: str) -> Build:
    """A link to a blob that is gone, as a pruned cache has it."""

    def build(root: Path) -> None:
        (root / name).unlink()
        (root / name).symlink_to(root.parent / "blobs" / "0a1b2c")

    return build


def linked_well(name: str) -> Build:
    def build(root: Path) -> None:
        target = root.parent / f"{root.name}-blob"
        (root / name).rename(target)
        (root / name).symlink_to(target)

    return build


def without_layer(number: int) -> Build:
    return tensors(lambda state: {name: value for name, value in state.items() if f"layer.{number}." not in name})


def layer_again(held: int, number: int) -> Build:
    """One layer once more under another number."""

    def change(state: dict[str, Any]) -> dict[str, Any]:
        more = {name: value.clone() for name, value in state.items() if f"layer.{held}." in name}
        return {**state, **{name.replace(f"layer.{held}.", f"layer.{number}."): value for name, value in more.items()}}

    return tensors(change)


CASES = [
    Case("safetensors-truncated", "the last half of the weights is missing", steps(NER, half("model.safetensors")), "the whole file, with notes beside it", steps(NER, file("notes.txt", "half of it")), "incomplete metadata, file not fully covered"),
    Case("safetensors-trailing-bytes", "a line of text appended to the weights", steps(NER, appended("model.safetensors", b"\nappended")), "the same line in a file of its own", steps(NER, file("model.safetensors.txt", "appended")), "incomplete metadata, file not fully covered"),
    Case("safetensors-invalid-header", "a header with its first brace lost", steps(NER, patched("model.safetensors", 9, b"{")), "a header that is padded with spaces", steps(NER, header_padded(9000, b" ")), "invalid JSON in header"),
    Case("safetensors-nul-padding", "a header filled up with NUL bytes", steps(NER, header_padded(9000, b"\0")), "the same filled up with spaces", steps(NER, header_padded(9000, b" ")), "Error while deserializing header"),
    Case("safetensors-header-over-100mb", "a header of 100,000,001 bytes", steps(NER, header_padded(100_000_001, b" ")), "a header of one megabyte", steps(NER, header_padded(1_000_001, b" ")), "header too large"),
    Case("lfs-pointer-safetensors", "a git-lfs pointer under the weights' name", steps(NER, file("model.safetensors", POINTER)), "the pointer as a file of its own", steps(NER, file("pointer.txt", POINTER)), "header too large"),
    Case("lfs-pointer-pickle", "a git-lfs pointer under pytorch_model.bin", steps(NER, without("model.safetensors"), file("pytorch_model.bin", POINTER)), "the weights as pytorch_model.bin", steps(NER, as_bin()), "Unsupported operand 118"),
    Case("lfs-pointer-json", "a git-lfs pointer under config.json", steps(NER, file("config.json", POINTER)), "a config that has a version", steps(NER, config(version="https://git-lfs.github.com")), "not a valid JSON file"),
    Case("html-weights", "a sign-in page under the weights' name", steps(NER, file("model.safetensors", PAGE)), "the page beside the weights", steps(NER, file("index.html", PAGE)), "header too large"),
    Case("html-json", "a sign-in page under config.json", steps(NER, file("config.json", PAGE)), "markup inside a config's text", steps(NER, config(note=PAGE.decode())), "not a valid JSON file"),
    Case("json-invalid", "a config with a trailing comma", steps(NER, file("config.json", '{"model_type": "bert",}')), "a config with a comment as a value", steps(NER, config(comment="a, b,")), "not a valid JSON file"),
    Case("file-empty-file", "weights of 0 bytes", steps(NER, file("model.safetensors", b"")), "an empty file of another name", steps(NER, file("README.md", b"")), "header too small"),
    Case("file-zero-filled", "weights of nothing but zeros", steps(NER, file("model.safetensors", bytes(20000))), "weights of which one tensor is zero", steps(NER, tensors(lambda state: {**state, "classifier.bias": state["classifier.bias"] * 0})), "invalid JSON in header"),
    Case("file-ckpt-opened-as-safetensors", "a torch archive under the name model.safetensors", steps(NER, as_bin(), renamed("pytorch_model.bin", "model.safetensors")), "the archive under its own name", steps(NER, as_bin()), "Error while deserializing header"),
    Case("zip-no-central-dir", "a torch archive cut to half its size", steps(NER, as_bin(), half("pytorch_model.bin")), "the whole archive", steps(NER, as_bin()), "[Errno 22] Invalid argument"),
    Case("hub-dangling-symlink", "a link to a blob that is gone", steps(NER, linked_away("model.safetensors")), "a link to a blob that is there", steps(NER, linked_well("model.safetensors")), "no file named model.safetensors"),
    Case("hub-incomplete", "a download that stopped, beside the weights", steps(NER, file("model-00002-of-00002.safetensors.incomplete", b"x")), "notes beside the weights", steps(NER, file("incomplete.txt", b"x")), first=False),
    Case("shard-missing-file", "the index names a shard that is not here", steps(SHARDED, without("model-00002-of-00002.safetensors")), "all shards are here", SHARDED, "model-00002-of-00002.safetensors"),
    Case("shard-no-weights", "only config and tokenizer", steps(NER, without("model.safetensors")), "the weights under the name of a pickle", steps(NER, as_bin()), "no file named model.safetensors"),
    Case("shard-index-invalid", "an index without a weight map", steps(SHARDED, file("model.safetensors.index.json", {"metadata": {}})), "another index, of no weights, beside it", steps(SHARDED, file("notes.index.json", {})), "weight_map"),
    Case("shard-index-stale", "the index puts a tensor into the other shard", steps(SHARDED, index(other_shard("classifier.bias"))), "the index as it was saved", SHARDED),
    Case("shard-silently-dropped", "layers up to number 3, and number 2 absent", steps(NER, layer_again(1, 3), config(num_hidden_layers=4)), "fewer layers, all in a row", steps(NER, without_layer(1), config(num_hidden_layers=1)), "missing_keys", first=False),
]  # fmt: skip
