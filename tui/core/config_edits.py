"""Edits of a config before a class is asked, and settings as a user writes them.

How a class understands an edit (aliases, per-layer lists, labels) is known in the worker alone.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from tui.errors import UsageError


def edited(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`config` with dotted keys set; parts on the way are made where absent."""
    out = deepcopy(config)
    for key, value in changes.items():
        part = out
        *path, last = key.split(".")
        for step in path:
            inner = part.get(step)
            if not isinstance(inner, dict):
                inner = {}
                part[step] = inner
            part = inner
        part[last] = value
        if key == "num_labels":
            part.pop("id2label", None)
            part.pop("label2id", None)
    return out


def parse_setting(text: str) -> tuple[str, Any]:
    """`key=value` with a JSON value; a value that is no JSON is a string."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"{text!r} is not key=value", "write num_labels=5")
    return key.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """A JSON value, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def config_text(config: dict[str, Any]) -> str:
    """A config as the text of a config.json."""
    return json.dumps(config, indent=2, ensure_ascii=True) + "\n"
