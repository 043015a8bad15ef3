"""Files of TensorFlow and Keras for the long run, each with the mutation that reaches what lies behind its checksums.

Most blind mutations of a table end at a block's checksum, those of an archive at its directory; so blocks are sealed
again and archives are written anew round what was changed.
"""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.builders import tables
from tests.conftest import SAMPLES
from tests.fuzz.mutate import in_place, mutated
from tui.core.formats.tensorflow import table as reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Target(NamedTuple):
    """A file that is mutated: its name decides who reads it."""

    data: bytes
    change: Callable[[bytes, int], bytes]


def alternating(data: bytes, seed: int) -> bytes:
    """Any mutation for even seeds, one that moves nothing for odd ones."""
    return in_place(data, seed) if seed & 1 else mutated(data, seed)


def sealed_table(data: bytes, seed: int) -> bytes:
    """A table round the mutated block `data`."""
    return tables.table(alternating(data, seed))


def archive(data: bytes, seed: int) -> bytes:
    """A `.keras` archive in which one member was mutated."""
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    chosen = sorted(members)[seed % len(members)]
    members[chosen] = alternating(members[chosen], seed)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if seed % 5 == 0 else zipfile.ZIP_STORED) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return out.getvalue()


def targets(place: Path) -> dict[str, Target]:
    """Name below the run's directory → what is mutated there."""

    def sample(*parts: str) -> bytes:
        return SAMPLES.joinpath(*parts).read_bytes()

    index = sample("google-bert-checkpoint", "bert_model.ckpt.index")
    old = tables.first_version({"bert/embeddings": (1, (10, 4)), "steps": (9, ()), "names": (7, (2,))})
    out = {
        "encoder/saved_model.pb": Target(sample("tfhub-bert-v3", "saved_model.pb"), alternating),
        "list/saved_model.pb": Target(sample("tfhub-bert-v2-list", "saved_model.pb"), alternating),
        "module/saved_model.pb": Target(sample("tfhub-bert-v1", "saved_model.pb"), alternating),
        "text/saved_model.pb": Target(sample("tfhub-text-asset-missing", "saved_model.pb"), alternating),
        "bert.ckpt.index": Target(index, alternating),
        "sealed.ckpt.index": Target(first_block(index), sealed_table),
        "model.ckpt-1": Target(tables.table(old), alternating),
        "sealed.ckpt-1": Target(old, sealed_table),
        "model.h5": Target(sample("keras-custom-layer", "model.h5"), alternating),
        "model.keras": Target(sample("keras-lambda", "model.keras"), alternating),
        "inside.keras": Target(sample("keras-lambda", "model.keras"), archive),
    }
    if find_spec("h5py") is not None:
        out["latest.h5"] = Target(_latest(place / "latest-seed.h5"), alternating)
    return out


def first_block(data: bytes) -> bytes:
    """The one data block of a small table."""
    _, at = reader._handle(data[-reader.FOOTER :], 0)
    (place, size), _ = reader._handle(data[-reader.FOOTER :], at)
    [(_, handle, _)] = reader._entries(data[place : place + size], 0)
    (first, length), _ = reader._handle(handle, 0)
    return data[first : first + length]


def _latest(path: Path) -> bytes:
    """An HDF5 file of the newest form, whose links and attributes lie in heaps of their own."""
    import h5py

    with h5py.File(path, "w", libver="latest") as file:
        group: Any = file.create_group("layers")
        for number in range(12):
            group.create_dataset(f"dense_{number}", data=[1.0, 2.0])
            file.attrs[f"attribute_{number}"] = "x" * number
    return path.read_bytes()
