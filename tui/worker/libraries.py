"""The environment's packages: versions without importing, and the libraries once they are needed."""

from __future__ import annotations

import sys
from typing import Any

PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "safetensors",
    "tokenizers",
    "peft",
    "sentencepiece",
    "tiktoken",
    "protobuf",
    "numpy",
    "bitsandbytes",
    "optimum",
    "gptqmodel",
    "compressed-tensors",
    "timm",
    "onnx",
    "gguf",
    "Pillow",
    "scipy",
    "einops",
    "flash-attn",
    "sentence-transformers",
    "diffusers",
    "pytorch-lightning",
    "lightning",
    "tensorflow",
    "tensorflow-hub",
    "tf-keras",
    "keras",
    "h5py",
    "joblib",
    "scikit-learn",
    "tensorflow-text",
    "setuptools",
    "kagglehub",
)
"""Packages whose presence or version decides loads."""


def versions() -> dict[str, str]:
    """Installed packages of `PACKAGES` by version, read from their metadata."""
    from importlib import metadata

    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except Exception:  # a broken dist-info must not stop the worker
            continue
    return found


def transformers() -> Any:
    """The transformers package, quiet, with its modeling code imported."""
    import transformers as library

    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    return library


def has(name: str) -> bool:
    """Whether a top-level package can be found, without importing it."""
    from importlib.machinery import PathFinder

    return name in sys.modules or PathFinder.find_spec(name) is not None


def python_version() -> str:
    """This interpreter's version."""
    return ".".join(str(part) for part in sys.version_info[:3])


def error_of(error: BaseException, replacements: dict[str, str] | None = None) -> dict[str, str]:
    """An exception as type and message, temporary paths put back to the user's."""
    message = str(error)
    for old, new in (replacements or {}).items():
        message = message.replace(old, new)
    return {"type": type(error).__name__, "message": message[:20000]}
