from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tui.system import cgroups, disk, memory

GIB = 1 << 30
MEMINFO = "MemTotal:       268435456 kB\nMemAvailable:   251658240 kB\nSwapTotal: 0 kB\nSwapFree: 2048 kB\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    """A fake /proc and /sys."""
    for name, text in {"proc/meminfo": MEMINFO, "proc/sys/vm/overcommit_memory": "0", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "ascii")
    return root


def test_without_a_cgroup_the_host_decides(tmp_path: Path) -> None:
    ram = memory.probe(tree(tmp_path, {}), {})
    assert (ram.available, ram.total, ram.source) == (240 * GIB, 256 * GIB, "MemAvailable")
    assert (ram.mappable, ram.swap_free, ram.overcommit) == (256 * GIB, 2 << 20, 0)
    assert any("no memory cgroup" in note for note in ram.notes)


def test_docker_shows_its_own_group_as_the_root(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "36 25 0:31 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n",
        "sys/fs/cgroup/memory.max": str(8 * GIB),
        "sys/fs/cgroup/memory.high": "max\n",
        "sys/fs/cgroup/memory.current": str(3 * GIB),
        "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GIB}\nactive_file {GIB // 2}\nslab_reclaimable 4096\n",
    }
    ram = memory.probe(tree(tmp_path, files), {})
    assert (ram.available, ram.total) == (8 * GIB - 3 * GIB + GIB + GIB // 2 + 4096, 8 * GIB)
    assert ram.source == "cgroup v2 memory.max"


def test_docker_without_a_namespace_mounts_a_group_below_the_root(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:cpu:/docker/abc\n4:memory:/docker/abc\n",
        "proc/self/mountinfo": "40 30 0:20 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(4 * GIB),
        "sys/fs/cgroup/memory/memory.usage_in_bytes": str(GIB),
        "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {GIB // 4}\ntotal_active_file 0\n",
    }
    ram = memory.probe(tree(tmp_path, files), {})
    assert (ram.available, ram.source) == (3 * GIB + GIB // 4, "cgroup v1 memory.limit_in_bytes")


def test_slurm_puts_the_limit_on_the_job_and_not_on_the_step(tmp_path: Path) -> None:
    place = "sys/fs/cgroup/memory/slurm/uid_1000/job_77"
    files = {
        "proc/self/cgroup": "9:memory:/slurm/uid_1000/job_77/step_0\n",
        f"{place}/step_0/memory.limit_in_bytes": "9223372036854771712",
        f"{place}/step_0/memory.usage_in_bytes": "1000",
        f"{place}/memory.limit_in_bytes": str(32 * GIB),
        f"{place}/memory.usage_in_bytes": str(2 * GIB),
    }
    ram = memory.probe(tree(tmp_path, files), {"SLURM_MEM_PER_NODE": "65536"})
    assert (ram.available, ram.source) == (30 * GIB, "cgroup v1 memory.limit_in_bytes of job_77")


@pytest.mark.parametrize(
    ("environment", "available", "source"),
    [
        ({"SLURM_MEM_PER_NODE": "16384"}, 16 * GIB, "SLURM_MEM_PER_NODE"),
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "4"}, 8 * GIB, "SLURM_MEM_PER_CPU"),
        ({"SLURM_MEM_PER_NODE": "0"}, 240 * GIB, "MemAvailable"),
        ({"SLURM_MEM_PER_CPU": "2048"}, 240 * GIB, "MemAvailable"),
        ({"SLURM_MEM_PER_NODE": "16G\x1b"}, 240 * GIB, "MemAvailable"),
    ],
)
def test_slurm_without_cgroups_tells_by_its_variables(
    tmp_path: Path, environment: dict[str, str], available: int, source: str
) -> None:
    ram = memory.probe(tree(tmp_path, {}), environment)
    assert (ram.available, ram.source) == (available, source)


def test_a_slice_of_systemd_throttles_before_it_kills(tmp_path: Path) -> None:
    place = "sys/fs/cgroup/user.slice/user-1000.slice"
    files = {
        "proc/self/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n",
        f"{place}/session-3.scope/memory.max": "max",
        f"{place}/session-3.scope/memory.current": str(GIB),
        f"{place}/memory.max": str(100 * GIB),
        f"{place}/memory.high": str(64 * GIB),
        f"{place}/memory.current": str(GIB),
    }
    ram = memory.probe(tree(tmp_path, files), {})
    assert (ram.available, ram.source) == (63 * GIB, "cgroup v2 memory.high of user-1000.slice")


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/a\n0::/b\n",
        "sys/fs/cgroup/memory/a/memory.limit_in_bytes": str(5 * GIB),
        "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "0",
        "sys/fs/cgroup/unified/b/memory.max": str(6 * GIB),
        "sys/fs/cgroup/unified/b/memory.current": "0",
    }
    assert memory.probe(tree(tmp_path, files), {}).available == 5 * GIB


@pytest.mark.parametrize("cgroup", ["", "x", "0::/../../etc\n", "0::" + "/a" * 5000 + "\n", "4:memory\n", "\x00::/\n"])
def test_odd_cgroup_files_are_survived(tmp_path: Path, cgroup: str) -> None:
    files = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": "a b c\n1 2 3 / /x - cgroup2\n - - -\n"}
    assert memory.probe(tree(tmp_path, files), {}).available == 240 * GIB


def test_overcommit_sets_what_can_be_mapped(tmp_path: Path) -> None:
    assert memory.probe(tree(tmp_path / "a", {"proc/sys/vm/overcommit_memory": "1"}), {}).mappable is None
    strict = MEMINFO + "CommitLimit: 1048576 kB\nCommitted_AS: 524288 kB\n"
    files = {"proc/sys/vm/overcommit_memory": "2", "proc/meminfo": strict}
    assert memory.probe(tree(tmp_path / "b", files), {}).mappable == GIB // 2
    absent = tree(tmp_path / "c", {})
    (absent / "proc/sys/vm/overcommit_memory").unlink()
    ram = memory.probe(absent, {})
    assert ram.overcommit is None
    assert any("overcommit" in note for note in ram.notes)


@pytest.mark.parametrize("flag", ["v", "d"])
def test_ulimit_bounds_what_can_be_mapped(flag: str) -> None:
    code = "from tui.system import memory; print(memory.probe().mappable)"
    done = subprocess.run(
        ["bash", "-c", f'ulimit -{flag} 4000000; exec "$0" -c "$1"', sys.executable, code],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.stdout.strip() == str(4000000 * 1024), done.stderr


def test_this_machine_answers() -> None:
    ram = memory.probe()
    assert ram.available is not None
    assert ram.total is not None
    assert 0 < ram.available <= ram.total
    assert all(limit.free >= 0 for limit in cgroups.limits(Path("/")))


def test_the_disk_and_whether_it_is_ram(tmp_path: Path) -> None:
    found = disk.probe(tmp_path)
    assert found.free is not None
    assert found.free > 0
    gone = disk.probe(tmp_path / "gone")
    assert (gone.free, gone.in_memory) == (None, False)
    assert "No such file" in gone.reason
    device = tmp_path.stat().st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    root = tree(tmp_path, {"proc/self/mountinfo": f"1 2 99:9 / / - ext4 x rw\n3 1 {numbers} / /y rw - tmpfs none rw\n"})
    assert disk.kind_of(device, root) == "tmpfs"
    assert disk.probe(tmp_path, root).in_memory


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm")
def test_dev_shm_is_ram() -> None:
    assert disk.probe(Path("/dev/shm")).in_memory
