"""Writes `tests/data/tflite` with the real converter: `python tests/builders/tflite_files.py tests/data/tflite`.

TensorFlow 2.21 wrote what is there; the tests need it only to open the file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy
import tensorflow as tf


class _Dense(tf.Module):
    """One layer: a matrix and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.constant(numpy.arange(400, dtype="float32").reshape(20, 20) / 100)
        self.bias = tf.constant(numpy.arange(20, dtype="float32"))

    @tf.function(input_signature=[tf.TensorSpec([1, 20], tf.float32)])
    def call(self, x: Any) -> Any:
        return tf.matmul(x, self.weight) + self.bias


def main(place: Path) -> None:
    """One small model."""
    place.mkdir(parents=True, exist_ok=True)
    module = _Dense()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.call.get_concrete_function()], module)
    (place / "dense.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
