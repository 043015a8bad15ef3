"""What app and worker say to each other: one JSON object a line, over a pipe of their own.

Standard library and Python 3.9 only: the app and every foreign interpreter import it.

Requests: `{"id": 1, "op": "open" | "compare" | "tokenizer" | "classes" | "load" | "quit", …}`.
Events: `{"id": 1, "event": "result" | "failed" | "progress" | "stage", …}`; `"id": 0` is the worker itself.
"""

from __future__ import annotations

import json
from typing import Any

MAX_LINE = 512 << 20
"""Longest line that either side accepts, in bytes; DeepSeek-V3's header is 6 MB of JSON."""

PACKAGE = "ckptriage_worker"
"""The name under which the worker's folder is imported in the child."""

VERSION = 1

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "utf-8:backslashreplace",
}
"""Environment of every child: no network, no telemetry, no bytecode beside the user's files."""


def encode(message: dict[str, Any]) -> bytes:
    """A message as one line."""
    return json.dumps(message, ensure_ascii=True, separators=(",", ":"), default=str).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """The message in a line, `None` where it is none."""
    if len(line) > MAX_LINE:
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
