"""TensorFlow's files without TensorFlow: saved models, graphs, tensor bundles and the checkpoints before them."""

from __future__ import annotations
