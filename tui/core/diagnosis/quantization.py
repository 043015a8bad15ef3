"""Quantized releases: whether the tensors are those that the declared method needs, from names and shapes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tui.core.diagnosis.make import edit_json, finding
from tui.core.text import count_of, listing, printable, shape_text, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.diagnosis.evidence import Evidence, Finding

KNOWN_METHODS = frozenset(
    {
        "aqlm", "auto-round", "awq", "bitnet", "bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit",
        "compressed-tensors", "eetq", "fbgemm_fp8", "fouroversix", "fp8", "fp_quant", "gemma", "gguf", "gptq", "higgs",
        "hqq", "metal", "mxfp4", "mxfp8", "nvfp4", "quanto", "quark", "sinq", "spqr", "torchao", "vptq",
    }
)  # fmt: skip
"""`AUTO_QUANTIZER_MAPPING` of transformers 5.23, and the name that config files use for both of bitsandbytes."""

_NEEDS: dict[str, tuple[str, ...]] = {
    "bitsandbytes": ("bitsandbytes", "accelerate"),
    "gptq": ("optimum", "gptqmodel"),
    "awq": ("gptqmodel",),
    "compressed-tensors": ("compressed-tensors",),
}
"""Packages that the loader asks for (`transformers/quantizers/*.py` 5.23, `validate_environment`)."""

_COMPANIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "gptq": ("qweight", ("qzeros", "scales")),
    "awq": ("qweight", ("qzeros", "scales")),
    "compressed-tensors": ("weight_packed", ("weight_scale", "weight_shape")),
    "mxfp4": ("_blocks", ("_scales",)),
}
"""For each method the tensor that holds the packed weight, and those without which it cannot be unpacked."""

_FLOAT8 = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
_PACKED = re.compile(r"\.(qweight|weight_packed|weight_scale|weight_scale_inv|absmax|quant_map|SCB|scales)$")
_BNB_STATE = re.compile(r"^(?P<stem>.+\.weight)\.(absmax|quant_map|nested_absmax|quant_state\.bitsandbytes__\w+)$")


def declared(checkpoint: Checkpoint) -> dict[str, Any]:
    """`quantization_config`, or `compression_config` as older files call it."""
    config = checkpoint.settings
    for key in ("quantization_config", "compression_config"):
        if isinstance(config.get(key), dict):
            return dict(config[key])
    return {}


def method_of(config: dict[str, Any]) -> str:
    """The method, empty where none is named."""
    method = config.get("quant_method")
    return method if isinstance(method, str) else ""


def unknown_type(evidence: Evidence) -> Iterator[Finding]:
    """A method that this transformers does not have: it warns, and loads the tensors as if they were plain."""
    method = method_of(declared(evidence.checkpoint))
    if not method or method in KNOWN_METHODS:
        return
    plain = not any(_is_quantized(tensor.name, tensor.dtype) for tensor in evidence.checkpoint.tensors)
    if plain:
        return
    shown = printable(method, 60)
    yield finding(
        "quantization-unknown-type",
        [f"config.json: quant_method is {shown}",
         f"the loader says: Unknown quantization type, got {shown} - supported types are: ['awq', …]"],
        file="config.json",
    )  # fmt: skip


def _is_quantized(name: str, dtype: str) -> bool:
    return dtype in _FLOAT8 or _PACKED.search(name) is not None or name.endswith(("_blocks", "_scales"))


def leftover(evidence: Evidence) -> Iterator[Finding]:
    """A quantization_config above plain weights: somebody dequantized them and left it there."""
    checkpoint = evidence.checkpoint
    config = declared(checkpoint)
    method = method_of(config)
    on_the_fly = method in (
        "bitsandbytes",
        "bitsandbytes_4bit",
        "bitsandbytes_8bit",
        "torchao",
        "quanto",
        "hqq",
        "eetq",
    )
    if not config or on_the_fly or not checkpoint.weights.files:
        return
    weights = [tensor for tensor in checkpoint.tensors if len(tensor.shape) == 2 and tensor.name.endswith("weight")]
    if not weights:
        return
    if any(_is_quantized(tensor.name, tensor.dtype) for tensor in checkpoint.tensors):
        return
    dtypes = sorted({tensor.dtype for tensor in weights})
    if not set(dtypes) <= {"BF16", "F16", "F32"}:
        return
    yield finding(
        "quantization-leftover-config",
        [f"config.json declares {printable(method or 'a quantization', 60)}; the weights are {', '.join(dtypes)}, "
         "and no scales or packed tensors are there"],
        file="config.json",
        fix=(edit_json(checkpoint, "c.pop('quantization_config', None)"),),
    )  # fmt: skip


def packages(evidence: Evidence) -> Iterator[Finding]:
    """Packages that the method needs and the environment lacks."""
    method = method_of(declared(evidence.checkpoint)).partition("_")[0]
    needed = _NEEDS.get(method, ())
    if not needed or evidence.packages is None or "transformers" not in evidence.packages:
        return
    absent = [name for name in needed if name not in evidence.packages]
    if not absent:
        return
    said = evidence.comparison.error if evidence.comparison is not None else None
    words = [f"the loader says: {said[0]}: {printable(said[1], 240)}"] if said is not None else []
    code = "quantization-bnb-missing-or-no-cuda" if method == "bitsandbytes" else "quantization-package-missing"
    yield finding(
        code,
        [f"quant_method {method} needs {', '.join(needed)}; not in this environment: {', '.join(absent)}", *words],
        title=f"{method} needs {', '.join(absent)}, which is not in this environment",
        fix=(shell("pip", "install", *absent),),
    )


def group_size(evidence: Evidence) -> Iterator[Finding]:
    """The group size that shapes imply against the one that is declared."""
    checkpoint = evidence.checkpoint
    config = declared(checkpoint)
    beside = checkpoint.json_files.get("quantize_config.json")
    if not config and beside is not None:
        config = beside.mapping
    said, bits = config.get("group_size"), config.get("bits", config.get("w_bit", 4))
    if type(said) is not int or type(bits) is not int or bits not in (2, 3, 4, 8):
        return
    shapes = {tensor.name: tensor.shape for tensor in checkpoint.tensors}
    awq = method_of(config) == "awq"
    for name, shape in shapes.items():
        scales = shapes.get(f"{name.removesuffix('qweight')}scales")
        if not name.endswith(".qweight") or len(shape) != 2 or scales is None or len(scales) != 2 or not scales[0]:
            continue
        inputs = shape[0] if awq else shape[0] * 32 // bits
        implied = -1 if scales[0] == 1 else -(-inputs // scales[0])
        declared_size = inputs if said == -1 else said
        if implied != said and not (implied == -1 and declared_size >= inputs):
            yield finding(
                "quantization-gptq-group-size",
                [f"{printable(name)} {shape_text(shape)}, {bits} bits: {inputs:,} inputs in {scales[0]:,} groups: "
                 f"group size {implied}", f"the config says group_size {said}",
                 f"the loader says: size mismatch for {printable(name.removesuffix('qweight'))}qzeros"],
                title=f"The group size is {implied}, the config says {said}",
                fix=(f'set "group_size": {implied} in the quantization config',),
            )  # fmt: skip
            return


def companions(evidence: Evidence) -> Iterator[Finding]:
    """Packed weights without what unpacks them."""
    checkpoint = evidence.checkpoint
    config = declared(checkpoint)
    method = method_of(config)
    if not method:
        return
    names = {tensor.name for tensor in checkpoint.tensors}
    missing: list[str] = []
    packed = 0
    if method in _COMPANIONS:
        part, wanted = _COMPANIONS[method]
        separator = "" if part.startswith("_") else "."
        for name in names:
            if name.endswith(f"{separator}{part}"):
                packed += 1
                stem = name.removesuffix(part)
                missing += [f"{stem}{other}" for other in wanted if f"{stem}{other}" not in names]
    elif method in ("fp8", "fbgemm_fp8"):
        for tensor in checkpoint.tensors:
            if tensor.dtype in _FLOAT8 and tensor.name.endswith(".weight"):
                packed += 1
                if not {f"{tensor.name}_scale", f"{tensor.name}_scale_inv"} & names:
                    missing.append(f"{tensor.name}_scale_inv")
    elif method.startswith("bitsandbytes"):
        packed, missing = _bitsandbytes(checkpoint, names)
    if missing:
        missing.sort()
        yield finding(
            "quantization-vllm-missing-scale",
            [f"{method}: {count_of(packed, 'packed weight')}; missing beside them: {listing(missing, 5)}",
             f"vLLM says: KeyError: '{printable(missing[0])}'"],
        )  # fmt: skip


def _bitsandbytes(checkpoint: Checkpoint, names: set[str]) -> tuple[int, list[str]]:
    """4-bit weights are bytes in one column and need absmax, quant_map and a quant_state; 8-bit ones need SCB."""
    missing: list[str] = []
    packed = 0
    states = {match["stem"] for name in names if (match := _BNB_STATE.match(name)) and "quant_state" in name}
    for tensor in checkpoint.tensors:
        if tensor.dtype == "U8" and len(tensor.shape) == 2 and tensor.shape[1] == 1 and tensor.name.endswith("weight"):
            packed += 1
            missing += [
                f"{tensor.name}.{part}" for part in ("absmax", "quant_map") if f"{tensor.name}.{part}" not in names
            ]
            if tensor.name not in states:
                missing.append(f"{tensor.name}.quant_state.bitsandbytes__nf4")
        elif tensor.dtype == "I8" and tensor.name.endswith(".weight"):
            packed += 1
            stem = tensor.name.removesuffix("weight")
            if f"{stem}SCB" not in names:
                missing.append(f"{stem}SCB")
    return packed, missing


def packed_as_plain(evidence: Evidence) -> Iterator[Finding]:
    """4-bit weights of bitsandbytes without the config that says so: plain layers of other shapes are built."""
    checkpoint = evidence.checkpoint
    if declared(checkpoint) or not checkpoint.weights.files or "U8" not in checkpoint.dtypes:
        return
    stems = {match["stem"] for tensor in checkpoint.tensors if (match := _BNB_STATE.match(tensor.name))}
    packed = [
        tensor
        for tensor in checkpoint.tensors
        if tensor.dtype == "U8" and len(tensor.shape) == 2 and tensor.shape[1] == 1 and tensor.name in stems
    ]
    if packed:
        first = packed[0]
        yield finding(
            "quantization-bnb-packed-as-plain",
            [f"{count_of(len(packed), 'weight')} of bytes in one column, with absmax and quant_map beside them: "
             f"{printable(first.name)} {shape_text(first.shape)}: {first.numel * 2:,} values of 4 bits",
             "config.json has no quantization_config"],
            fix=('add "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true, '
                 '"bnb_4bit_quant_type": "nf4"} to config.json', "pip install bitsandbytes accelerate"),
        )  # fmt: skip


def file_name(evidence: Evidence) -> Iterator[Finding]:
    """A GPTQ file under a name of its own, which `from_pretrained` does not look for."""
    checkpoint = evidence.checkpoint
    if "quantize_config.json" not in checkpoint.names or checkpoint.weights.files or checkpoint.weights.problems:
        return
    held = [file for file in checkpoint.files if any(tensor.name.endswith(".qweight") for tensor in file.tensors)]
    if held:
        name = held[0].name
        target = "model.safetensors" if held[0].format == "safetensors" else "pytorch_model.bin"
        yield finding(
            "quantization-gptq-file-name",
            [f"{printable(name)} holds GPTQ weights; the loader looks for model.safetensors or pytorch_model.bin"],
            file=name,
            fix=(shell("mv", str(checkpoint.root / name), str(checkpoint.root / target)),),
        )
