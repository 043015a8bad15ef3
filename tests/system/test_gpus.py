"""GPUs without a GPU: NVML's own interface, compiled from C and found by the loader under the driver's name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

from tests.conftest import REPOSITORY
from tui.core.estimate import Device
from tui.system import gpus, nvidia

GIB = 1 << 30
_CC = shutil.which("cc") or shutil.which("gcc")
needs_cc = pytest.mark.skipif(_CC is None, reason="no C compiler to build the library with")

_ASK = """
import json, os, sys
from msgspec import to_builtins
from pathlib import Path
from tui.system import gpus
for scenario in sys.argv[1:]:
    Path(os.environ["NVML_SCENARIO"]).write_text(scenario)
    found = gpus.probe(Path("/none"))
    print(json.dumps(to_builtins(found)))
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).parent / "nvml" / "nvml.c"
    target = place / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-Wall", "-Werror"]
    command = [str(_CC), *flags, "-o", str(target), str(source)]
    subprocess.run(command, check=True)
    return place


def ask(library: Path, *scenarios: str, **environment: str) -> list[dict[str, Any]]:
    """What a process that loads the library finds, in each scenario after the other."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("CUDA_")}
    variables |= {"LD_LIBRARY_PATH": str(library), "NVML_SCENARIO": str(library / "scenario")}
    done = subprocess.run(
        [sys.executable, "-c", _ASK, *scenarios], capture_output=True, text=True, check=False, cwd=REPOSITORY,
        env={**variables, "PYTHONPATH": str(REPOSITORY), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def gpu(name: str, uuid: str, total: float, free: float, code: int = 0) -> str:
    return f"gpu {name} {uuid} {int(total * GIB)} {int(free * GIB)} {code}\n"


@needs_cc
def test_no_gpu_and_no_driver_are_told_apart(library: Path) -> None:
    none, driver, mismatch, count = ask(library, "", "init 9\n", "init 18\n", "count 4\n")
    assert none["reason"] == "the NVIDIA driver lists no GPU"
    assert "the driver is not loaded" in driver["reason"]
    assert "reboot" in mismatch["reason"]
    assert "no permission" in count["reason"]
    assert all(not found["devices"] for found in (none, driver, mismatch, count))


@needs_cc
def test_one_gpu_with_the_processes_that_hold_it(library: Path) -> None:
    text = (
        gpu("A100", "GPU-aa", 80, 60) + f"process 0 {os.getpid()} {5 * GIB}\nprocess 0 4242 -1\nprocess 0 7 {6 * GIB}\n"
    )
    [found] = ask(library, text)
    [device] = found["devices"]
    assert (device["name"], device["uuid"], device["total"], device["free"]) == ("A100", "GPU-aa", 80 * GIB, 60 * GIB)
    assert [(holder["pid"], holder["bytes"]) for holder in device["holders"]] == [
        (7, 6 * GIB), (os.getpid(), 5 * GIB), (4242, None),
    ]  # fmt: skip


@needs_cc
def test_eight_gpus_and_which_of_them_cuda_shows(library: Path) -> None:
    text = "".join(gpu("H100", f"GPU-{index}{index}", 80, 70 + index) for index in range(8))

    def shown(**environment: str) -> list[int]:
        return [device["index"] for device in ask(library, text, **environment)[0]["devices"]]

    assert shown() == list(range(8))
    assert shown(CUDA_VISIBLE_DEVICES="3,1") == [3, 1]
    assert shown(CUDA_VISIBLE_DEVICES="GPU-55,2") == [5, 2]
    assert shown(CUDA_VISIBLE_DEVICES="1,nonsense,2") == [1]
    assert shown(CUDA_VISIBLE_DEVICES="2,2") == [2]
    [hidden] = ask(library, text, CUDA_VISIBLE_DEVICES="")
    assert hidden["devices"] == []
    assert "hides every GPU" in hidden["reason"]


@needs_cc
def test_gpus_of_different_kinds_are_counted_by_speed(library: Path) -> None:
    text = gpu("T4", "GPU-a", 16, 15) + gpu("A100", "GPU-b", 80, 70)
    [unsure] = ask(library, text, CUDA_VISIBLE_DEVICES="0")
    assert "not certain" in unsure["notes"][0]
    [sure] = ask(library, text, CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="PCI_BUS_ID")
    assert sure["notes"] == []


@needs_cc
def test_a_partitioned_gpu_is_its_instances(library: Path) -> None:
    text = (
        gpu("A100", "GPU-a", 80, 80)
        + f"mig A100_MIG_3g.40gb MIG-1 {40 * GIB} {39 * GIB} 0\nmig A100_MIG_1g.10gb MIG-2 {10 * GIB} {9 * GIB} 0\n"
    )
    [found] = ask(library, text)
    assert [(device["uuid"], device["free"]) for device in found["devices"]] == [
        ("MIG-1", 39 * GIB),
        ("MIG-2", 9 * GIB),
    ]
    assert "instance 1 of GPU 0" in found["devices"][1]["note"]
    [one] = ask(library, text, CUDA_VISIBLE_DEVICES="MIG-2")
    assert [device["uuid"] for device in one["devices"]] == ["MIG-2"]


@needs_cc
def test_memory_that_is_the_systems_own(library: Path) -> None:
    [found] = ask(library, gpu("GB10", "GPU-a", 0, 0, 3))
    [device] = found["devices"]
    assert device["unified"]
    assert (device["free"], device["total"]) == (None, None)


@needs_cc
def test_an_old_driver_knows_the_first_version_alone(library: Path) -> None:
    [found] = ask(library, gpu("P100", "GPU-a", 16, 12, 113))
    assert found["devices"][0]["free"] == 12 * GIB


@needs_cc
def test_a_device_that_vanishes_leaves_the_others(library: Path) -> None:
    both = gpu("A10", "GPU-a", 24, 20) + gpu("A10", "GPU-b", 24, 22)
    lost = gpu("A10", "GPU-a", 24, 20) + gpu("A10", "GPU-b", 24, 22, 15)
    gone = gpu("A10", "GPU-a", 24, 20) + gpu("A10", "GPU-b", 24, 22, -15)
    found = ask(library, both, lost, gone, both)
    assert [len(answer["devices"]) for answer in found] == [2, 2, 2, 2]
    for answer in found[1:3]:
        assert answer["devices"][0]["free"] == 20 * GIB
        assert answer["devices"][1]["free"] is None
        assert "is lost" in answer["devices"][1]["note"]
    assert found[3] == found[0]


@needs_cc
def test_the_command_line_uses_what_the_driver_says(library: Path) -> None:
    (library / "scenario").write_text(gpu("A10", "GPU-a", 24, 20), "ascii")
    done = subprocess.run(
        [sys.executable, "-m", "tui", "memory", "sample_models/gpt2-tiny", "--device", "cuda:0", "--json",
         "--no-probe"],
        capture_output=True, text=True, check=False, cwd=REPOSITORY,
        env={**os.environ, "LD_LIBRARY_PATH": str(library), "NVML_SCENARIO": str(library / "scenario"),
             "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["verdict"] == "fits"
    assert answer["available"]["devices"][0]["free_bytes"] == 20 * GIB


def _card(root: Path, number: int, **values: int | str) -> None:
    place = root / f"sys/class/drm/card{number}/device"
    place.mkdir(parents=True)
    (root / f"sys/class/drm/card{number}-DP-1").mkdir()
    for name, value in values.items():
        (place / name).write_text(f"{value}\n", "ascii")


def test_amd_cards_are_read_from_sysfs(tmp_path: Path) -> None:
    _card(tmp_path, 0, vendor="0x8086", mem_info_vram_total=1, mem_info_vram_used=0)
    _card(tmp_path, 1, vendor="0x1002", mem_info_vram_total=24 * GIB, mem_info_vram_used=4 * GIB, product_name="MI210")
    _card(tmp_path, 10, vendor="0x1002", mem_info_vram_total=GIB // 2, mem_info_vram_used=0,
          mem_info_gtt_total=60 * GIB, mem_info_gtt_used=GIB)  # fmt: skip
    _card(tmp_path, 2, vendor="0x1002")
    found = gpus.probe(tmp_path, {}).devices
    assert [(device.name, device.free, device.unified) for device in found] == [
        ("MI210", 20 * GIB, False), ("AMD GPU 1", None, False), ("AMD GPU 2", GIB // 2 + 59 * GIB, True),
    ]  # fmt: skip
    assert [device.name for device in gpus.probe(tmp_path, {"HIP_VISIBLE_DEVICES": "2,0"}).devices] == [
        "AMD GPU 2", "MI210",
    ]  # fmt: skip
    hidden = gpus.probe(tmp_path, {"ROCR_VISIBLE_DEVICES": "-1"})
    assert hidden.devices == ()
    assert "hides every AMD GPU" in hidden.notes[0]


@pytest.mark.parametrize("entry", ["", ",", "GPU-", "GPU-a", "99999999999", "²", "0 1", "MIG-", "-1", "0x0"])
def test_what_names_no_device_hides_it(entry: str) -> None:
    devices = (Device("A", 1, 2, "GPU-aa", 0), Device("B", 1, 2, "GPU-ab", 1))
    found = nvidia.visible(devices, {"CUDA_VISIBLE_DEVICES": entry})
    assert found.devices == ()
    assert "hides every GPU" in found.reason
    assert to_builtins(devices[0])["uuid"] == "GPU-aa"
