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
