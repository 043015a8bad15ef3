"""`python -m tests.benchmarks [NAME…]`: the table of speed, as ratios measured in one run on one machine."""

from __future__ import annotations

import asyncio
import json
import os
import pickletools
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.headers import headers
from tests.benchmarks.measure import RUNS, Row, keep_bytecode, median_pair, paint, processor_seconds, seconds, tool
from tests.builders.checkpoints import write_safetensors
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tui.core.compare import Comparison

_PLAIN = """
import json, os, sys
for root, _, files in os.walk(sys.argv[1]):
    for name in files:
        path = os.path.join(root, name)
        if name == "config.json":
            json.load(open(path))
        else:
            with open(path, "rb") as file:
                json.loads(file.read(int.from_bytes(file.read(8), "little")))
"""
_ONE_WIDGET = """
from textual.app import App
from textual.widgets import Static
class One(App):
    def compose(self):
        yield Static("READY")
One().run()
"""
_LOAD = "import sys, transformers\ntransformers.BertForTokenClassification.from_pretrained(sys.argv[1])"
_IMPORT = "import torch, transformers\nfrom transformers import modeling_utils"


def _many(place: Path, count: int) -> Path:
    """`count` small checkpoints, one in fifty of them cut short."""
    root = place / f"many-{count}"
    for number in range(count):
        target = root / f"c{number:04}"
        target.mkdir(parents=True)
        for name in ("config.json", "model.safetensors"):
            shutil.copy(SAMPLES / "bert-model-only" / name, target / name)
        if number % 50 == 0:
            file = target / "model.safetensors"
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return root


def scanning(place: Path) -> Iterator[Row]:
    """`check` over two thousand checkpoints."""
    root = _many(place, 2000)
    ours, plain = median_pair(
        lambda: seconds(*tool("check", "--files-only", "--json", str(root))),
        lambda: seconds(sys.executable, "-c", _PLAIN, str(root)),
    )
    yield Row("check --files-only of 2,000, against a plain loop", f"{ours / plain:.2f}× ({ours:.2f} s)", "≤ 3×")
    whole, bare = median_pair(
        lambda: seconds(*tool("check", "--json", str(root))), lambda: seconds(sys.executable, "-c", _IMPORT), 3
    )
    yield Row("check of 2,000, worker included, beyond the import", f"{(whole - bare) / 2:.2f} ms each", "≤ 10 ms")


_SCAN = """
import resource, sys, time
from pathlib import Path
from tui.core.scan import scan
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
for _ in scan(Path(sys.argv[1]), "tree"):
    pass
print(time.perf_counter() - started, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def tree(place: Path) -> Iterator[Row]:
    """A tree of a hundred thousand files, few of which are weights."""
    root = place / "tree"
    for number in range(1000):
        target = root / f"a{number // 100}" / f"b{number % 100}"
        target.mkdir(parents=True)
        for other in range(99):
            (target / f"f{other}.txt").touch()
        if number % 10 == 0:
            write_safetensors(target / "model.safetensors", {"w": ("F32", (2,))})
    grown: list[int] = []

    def ours() -> float:
        command = [sys.executable, "-c", _SCAN, str(root)]
        took, held = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        grown.append(int(float(held)))
        return float(took)

    scanned, found = median_pair(ours, lambda: seconds("find", str(root), "-type", "f"))
    yield Row("scan of 100,000 files, against find", f"{scanned / found:.2f}× ({scanned:.2f} s)", "≤ 3×")
    yield Row("memory that the scan adds", f"{max(grown) / 1e6:.1f} MB", "flat")


def screen(place: Path) -> Iterator[Row]:
    """The first frame, its bytes, and silence after it."""
    root = _many(place, 100)
    one = (sys.executable, "-c", _ONE_WIDGET)
    ours, bare = median_pair(lambda: paint(tool(str(root)), b"c0001").seconds, lambda: paint(one, b"READY").seconds)
    yield Row("first frame on 100 checkpoints, against one widget", f"{ours / bare:.2f}× ({ours:.2f} s)", "≤ 1.5×")
    painted = paint(tool(str(SAMPLES / "bert-ner")), b"bert-ner", 12.0)
    yield Row("bytes until the first frame at 80x24", f"{painted.bytes / 1000:.1f} kB", "≤ 60 kB")
    yield Row("bytes a second when idle", f"{painted.idle / 2:.0f}", "0")


def comparison(place: Path) -> Iterator[Row]:
    """An edit answered by a warm worker."""
    for name, builder, reach in (("BERT-base", _bert_base, 50), ("DeepSeek-V3, 45,395 tensors", _deepseek, 500)):
        took = asyncio.run(_edits(builder(place)))
        yield Row(f"comparison after an edit: {name}", f"{took * 1000:.0f} ms", f"≤ {reach} ms")


async def _edits(root: Path) -> float:
    """Median seconds from an edit to its answer."""
    from tui.core.assemble import read_directory
    from tui.loading.worker import Worker
    from tui.triage.ask import Asker

    checkpoint = read_directory(root, str(root))
    worker = Worker()
    asker = Asker(worker)

    async def ask(value: int) -> Comparison:
        changed = {"intermediate_size": value}
        return await asker.compare(checkpoint, None, changed, mode="live", fields=False, candidates=False)

    try:
        await ask(8)
        times = []
        for number in range(RUNS):
            started = time.perf_counter()
            await ask(16 + 8 * number)
            times.append(time.perf_counter() - started)
    finally:
        await worker.close()
    return sorted(times)[len(times) // 2]


def _written(root: Path, code: str, *arguments: str) -> Path:
    """A checkpoint whose config and tensor names the real library gives, written sparse."""
    root.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(root), *arguments], capture_output=True, text=True, check=True
    )
    tensors = {name: (dtype, tuple(shape)) for name, dtype, shape in json.loads(done.stdout)}
    write_safetensors(root / "model.safetensors", tensors)
    return root


def _bert_base(place: Path) -> Path:
    code = (
        "import json, sys, torch, transformers as t\n"
        "config = t.BertConfig(architectures=['BertForMaskedLM'])\nconfig.save_pretrained(sys.argv[1])\n"
        "with torch.device('meta'):\n    model = t.BertForMaskedLM(config)\n"
        "print(json.dumps([[k, 'F32', list(v.shape)] for k, v in model.state_dict().items()]))"
    )
    return _written(place / "bert-base", code)


def _deepseek(place: Path) -> Path:
    """DeepSeek-V3's layout: 61 layers, 58 of them with 256 experts of three tensors each."""
    code = (
        "import json, sys, transformers as t\n"
        "config = t.DeepseekV3Config(architectures=['DeepseekV3ForCausalLM'])\nconfig.save_pretrained(sys.argv[1])\n"
        "h, out = config.hidden_size, []\n"
        "def add(n, *s): out.append([n, 'BF16', list(s)])\n"
        "add('model.embed_tokens.weight', config.vocab_size, h); add('model.norm.weight', h)\n"
        "add('lm_head.weight', config.vocab_size, h)\n"
        "heads, nope, rope = config.num_attention_heads, config.qk_nope_head_dim, config.qk_rope_head_dim\n"
        "for i in range(config.num_hidden_layers):\n"
        "    p = f'model.layers.{i}.'\n"
        "    add(p + 'input_layernorm.weight', h); add(p + 'post_attention_layernorm.weight', h)\n"
        "    a = p + 'self_attn.'\n"
        "    add(a + 'q_a_proj.weight', config.q_lora_rank, h); add(a + 'q_a_layernorm.weight', config.q_lora_rank)\n"
        "    add(a + 'q_b_proj.weight', heads * (nope + rope), config.q_lora_rank)\n"
        "    add(a + 'kv_a_proj_with_mqa.weight', config.kv_lora_rank + rope, h)\n"
        "    add(a + 'kv_a_layernorm.weight', config.kv_lora_rank)\n"
        "    add(a + 'kv_b_proj.weight', heads * (nope + config.v_head_dim), config.kv_lora_rank)\n"
        "    add(a + 'o_proj.weight', h, heads * config.v_head_dim)\n"
        "    m = p + 'mlp.'\n"
        "    def ffn(q, s):\n"
        "        add(q + 'gate_proj.weight', s, h); add(q + 'up_proj.weight', s, h)\n"
        "        add(q + 'down_proj.weight', h, s)\n"
        "    if i < 3:\n"
        "        ffn(m, config.intermediate_size)\n"
        "        continue\n"
        "    add(m + 'gate.weight', config.n_routed_experts, h)\n"
        "    add(m + 'gate.e_score_correction_bias', config.n_routed_experts)\n"
        "    ffn(m + 'shared_experts.', config.moe_intermediate_size)\n"
        "    for e in range(config.n_routed_experts):\n"
        "        ffn(m + f'experts.{e}.', config.moe_intermediate_size)\n"
        "print(json.dumps(out))"
    )
    return _written(place / "deepseek", code)


_STORED = """
import json, sys, torch, transformers as t
from transformers.core_model_loading import revert_weight_conversion
cls, arguments = getattr(t, sys.argv[2]), json.loads(sys.argv[3])
config = cls.config_class(architectures=[sys.argv[2]], **arguments)
config.save_pretrained(sys.argv[1])
with torch.device("meta"):
    model = cls(config)
tied = set(model.all_tied_weights_keys or {})
state = {name: value for name, value in model.state_dict().items() if name not in tied}
print(json.dumps([[name, "BF16", list(value.shape)] for name, value in revert_weight_conversion(model, state).items()]))
"""
_LARGE: tuple[tuple[str, dict[str, int]], ...] = (
    ("LlamaForCausalLM", {"hidden_size": 8192, "num_hidden_layers": 80, "intermediate_size": 28672}),
    ("MixtralForCausalLM", {}),
    ("Qwen3MoeForCausalLM", {"num_hidden_layers": 94, "num_experts": 128, "hidden_size": 4096}),
    ("T5ForConditionalGeneration", {"num_layers": 24, "d_model": 1024, "d_ff": 65536, "num_heads": 128}),
    (
        "WhisperForConditionalGeneration",
        {
            "encoder_layers": 32,
            "decoder_layers": 32,
            "d_model": 1280,
            "encoder_attention_heads": 20,
            "decoder_attention_heads": 20,
        },
    ),
)


def warming(place: Path) -> Iterator[Row]:
    """How soon the worker answers, and what it holds after large models."""
    ready, bare = median_pair(lambda: asyncio.run(_ready()), lambda: seconds(sys.executable, "-c", _IMPORT), 5)
    yield Row("worker ready, against the bare import of torch and transformers", f"{ready / bare:.2f}×", "≤ 1.3×")
    roots = [_written(place / name, _STORED, name, json.dumps(arguments)) for name, arguments in _LARGE]
    held = asyncio.run(_held_after(roots))
    yield Row("worker's memory after five large models, audits included", f"{held / 1e6:.0f} MB", "≤ 450 MB")


async def _ready() -> float:
    from tui.loading.worker import Worker

    worker = Worker()
    started = time.perf_counter()
    try:
        await worker.ready()
        return time.perf_counter() - started
    finally:
        await worker.close()


async def _held_after(roots: list[Path]) -> int:
    """Resident bytes of a worker that has compared each checkpoint, as the explorer asks."""
    import psutil

    from tui.core.assemble import read_directory
    from tui.loading.worker import Worker
    from tui.triage.ask import Asker

    worker = Worker()
    asker = Asker(worker)
    try:
        for root in roots:
            answer = await asker.compare(read_directory(root, str(root)))
            assert answer.loads, answer.error
        child = worker._child
        assert child is not None and child.process is not None
        return int(psutil.Process(child.process.pid).memory_info().rss)
    finally:
        await worker.close()


def loading(place: Path) -> Iterator[Row]:
    """A load attempt against a bare script."""
    root = SAMPLES / "bert-ner"
    from tui.core.assemble import read_directory
    from tui.triage.load import LoadOptions, make_attempt

    checkpoint = read_directory(root, str(root))

    def attempt() -> float:
        return asyncio.run(make_attempt(checkpoint, LoadOptions()).run()).seconds

    ours, bare = median_pair(attempt, lambda: seconds(sys.executable, "-c", _LOAD, str(root)), 3)
    yield Row("load attempt, against a bare from_pretrained", f"{ours / bare:.2f}× ({ours:.2f} s)", "≤ 1.05×")


_HEARD = """
import json, sys
paths, events = [], 0
def hear(event, arguments):
    global events
    events += 1
    if event == "open" and isinstance(arguments[0], str):
        paths.append(arguments[0])
sys.addaudithook(hear)
import transformers
transformers.BertForTokenClassification.from_pretrained(sys.argv[1])
print(json.dumps([paths, events]))
"""
_CONFINED = """
import importlib.util, json, os, sys, time
spec = importlib.util.spec_from_file_location("start", sys.argv[2])
start = importlib.util.module_from_spec(spec)
spec.loader.exec_module(start)
start.register()
from ckptriage_worker import confine, watch
paths, events = json.loads(open(sys.argv[3]).read())

def once():
    began = time.process_time()
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError:
            pass
    for _ in range(events - len(paths)):
        sys.audit("import", None)
    return time.process_time() - began

outside = min(once() for _ in range(9))
began = time.process_time()
held = confine.apply([sys.argv[1]], [sys.argv[4]])
assert held["landlock"] and held["seccomp"], held
watch.install(lambda words: None, sys.argv[4], confine.readable_paths([sys.argv[1]]))
made = time.process_time() - began
print(made + min(once() for _ in range(9)) - outside)
"""


def confining(place: Path) -> Iterator[Row]:
    """The cage's own making, and what it adds to everything that a load opens and does under Python's audit."""
    start = Path(__file__).parents[2] / "tui" / "worker" / "start.py"
    sample, heard = str(SAMPLES / "bert-ner"), place / "heard.json"
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}  # modules as pip left them

    def said(*command: str) -> str:
        line = [sys.executable, "-c", *command]
        return subprocess.run(line, capture_output=True, text=True, check=True, env=own).stdout

    heard.write_text(said(_HEARD, sample), "utf-8")
    paths, events = json.loads(heard.read_text("utf-8"))
    added = statistics.median(float(said(_CONFINED, sample, str(start), str(heard), str(place))) for _ in range(RUNS))
    what = f"what confinement adds to a load: {len(paths):,} files opened, {events:,} events"
    yield Row(what, f"{added * 1000:.0f} ms", "≤ 50 ms")


def pickles(place: Path) -> Iterator[Row]:
    """Ten thousand tensors of a torch file, and five million elements of a pickle, against disassembling them."""
    import pickle
    import subprocess
    import zipfile

    from tui.core.formats import read_file

    file = place / "ten-thousand.bin"
    code = "import sys, torch\ntorch.save({f'l.{i}.w': torch.zeros(2) for i in range(10000)}, sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    with zipfile.ZipFile(file) as archive:
        data = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))

    def ours(path: Path, tensors: int) -> float:
        started = time.perf_counter()
        report = read_file(path, path.name)
        seconds = time.perf_counter() - started
        assert report.pickle is not None and report.pickle.level == "tensors_only" and len(report.tensors) == tensors
        return seconds

    def bare(data: bytes) -> float:
        started = time.perf_counter()
        for _ in pickletools.genops(data):
            pass
        return time.perf_counter() - started

    first, second = median_pair(lambda: ours(file, 10_000), lambda: bare(data))
    yield Row("10,000 tensors of a torch file, against genops", f"{first / second:.2f}× ({first:.2f} s)", "≤ 2×")
    for what, value in _PICKLES.items():
        file = place / "plain.pkl"
        plain = pickle.dumps(value())
        file.write_bytes(plain)
        first, second = median_pair(partial(ours, file, 0), partial(bare, plain), 3)
        yield Row(f"a pickle of {what}, against genops", f"{first / second:.2f}× ({first:.2f} s)", "≤ 2×")


_PICKLES: dict[str, Callable[[], object]] = {
    "5,000,000 integers": lambda: list(range(5_000_000)),
    "500,000 texts by number": lambda: {f"token {number}": number for number in range(500_000)},
    "300,000 pairs": lambda: [(number, float(number)) for number in range(300_000)],
    "100,000 records": lambda: [{"id": number, "name": str(number), "on": True} for number in range(100_000)],
}


def deep(place: Path) -> Iterator[Row]:
    """Every byte of a gigabyte of float32, against sha256sum, and its values alone against reading it."""
    import numpy
    from safetensors.numpy import save_file

    file = place / "gigabyte.safetensors"
    generator = numpy.random.default_rng(1)
    tensors = {f"layers.{number}.weight": generator.random((4096, 4096), numpy.float32) for number in range(16)}
    save_file(tensors, file)
    del tensors
    ours, bare = median_pair(
        lambda: seconds(*tool("check", "--deep", "--files-only", str(file))),
        lambda: seconds("sha256sum", str(file)),
        3,
    )
    yield Row("check --deep of 1 GiB, against sha256sum", f"{ours / bare:.2f}× ({ours:.2f} s)", "≤ 1.1×")
    looked, read = median_pair(lambda: _looked(file, True), lambda: _looked(file, False))
    yield Row("NaN, Inf, constants and copies in 1 GiB, against reading it", f"{looked / read:.2f}×", "≤ 1.5×")


def _looked(path: Path, values: bool) -> float:
    """Seconds to read a file in pieces, its values looked at or not."""
    from tui.core.deep.values import GRAIN, Look, look, pieces, places
    from tui.core.deep.verify import PIECE
    from tui.core.files import open_regular
    from tui.core.formats import read_file

    report = read_file(path, path.name)
    buffer = memoryview(bytearray(PIECE + GRAIN))
    looks = {tensor.name: Look() for tensor in report.tensors}
    started = time.perf_counter()
    with open_regular(path) as file:
        found = places([(tensor, report) for tensor in report.tensors], file.size)
        for begin, end, inside in pieces(found, 0, file.size, PIECE):
            view = buffer[: end - begin]
            file.read_into(begin, view)
            for item in inside if values else ():
                first, last = max(item.begin, begin), min(item.end, end)
                look(looks[item.tensor.name], item, view[first - begin : last - begin], first == item.begin)
    return time.perf_counter() - started


_READ_SAVED_MODEL = """
import sys
from pathlib import Path
from tui.core.assemble import read_directory
from tui.core.diagnosis.evidence import Evidence
from tui.core.report.model import triage_of
judged = triage_of(Evidence(read_directory(Path(sys.argv[1]), sys.argv[1])))
assert judged.verdict == "loads" and judged.checkpoint.tensors
assert not {"tensorflow", "keras", "h5py", "google.protobuf"} & set(sys.modules)
"""
_LOAD_SAVED_MODEL = "import sys, tensorflow as tf\nassert tf.saved_model.load(sys.argv[1]).signatures is not None"


def saved_model(place: Path) -> Iterator[Row]:
    """Processor time of whole processes: files read and judged without TensorFlow, against the load with it."""
    root = str(SAMPLES / "tfhub-bert-v3")

    def read() -> float:
        return processor_seconds(sys.executable, "-c", _READ_SAVED_MODEL, root)

    def load() -> float:
        return processor_seconds(sys.executable, "-c", _LOAD_SAVED_MODEL, root)

    first, second = median_pair(read, load)
    yield Row(
        "a SavedModel read and judged, against the processor time of loading it with TensorFlow",
        f"1/{second / first:.0f} ({first:.3f} s of {second:.2f} s)", "≤ 1/20",
    )  # fmt: skip


BENCHMARKS: tuple[Callable[[Path], Iterator[Row]], ...] = (
    scanning,
    tree,
    headers,
    screen,
    comparison,
    warming,
    loading,
    confining,
    pickles,
    deep,
    saved_model,
)


def main(names: list[str]) -> None:
    """Print one row as each is known."""
    print(f"Python {platform.python_version()}, {platform.machine()}, {time.strftime('%Y-%m-%d')}\n")
    print("| what | measured | reach |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as compiled, tempfile.TemporaryDirectory() as directory:
        keep_bytecode(Path(compiled))
        for benchmark in BENCHMARKS:
            if not names or benchmark.__name__ in names:
                for row in benchmark(Path(directory)):
                    print(f"| {row.what} | {row.measured} | {row.reach} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
