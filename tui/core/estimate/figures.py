"""The figures of one scenario, before they are held against a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.estimate.cache import Cache, cache_bytes
from tui.core.estimate.loading import Load, load_of
from tui.core.estimate.running import Pass, pass_of
from tui.core.estimate.training import UNSURE, training_bytes
from tui.core.estimate.weights import Weights, bits_of, weigh
from tui.core.record import Record

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.estimate.model import Base, Scenario
    from tui.core.estimate.numbers import Config

DEVICE_CONTEXT = 600_000_000
DEVICE_CONTEXT_UNSURE = 300_000_000
"""What a CUDA context takes beside torch's allocator; published figures lie between 0.3 and 1.0 GB."""

_SLACK_LEAST = 150_000_000
_SLACK_SHARE = 50
"""Allocator slack on a device: a fiftieth of what it holds, or 150 MB."""


class Figures(Record, frozen=True):
    """Bytes of one scenario; RAM figures are of the whole process, device figures of one device with everything."""

    weights: Weights
    load: Load
    cache: Cache
    once: Pass
    training: int
    load_peak: int | None
    run: int | None
    wants: int | None
    low: int | None
    high: int | None
    device_overhead: int
    device_total: int
    device_low: int
    device_high: int
    missing: tuple[str, ...]

    @property
    def must(self) -> int | None:
        """The larger of both phases."""
        known = [size for size in (self.load_peak, self.run) if size is not None]
        return max(known) if known else None


def figures(
    checkpoint: Checkpoint, scenario: Scenario, base: Base, in_memory: bool = False, weights: Weights | None = None
) -> Figures:
    """Every figure; `in_memory` says that the files lie on a tmpfs. `weights` saves weighing again."""
    config: Config = checkpoint.settings
    weights = weights or weigh(checkpoint, scenario.dtype, scenario.device)
    element = bits_of(weights.target) // 8
    load = load_of(checkpoint, weights)
    runs = bool(config) and checkpoint.kind in ("transformers", "sentence_transformers")
    if runs:
        cache = cache_bytes(config, scenario.context, scenario.batch, element)
        once = pass_of(config, scenario.context, scenario.batch, element)
    else:
        words = "there is no config.json, so cache and working memory are unknown" if not config else ""
        cache, once = Cache(None, words or f"a {checkpoint.kind} file is not run"), Pass(None, None, reason=words)
    training = training_bytes(weights.parameters, element) if scenario.training else 0
    return _summed(weights, load, cache, once, training, base, in_memory)


def _summed(
    weights: Weights, load: Load, cache: Cache, once: Pass, training: int, base: Base, in_memory: bool
) -> Figures:
    """The two phases of RAM with their band, and the device."""
    cached, logits = cache.bytes or 0, once.logits or 0
    work, low_work, high_work = once.work or 0, once.low or 0, once.high or 0
    peak = run = wants = low = high = None
    if load.peak is not None and load.after is not None:
        peak = base.anonymous + load.peak
        trained = training + (weights.loaded - load.after if training and load.after < weights.loaded else 0)
        running = base.anonymous + load.after + cached + logits + trained
        run = max(running + work, base.anonymous + load.after + trained + once.before)
        unsure = trained * UNSURE // 100
        low = max(peak - load.low, running + low_work - unsure) - base.unsure
        high = max(peak + load.high, running + high_work + unsure) + base.unsure
        files = (0, 0) if in_memory else (load.file_peak, load.file_peak + load.file_later)
        wants = max(peak + files[0], run + files[1]) + base.file
    held = weights.loaded + cached + logits + work + training
    slack = max(held // _SLACK_SHARE, _SLACK_LEAST)
    overhead = DEVICE_CONTEXT + slack
    total = held + overhead
    reasons = dict.fromkeys(
        words for words in (load.reason, cache.reason if cache.bytes is None else "", once.reason) if words
    )
    return Figures(
        weights=weights,
        load=load,
        cache=cache,
        once=once,
        training=training,
        load_peak=peak,
        run=run,
        wants=wants,
        low=low,
        high=high,
        device_overhead=overhead,
        device_total=total,
        device_low=total - DEVICE_CONTEXT_UNSURE - slack - (work - min(low_work, work)),
        device_high=total + DEVICE_CONTEXT_UNSURE + max(high_work - work, 0) + held * 3 // 100,
        missing=tuple(reasons),
    )
