from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import pytest
import torch
from safetensors.torch import save_file

from tests.builders.gguf_files import small
from tui.core import statistics as module
from tui.core.assemble import read_one_file
from tui.core.pace import Stopped
from tui.core.statistics import figures, statistics

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.float64])
def test_figures_are_numpys(tmp_path: Path, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIECE", 64)
    torch.manual_seed(8)
    values = (torch.randn(41, 13) * 9).to(dtype)
    values[0, :4] = 0
    save_file({"w": values, "x": torch.ones(2)}, str(tmp_path / "m.safetensors"))
    found = statistics(read_one_file(tmp_path / "m.safetensors", "m"), "w")
    array = values.double().numpy()
    assert found is not None
    assert (found.count, found.not_finite, found.zeros) == (array.size, 0, int((array == 0).sum()))
    assert (found.least, found.most) == (array.min(), array.max())
    assert found.mean == pytest.approx(array.mean())
    assert found.deviation == pytest.approx(array.std())
    edges = numpy.linspace(array.min(), array.max(), module.BINS + 1)
    assert sum(found.histogram) == array.size
    assert (
        numpy.abs(numpy.histogram(array, edges)[0] - found.histogram).sum() <= 4
    )  # values on an edge may fall either way


def test_what_is_not_finite_is_counted_apart(tmp_path: Path) -> None:
    values = torch.tensor([1.0, float("nan"), 3.0, float("inf"), float("-inf")])
    save_file({"w": values, "none": torch.full((2,), float("nan"))}, str(tmp_path / "m.safetensors"))
    checkpoint = read_one_file(tmp_path / "m.safetensors", "m")
    found = statistics(checkpoint, "w")
    assert found is not None
    assert (found.count, found.not_finite, found.least, found.most, found.mean) == (5, 3, 1.0, 3.0, 2.0)
    none = statistics(checkpoint, "none")
    assert none is not None
    assert (none.not_finite, none.least, none.histogram) == (2, None, ())
    assert statistics(checkpoint, "other") is None


def test_what_is_not_decoded_says_so(tmp_path: Path) -> None:
    checkpoint = read_one_file(small(tmp_path / "m.gguf", pairs=[]), "m")
    found = statistics(checkpoint, "blk.0.attn_q.weight")
    assert found is not None
    assert (found.count, found.why) == (32 * 32, "")
    numpy.savez_compressed(tmp_path / "a.npz", w=numpy.ones(3))
    packed = statistics(read_one_file(tmp_path / "a.npz", "a"), "w")
    assert packed is not None
    assert figures(packed) == [("values", "its place in the file is not known")]


def test_it_can_be_stopped(tmp_path: Path) -> None:
    save_file({"w": torch.ones(3)}, str(tmp_path / "m.safetensors"))
    with pytest.raises(Stopped):
        statistics(read_one_file(tmp_path / "m.safetensors", "m"), "w", lambda: True)
