"""Writes `tests/data/orbax` with the real Orbax and tensorstore, and what they themselves say is in it.

Run under an environment that has `orbax-checkpoint==0.12.8` and `tensorstore==0.1.86`, which the tests need not have:
`python tests/builders/orbax_files.py tests/data/orbax`.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy

GENERATOR = numpy.random.default_rng(3)


def _tree() -> dict[str, Any]:
    """Arrays of several dtypes, large ones that lie in files of their own among them, and scalars."""
    import jax.numpy as jnp

    return {
        "params": {
            "dense": {
                "kernel": GENERATOR.standard_normal((24, 30), numpy.float32),
                "bias": jnp.asarray(GENERATOR.standard_normal(30, numpy.float32), jnp.bfloat16),
            },
            "embedding": GENERATOR.standard_normal((70, 16), numpy.float32).astype(numpy.float16),
        },
        "opt": [numpy.arange(3, dtype=numpy.int32), numpy.float32(2.0)],
        "step": 7,
    }


def _stored(place: Path) -> dict[str, list[Any]]:
    """Every array as tensorstore opens it: dtype and shape by name."""
    import tensorstore

    base = {"driver": "ocdbt", "base": place.as_uri() + "/"}
    found: dict[str, list[Any]] = {}
    for key in sorted(tensorstore.KvStore.open(base).result().list().result()):
        name, _, last = key.decode().rpartition("/")
        driver = {".zarray": "zarr", "zarr.json": "zarr3"}.get(last)
        if driver is not None:
            array = tensorstore.open({"driver": driver, "kvstore": {**base, "path": name + "/"}}).result()
            found[name] = [array.dtype.name, list(array.shape)]
    return found


def _database(place: Path, config: dict[str, Any], arrays: int) -> None:
    """A database of tensorstore's own making: the tree has inner nodes where nodes may hold little."""
    import tensorstore

    base = {"driver": "ocdbt", "base": place.as_uri() + "/", "config": config}
    context = tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}})
    for number in range(arrays):
        kvstore = {**base, "path": f"layers.{number:03}.weight/"}
        made = tensorstore.open(
            {"driver": "zarr", "kvstore": kvstore}, dtype=tensorstore.float32, shape=[number + 1, 4], create=True,
            context=context,
        ).result()  # fmt: skip
        made.write(GENERATOR.standard_normal((number + 1, 4), numpy.float32)).result()


def main(place: Path) -> None:
    """Every kind of database, and `expected.json` beside them."""
    import orbax.checkpoint as ocp

    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name, zarr3 in (("pytree", False), ("zarr3", True)):
        handler = ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=zarr3)
        ocp.Checkpointer(handler).save(place / name, args=ocp.args.PyTreeSave(_tree()))
    plain = {"max_inline_value_bytes": 40, "max_decoded_node_bytes": 400, "compression": None}
    _database(place / "inner-nodes", plain, 12)
    numbered = {**plain, "manifest_kind": "numbered", "compression": {"id": "zstd"}}
    _database(place / "numbered", numbered, 4)
    expected = {entry.name: _stored(entry) for entry in sorted(place.iterdir())}
    (place / "expected.json").write_text(json.dumps(expected, indent=1), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
