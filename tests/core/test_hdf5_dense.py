"""Links and attributes outside of object headers, as `libver="latest"` writes them: equal to what h5py lists."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tui.core.assemble import read_one_file
from tui.core.files import open_regular
from tui.core.formats.hdf5 import MAX_NUMBERS, Content, Reader
from tui.core.formats.hdf5_messages import Hdf5Error, link_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

h5py = pytest.importorskip("h5py")
np = pytest.importorskip("numpy")


def _read(path: Path) -> Content:
    with open_regular(path, path.name) as file:
        return Reader(file).run()


def _plain(value: Any) -> Any:
    """A value of h5py as the reader gives it."""
    if isinstance(value, np.ndarray):
        if value.size > MAX_NUMBERS and value.dtype.kind in "iuf":
            return None
        return [_plain(item) for item in value.ravel()]
    if isinstance(value, bytes):
        return value.split(b"\0")[0].decode("utf-8", "backslashreplace")
    return value.item() if hasattr(value, "item") else value


def _listing(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(shape and offset by dataset, attributes by object), as h5py has them."""
    datasets: dict[str, Any] = {}
    attributes: dict[str, Any] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            datasets[name] = (item.shape, item.id.get_offset())
        if len(item.attrs):
            attributes[name] = {key: _plain(item.attrs[key]) for key in item.attrs}

    with h5py.File(path) as file:
        note("", file)
        file.visititems(note)
    return datasets, attributes


def _many_links(file: Any) -> None:
    for number in range(3000):
        file.create_group(f"a group with number {number}")["kernel"] = np.zeros(number % 7, "f4")


def _few_links(file: Any) -> None:
    for number in range(9):
        file[f"x{number}"] = np.arange(number)


def _attributes(file: Any) -> None:
    group = file.create_group("layer", track_order=True)
    for number in range(60):
        file.attrs[f"text {number}"] = "v" * (number * 97 % 3000)
        file.attrs[f"number {number}"] = number / 3
        group.attrs[f"bytes {number}"] = np.bytes_(b"w" * (number + 1))
        group.attrs[f"list {number}"] = np.arange(number % 20)
    dataset = file.create_dataset("d", data=[1.0])
    for number in range(12):
        dataset.attrs[f"n{number}"] = number


def _thousands_of_attributes(file: Any) -> None:
    for number in range(4000):
        file.attrs[f"attribute {number}"] = np.arange(number % 90)


def _large_attributes(file: Any) -> None:
    file.attrs["model_config"] = "{" + "x" * 300_000 + "}"
    file.attrs["fixed"] = np.bytes_(b"y" * 200_000)
    for number in range(20):
        file.attrs[f"huge {number}"] = np.arange(20_000) + number


def _tracked(file: Any) -> None:
    for number in range(40):
        group = file.create_group(f"tracked {number}", track_order=True)
        group.attrs["n"] = number
        for inner in range(10):
            group[f"x{inner}"] = np.zeros(inner)


def _layers_of_keras(file: Any) -> None:
    """What Keras 3 would write, in the newest form."""
    layers = file.create_group("layers")
    for number in range(30):
        variables = layers.create_group(f"dense_{number}").create_group("vars")
        variables["0"] = np.ones((4, 3), "f4")
        variables["1"] = np.zeros(3, "f4")
    for number in range(10):
        file.attrs[f"note {number}"] = "x"


CASES: tuple[Callable[[Any], None], ...] = (
    _few_links, _many_links, _attributes, _thousands_of_attributes, _large_attributes, _tracked, _layers_of_keras,
)  # fmt: skip


OPTIONS: tuple[dict[str, Any], ...] = (
    {"libver": "latest"}, {"libver": "latest", "track_order": True}, {"libver": "v110"},
)  # fmt: skip


@pytest.mark.parametrize("build", CASES)
@pytest.mark.parametrize("options", OPTIONS)
def test_everything_is_what_h5py_lists(build: Callable[[Any], None], options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", **options) as file:
        build(file)
    datasets, attributes = _listing(path)
    content = _read(path)
    assert (content.damage, content.unread) == ([], [])
    assert {item.name: (item.shape, item.offset) for item in content.datasets} == datasets
    assert content.attributes == attributes
    assert not read_one_file(path, "x").all_problems()


def test_links_that_lead_elsewhere_are_named_in_heaps_too(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for number in range(20):
            file[f"soft {number}"] = h5py.SoftLink(f"/soft {number}")
            file[f"out {number}"] = h5py.ExternalLink("/etc/passwd", "/")
        file["loop"] = file["/"]
    content = _read(path)
    assert len(content.links) == 40
    assert content.datasets == []


def test_members_that_were_taken_away_leave_holes(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for number in range(500):
            file[f"x{number}"] = np.zeros(number % 5)
            file.attrs[f"a{number}"] = np.arange(number % 50)
        for number in range(0, 500, 3):
            del file[f"x{number}"]
            del file.attrs[f"a{number}"]
        file["x0"] = np.ones(9)
        file.attrs["a0"] = "again"
    datasets, attributes = _listing(path)
    content = _read(path)
    assert {item.name: (item.shape, item.offset) for item in content.datasets} == datasets
    assert content.attributes == attributes


SIGNATURES = (b"FRHP", b"FHIB", b"BTHD", b"BTIN", b"BTLF")


@pytest.mark.parametrize("signature", SIGNATURES)
def test_damage_of_every_structure_is_named(signature: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as file:
        _thousands_of_attributes(file)
        file["x"] = np.zeros(3)
    data = bytearray(path.read_bytes())
    at = data.index(signature)
    data[at] ^= 1
    path.write_bytes(data)
    content = _read(path)
    assert len(content.damage) == 1
    assert "there is no" in content.damage[0][1]
    assert [item.name for item in content.datasets] == ["x"]
    assert {problem.code for problem in read_one_file(path, "x").all_problems()} == {"hdf5-damaged"}


def test_any_byte_of_a_heap_or_a_tree_may_be_anything(tmp_path: Path) -> None:
    """Each byte of each structure's beginning is replaced; whatever comes of it, it comes back."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["large"] = np.arange(9000)
        for number in range(300):
            file.attrs[f"attribute {number}"] = "x" * (number % 50)
    whole = path.read_bytes()
    chance = random.Random(5)
    told = 0
    for signature in (*SIGNATURES, b"FHDB"):
        start = whole.index(signature)
        for at in range(start, start + (146 if signature == b"FRHP" else 48)):
            for value in (0, 0xFF, chance.randrange(256))[at % 2 :]:
                data = bytearray(whole)
                data[at] = value
                path.write_bytes(data)
                try:
                    told += bool(_read(path).damage)
                except Hdf5Error:
                    told += 1
    assert told > 100


def test_a_heap_that_is_compressed_is_said_to_be_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for number in range(20):
            file.attrs[f"a{number}"] = number
    data = bytearray(path.read_bytes())
    data[data.index(b"FRHP") + 7] = 8
    path.write_bytes(data)
    [problem] = read_one_file(path, "x").all_problems()
    assert (problem.code, problem.fatal) == ("hdf5-not-read", False)


@pytest.mark.parametrize("width", [0, 1, 2, 3])
def test_a_links_name_that_is_longer_than_its_message(width: int) -> None:
    body = bytes([1, width]) + b"\xff" * (1 << width) + b"name" + bytes(8)
    with pytest.raises(IndexError):
        link_of(body)
    assert link_of(bytes([1, width]) + (4).to_bytes(1 << width, "little") + b"name" + bytes(8)) == ("name", "hard", 0)
