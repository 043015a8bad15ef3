from __future__ import annotations

import filecmp
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loader


def _differences(first: Path, second: Path) -> list[str]:
    compared = filecmp.dircmp(first, second)
    out = [*compared.left_only, *compared.right_only, *compared.funny_files]
    out += [name for name in compared.common_files if (first / name).read_bytes() != (second / name).read_bytes()]
    for name in compared.common_dirs:
        out += _differences(first / name, second / name)
    return out


def test_the_gallery_is_what_its_script_builds(tmp_path: Path) -> None:
    from tests.builders.sample_models import main

    main([str(tmp_path)])
    assert _differences(SAMPLES, tmp_path) == []


def test_the_gallery_is_small() -> None:
    directories = [entry for entry in SAMPLES.iterdir() if entry.is_dir()]
    sizes = {entry.name: sum(path.stat().st_size for path in entry.rglob("*")) for entry in directories}
    assert max(sizes.values()) <= 300_000
    assert sum(sizes.values()) <= 3_000_000
