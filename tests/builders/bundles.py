"""Tensor bundles and checkpoints of every kind, written by TensorFlow itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1

if TYPE_CHECKING:
    from pathlib import Path


def object_based(prefix: Path) -> Path:
    """A TensorFlow 2 checkpoint: several dtypes, strings, an optimizer's slots, an unusual name."""
    root: Any = tf.train.Checkpoint(
        step=tf.Variable(3, dtype=tf.int64),
        half=tf.Variable(tf.cast([1, 2, 3], tf.bfloat16)),
        words=tf.Variable(["x", "yy", ""]),
        scalar=tf.Variable(True),
        empty=tf.Variable(np.zeros((0, 3), "float32")),
    )
    root.layer = tf.Module()
    root.layer.kernel = tf.Variable(np.arange(12, dtype="float64").reshape(3, 4))
    root.write(str(prefix))
    return prefix


def _variables() -> None:
    v1.get_variable("bert/embeddings/word_embeddings", [10, 4])
    v1.get_variable("bert/pooler/dense/kernel", [4, 4])
    v1.get_variable("bert/pooler/dense/kernel/adam_m", [4, 4])
    v1.get_variable("part", [10, 4], partitioner=v1.fixed_size_partitioner(3))
    v1.get_variable("names", initializer=tf.constant(["a", "bcd"]))


def name_based(prefix: Path, **options: Any) -> Path:
    """A TensorFlow 1 checkpoint, with a partitioned and a string variable."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), v1.Session() as session:
        with tf.device("/cpu:0"):
            _variables()
        session.run(v1.global_variables_initializer())
        v1.train.Saver(**options).save(session, str(prefix))
    return prefix


def many_names(prefix: Path, count: int = 5000) -> Path:
    """A checkpoint whose index has several blocks."""
    names = [f"layer_{number:05d}/a_name_that_is_long_enough_to_fill_the_blocks/kernel" for number in range(count)]
    prefix.parent.mkdir(parents=True, exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * count,
        tensors=[tf.constant([float(number)]) for number in range(count)],
    )  # fmt: skip
    return prefix


def first_version(prefix: Path) -> Path:
    """A checkpoint of one table, from before tensor bundles."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("bert/embeddings/word_embeddings", [10, 4])
        v1.get_variable("steps", initializer=tf.constant(3, tf.int64))
        session.run(v1.global_variables_initializer())
        v1.train.Saver(write_version=v1.train.SaverDef.V1).save(session, str(prefix))
    return prefix


def frozen_graph(path: Path) -> Path:
    """A GraphDef with its weights as constants."""
    with tf.Graph().as_default() as graph:
        ids = v1.placeholder(tf.int32, [None, 4], "ids")
        table = tf.constant(np.random.default_rng(0).random((10, 300), dtype="float32"), name="table")
        tf.identity(tf.reduce_mean(tf.gather(table, ids), 1), name="pooled")
        path.write_bytes(graph.as_graph_def().SerializeToString())
    return path
