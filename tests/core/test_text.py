from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.json_text import dumps, parse
from tui.core.text import bytes_size, middle, printable, shell, short_key

EVIL = "a\x1b]52;c;aGk=\x07b\x9b2Jc\u202ed\ud800e\x00f\ng[bold]h\x7f"


def _acts(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@given(st.text())
def test_nothing_printable_acts_on_a_terminal(text: str) -> None:
    assert not any(_acts(char) for char in printable(text, None))


def test_escapes_are_made_visible_and_markup_is_left() -> None:
    shown = printable(EVIL)
    assert "\\x1b" in shown
    assert "\\u202e" in shown
    assert "[bold]" in shown
    assert not any(_acts(char) for char in shown)


def test_long_text_and_combining_marks_are_cut() -> None:
    assert len(printable("x" * 10_000)) == 512
    assert len(printable("e" + "\u0301" * 100, None)) <= 5


@given(st.text(alphabet=st.characters(codec=None), max_size=40))
def test_json_escapes_what_a_terminal_acts_on_and_reads_back(text: str) -> None:
    shown = dumps({"k": text})
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs") and char != "\n"]
    assert json.loads(shown)["k"] == text


def test_json_escapes_c1_bidi_and_surrogates() -> None:
    shown = dumps({"k": EVIL})
    for char in ("\x9b", "\u202e", "\ud800", "\x7f", "\x1b"):
        assert char not in shown


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "Expecting"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 200_000, "deep"),
        (b"", "Expecting"),
        (b"1" * 5000, "digits"),
    ],
)
def test_bad_json_is_an_answer(data: bytes, words: str) -> None:
    error = parse(data).error
    assert error is not None
    assert words in error.message


def test_not_finite_numbers_are_noted() -> None:
    assert parse(b'{"a": NaN}').not_finite == ("NaN",)


def test_small_helpers() -> None:
    assert middle("abcdefghij", 5) == "ab…ij"
    assert bytes_size(None) == "unknown"
    assert bytes_size(1536) == "1.5 KiB"
    assert shell("ls", "a b", "c") == "ls 'a b' c"


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        ("bert.encoder.layer.3.attention.self.query.weight", 26, "layer.3…self.query.weight"),
        ("bert.encoder.layer.{0…11}.attention.output.dense.bias", 30, "layer.{0…11}…output.dense.bias"),
        ("classifier.weight", 26, "classifier.weight"),
        ("a.very.long.name.without.any.number.weight", 20, "a.very.lo…ber.weight"),
        ("layers.0.an_extremely_long_last_part_of_a_name", 20, "layers.0…t_of_a_name"),
    ],
)
def test_a_short_key_keeps_its_number_and_its_end(name: str, width: int, shown: str) -> None:
    assert short_key(name, width) == shown
    assert len(shown) <= width


_TOKENS = st.sampled_from(
    [*'{}[],:"\\ \t\n-+.eE0123456789', "true", "false", "null", "NaN", "Infinity", '"a"', "1e400", "-0", "\\ud800",
     "\\u0041", "é", "\x00", "\x7f", "18446744073709551616", '{"a":1}', "[1]"]
)  # fmt: skip


@given(st.lists(_TOKENS, max_size=12))
def test_json_is_read_as_the_standard_library_reads_it(tokens: list[str]) -> None:
    text = "".join(tokens)
    document = parse(text.encode())
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        assert document.error is not None
    else:
        assert document.error is None
        assert repr(document.value) == repr(value)
