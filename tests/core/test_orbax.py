"""Orbax's databases, written by the real Orbax and tensorstore (`tests/builders/orbax_files.py`), whole and damaged."""

from __future__ import annotations

import json
import random
import shutil
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.format_samples import varint
from tests.conftest import REPOSITORY
from tui.core.assemble import read_directory
from tui.core.diagnosis.evidence import Evidence
from tui.core.formats.ocdbt import read_database
from tui.core.formats.tensorflow.crc32c import crc32c
from tui.core.report.model import Triage, triage_of
from tui.core.tensors import TORCH_DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = REPOSITORY / "tests" / "data" / "orbax"
EXPECTED: dict[str, dict[str, list[Any]]] = json.loads((FILES / "expected.json").read_text("utf-8"))


def check(path: Path) -> Triage:
    return triage_of(Evidence(read_directory(path, str(path))))


def rules(triage: Triage) -> set[str]:
    return {item.rule for item in triage.findings}


def arrays(triage: Triage) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {tensor.name: (tensor.dtype, tensor.shape) for tensor in triage.checkpoint.tensors}


def expected(name: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {key: (TORCH_DTYPES[dtype], tuple(shape)) for key, (dtype, shape) in EXPECTED[name].items()}


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Path]:
    def of(name: str) -> Path:
        place = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(FILES / name, place)
        return place

    return of


@pytest.mark.parametrize("name", ["pytree", "zarr3", "inner-nodes", "numbered"])
def test_names_shapes_and_dtypes_are_tensorstores(name: str) -> None:
    triage = check(FILES / name)
    assert triage.checkpoint.kind == "orbax"
    assert arrays(triage) == expected(name)
    assert not {rule for rule in rules(triage) if rule.startswith("orbax")}
    named = [file.name for file in triage.checkpoint.files if file.format == "ocdbt_data"]
    assert named
    assert triage.checkpoint.bytes == sum((FILES / name / item).stat().st_size for item in ("manifest.ocdbt", *named))


def test_the_tree_has_inner_nodes() -> None:
    listing = read_database(FILES / "inner-nodes", "", lambda _: False)
    assert (listing.keys, listing.values) == (24, {})


def test_a_missing_process_and_a_missing_file(copy: Callable[[str], Path]) -> None:
    place = copy("pytree")
    shutil.rmtree(place / "ocdbt.process_0")
    triage = check(place)
    assert arrays(triage) == expected("pytree")
    [*found] = [item for item in triage.findings if item.rule == "orbax-data-missing"]
    assert found
    assert all((item.file or "").startswith("ocdbt.process_0/d/") for item in found)
    assert any("params.embedding/" in line for item in found for line in item.evidence)
    assert triage.verdict == "fails"


def test_a_data_file_that_is_cut_short(copy: Callable[[str], Path]) -> None:
    place = copy("pytree")
    needed = read_database(place, "", lambda _: False).needed
    name = max(needed, key=lambda name: needed[name])
    with (place / name).open("r+b") as file:
        file.truncate(needed[name])  # what follows is of an earlier version
        assert "orbax-data-missing" not in rules(check(place))
        file.truncate(needed[name] - 1)
    triage = check(place)
    assert arrays(triage) == expected("pytree")
    [found] = [item for item in triage.findings if item.rule == "orbax-data-missing"]
    assert found.file == name


def test_without_the_merged_manifest_the_processes_are_read(copy: Callable[[str], Path]) -> None:
    place = copy("pytree")
    (place / "manifest.ocdbt").write_bytes(b"")
    triage = check(place)
    assert "orbax-manifest-damaged" in rules(triage)
    assert arrays(triage) == expected("pytree")
    (place / "manifest.ocdbt").unlink()
    assert arrays(check(place)) == expected("pytree")


def test_what_metadata_announces_and_nobody_wrote(copy: Callable[[str], Path]) -> None:
    place = copy("pytree")
    document = json.loads((place / "_METADATA").read_text("utf-8"))
    keys = [{"key": "params", "key_type": 2}, {"key": "late", "key_type": 2}]
    document["tree_metadata"]["('params', 'late')"] = {
        "key_metadata": keys, "value_metadata": {"value_type": "jax.Array"},
    }  # fmt: skip
    document["tree_metadata"]["('none',)"] = {
        "key_metadata": [{"key": "none"}], "value_metadata": {"value_type": "None"},
    }  # fmt: skip
    (place / "_METADATA").write_text(json.dumps(document), "utf-8")
    triage = check(place)
    [found] = [item for item in triage.findings if item.rule == "orbax-array-missing"]
    assert any("params.late" in line for line in found.evidence)
    assert not any("none" in line for line in found.evidence)


@pytest.mark.parametrize("name", ["inner-nodes", "numbered"])
def test_cut_short_anywhere_it_is_told_where_and_the_rest_is_listed(name: str, copy: Callable[[str], Path]) -> None:
    place = copy(name)
    needed = read_database(place, "", lambda _: False).needed
    newest = max((path.name for path in place.glob("manifest.0*")), default="")
    listed: set[int] = set()
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        used = path.name in ("manifest.ocdbt", newest)
        least = needed.get(str(path.relative_to(place)), len(whole) if used else 0)
        for cut in sorted({0, 3, 4, 11, 12, 13, 14, 20, 31, len(whole) // 2, len(whole) - 1}):
            path.write_bytes(whole[:cut])
            triage = check(place)
            listed.add(len(triage.checkpoint.tensors))
            found = [item for item in triage.findings if item.rule.startswith("orbax-")]
            assert bool(found) == (cut < least), (path.name, cut)
            assert all(item.file for item in found)
        path.write_bytes(whole)
    assert {0, len(expected(name))} <= listed
    assert name != "inner-nodes" or len(listed) > 3  # a part of the tree is lost, the rest is listed
    assert arrays(check(place)) == expected(name)


def test_wrong_magic_trailing_bytes_and_another_steps_manifest(copy: Callable[[str], Path]) -> None:
    place = copy("inner-nodes")
    manifest = place / "manifest.ocdbt"
    whole = manifest.read_bytes()
    for changed in (b"\x89HDF" + whole[4:], whole + b"more", whole[:-1] + b"\0"):
        manifest.write_bytes(changed)
        assert "orbax-manifest-damaged" in rules(check(place))
    shutil.copy(FILES / "pytree" / "manifest.ocdbt", manifest)
    triage = check(place)
    assert {"orbax-data-missing", "orbax-manifest-damaged"} <= rules(triage)
    assert triage.checkpoint.tensors == ()


def rewritten(whole: bytes, at: int, old: bytes, new: bytes) -> bytes:
    """An uncompressed manifest in which `old` is another value, its length and checksum made right again."""
    assert whole[at : at + len(old)] == old
    body = whole[:at] + new + whole[at + len(old) : -4]
    body = body[:4] + (len(body) + 4).to_bytes(8, "little") + body[12:]
    return body + crc32c(body).to_bytes(4, "little")


def test_counts_of_two_to_the_sixtieth_and_paths_that_lead_outside(copy: Callable[[str], Path]) -> None:
    place = copy("inner-nodes")
    manifest = place / "manifest.ocdbt"
    whole = manifest.read_bytes()
    assert rewritten(whole, 0, b"", b"") == whole
    huge = b"\x80\x80\x80\x80\x80\x80\x80\x80\x10"
    path = whole.index(b"d/")
    for at in range(30, len(whole) - 4):
        manifest.write_bytes(rewritten(whole, at, whole[at : at + 1], huge))
        check(place)
    for name in (b"/etc/shadow".ljust(34, b"x"), b"../".ljust(34, b"y")):
        manifest.write_bytes(rewritten(whole, path, whole[path : path + 34], name))
        [found] = [item for item in check(place).findings if item.rule == "orbax-manifest-damaged"]
        assert "outside" in found.evidence[0]


def _sealed(magic: int, body: bytes) -> bytes:
    """An uncompressed manifest or node round `body`."""
    data = magic.to_bytes(4, "big") + (len(body) + 18).to_bytes(8, "little") + b"\0\0" + body
    return data + crc32c(data).to_bytes(4, "little")


def test_names_that_share_their_beginnings_take_no_memory_without_bound(tmp_path: Path) -> None:
    count = 20_000
    lengths = b"".join(varint(60_000 if index == 0 else 1) for index in range(count))
    names = varint(59_999) * (count - 1) + lengths + bytes(60_000 + count - 1)
    node = _sealed(0x0CDB20DE, b"\0\0" + varint(count) + names + bytes(2 * count))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(node)
    files = b"\1" + varint(3) + b"\0" + b"d/x"
    versions = b"\1\1\0\0\0" + varint(len(node)) + b"\0\0\0" + bytes(8) + b"\0"
    manifest = _sealed(0x0CDB3A2A, bytes(16) + b"\0\1\1" + b"\4" + b"\0" + files + versions)
    (tmp_path / "manifest.ocdbt").write_bytes(manifest)
    tracemalloc.start()
    found = [item for item in check(tmp_path).findings if item.rule == "orbax-manifest-damaged"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "names take more than" in found[0].evidence[0]
    assert peak < 64 << 20


def test_changed_bytes_never_raise(copy: Callable[[str], Path]) -> None:
    numbers = random.Random(11)
    place = copy("inner-nodes")
    paths = [path for path in sorted(place.rglob("*")) if path.is_file()]
    for _ in range(150):
        path = numbers.choice(paths)
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[numbers.randrange(len(changed))] ^= 1 << numbers.randrange(8)
        body = bytes(changed[:-4])
        path.write_bytes(body + crc32c(body).to_bytes(4, "little"))  # a checksum hides nothing from the reader
        assert not [item for item in check(place).findings if "Error" in "".join(item.evidence)]
        path.write_bytes(whole)
