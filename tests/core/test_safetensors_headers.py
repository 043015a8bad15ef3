"""Headers of every odd form, against the installed library: it opens what we call sound, with the same tensors."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from safetensors import SafetensorError, safe_open

from tests.builders.checkpoints import raw_safetensors
from tui.core.formats import read_file

if TYPE_CHECKING:
    from pathlib import Path

X = b'"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


def _odd(dtype: bytes = b'"F32"', shape: bytes = b"[2]", offsets: bytes = b"[0,8]", more: bytes = b"") -> bytes:
    """A header of one tensor, whose fields are written as they stand."""
    return b'{"x":{"dtype":' + dtype + b',"shape":' + shape + b',"data_offsets":' + offsets + more + b"}}"


def _foo(value: bytes) -> bytes:
    """One field more than the format has."""
    return _odd(more=b',"foo":' + value)


def _about(value: bytes) -> bytes:
    """Free text before a sound tensor."""
    return b'{"__metadata__":' + value + b"," + X + b"}"


def _named(name: bytes) -> bytes:
    return b'{"' + name + b'":' + X[4:] + b"}"


def _three(z: bytes) -> bytes:
    """Two tensors of one element, and one more of none."""
    one = b'":{"dtype":"F32","shape":[1],"data_offsets":'
    return b'{"a' + one + b'[0,4]},"z":{"dtype":"F32","shape":[0],"data_offsets":' + z + b'},"b' + one + b"[4,8]}}"


HEADERS: dict[str, bytes] = {
    "plain": b"{" + X + b"}",
    "an entry as an array": b'{"x":["F32",[2],[0,8]]}',
    "an array of two": b'{"x":["F32",[2]]}',
    "an array of four": b'{"x":["F32",[2],[0,8],1]}',
    "an empty array": b'{"x":[]}',
    "an array without dtype": b'{"x":[null,[2],[0,8]]}',
    "an array beside metadata": b'{"__metadata__":{"a":"1"},"x":["F32",[2],[0,8]]}',
    "metadata null": _about(b"null"),
    "metadata an array": _about(b"[]"),
    "metadata pairs": _about(b'[["a","b"]]'),
    "metadata a string": _about(b'"a"'),
    "metadata empty": _about(b"{}"),
    "metadata of a number": _about(b'{"a":1}'),
    "metadata of null": _about(b'{"a":null}'),
    "metadata of an entry": _about(b'{"x":["F32",[2],[0,8]]}'),
    "metadata's key twice": _about(b'{"a":"1","a":"2"}'),
    "metadata twice": b'{"__metadata__":{"a":"1"},' + _about(b'{"b":"2"}')[1:],
    "metadata twice, null": b'{"__metadata__":{"a":"1"},' + _about(b"null")[1:],
    "metadata with a lone surrogate": _about(b'{"a":"\\udc00"}'),
    "metadata of escapes": _about(b'{"a":"\\"\\\\","b\\\\":"{\\"c\\":1}"}'),
    "metadata's name escaped": b'{"\\u005f_metadata__":{"a":"1"},' + X + b"}",
    "metadata last": b"{" + X + b',"__metadata__":{"a":"b"}}',
    "metadata a tensor": b'{"__metadata__":' + X[4:] + b"}",
    "a tensor twice": b"{" + X + b"," + X + b"}",
    "a tensor twice, dtypes differ": _odd(b'"I32"')[:-1] + b"," + X + b"}",
    "a tensor twice, offsets differ": b"{" + X + b"," + _odd(offsets=b"[8,16]")[1:],
    "dtype twice": _odd(b'"F32","dtype":"F32"'),
    "shape twice": _odd(shape=b'[2],"shape":[2]'),
    "offsets twice": _odd(more=b',"data_offsets":[0,8]'),
    "a field twice, and backslashes that hide its quotes": b'{"a\\\\":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
    + _odd(more=b',"data_offsets":[0,8]')[1:],
    "a field more": _foo(b'{"a":[1]}'),
    "a field more, twice": _foo(b'1,"foo":2'),
    "a field more, NaN": _foo(b"NaN"),
    "a field more, Infinity": _foo(b"-Infinity"),
    "a field more, 1e999": _foo(b"1e999"),
    "a field more, a long integer": _foo(b"9" * 300),
    "a field more, an endless integer": _foo(b"9" * 5000),
    "a field more, a lone surrogate": _foo(b'"\\ud800"'),
    "a field more, a bad escape": _foo(b'"\\q"'),
    "a field more, a raw newline": _foo(b'"\n"'),
    "a field more, no UTF-8": _foo(b'"\xff"'),
    **{f"a field more, {depth} deep": _foo(b"[" * depth + b"]" * depth) for depth in (100, 125, 126, 1000, 60_000)},
    "no dtype": b'{"x":{"shape":[2],"data_offsets":[0,8]}}',
    "no shape": b'{"x":{"dtype":"F32","data_offsets":[0,8]}}',
    "no offsets": b'{"x":{"dtype":"F32","shape":[2]}}',
    "no offsets, no elements": b'{"x":{"dtype":"F32","shape":[0]}}',
    "no fields": b'{"x":{}}',
    "an entry null": b'{"x":null}',
    "an entry a number": b'{"x":1}',
    "an entry a string": b'{"x":"F32"}',
    "dtype null": _odd(b"null"),
    "dtype a number": _odd(b"17"),
    "dtype in lower case": _odd(b'"f32"'),
    "dtype escaped": _odd(b'"F\\u00332"'),
    "dtype as a variant": _odd(b'{"F32":null}'),
    "dtype as a variant of a number": _odd(b'{"F32":1}'),
    "dtype as a variant of an array": _odd(b'{"F32":[]}'),
    "dtype as a variant of an object": _odd(b'{"F32":{}}'),
    "dtype as two variants": _odd(b'{"F32":null,"F64":null}'),
    "dtype of another library": _odd(b'"C128"', b"[1]"),
    "a field's name escaped": b'{"x":{"dt\\u0079pe":"F32","shape":[2],"data_offsets":[0,8]}}',
    "shape null": _odd(shape=b"null"),
    "shape an object": _odd(shape=b"{}", offsets=b"[0,4]"),
    "shape of a float": _odd(shape=b"[2.0]"),
    "shape of an exponent": _odd(shape=b"[2e0]"),
    "shape of a string": _odd(shape=b'["2"]'),
    "shape of a boolean": _odd(shape=b"[true,2]"),
    "shape with a leading zero": _odd(shape=b"[02]"),
    "shape with a plus": _odd(shape=b"[+2]"),
    "shape of 2^64": _odd(shape=b"[18446744073709551616]"),
    "shape of 2^64 and 0": _odd(shape=b"[18446744073709551616,0]", offsets=b"[0,0]"),
    "shape of 2^64-1 and 0": _odd(shape=b"[18446744073709551615,0]", offsets=b"[0,0]"),
    "shape of 0, 2^64-1 and 2": _odd(shape=b"[0,18446744073709551615,2]", offsets=b"[0,0]"),
    "shape of 2^64-1, 2 and 0": _odd(shape=b"[18446744073709551615,2,0]", offsets=b"[0,0]"),
    "shape of 2^63 bytes": _odd(b'"U8"', b"[9223372036854775808]", b"[0,9223372036854775808]"),
    "shape of 5,000 sizes": _odd(shape=b"[2" + b",1" * 4999 + b"]"),
    "shape of an endless number": _odd(shape=b"[" + b"9" * 5000 + b"]"),
    "offsets of a float": _odd(offsets=b"[0,8.0]"),
    "offsets of minus zero": _odd(offsets=b"[-0,8]"),
    "offsets of minus zero, spaced": _odd(offsets=b"[ -0 , 8 ]"),
    "offsets of a negative float": _odd(offsets=b"[-0.0,8]"),
    "offsets below zero": _odd(offsets=b"[-8,0]"),
    "offsets of three": _odd(offsets=b"[0,8,9]"),
    "offsets of one": _odd(offsets=b"[8]"),
    "offsets an object": _odd(offsets=b'{"0":0,"1":8}'),
    "a name with -0": _named(b"block,-0,[-0]"),
    "no elements": _odd(shape=b"[0,3]", offsets=b"[0,0]"),
    "no elements between others": _three(b"[4,4]"),
    "no elements, within another": _three(b"[2,2]"),
    "no elements, beyond the end": _three(b"[9,9]"),
    "half bytes": _odd(b'"F4"', b"[16]"),
    "half bytes, odd": _odd(b'"F4"', b"[3]", b"[0,2]"),
    "six bits": _odd(b'"F6_E2M3"', b"[4]", b"[0,3]"),
    "complex": _odd(b'"C64"', b"[1]"),
    "exponents alone": _odd(b'"F8_E8M0"', b"[8]"),
    "overlap": b"{" + X + b',"y":' + X[4:] + b"}",
    "nothing": b"{}",
    "spaces before": b"  {" + X + b"}",
    "a newline before": b"\r\n\t{" + X + b"}",
    "spaces after": b"{" + X + b"}   ",
    "blank after": b"{" + X + b"}\n\t\r ",
    "NUL after": b"{" + X + b"}\0\0",
    "a vertical tab after": b"{" + X + b"}\x0b",
    "a word after": b"{" + X + b"} x",
    "another object after": b"{" + X + b"}{}",
    "a byte order mark": b"\xef\xbb\xbf{" + X + b"}",
    "a trailing comma": b"{" + X + b",}",
    "a comment": b"{" + X + b"/* */}",
    "single quotes": b"{'x':1}",
    "cut": b"{" + X + b',"y":{"dtype":',
    "an array": b"[]",
    "null": b"null",
    "a string": b'"x"',
    "a name in UTF-8": _named("é".encode()),
    "a name that is no UTF-8": _named(b"\xff"),
    "a name of overlong UTF-8": _named(b"\xc0\xaf"),
    "a name of a surrogate in UTF-8": _named(b"\xed\xa0\x80"),
    "a name of a lone surrogate": _named(b"\\ud800"),
    "a name of a pair of surrogates": _named(b"\\ud83d\\ude00"),
    "a name of NUL, escaped": _named(b"a\\u0000b"),
    "a name of NUL, raw": _named(b"a\0b"),
    "a name of a newline, raw": _named(b"a\nb"),
    "a name of DEL, raw": _named(b"a\x7fb"),
    "a name of a quote": _named(b'a\\"b'),
    "an empty name": _named(b""),
    "a name that is a field's": _named(b"data_offsets"),
}


def _said(path: Path) -> tuple[str | None, dict[str, Any], dict[str, str]]:
    """What the library raises, else the tensors and the free text that it gives."""
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in list(file.keys())}
            tensors = {name: (item.get_dtype(), tuple(item.get_shape())) for name, item in slices.items()}
            return None, tensors, file.metadata() or {}
    except SafetensorError as error:
        return str(error), {}, {}


def _agrees(path: Path) -> str:
    """Nothing where the reader and the library agree, else both sides."""
    said, tensors, metadata = _said(path)
    report = read_file(path, path.name)
    fatal = report.fatal
    if said is not None or fatal is not None:
        same = said is not None and fatal is not None and fatal.loader_error is not None
        return "" if same else f"library: {said}; here: {fatal}"
    ours = {tensor.name: (tensor.dtype, tensor.shape) for tensor in report.tensors}
    if (ours, report.metadata) == (tensors, metadata):
        return ""
    return f"library: {tensors} {metadata}; here: {ours} {report.metadata}"


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.parametrize("size", [0, 8])
def test_opens_what_the_library_opens(tmp_path: Path, case: str, size: int) -> None:
    path = raw_safetensors(tmp_path / "model.safetensors", HEADERS[case], bytes(size))
    assert _agrees(path) == ""


PIECES = (
    b" ", b"\n", b"\t ", b"\\u0061", b'"y":["F32",[0],[8,8]],', b"-0", b"null", b"[]", b"{}", b'"', b"\\", b",", b"0",
    b"1e5", b'"dtype":', b'"__metadata__":{"a":"b"},',
)  # fmt: skip

COUNT = 4000


def test_headers_changed_at_random_are_opened_alike(tmp_path: Path) -> None:
    """A byte dropped, doubled or changed, and pieces of the format put in: the library decides each."""
    bases = [text for text in HEADERS.values() if len(text) < 400]
    opened = 0
    for seed in range(COUNT):
        chance = random.Random(seed)
        text = bytearray(chance.choice(bases))
        for _ in range(chance.randint(1, 2)):
            at = chance.choice([index for index, byte in enumerate(text) if byte in b",:{}[]"] or [0])
            if chance.random() < 0.8:
                text[at:at] = chance.choice(PIECES)
            else:
                text[at : at + chance.randint(0, 3)] = bytes([chance.randrange(256)])
        path = raw_safetensors(tmp_path / "model.safetensors", bytes(text), bytes(chance.choice((0, 8, 8))))
        difference = _agrees(path)
        assert difference == "", (seed, bytes(text), difference)
        opened += _said(path)[0] is None
    assert opened > 40
