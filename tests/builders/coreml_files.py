"""Writes `tests/data/coreml` with the real coremltools, and what its own readers say is in it.

Run under an environment that has `coremltools==9.0`, which the tests need not have:
`python tests/builders/coreml_files.py tests/data/coreml`.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy


def _stored(package: Path) -> dict[str, Any]:
    """By name of every constant in the weight file: dtype, shape and first values, by coremltools' own readers."""
    import coremltools
    from coremltools.libmilstoragepython import _BlobStorageReader as Reader
    from coremltools.proto import MIL_pb2 as mil

    spec = coremltools.utils.load_spec(str(package))
    reader = Reader(str(package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"))
    found: dict[str, Any] = {}
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            for operation in block.operations:
                value = operation.attributes.get("val")
                if value is None or not value.HasField("blobFileValue"):
                    continue
                held = value.type.tensorType
                data = numpy.asarray(reader.read_fp16_data(value.blobFileValue.offset), numpy.uint16)
                found[operation.outputs[0].name] = [
                    mil.DataType.Name(held.dataType), [size.constant.size for size in held.dimensions],
                    data[:3].view(numpy.float16).astype(float).tolist(),
                ]  # fmt: skip
    return {"specification_version": spec.specificationVersion, "constants": found}


def main(place: Path) -> None:
    """An ML program with its weights in half precision, a neural network, and `expected.json` beside them."""
    import coremltools
    from coremltools.converters.mil import Builder

    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    values = numpy.random.default_rng(1)

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 40))])
    def program(x: Any) -> Any:
        weight = values.standard_normal((50, 40)).astype(numpy.float32)
        bias = values.standard_normal(50).astype(numpy.float32)
        hidden = Builder.relu(x=Builder.linear(x=x, weight=weight, bias=bias, name="dense"))
        head = values.standard_normal((8, 50)).astype(numpy.float32)
        return Builder.linear(x=hidden, weight=head, bias=numpy.zeros(8, numpy.float32), name="head")

    half = coremltools.precision.FLOAT16
    made = coremltools.convert(program, convert_to="mlprogram", compute_precision=half)
    made.save(str(place / "net.mlpackage"))
    coremltools.convert(program, convert_to="neuralnetwork").save(str(place / "net.mlmodel"))
    (place / "expected.json").write_text(json.dumps(_stored(place / "net.mlpackage"), indent=1), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
