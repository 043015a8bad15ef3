"""Confinement of the child: Landlock, seccomp and limits, without root, with the standard library alone.

Linux only; each layer that the kernel lacks is reported as not held. Applied in a load attempt and in the warm worker
before any library is imported, so that nothing of a checkpoint is looked at outside of it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import site
import struct
import sys
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

# landlock: the same numbers on every architecture
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR, _EXECUTE, _WRITE_FILE, _TRUNCATE, _IOCTL = 1 << 2, 1 << 3, 1 << 0, 1 << 1, 1 << 14, 1 << 15
_READ = _READ_FILE | _READ_DIR | _EXECUTE
_ACCESS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_ACCESS = (1 << 16) - 1
_SCOPED = 6
"""From this version on Landlock keeps signals within the processes that it confines together."""

_SYSTEM = (
    "/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/ssl", "/etc/nsswitch.conf",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm", "/proc/sys/kernel",
    "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm",
)  # fmt: skip
"""What an interpreter and its libraries read of the system; no home, no /etc/passwd, no other process."""

_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_GPU = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/dev/dri", "/dev/shm")
_GPU_READ = ("/proc/driver/nvidia", "/sys/module/nvidia", "/sys/bus/pci", "/etc/nvidia")

_DENIED = {
    "x86_64": (
        0xC000003E,
        {
            "execve": 59, "execveat": 322, "fork": 57, "vfork": 58, "socket": 41, "connect": 42, "bind": 49,
            "listen": 50, "sendmsg": 46, "sendto": 44, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
            "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "bpf": 321,
            "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425, "keyctl": 250, "add_key": 248,
            "request_key": 249, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424,
            "open_by_handle_at": 304, "tkill": 200, "rt_sigqueueinfo": 129, "kexec_load": 246, "init_module": 175,
        },
        56, 435, 62,
    ),
    "aarch64": (
        0xC00000B7,
        {
            "execve": 221, "execveat": 281, "socket": 198, "connect": 203, "bind": 200, "listen": 201, "sendmsg": 211,
            "sendto": 206, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "mount": 40,
            "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "bpf": 280,
            "perf_event_open": 241, "userfaultfd": 282, "io_uring_setup": 425, "keyctl": 219, "add_key": 217,
            "request_key": 218, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424,
            "open_by_handle_at": 265, "tkill": 130, "rt_sigqueueinfo": 138, "kexec_load": 104, "init_module": 105,
        },
        220, 435, 129,
    ),
}  # fmt: skip
"""Audit architecture, denied calls, and the numbers of clone, clone3 and kill."""


def _call(number: int, *arguments: Any) -> int:
    if _LIBC is None:
        return -1
    return int(_LIBC.syscall(ctypes.c_long(number), *arguments))


def landlock_abi() -> int:
    """The kernel's Landlock version, 0 where it has none."""
    return max(_call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)), 0)


def apply(readable: list[str], writable: list[str], gpu: bool = False, copies: bool = False) -> dict[str, Any]:
    """Confine this process for good; returns which layers hold, and why the others do not.

    With `copies` it may copy itself and end the copies, which are confined as it is; no other process is reached.
    """
    held: dict[str, Any] = {"landlock": False, "seccomp": False, "limits": False, "notes": []}
    held["limits"] = _limits(held["notes"])
    if _LIBC is None:
        held["notes"].append("only Linux confines a load attempt")
        return held
    if _LIBC.prctl(38, 1, 0, 0, 0) != 0:
        held["notes"].append("no_new_privs was refused")
        return held
    held["landlock"] = _landlock(readable, writable, gpu, held["notes"])
    held["seccomp"] = _seccomp(held["notes"], copies, held["landlock"] and landlock_abi() >= _SCOPED)
    return held


def level(held: dict[str, Any]) -> str:
    """`isolated`, `partly isolated` or `not isolated`."""
    if held.get("landlock") and held.get("seccomp"):
        return "isolated"
    return "partly isolated" if held.get("seccomp") or held.get("landlock") else "not isolated"


def _limits(notes: list[str]) -> bool:
    """No core dumps, no large files, and the first to be killed when memory runs out."""
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
    except (OSError, ValueError) as error:
        notes.append(f"limits: {error}")
        return False
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        notes.append("oom_score_adj could not be set")
    return True


def library_paths() -> list[str]:
    """Where this interpreter and its packages lie: prefixes, site directories, editable installs; never home itself."""
    home = os.path.realpath(os.path.expanduser("~"))
    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    found += site.getsitepackages()
    found += [entry for entry in sys.path if entry and os.path.isdir(entry)]
    found += [target for entry in sys.path for target in _linked(entry)]
    out = []
    for path in found:
        real = os.path.realpath(path)
        if real != "/" and not (home + "/").startswith(real + "/"):
            out.append(real)
    return list(dict.fromkeys(out))


def readable_paths(more: list[str]) -> list[str]:
    """Everything that may be read once this process is shut in, `more` included."""
    own = f"/proc/{os.getpid()}"
    return [*_SYSTEM, *_DEVICES, own, *library_paths(), *more, *(os.path.realpath(path) for path in more)]


def _linked(place: str) -> list[str]:
    """Where the links of a package directory lead: some installers link packages instead of copying them."""
    try:
        with os.scandir(place) as entries:
            return [os.path.realpath(entry.path) for entry in entries if entry.is_symlink()]
    except OSError:
        return []


def _landlock(readable: list[str], writable: list[str], gpu: bool, notes: list[str]) -> bool:
    abi = landlock_abi()
    if abi < 1:
        notes.append(f"this kernel ({platform.release()}) has no Landlock")
        return False
    handled = _ACCESS_BY_ABI.get(abi, _ALL_ACCESS)
    network = 3 if abi >= 4 else 0
    scoped = 3 if abi >= _SCOPED else 0
    attributes = struct.pack("=QQQ", handled, network, scoped)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _call(_CREATE, ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        notes.append(f"landlock: {os.strerror(ctypes.get_errno())}")
        return False
    try:
        for path in [*_SYSTEM, *library_paths(), *readable, *(_GPU_READ if gpu else ())]:
            _allow(ruleset, path, _READ & handled)
        for path in [*writable, *_DEVICES, *(_GPU if gpu else ())]:
            _allow(ruleset, path, handled)
        if gpu:
            for number in range(16):
                _allow(ruleset, f"/dev/nvidia{number}", handled)
        if _call(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0)) != 0:
            notes.append(f"landlock: {os.strerror(ctypes.get_errno())}")
            return False
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, access: int) -> None:
    """Allow access below a path; what does not exist needs no rule."""
    try:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            access &= _READ_FILE | _EXECUTE | _WRITE_FILE | _TRUNCATE | _IOCTL
        rule = struct.pack("=Qi", access, descriptor)
        _call(_ADD, ctypes.c_int(ruleset), ctypes.c_int(1), ctypes.c_char_p(rule), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _seccomp(notes: list[str], copies: bool, scoped: bool) -> bool:
    """Deny programs, sockets, other processes and kernel interfaces; threads stay allowed, and copies where asked."""
    known = _DENIED.get(platform.machine())
    if known is None:
        notes.append(f"no table of system calls for {platform.machine()}")
        return False
    program = _filter(*known, copies, scoped)
    kept = ctypes.create_string_buffer(program, len(program))
    code = struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(kept))
    if _LIBC is None or _LIBC.prctl(22, 2, ctypes.c_char_p(code), 0, 0) != 0:
        notes.append(f"seccomp: {os.strerror(ctypes.get_errno())}")
        return False
    return True


_LOAD, _EQUAL, _AND, _RETURN, _SET = 0x20, 0x15, 0x54, 0x06, 0x45
_ALLOW, _DENY, _NOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_ABOVE = 0x25
_CLONE_THREAD = 0x00010000
_NAMESPACES = 0x7E020080
"""CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""

_COPYING = frozenset({"fork", "vfork"})


def _filter(
    architecture: int, denied: dict[str, int], clone: int, clone3: int, kill: int, copies: bool, scoped: bool
) -> bytes:
    """The BPF program: EPERM for denied calls, ENOSYS for clone3, clone only for threads, kill only for itself.

    With `copies`, clone is free of namespaces only; kill is left to Landlock where that keeps signals inside, else it
    is denied for the app and for groups.
    """
    code = [
        (_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0), (_SET, 0, 1, 0x40000000), (_RETURN, 0, 0, _DENY),
        (_EQUAL, 0, 1, clone3), (_RETURN, 0, 0, _NOSYS),
    ]  # fmt: skip
    if copies:
        code += [
            (_EQUAL, 0, 4, clone), (_LOAD, 0, 0, 16), (_SET, 0, 1, _NAMESPACES), (_RETURN, 0, 0, _DENY),
            (_RETURN, 0, 0, _ALLOW),
        ]  # fmt: skip
        if not scoped:
            code += [
                (_EQUAL, 0, 5, kill), (_LOAD, 0, 0, 16), (_EQUAL, 2, 0, os.getppid()), (_ABOVE, 1, 0, 0x7FFFFFFF),
                (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY),
            ]  # fmt: skip
    else:
        code += [
            (_EQUAL, 0, 4, clone), (_LOAD, 0, 0, 16), (_SET, 0, 1, _CLONE_THREAD), (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _DENY),
            (_EQUAL, 0, 4, kill), (_LOAD, 0, 0, 16), (_EQUAL, 0, 1, os.getpid()), (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _DENY),
        ]  # fmt: skip
    for name, number in denied.items():
        if not (copies and name in _COPYING):
            code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _DENY)]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *item) for item in code)
