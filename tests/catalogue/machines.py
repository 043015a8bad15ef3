"""Pickles that need code, archives, other libraries' layouts, and what the machine decides."""

from __future__ import annotations

import pickle
import sys
import types
import zipfile
from typing import TYPE_CHECKING, Any

from tests.builders.checkpoints import Tensors, write_safetensors
from tests.catalogue.case import Case, archive, as_bin, config, copy, pickled, steps
from tests.catalogue.files import patched
from tests.catalogue.models import extra
from tui.core.estimate import Available, Device
from tui.core.estimate.model import Base

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.catalogue.case import Build

NER, SCRIPT = copy("bert-ner"), "torchscript"
BASE = Base(300_000_000, 0, source="measured")
SMALL = Available(ram=200_000_000, ram_total=400_000_000, ram_source="MemAvailable", base=BASE)
LIMITED = Available(ram=200_000_000, ram_total=400_000_000, ram_source="cgroup /job memory.max", base=BASE)
LARGE = Available(ram=16_000_000_000, ram_total=32_000_000_000, ram_source="MemAvailable", base=BASE)


def with_device(free: int) -> Available:
    """A machine with one NVIDIA GPU."""
    device = Device("NVIDIA L4", free, 24_000_000_000, uuid="GPU-1", index=0)
    return Available(
        ram=16_000_000_000, ram_total=32_000_000_000, ram_source="MemAvailable", base=BASE, devices=(device,)
    )


def named_class(module: str, name: str) -> Callable[[], Any]:
    """An object of a class that was importable when it was saved and is not any more."""

    def make() -> Any:
        import torch

        state = torch.nn.Linear(2, 2).state_dict()
        return {"config": _Reduced(module, name), "state_dict": state}

    return make


class _Reduced:
    """Pickles as a call of `module.name`, which need not exist."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __reduce__(self) -> Any:
        parent = sys.modules.setdefault(self.module, types.ModuleType(self.module))
        made = type(self.name, (), {"__module__": self.module})
        setattr(parent, self.name, made)
        return (made, ())


def forgotten(module: str, name: str, build: Build) -> Build:
    """`build`, after which the class that it made importable is gone again."""

    def run(root: Path) -> None:
        known = module in sys.modules
        build(root)
        if known:
            delattr(sys.modules[module], name)
        else:
            sys.modules.pop(module, None)

    return run


CALLS_SYSTEM = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
"""A pickle that would run a command, written without running one."""


def script(root: Path) -> None:
    import torch

    (root / "model.safetensors").unlink()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), root / "pytorch_model.bin")


def inner_pickle(root: Path) -> None:
    """data.pkl taken out of its archive."""
    pickled("model.pt", lambda: {"a": _ones()})(root)
    with zipfile.ZipFile(root / "model.pt") as archive:
        (root / "data.pkl").write_bytes(archive.read("model/data.pkl"))
    (root / "model.pt").unlink()


def _ones() -> Any:
    import torch

    return torch.ones(2, 2)


def plain_pickle(root: Path) -> None:
    (root / "data.pkl").write_bytes(pickle.dumps({"a": 1}))


def record_damaged(root: Path) -> None:
    """The name of the first tensor's record overwritten in the archive's directory."""
    as_bin()(root)
    data = (root / "pytorch_model.bin").read_bytes()
    entry = data.index(b"pytorch_model/data/0", data.index(b"PK\x01\x02"))
    patched("pytorch_model.bin", entry, b"pytorch_model/data/_")(root)


def sparse(name: str, tensors: Tensors) -> Build:
    def build(root: Path) -> None:
        write_safetensors(root / name, tensors)

    return build


def denoiser(channels: int) -> Build:
    return steps(
        config(_class_name="UNet2DConditionModel", in_channels=4),
        sparse("diffusion_pytorch_model.safetensors", {"conv_in.weight": ("F32", (8, channels, 3, 3))}),
    )


UNET: Tensors = {f"model.diffusion_model.{number}.w": ("F16", (4, 4)) for number in range(3)}
WHOLE: Tensors = {**UNET, "first_stage_model.w": ("F16", (4, 4)), "cond_stage_model.w": ("F16", (4, 4))}
HALVES: Tensors = {"bert.big.weight": ("F16", (20_000, 8_000))}

CASES = [
    Case("pickle-attr-version", "a class that the module no longer has", forgotten("json.decoder", "OldDecoder", pickled("run.pt", named_class("json.decoder", "OldDecoder"))), "a state dict", pickled("run.pt", lambda: {"w": _ones()}), "Unsupported global: GLOBAL json.decoder.OldDecoder", loader="torch"),
    Case("pickle-library-refactor", "a class of transformers 2's module", forgotten("transformers.modeling_bert", "BertModel", pickled("run.pt", named_class("transformers.modeling_bert", "BertModel"))), "a state dict", pickled("run.pt", lambda: {"w": _ones()}), "Unsupported global: GLOBAL transformers.modeling_bert.BertModel", loader="torch"),
    Case("security-pickle-globals", "a pickle that calls posix.system", archive("model.pt", CALLS_SYSTEM), "a state dict", pickled("model.pt", lambda: {"w": _ones()}), "unsupported GLOBAL posix.system", loader="torch"),
    Case("pickle-torchscript-mixup", "a TorchScript archive under pytorch_model.bin", steps(NER, script), "a state dict under it", steps(NER, as_bin()), "TorchScript"),
    Case("pickle-persistent-id", "data.pkl taken out of a torch archive", inner_pickle, "a pickle of plain values", plain_pickle, "persistent_load", loader="pickle"),
    Case("zip-record-corrupt", "the name of one record overwritten in the directory", steps(NER, record_damaged), "the whole archive", steps(NER, as_bin()), "PytorchStreamReader failed locating file data/0: file not found"),
    Case("safetensors-metadata-only", "a header without tensors", steps(NER, sparse("model.safetensors", {})), "the header with them", NER, "missing_keys", first=False),
    Case("class-mtp-silent-random", "layers that predict further tokens", steps(NER, extra("mtp.0.w")), "a tensor of another name", steps(NER, extra("empty.0.w")), "unexpected_keys: mtp", first=False),
    Case("class-diffusers-layout", "a whole pipeline in one file", sparse("sd.safetensors", WHOLE), "weights of one model in one file", sparse("sd.safetensors", {"encoder.w": ("F16", (4, 4))}), "no file named model_index.json", loader="recorded", first=False),
    Case("class-unet-only", "a denoiser in one file", sparse("unet.safetensors", UNET), "the whole pipeline in one file", sparse("unet.safetensors", WHOLE), "Could not detect model type", loader="recorded", first=False),
    Case("class-inpaint-channels", "nine channels, the config says four", denoiser(9), "four channels", denoiser(4), "expected shape tensor(..., size=(", loader="recorded"),
    Case("memory-host-oom-killed", "200 MB free", NER, "16 GB free", NER, "Killed", loader="recorded", machines=(SMALL, LARGE)),
    Case("memory-cgroup-limit", "200 MB left in the job's group", NER, "16 GB free", NER, "Killed", loader="recorded", machines=(LIMITED, LARGE)),
    Case("memory-fp32-default", "float32 in the config over 16-bit weights", steps(config(architectures=["BertModel"], model_type="bert", dtype="float32"), sparse("model.safetensors", HALVES)), "float16 in the config", steps(config(architectures=["BertModel"], model_type="bert", dtype="float16"), sparse("model.safetensors", HALVES)), "twice the memory", loader="recorded", machines=(LARGE, LARGE), first=False),
    Case("memory-optimizer-state", "an optimizer of 2 kB beside a GPU with 1 kB free", steps(copy("trainer-cut")), "the same beside 20 GB", steps(copy("trainer-cut")), "CUDA out of memory", loader="recorded", machines=(with_device(1000), with_device(20_000_000_000)), first=False),
    Case("environment-cpu-only-wheel", "a torch without CUDA beside a GPU", NER, "a torch with CUDA", NER, "Torch not compiled with CUDA enabled", loader="recorded", packages=({"torch": "2.13.0+cpu"}, {"torch": "2.13.0+cu128"}), machines=(with_device(20_000_000_000), with_device(20_000_000_000)), first=False),
]  # fmt: skip
