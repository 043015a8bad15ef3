"""Numbers of a config, bounded: a file may claim any size, and what it claims is multiplied."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]
MAX_LAYERS = 4096
"""More layers than any model has; a longer list is not walked."""

MAX_NUMBER = 1 << 31
MAX_BYTES = 1 << 60


class NotModelled(Exception):
    """This quantity cannot be told for this config; the text says why, for the user."""


def whole(config: Config, *names: str, most: int = MAX_NUMBER) -> int | None:
    """The first of `names` that is a positive whole number up to `most`; `None` where there is none."""
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most:
            return value
    return None


def need(config: Config, *names: str, most: int = MAX_NUMBER) -> int:
    """As `whole`; raises `NotModelled` where there is none."""
    value = whole(config, *names, most=most)
    if value is None:
        raise NotModelled(f"config.json has no usable {names[0]}")
    return value


def bounded(size: int) -> int:
    """`size`, unless no machine has so many bytes: then the config is absurd and `NotModelled` is raised."""
    if size > MAX_BYTES:
        raise NotModelled("the sizes in config.json multiply to more than any machine holds")
    return size


def text_config(config: Config) -> Config:
    """The part of a config that describes the language model: itself, or its `text_config`."""
    for name in ("text_config", "llm_config", "language_config"):
        part = config.get(name)
        if isinstance(part, dict):
            return part
    return config


def layer_count(text: Config) -> int:
    """How many layers the decoder has."""
    return need(text, "num_hidden_layers", "n_layer", "num_layers", "n_layers", most=MAX_LAYERS)
