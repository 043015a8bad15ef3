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


def every_dtype(prefix: Path) -> Path:
    """A variable of each dtype that a checkpoint is made of, scalars, empty shapes and a name with odd letters."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    kinds = (
        "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
        "uint64", "bool", "complex64", "complex128",
    )  # fmt: skip
    tensors = {f"kinds/{kind}": tf.cast(tf.reshape(tf.range(6), [2, 3]), kind) for kind in kinds}
    tensors |= {f"scalars/{kind}": tf.cast(1, kind) for kind in kinds}
    tensors |= {
        "empty": tf.zeros([0, 4]), "emptier": tf.zeros([0]), "deep": tf.zeros([1, 2, 1, 2, 1, 2]),
        "words": tf.constant([["", "ab"], ["\xe4", "x" * 300]]), "word": tf.constant("one"),
        "na\xefve/w\u4e16/:0": tf.ones([2]),
    }  # fmt: skip
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=list(tensors), shape_and_slices=[""] * len(tensors),
        tensors=list(tensors.values()),
    )  # fmt: skip
    return prefix


def partitioned(prefix: Path, parts: int = 3, rows: int = 10, **options: Any) -> Path:
    """Variables cut along their rows and along their columns."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), v1.Session() as session, tf.device("/cpu:0"):
        v1.get_variable("rows", [rows, 4], partitioner=v1.fixed_size_partitioner(parts))
        v1.get_variable("columns", [4, rows], partitioner=v1.fixed_size_partitioner(parts, axis=1))
        v1.get_variable("whole", [2, 2])
        session.run(v1.global_variables_initializer())
        v1.train.Saver(**options).save(session, str(prefix))
    return prefix


def merged(prefix: Path) -> Path:
    """Two bundles joined into one of several shards, as a distributed save leaves them."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    parts = [str(prefix) + f"_temp/part-{number}" for number in range(3)]
    for number, part in enumerate(parts):
        tf.raw_ops.SaveV2(
            prefix=part, tensor_names=[f"part{number}/kernel", f"part{number}/steps"], shape_and_slices=["", ""],
            tensors=[tf.fill([number + 1, 2], 0.5), tf.constant(number, tf.int64)],
        )  # fmt: skip
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(prefix), delete_old_dirs=True)
    return prefix


def trained(prefix: Path) -> Path:
    """A model of Keras 2 with its optimizer, after one step, by its objects."""
    import tf_keras

    model = tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.Dense(3), tf_keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 4)), np.zeros((2, 1)), verbose=0)
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(prefix))
    return prefix


def first_version_of_many(prefix: Path) -> Path:
    """A checkpoint from before tensor bundles, of several dtypes, with a partitioned variable and several blocks."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), v1.Session() as session:
        for kind in ("float64", "int32", "uint8", "int8", "bool", "complex64"):
            v1.get_variable(f"kinds/{kind}", initializer=tf.cast(tf.reshape(tf.range(6), [2, 3]), kind))
        v1.get_variable("part", [10, 4], partitioner=v1.fixed_size_partitioner(3))
        for number in range(300):
            v1.get_variable(f"layer_{number}/kernel", [40, 40])
        v1.get_variable("scalar", [])
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
