"""The estimate of one checkpoint on one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.estimate.advice import advice
from tui.core.estimate.figures import figures
from tui.core.estimate.model import Available, Estimate, Scenario
from tui.core.estimate.verdicts import judge, largest_mapping

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint


def estimate(
    checkpoint: Checkpoint,
    available: Available,
    dtype: str = "auto",
    context: int = 512,
    batch: int = 1,
    device: str = "cpu",
    training: bool = False,
) -> Estimate:
    """The estimate for this checkpoint on this machine, with its verdict."""
    scenario = Scenario(dtype, context, batch, device, training)
    readable = any(tensor.role != "optimizer" for tensor in checkpoint.tensors)
    if not readable or checkpoint.weights.problems:
        words = "the tensors could not be read, so nothing can be estimated"
        return Estimate(dtype, None, None, scenario, advice=(words,), not_modelled=(words,))
    made = figures(checkpoint, scenario, available.base, available.place.in_memory)
    verdict = judge(checkpoint, made, scenario, available)
    weights, once, cache = made.weights, made.once, made.cache
    return Estimate(
        dtype=weights.target,
        parameters=checkpoint.parameters,
        weights=weights.loaded,
        scenario=scenario,
        base=available.base.anonymous,
        base_source=available.base.source,
        rule=made.load.rule,
        load_peak=made.load_peak,
        run=made.run,
        wants=made.wants,
        low=made.low,
        high=made.high,
        kv_cache=cache.bytes,
        kv_reason=cache.reason,
        logits=once.logits,
        activations=once.work,
        activations_low=once.low,
        activations_high=once.high,
        training=made.training,
        device_overhead=made.device_overhead,
        device_total=made.device_total,
        device_low=made.device_low,
        device_high=made.device_high,
        placement=verdict.placement,
        by_dtype=weights.by_dtype,
        largest_mapping=largest_mapping(checkpoint),
        not_modelled=made.missing,
        verdict=verdict.name,
        shortfall=verdict.shortfall,
        advice=advice(checkpoint, made, scenario, available, verdict),
    )
