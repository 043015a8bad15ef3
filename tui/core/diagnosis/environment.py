"""The environment that saved a checkpoint against the one that would load it: versions that decide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.core.diagnosis.make import finding
from tui.core.text import listing, printable, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.diagnosis.evidence import Evidence, Finding

_NUMBER = re.compile(r"\d+")
_FLOAT8 = ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0")


def version(text: str) -> tuple[int, ...]:
    """`2.13.0+cpu` as (2, 13, 0); empty where there is no number."""
    return tuple(int(part) for part in _NUMBER.findall(text.partition("+")[0])[:3])


def before(evidence: Evidence, package: str, wanted: str) -> str:
    """The installed version where it is older than `wanted`, else empty; an absent package is not older."""
    held = (evidence.packages or {}).get(package, "")
    return held if held and version(held) < version(wanted) else ""


def pickled_weights(evidence: Evidence) -> Iterator[Finding]:
    """Pickled weights under a torch whose restricted unpickler has known holes."""
    checkpoint = evidence.checkpoint
    if not any(file.format in ("torch_zip", "torch_legacy") for file in checkpoint.weight_files):
        return
    held = before(evidence, "torch", "2.6")
    library = (evidence.packages or {}).get("transformers", "")
    if held and checkpoint.weights.kind == "bin" and version(library) >= (4, 51):
        yield finding(
            "pickle-cve-torch-2.6",
            [f"torch {held}, transformers {library}", f"pickled weights: {listing(checkpoint.weights.files, 3)}"],
        )
        return
    held = before(evidence, "torch", "2.10")
    if held:
        yield finding("security-weights-only-not-safe", [f"torch {held} would unpickle this file"])


def eight_bits(evidence: Evidence) -> Iterator[Finding]:
    """Tensors of 8-bit floating point under a torch that has none."""
    held = before(evidence, "torch", "2.1")
    names = sorted({tensor.dtype for tensor in evidence.checkpoint.tensors} & set(_FLOAT8))
    if held and names:
        yield finding("environment-fp8-dtype-torch", [f"torch {held}", f"dtypes in the file: {listing(names)}"])


def saved_by_newer(evidence: Evidence) -> Iterator[Finding]:
    """The transformers that wrote the config is newer than the one that would read it."""
    saved = evidence.checkpoint.settings.get("transformers_version")
    held = (evidence.packages or {}).get("transformers", "")
    if not isinstance(saved, str) or not held or not version(saved):
        return
    if version(saved)[:2] > version(held)[:2]:
        yield finding(
            "environment-saved-by-newer",
            [f"config.json was written by transformers {printable(saved, 40)}, installed is {held}"],
            file="config.json",
            fix=(shell("pip", "install", f"transformers>={printable(saved, 20)}"),) if version(saved) else (),
        )


def rope_scaling(evidence: Evidence) -> Iterator[Finding]:
    """rope_scaling in the form of transformers 4.43 under an older one."""
    scaling = evidence.checkpoint.settings.get("rope_scaling")
    held = before(evidence, "transformers", "4.43")
    if held and isinstance(scaling, dict) and ("rope_type" in scaling or len(scaling) > 2):
        keys = listing([printable(str(key), 40) for key in scaling], 6)
        yield finding("config-rope-scaling", [f"rope_scaling holds {keys}", f"transformers {held}"], file="config.json")


def backend_class(evidence: Evidence) -> Iterator[Finding]:
    """A tokenizer class that transformers 5 introduced, under 4."""
    tokenizer = evidence.checkpoint.tokenizer
    held = before(evidence, "transformers", "5")
    if held and tokenizer is not None and tokenizer.tokenizer_class == "TokenizersBackend":
        yield finding(
            "tokenizer-class-v5-backend",
            [f"tokenizer_config.json names TokenizersBackend, transformers {held} has none"],
            file="tokenizer_config.json",
        )


def sixteen_as_thirty_two(evidence: Evidence) -> Iterator[Finding]:
    """A config that makes the loader copy 16-bit weights into 32 bits."""
    checkpoint = evidence.checkpoint
    config = checkpoint.settings
    named = config.get("dtype") or config.get("torch_dtype")
    if checkpoint.kind != "transformers" or named != "float32" or not checkpoint.tensors:
        return
    if checkpoint.dtypes.isdisjoint(("F16", "BF16")):
        return
    sixteen = sum(tensor.nbytes for tensor in checkpoint.tensors if tensor.dtype in ("F16", "BF16"))
    if sixteen * 2 > checkpoint.tensor_bytes and sixteen > 1 << 28:
        yield finding(
            "memory-fp32-default",
            [f"config.json names float32; {sixteen:,} of {checkpoint.tensor_bytes:,} bytes are of 16 bits"],
            file="config.json",
        )


def no_format_entry(evidence: Evidence) -> Iterator[Finding]:
    """Weights without `format` in their metadata, which transformers before 4.48 reads without asking."""
    held = before(evidence, "transformers", "4.48")
    checkpoint = evidence.checkpoint
    if not held or checkpoint.weights.kind != "safetensors":
        return
    bare = [file.name for file in checkpoint.weight_files if file.fatal is None and "format" not in file.metadata]
    if bare:
        yield finding(
            "safetensors-metadata-none",
            [f"{listing(bare, 3)}: no format in the header's metadata", f"transformers {held}",
             "it says: AttributeError: 'NoneType' object has no attribute 'get'"],
            file=bare[0],
        )  # fmt: skip


def zip_under_old_torch(evidence: Evidence) -> Iterator[Finding]:
    """A torch zip under a torch that did not have the format."""
    held = before(evidence, "torch", "1.6")
    zips = [file.name for file in evidence.checkpoint.weight_files if file.format == "torch_zip"]
    if held and zips:
        yield finding(
            "pickle-zip-old-torch", [f"{listing(zips, 3)}: torch's zip format", f"torch {held}"], file=zips[0]
        )


def cpu_only(evidence: Evidence) -> Iterator[Finding]:
    """A torch without CUDA on a machine with an NVIDIA GPU."""
    held = (evidence.packages or {}).get("torch", "")
    devices = [device for device in (evidence.available.devices if evidence.available else ()) if device.uuid]
    if held.endswith("+cpu") and devices and evidence.checkpoint.kind in ("transformers", "torch", "adapter"):
        names = listing([printable(device.name, 60) for device in devices], 2)
        yield finding("environment-cpu-only-wheel", [f"torch {held}", f"here: {names}"], severity="warning")


def merges_as_pairs(evidence: Evidence) -> Iterator[Finding]:
    """A tokenizer.json whose merges are pairs, under a tokenizers that knows them as text."""
    tokenizer = evidence.checkpoint.tokenizer
    held = before(evidence, "tokenizers", "0.20")
    if held and tokenizer is not None and tokenizer.merges_are_pairs:
        yield finding(
            "tokenizer-json-newer",
            ["tokenizer.json: merges are pairs", f"tokenizers {held}",
             "it says: Exception: data did not match any variant of untagged enum ModelWrapper"],
            file="tokenizer.json",
        )  # fmt: skip


RULES = (
    pickled_weights, eight_bits, saved_by_newer, rope_scaling, backend_class, no_format_entry, zip_under_old_torch,
    cpu_only, merges_as_pairs,
)  # fmt: skip
"""Those that hold the environment's versions against the files, in the order in which they are asked."""
