"""Which files an attempt opens are worth a line: what it may not have, never what libraries ask about the machine."""

from __future__ import annotations

import os

import pytest

from tui.worker.watch import _opened

READ, WRITE = os.O_RDONLY, os.O_WRONLY | os.O_CREAT


@pytest.mark.parametrize(
    ("path", "flags", "words"),
    [
        ("/proc/mounts", READ, ""),
        ("/proc/self/maps", READ, ""),
        ("/sys/devices/system/cpu/online", READ, ""),
        ("/place/own", WRITE, ""),
        ("/checkpoint/model.safetensors", READ, ""),
        ("/proc/1/mem", READ, "read"),
        ("/proc/1/environ", READ, "read"),
        ("/proc/self/mem", READ, "read"),
        ("/proc/self/root/etc/shadow", READ, "read"),
        ("/proc/self/environ", READ, "read"),
        ("/home/somebody/.ssh/id_rsa", READ, "read"),
        ("/checkpoint/model.safetensors", WRITE, "write"),
        ("/proc/sys/kernel/core_pattern", WRITE, "write"),
        ("/sys/kernel/x", WRITE, "write"),
    ],
)
def test_what_is_worth_a_line(path: str, flags: int, words: str) -> None:
    assert _opened((path, None, flags), "/place", ["/checkpoint"]) == words
