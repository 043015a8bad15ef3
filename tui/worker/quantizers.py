"""The quantizer that the loader would pick, or the exception it raises before any file is opened."""

from __future__ import annotations

import inspect
from typing import Any


def pick(config: Any) -> tuple[Any, Any]:
    """Quantizer (or `None`) and config, through the library's own `get_hf_quantizer` (quantizers/auto.py)."""
    if getattr(config, "quantization_config", None) is None:
        return None, config
    try:
        from transformers.quantizers.auto import get_hf_quantizer
    except ImportError:
        return None, config
    values = {
        "config": config,
        "quantization_config": None,
        "device_map": None,
        "weights_only": True,
        "user_agent": {},
        "gguf_file": None,
        "dtype": None,
    }
    parameters = inspect.signature(get_hf_quantizer).parameters
    answer = get_hf_quantizer(**{name: values.get(name) for name in parameters})
    return answer[0], answer[1]


_EIGHT_BITS = "with a GPU of compute capability 8.9 or newer the weights stay in 8 bits and their scales are keys"
_DEPENDS = {
    "fp8": _EIGHT_BITS,
    "finegrained_fp8": _EIGHT_BITS,
    "fbgemm_fp8": "this quantization loads on a GPU only",
    "mxfp4": "with a GPU, triton and kernels the weights stay in 4 bits and their scales are keys",
}


def undecided(quantizer: Any) -> list[str]:
    """What the answer depends on besides names and shapes: quantizers that look for a GPU."""
    config = getattr(quantizer, "quantization_config", None)
    method = getattr(config, "quant_method", "")
    words = _DEPENDS.get(str(getattr(method, "value", method)).lower())
    return [f"answered as without a GPU: {words}"] if words else []
