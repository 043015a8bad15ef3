"""`ckptriage convert`: weights of TensorFlow or Keras as safetensors that transformers reads, in a new place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from tui.cli.common import one_checkpoint, python_option, write_text
from tui.core.diagnosis import translated
from tui.core.diagnosis.commands import target_of
from tui.core.text import printable
from tui.errors import UsageError


@click.command("convert")
@click.argument("path")
@click.argument("target", required=False)
@click.option("--program", is_flag=True, help="Print the Python program that does it, and run nothing.")
@python_option
def command(path: str, target: str | None, program: bool, python: str | None) -> int:
    """Weights of TensorFlow or Keras as safetensors in a new directory, every array compared with what was written.

    For names that are known to be those of a class of transformers: tf_model.h5 and its kin, and BERT of Google, of
    TensorFlow Model Garden and of KerasHub. Checkpoints of TensorFlow need tensorflow in the environment, Keras files
    h5py; both need numpy and safetensors.

    Exit: 0 converted and verified, 1 not, 2 the names are not known or the directory is there already.
    """
    checkpoint = one_checkpoint(path)
    found = translated.conversion(checkpoint, str(Path(target).absolute()) if target is not None else None)
    if found is None:
        why = translated.unknown(checkpoint)
        words, names = why if why is not None else (f"{printable(path)} holds no weights of TensorFlow or Keras", ())
        raise UsageError(words, *names[:1])
    place = target or target_of(checkpoint)
    if program:
        write_text(found.program)
        return 0
    if os.path.lexists(place):
        raise UsageError(f"{printable(place)} is there already", "name a directory that does not exist")
    code = _run(found.program, python or sys.executable)
    if code == 0:
        write_text("".join(f"then: {line}\n" for line in found.fix[1:]))
    return 0 if code == 0 else 1


def _run(program: str, python: str) -> int:
    """The exit code of a program whose words are made printable as they come."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with subprocess.Popen(
        [python, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **quiet}, text=True, errors="surrogateescape",
    ) as child:  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(program)
        child.stdin.close()
        for line in child.stdout:
            click.echo(printable(line.rstrip("\n"), 4000))
    return child.returncode
