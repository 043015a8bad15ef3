from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from tui.system import environments, gpus, memory

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
MEMINFO = "MemTotal:       25165824 kB\nMemAvailable:   20971520 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"


def _machine(root: Path, cgroup: str, files: dict[str, str], overcommit: str = "0") -> memory.Ram:
    proc = root / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "sys" / "vm").mkdir(parents=True)
    (proc / "meminfo").write_text(MEMINFO, "ascii")
    (proc / "self" / "cgroup").write_text(cgroup, "ascii")
    (proc / "sys" / "vm" / "overcommit_memory").write_text(overcommit, "ascii")
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "ascii")
    return memory.probe(proc, root / "cgroup")


def test_without_a_cgroup_the_host_decides(tmp_path: Path) -> None:
    ram = _machine(tmp_path, "0::/\n", {})
    assert (ram.available, ram.total, ram.source) == (20 * GIB, 24 * GIB, "MemAvailable")
    assert ram.mappable == 24 * GIB


def test_the_least_of_all_ancestors_counts(tmp_path: Path) -> None:
    files = {
        "slurm/job/step/memory.current": str(GIB),
        "slurm/job/step/memory.max": "max",
        "slurm/job/memory.current": str(3 * GIB),
        "slurm/job/memory.max": str(8 * GIB),
        "slurm/job/memory.stat": f"anon 5\ninactive_file {GIB}\nactive_file 0\n",
    }
    ram = _machine(tmp_path, "0::/slurm/job/step\n", files)
    assert (ram.available, ram.source) == (6 * GIB, "cgroup v2 memory.max")


def test_version_one_is_read_too(tmp_path: Path) -> None:
    files = {
        "memory/docker/x/memory.limit_in_bytes": str(4 * GIB),
        "memory/docker/x/memory.usage_in_bytes": str(GIB),
    }
    ram = _machine(tmp_path, "5:cpu,memory:/docker/x\n", files)
    assert (ram.available, ram.source) == (3 * GIB, "cgroup v1 memory.limit_in_bytes")


def test_overcommit_always_maps_everything(tmp_path: Path) -> None:
    assert _machine(tmp_path, "0::/\n", {}, "1").mappable is None


class _NvmlError(Exception):
    pass


def _nvml(devices: list[tuple[str, int, int]], fails: str = "") -> Any:
    fake = types.ModuleType("pynvml")

    def check(name: str) -> None:
        if name == fails:
            raise _NvmlError("Driver/library version mismatch")

    def init() -> None:
        check("init")

    def info(index: int) -> Any:
        check("memory")
        return types.SimpleNamespace(free=devices[index][1], total=devices[index][2])

    fake.__dict__.update(
        NVMLError=_NvmlError,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(devices),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda index: devices[index][0].encode(),
        nvmlDeviceGetMemoryInfo=info,
    )
    return fake


def test_each_gpu_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _nvml([("A100", 70 * GIB, 80 * GIB), ("A10", GIB, 24 * GIB)]))
    found = gpus.probe()
    assert [(gpu.name, gpu.free, gpu.total) for gpu in found.devices] == [
        ("A100", 70 * GIB, 80 * GIB), ("A10", GIB, 24 * GIB),
    ]  # fmt: skip


@pytest.mark.parametrize(("fails", "words"), [("init", "version mismatch"), ("", "lists no GPU")])
def test_no_gpu_is_a_sentence(monkeypatch: pytest.MonkeyPatch, fails: str, words: str) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _nvml([], fails))
    found = gpus.probe()
    assert found.devices == ()
    assert words in found.reason


def test_memory_that_a_driver_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _nvml([("A10", 1, 2)], "memory"))
    [gpu] = gpus.probe().devices
    assert (gpu.free, gpu.total) == (None, None)


def test_an_environment_is_described_without_starting_it(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (site / "torch-2.13.0.dist-info").mkdir()
    (site / "Typing_Extensions-4.16.0.dist-info").mkdir()
    found = environments.describe(str(tmp_path / "bin" / "python"))
    assert (found.python, found.packages) == ("3.11", {"torch": "2.13.0", "typing-extensions": "4.16.0"})
