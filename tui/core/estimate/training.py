"""What training adds to the weights: gradients, AdamW's two moments, and a master copy where weights are 16-bit."""

from __future__ import annotations

UNSURE = 25
"""Percent by which a training estimate may be off (activations kept for the backward pass vary most)."""


def training_bytes(parameters: int, element: int) -> int:
    """Gradients at the weights' dtype, two moments at the weights' dtype: what torch's AdamW keeps."""
    return parameters * element * 3
