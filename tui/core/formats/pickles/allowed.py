"""What torch's `weights_only` unpickler accepts by default, read off torch 2.13 (`torch/_weights_only_unpickler.py`)."""

from __future__ import annotations

_DTYPES = [
    "bfloat16",
    "bits16",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "bits8",
    "bool",
    "complex128",
    "complex32",
    "complex64",
    "float16",
    "float32",
    "float4_e2m1fn_x2",
    "float64",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "int1",
    "int16",
    "int2",
    "int3",
    "int32",
    "int4",
    "int5",
    "int6",
    "int64",
    "int7",
    "int8",
    "qint32",
    "qint8",
    "quint2x4",
    "quint4x2",
    "quint8",
    "uint1",
    "uint16",
    "uint2",
    "uint3",
    "uint32",
    "uint4",
    "uint5",
    "uint6",
    "uint64",
    "uint7",
    "uint8",
    "per_channel_affine",
    "per_channel_affine_float_qparams",
    "per_channel_symmetric",
    "per_tensor_affine",
    "per_tensor_symmetric",
]
_STORED = [
    "BFloat16",
    "Bool",
    "Byte",
    "Char",
    "ComplexDouble",
    "ComplexFloat",
    "Double",
    "Float",
    "Half",
    "Int",
    "Long",
    "Short",
]
_TENSORS = ["BFloat16", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short"]
_QUANTIZED = ["QInt32", "QInt8", "QUInt2x4", "QUInt4x2", "QUInt8"]
_REBUILD = [
    "_rebuild_device_tensor_from_cpu_tensor",
    "_rebuild_device_tensor_from_numpy",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_nested_tensor",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_qtensor",
    "_rebuild_sparse_tensor",
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_wrapper_subclass",
]

TORCH_ALLOWED: frozenset[str] = frozenset(
    [
        "_codecs.encode", "builtins.bytearray", "builtins.complex", "builtins.set", "collections.Counter",
        "collections.OrderedDict", "torch.Size", "torch.Tensor", "torch._tensor._rebuild_from_type_v2", "torch.device",
        "torch.nn.parameter.Parameter", "torch.serialization._get_layout", "torch.storage.TypedStorage",
        "torch.storage.UntypedStorage", "torch.BoolTensor", "torch.cuda.BoolTensor",
        *(f"torch.{name}" for name in _DTYPES),
        *(f"torch.{name}Storage" for name in _STORED + _QUANTIZED),
        *(f"torch.cuda.{name}Storage" for name in _STORED),
        *(f"torch{part}.{name}Tensor" for name in _TENSORS for part in ("", ".cuda", ".sparse", ".cuda.sparse")),
        *(f"torch._utils.{name}" for name in _REBUILD),
    ]
)  # fmt: skip
"""Full names in `_get_allowed_globals()`; a test compares the set with the installed torch's."""

TORCH_BLOCKED_MODULES = frozenset({"sys", "os", "posix", "nt"})
"""`_blocklisted_modules`: refused even where the user allows them."""

PLAIN_DATA: frozenset[str] = frozenset(
    {
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.core.numeric._frombuffer",
        "numpy._core.numeric._frombuffer",
        "numpy.ndarray",
        "numpy.dtype",
        "joblib.numpy_pickle.NumpyArrayWrapper",
        "collections.defaultdict",
        "collections.deque",
        "datetime.datetime",
        "datetime.date",
        "datetime.timedelta",
        "decimal.Decimal",
        "fractions.Fraction",
        "uuid.UUID",
        "builtins.frozenset",
        "builtins.list",
        "builtins.dict",
        "builtins.tuple",
        "builtins.int",
        "builtins.float",
        "builtins.str",
        "builtins.bytes",
        "builtins.bool",
        "builtins.slice",
        "builtins.range",
        "builtins.object",
    }
)
"""Constructors that only hold data given to them; they make no file `needs_code`, though torch refuses them."""

_DTYPE_SUFFIXES = (
    "Float64DType",
    "Float32DType",
    "Int64DType",
    "Int32DType",
    "BoolDType",
    "Float16DType",
    "UInt8DType",
)
PLAIN_DATA |= frozenset(f"numpy.dtypes.{name}" for name in _DTYPE_SUFFIXES)

DANGEROUS_MODULES: frozenset[str] = frozenset(
    {
        "os", "posix", "nt", "sys", "subprocess", "_posixsubprocess", "pty", "socket", "_socket", "ssl", "shutil",
        "ctypes", "_ctypes", "importlib", "runpy", "webbrowser", "code", "codeop", "marshal", "pdb", "bdb", "cProfile",
        "profile", "timeit", "trace", "doctest", "pip", "ensurepip", "venv", "zipimport", "pkgutil", "imp", "asyncio",
        "multiprocessing", "_winapi", "winreg", "msvcrt", "commands", "popen2", "platform", "http", "urllib",
        "requests", "httpx", "aiohttp", "ftplib", "smtplib", "telnetlib", "poplib", "imaplib", "xmlrpc", "tempfile",
        "glob", "pathlib2", "signal", "threading", "_thread", "sysconfig", "site", "distutils", "setuptools", "gc",
        "inspect", "atexit", "cffi", "cloudpickle", "dill", "pickle", "_pickle", "shelve", "linecache", "fileinput",
        "logging.config", "cgitb", "idlelib", "lib2to3", "nturl2path", "test", "unittest", "this", "antigravity",
        "pydoc", "paramiko", "fabric", "sqlite3", "mmap", "io", "_io", "bpy",
    }
)  # fmt: skip
"""Modules from which no model needs a name on load, and whose names run programs, reach the system or the network."""

DANGEROUS_NAMES: frozenset[str] = frozenset(
    {
        "builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__", "builtins.open",
        "builtins.execfile", "builtins.input", "builtins.breakpoint", "builtins.globals", "builtins.locals",
        "builtins.vars", "builtins.delattr", "builtins.setattr", "builtins.file", "builtins.apply", "builtins.type",
        "builtins.__build_class__", "builtins.memoryview", "builtins.map", "builtins.filter", "builtins.exit",
        "builtins.quit", "builtins.help",
        "operator.attrgetter", "operator.methodcaller", "_operator.attrgetter", "_operator.methodcaller",
        "functools.partial", "functools.reduce", "_functools.partial", "_functools.reduce", "types.CodeType",
        "types.FunctionType", "types.LambdaType", "types.ModuleType", "torch.storage._load_from_bytes", "torch.load",
        "torch.serialization.load", "torch.hub.load", "torch.hub._load_local", "torch.hub.download_url_to_file",
        "torch.utils.collect_env.run", "torch._inductor.codecache.compile_file", "torch.utils.cpp_extension.load",
        "torch.utils.cpp_extension.load_inline", "torch.jit.load", "torch.package.PackageImporter", "torch.ops.load_library",
        "torch._dynamo.guards.GuardBuilder.get", "torch.fx.graph_module._exec_with_source", "torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression",
        "torch.utils._config_module.ConfigModule.load_config", "torch.distributed.rpc.server_process_global_profiler._server_process_global_profile",
        "numpy.testing._private.utils.runstring", "numpy.load", "numpy.fromfile", "numpy.f2py.crackfortran.getlincoef",
        "numpy.core.multiarray.fromfile", "pandas.read_pickle", "pandas.io.pickle.read_pickle", "pandas.eval",
        "joblib.load", "joblib.numpy_pickle.load", "sklearn.externals.joblib.load", "numexpr.evaluate",
        "logging.FileHandler", "codecs.open", "_codecs.lookup", "uuid._get_command_stdout", "uuid._popen",
    }
)  # fmt: skip
"""Names that run, load or reach further whatever they are given."""

DANGEROUS_PACKAGES = (
    "numpy.distutils", "numpy.f2py", "torch.utils.cpp_extension", "torch._inductor", "torch.distributed.elastic",
    "torch.fx.graph_module._exec_with_source", "torch.hub",
)  # fmt: skip
"""Packages that compile, run or spawn by trade; no checkpoint needs a name of theirs."""

TRAVERSAL = frozenset({"builtins.getattr", "operator.getitem", "_operator.getitem", "builtins.hasattr"})
"""Names that reach from an allowed object to a further one; benign modules use them too."""
