"""The estimate as the object that `memory --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui.core.estimate.model import Available, Device, Estimate


def to_json(made: Estimate, available: Available, path: str) -> dict[str, Any]:
    """The contract's object for `memory --json`."""
    activations = None if made.activations is None else made.activations + (made.logits or 0)
    return {
        "schema": 1,
        "path": path,
        "dtype": made.dtype,
        "parameters": made.parameters,
        "weights_bytes": made.weights,
        "context": made.scenario.context,
        "batch": made.scenario.batch,
        "device_asked": made.scenario.device,
        "rule": made.rule or None,
        "ram": {
            "base_bytes": made.base,
            "load_peak_bytes": made.load_peak,
            "run_bytes": made.run,
            "wants_bytes": made.wants,
            "low_bytes": made.low,
            "high_bytes": made.high,
        },
        "device": {
            "weights_bytes": made.weights,
            "kv_cache_bytes": made.kv_cache,
            "activation_bytes": activations,
            "overhead_bytes": made.device_overhead if made.device_total is not None else None,
            "total_bytes": made.device_total,
            "low_bytes": made.device_low,
            "high_bytes": made.device_high,
        },
        "base_source": made.base_source,
        "kv_cache_reason": made.kv_reason or None,
        "logits_bytes": made.logits,
        "training_bytes": made.training,
        "placement": [
            {"device": part.device, "bytes": part.bytes, "limit_bytes": part.free, "blocks": part.blocks}
            for part in made.placement
        ],
        "by_dtype": made.by_dtype,
        "not_modelled": list(made.not_modelled),
        "available": {
            "ram_bytes": available.ram,
            "ram_total_bytes": available.ram_total,
            "ram_source": available.ram_source,
            "swap_bytes": available.swap,
            "disk_free_bytes": available.place.free,
            "on_tmpfs": available.place.in_memory,
            "notes": list(available.notes),
            "devices": [_device(device) for device in available.devices],
            "devices_reason": available.devices_reason or None,
        },
        "verdict": made.verdict,
        "shortfall_bytes": made.shortfall,
        "advice": list(made.advice),
    }


def _device(device: Device) -> dict[str, Any]:
    return {
        "name": device.name,
        "free_bytes": device.free,
        "total_bytes": device.total,
        "uuid": device.uuid or None,
        "unified": device.unified,
        "note": device.note or None,
        "processes": [{"pid": holder.pid, "bytes": holder.bytes, "name": holder.name} for holder in device.holders],
    }
