"""Compiled code on disk, shared by all processes: one object file per hash of everything that was printed.

numba compiles a module once; what it made is kept as an object file, which later processes load with llvmlite alone
(some milliseconds; importing numba takes half a second). The key is the hash of the whole source, the versions that
compiled it and the processor, so an edited callee or another machine can never meet old code.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import tempfile
import threading
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import VerifyError

FORMAT = 2
"""Counts up when the meaning of a cached file changes without its source."""

Spec = tuple[str, ...]
"""Arguments of a kernel: ``i`` integer, ``d`` float, ``f8:2`` type and dimensions of an array; maybe a name first."""

BODY = "# the kernel\n"
"""What stands between the functions of a module and its kernel, where the kernel is printed as a body only.

Python cannot call a function with more than some thirty arguments without packing them, which numba cannot inline.
"""

_TYPES = {
    "f8": np.float64,
    "f4": np.float32,
    "i8": np.int64,
    "i4": np.int32,
    "u8": np.uint64,
    "u4": np.uint32,
    "u2": np.uint16,
    "u1": np.uint8,
}
_STUBS = ("NRT_MemInfo_call_dtor",)  # named by code that never runs: no kernel owns memory

_loaded: dict[str, Kernel] = {}
_keep: list[Any] = []
_lock = threading.Lock()


def directory() -> Path:
    """Return the folder of the cache: ``$NEUROSIM_CACHE_DIR``, else the user's cache folder."""
    given = os.environ.get("NEUROSIM_CACHE_DIR")
    if given:
        return Path(given)
    if platform.system() == "Windows":
        base = Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir()))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return base / "neurosim" / "kernels"


def size() -> int:
    """Return the bytes that the cache holds."""
    root = directory()
    return sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) if root.exists() else 0


@cache
def _machine() -> str:
    """Return what besides the text decides about the code: versions, the processor, and numba's settings.

    numba reads its settings from variables of the environment and from a file in the working directory. All of them
    count: which ones change the code is numba's affair.
    """
    import llvmlite.binding as llvm

    versions = [metadata.version(p) for p in ("numba", "llvmlite")]
    cpu = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("NUMBA_"))
    try:
        settings.append(Path(".numba_config.yaml").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        pass
    return "\0".join((str(FORMAT), *versions, platform.platform(), cpu, *settings))


def key(source: str, name: str, spec: Spec) -> str:
    """Return the hash of the whole text that is compiled, the versions and settings that compile it, the processor."""
    parts = (_machine(), name, ",".join(spec), _text(source, name, spec))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@cache
def _bridge() -> str:
    return Path(__file__).with_name("bridge.py").read_text(encoding="utf-8")


def load(source: str, name: str, spec: Spec) -> Kernel:
    """Return a kernel, from memory, from disk, or freshly compiled.

    Parameters
    ----------
    source : str
        Text that defines the kernel and what it calls.
    name : str
        Name of the kernel: a function of ``source`` that returns an integer.
    spec : tuple of str
        Its arguments.
    """
    hashed = key(source, name, spec)
    with _lock:
        if hashed not in _loaded:
            _loaded[hashed] = _fetch(source, name, hashed, spec)
        return _loaded[hashed]


def _fetch(source: str, name: str, hashed: str, spec: Spec) -> Kernel:
    stem = directory() / f"{name}-{hashed}"
    found = _read(stem)
    symbol, code = found or _compile(source, name, hashed, spec)
    if found is None:
        _write(stem, symbol, code)
    return Kernel(_link(symbol, code), spec, name)


def ready(source: str, name: str, spec: Spec) -> bool:
    """Tell whether a kernel is compiled already."""
    hashed = key(source, name, spec)
    return hashed in _loaded or (directory() / f"{name}-{hashed}.json").exists()


def _read(stem: Path) -> tuple[str, bytes] | None:
    """Return what is on disk, if it is whole: a damaged object file would bring the process down."""
    try:
        head = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
        code = stem.with_suffix(".o").read_bytes()
        symbol = str(head["symbol"])
        if head["sha256"] == _digest(symbol, code):
            return symbol, code
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _digest(symbol: str, code: bytes) -> str:
    """Return the hash of what a kernel is loaded by: a wrong symbol would bring the process down as well."""
    return hashlib.sha256(symbol.encode() + b"\0" + code).hexdigest()


def _write(stem: Path, symbol: str, code: bytes) -> None:
    """Keep compiled code; a cache that cannot be written costs time, not correctness."""
    head = json.dumps({"sha256": _digest(symbol, code), "symbol": symbol})
    try:
        stem.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for suffix, data in ((".o", code), (".json", head.encode())):
            handle, part = tempfile.mkstemp(dir=stem.parent, suffix=".tmp")
            with os.fdopen(handle, "wb") as f:
                f.write(data)
            os.replace(part, stem.with_suffix(suffix))
    except OSError:
        pass


def _entry(name: str, spec: Spec, body: str) -> str:
    """Print the entry point: it unpacks a block of numbers, then calls the kernel or goes on with its body."""
    lines, at = [], 0
    for k, argument in enumerate(spec):
        *named, kind = argument.split()
        variable = named[0] if named else f"x{k}"
        if kind == "i":
            value = f"a[{at}]"
        elif kind == "d":
            value = f"float_of(a[{at}])"
        else:
            element, _, dims = kind.partition(":")
            lengths = ", ".join(f"a[{at + 1 + d}]" for d in range(int(dims)))
            value = f"view_{element}_{dims}(a[{at}], ({lengths},))"
            at += int(dims)
        lines.append(f"    {variable} = {value}")
        at += 1
    if not body:
        body = f"    return np.int64({name}({', '.join(f'x{k}' for k in range(len(spec)))}))"
    return "\n".join(
        [
            "@njit(types.int64(BLOCK), nogil=True, error_model='numpy',",
            "      no_cpython_wrapper=True, no_cfunc_wrapper=True)",
            "def _entry(a):",
            *lines,
            body,
        ]
    )


def _compile(source: str, name: str, hashed: str, spec: Spec) -> tuple[str, bytes]:
    """Compile a kernel with numba; return the symbol of its entry, and the object code."""
    space: dict[str, Any] = {"__name__": f"_neurosim_{name}_{hashed}"}
    code = compile(_text(source, name, spec), f"<{name} {hashed}>", "exec")
    exec(code, space)  # text that was printed here, never a user's
    (result,) = space["_entry"].overloads.values()
    return result.fndesc.llvm_func_name, bytes(result.library._get_compiled_object())


def _text(source: str, name: str, spec: Spec) -> str:
    """Put together what is compiled: views of memory, the printed module, the entry point."""
    arrays = sorted({argument.split()[-1] for argument in spec if ":" in argument})
    source, _, body = source.partition(BODY)
    views = "\n".join(f"view_{kind.replace(':', '_')} = VIEWS['{kind}']" for kind in arrays)
    text = "\n\n".join([_bridge(), views, source, _entry(name, spec, body)])
    return text.replace("from __future__ import annotations\n", "")


@cache
def _engine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    nothing = ctypes.cast(ctypes.pythonapi.Py_GetVersion, ctypes.c_void_p).value
    for stub in _STUBS:
        llvm.add_symbol(stub, nothing)
    return llvm.Target.from_default_triple()


def _link(symbol: str, code: bytes) -> int:
    """Load object code; return the address of its entry."""
    import llvmlite.binding as llvm

    linker = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _engine().create_target_machine(jit=True))
    linker.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    linker.finalize_object()
    _keep.append(linker)
    return int(linker.get_function_address(symbol))


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


class Bound:
    """A kernel with its arguments, packed once; whoever holds it may change one (:meth:`change`) and call it again."""

    def __init__(self, kernel: Kernel, args: tuple[Any, ...]) -> None:
        self.kernel, self.args = kernel, list(args)  # the arrays live as long as this
        words = [kernel.words(value, kind) for value, kind in zip(args, kernel.kinds, strict=True)]
        self.at = np.concatenate(([0], np.cumsum([len(w) for w in words]))).tolist()
        self.block = np.array([w for each in words for w in each], dtype=np.int64)

    def change(self, k: int, value: Any) -> None:
        """Replace argument k."""
        if value is not self.args[k]:
            self.block[self.at[k] : self.at[k + 1]] = self.kernel.words(value, self.kernel.kinds[k])
            self.args[k] = value

    def __call__(self) -> int:
        """Return what the kernel returns."""
        return self.kernel.packed(self.block)


class Kernel:
    """A compiled kernel; a call of it lets other threads run."""

    def __init__(self, address: int, spec: Spec, name: str) -> None:
        # numba's own convention: int32 status = f(int64 *result, void **error, int64 *block)
        prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self.function, self.name = prototype(address), name
        self.kinds = tuple(argument.split()[-1] for argument in spec)

    def __call__(self, *args: Any) -> int:
        """Check the arguments, pack them, and return what the kernel returns."""
        return self.bind(*args)()

    def bind(self, *args: Any) -> Bound:
        """Check and pack arguments for many calls, between which some may be changed."""
        if len(args) != len(self.kinds):
            raise VerifyError(f"kernel {self.name} takes {len(self.kinds)} arguments, got {len(args)}")
        return Bound(self, args)

    def words(self, value: Any, kind: str) -> list[int]:
        """Return the 64-bit numbers that an argument becomes, if it is what it has to be."""
        if kind == "i":
            return [_signed(int(value))]
        if kind == "d":
            return [int(np.float64(value).view(np.int64))]
        element, _, dims = kind.partition(":")
        fits = isinstance(value, np.ndarray) and value.dtype == _TYPES[element] and value.ndim == int(dims)
        if not (fits and value.flags.c_contiguous):
            found = getattr(value, "dtype", type(value))
            raise VerifyError(f"kernel {self.name} wants {kind}, got {found} of shape {np.shape(value)}")
        return [_signed(value.ctypes.data), *value.shape]

    def packed(self, block: np.ndarray) -> int:
        """Take the 64-bit numbers that the arguments become (:mod:`.bridge`), unchecked."""
        result, error = ctypes.c_int64(0), ctypes.c_void_p(0)
        if self.function(ctypes.addressof(result), ctypes.addressof(error), block.ctypes.data):
            raise VerifyError(f"kernel {self.name} failed")
        return result.value
