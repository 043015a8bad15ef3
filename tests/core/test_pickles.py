from __future__ import annotations

import os
import pickle
import shlex
from typing import TYPE_CHECKING

import numpy
import pytest

from tests.builders.checkpoints import write_config
from tui.core.assemble import read_directory, read_one_file
from tui.core.compare import Comparison
from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.rules import diagnose
from tui.core.formats import read_file
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from pathlib import Path

DANGEROUS = {
    "os.system": b"cos\nsystem\n(S'true'\ntR.",
    "posix through stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "eval": b"c__builtin__\neval\n(S'1'\ntR.",
    "computed name": b"\x80\x04c_codecs\nencode\n\x8c\x02bf\x8c\x06rot_13\x86R\x8c\x06system\x93\x8c\x04true\x85R.",
    "extension": b"\x80\x02\x82\x01)R.",
    "inst": b"(S'true'\nios\nsystem\n.",
    "subprocess": b"\x80\x02csubprocess\nPopen\n\x8c\x04true\x85R.",
    "nested load": b"\x80\x02ctorch.storage\n_load_from_bytes\nC\x01a\x85R.",
    "dotted name into a package": b"\x80\x04\x8c\x05torch\x8c\x17serialization.os.system\x93\x8c\x04true\x85R.",
    "private module": b"\x80\x04\x8c\x0bcollections\x8c\x0c_sys.modules\x93.",
    "escaped name": b"\x80\x04S'\\x6f\\x73'\nS'sys\\x74em'\n\x93\x8c\x04true\x85R.",
    "pydoc": b"cpydoc\npipepager\n(S'x'\nS'true'\ntR.",
    "behind ten thousand names": b"ccollections\nOrderedDict\n0" * 10_001 + b"cos\nsystem\n(S'true'\ntR.",
    "dotted name": b"\x80\x04\x8c\x13torch.serialization\x8c\x09os.system\x93\x8c\x04true\x85R.",
}  # fmt: skip


@pytest.mark.parametrize("name", DANGEROUS)
def test_what_runs_code_is_dangerous_and_never_run(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(DANGEROUS[name])
    report = read_file(path, path.name)
    assert report.pickle is not None
    assert report.pickle.level == "dangerous"
    assert report.pickle.reasons


BENIGN = [None, 1, "text", [1, 2], {"a": (1, 2.5)}, b"bytes", {1, 2}, {"cos\nsystem": "os.system"}, 2**100, -5]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", BENIGN, ids=repr)
def test_plain_data_is_tensors_only(tmp_path: Path, value: object, protocol: int) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    report = read_file(path, path.name)
    if report.pickle is None:
        assert protocol == 0
        return
    assert report.pickle.level == "tensors_only", report.pickle.reasons


HOSTILE = {
    "memo bomb": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "long of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7f",
    "text of 2^63 bytes": b"\x80\x04\x8d" + (2**63).to_bytes(8, "little"),
    "marks": b"\x80\x02" + b"(" * 500_000 + b".",
    "tuples in tuples": b"\x80\x02N" + b"\x85" * 200_000 + b".",
    "empty stack": b"\x80\x02R.",
    "unknown opcode": b"\x80\x02\xff.",
    "no end": b"\x80\x02N",
    "exponential key": b"\x80\x02}K\x01" + b"2\x86" * 60 + b"Ns.",
    "exponential value": b"\x80\x02X\3\0\0\0lol" + b"2\x86" * 60 + b".",
    "list in itself": b"\x80\x02]q\x00h\x00a.",
    "dict in itself": b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_streams_are_answered(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(HOSTILE[name])
    report = read_file(path, path.name)
    assert report.pickle is not None or report.problems


@pytest.mark.parametrize("tail", [b"\xff\xff", b"no pickle at all", b"cos\nsystem\n", b"\0" * 8])
def test_bytes_after_the_end_are_not_called_clean(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps([1]) + tail)
    report = read_file(path, path.name)
    assert report.pickle is not None
    assert report.pickle.level == "suspicious"


def test_pickles_in_a_row_are_all_judged(tmp_path: Path) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps([1]) * 3)
    report = read_file(path, path.name)
    assert report.pickle is not None
    assert (report.pickle.level, report.metadata["pickles"]) == ("tensors_only", 3)
    path.write_bytes(pickle.dumps([1]) * 3 + b"cos\nsystem\n.")
    report = read_file(path, path.name)
    assert report.pickle is not None
    assert report.pickle.level == "dangerous"


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def test_reading_never_executes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(_Runs()))
    report = read_file(path, path.name)
    assert report.pickle is not None
    assert report.pickle.level == "dangerous"
    assert not (tmp_path / "ran").exists()


REFUSED = {
    "append to None": b"\x80\x02N(K\x01e.",
    "a list as a key": b"\x80\x02}]K\x01s.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "persistent id": b"\x80\x02X\x01\0\0\0aQ.",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_pickle_refuses_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(REFUSED[name])
    with pytest.raises((pickle.UnpicklingError, AttributeError, TypeError)):
        pickle.loads(REFUSED[name])
    assert read_file(path, path.name).fatal is not None


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_cut_anywhere_lists_the_arrays_before(tmp_path: Path, protocol: int) -> None:
    value = {"a": numpy.ones((4, 5)), "b": numpy.ones(7), "c": {"d": numpy.ones((2, 2)), "e": [numpy.ones(3)]}}
    data, file = pickle.dumps(value, protocol=protocol), tmp_path / "m.pkl"
    listed: list[list[str]] = [[]]
    for size in range(1, len(data)):
        file.write_bytes(data[:size])
        report = read_file(file, file.name)
        assert [problem.code for problem in report.problems] in (["pickle-broken"], ["file-not-a-checkpoint"]), size
        names = [tensor.name for tensor in report.tensors]
        if names != listed[-1]:
            listed.append(names)
    assert listed == [["a", "b", "c.d", "c.e.0"][:count] for count in range(5)]


def test_a_module_of_any_name_is_one_word_of_the_printed_command(tmp_path: Path) -> None:
    module, file = "a; touch pwned #", tmp_path / "m.pkl"
    file.write_bytes(b"\x80\x04\x8c" + bytes([len(module)]) + module.encode() + b"\x8c\x01X\x93.")
    states = {f"{module}.X": f"module missing: {module}"}
    triage = triage_of(Evidence(read_one_file(file, "m.pkl"), packages={}, importable=states))
    [fix] = [item.fix[0] for item in triage.findings if item.rule == "pickle-module-missing"]
    assert shlex.split(fix) == [f"PYTHONPATH=/path/to/the/repository/with/{module}", "python", "your_script.py"]


def test_a_version_of_any_text_is_one_word_of_the_printed_command(tmp_path: Path) -> None:
    said = "9.0'; touch pwned #"
    write_config(tmp_path / "m", transformers_version=said)
    checkpoint = read_directory(tmp_path / "m", "m")
    triage = triage_of(Evidence(checkpoint, packages={"transformers": "5.23.0"}))
    [fix] = [item.fix[0] for item in triage.findings if item.rule == "environment-saved-by-newer"]
    assert shlex.split(fix) == ["pip", "install", f"transformers>={said}"]


@pytest.mark.parametrize("named", ["X; touch pwned #", "$(touch pwned)", "[red]X[/red]", 7])
def test_a_class_that_can_be_none_stands_in_no_snippet(tmp_path: Path, named: object) -> None:
    write_config(tmp_path / "m", architectures=[named])
    checkpoint = read_directory(tmp_path / "m", "m")
    for missing, unexpected in (((), ("classifier.bias",)), (("a.weight",), ())):
        comparison = Comparison("BertModel", "transformers 5.23.0", loads=True, missing=missing, unexpected=unexpected)
        for item in diagnose(Evidence(checkpoint, comparison=comparison)):
            assert not any(str(named) in fix for fix in item.fix if ".from_pretrained(" in fix), item.rule
