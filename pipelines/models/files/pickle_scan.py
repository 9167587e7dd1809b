"""What a pickled checkpoint promises, found out before `torch.load` believes it.

A file of torch.save is a zip archive of a pickle and of one record a storage, or (before torch 1.6)
the pickle with the storages behind it. `torch.load(weights_only=True)` runs no code, but it
allocates what it is told to, unpacks what was packed, and compares and hashes what was nested. So
the opcodes are walked first, and only what tensors by name need is let through.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from ...common.tensor_header import MAX_TENSORS, Unreadable

MAX_PICKLE = 8 * 2**20
MAX_OPCODES = 30 * MAX_TENSORS
UNSAFE = "is a pickle that cannot be read safely, or is damaged"
BUILDERS = {
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "collections OrderedDict",
    "torch Size",
}
STORAGES = {
    **dict.fromkeys(("Byte", "Char", "Bool"), 1),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    **dict.fromkeys(("Float", "Int"), 4),
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
}
"""Bytes of a number in each kind of storage."""
NUMBERS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
TEXTS = {"BINUNICODE", "SHORT_BINSTRING"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
CONTAINERS = {"EMPTY_LIST": "list", "EMPTY_DICT": "dict"}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True, eq=False)
class Global:
    """A function or a type that a pickle names: "module name"."""

    name: str


@dataclass(frozen=True, eq=False)
class Built:
    """Stands for what would be made by `by`: a builder, "list", "dict" or "storage"."""

    by: str


def scan(path: Path) -> bool:
    """Whether a pickled checkpoint is a zip archive. Raises Unreadable where it must not be read.

    That is one with other things than tensors by name in it, one that is packed or too large for a
    checkpoint, and one that promises more bytes than it has. A damaged one may raise anything.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        is_archive = file.read(4) == b"PK\3\4"
        file.seek(0)
        if is_archive:
            storages = _walk(BytesIO(_pickle_of_archive(file, size)))
        else:
            stream = BytesIO(file.read(MAX_PICKLE))
            # A number that says what it is, the protocol, the machine, the content, the storages.
            storages = dict(item for _ in range(5) for item in _walk(stream).items())
    promised = sum(storages.values())
    if promised > size:
        raise Unreadable(f"promises {promised} bytes of weights in a file of {size}")
    return is_archive


def _pickle_of_archive(file: BinaryIO, size: int) -> bytes:
    _require_short_list(file, size)
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in records):
            raise Unreadable("is a packed archive, which may unpack to any size")
        if sum(record.file_size for record in records) > size:
            raise Unreadable(f"is an archive that promises more than its {size} bytes")
        found = [record for record in records if record.filename.endswith("/data.pkl")]
        if len(found) != 1:
            raise Unreadable(UNSAFE)
        if found[0].file_size > MAX_PICKLE:
            raise Unreadable(f"holds a pickle of {found[0].file_size} bytes, {MAX_PICKLE} are read")
        return archive.read(found[0])


def _require_short_list(file: BinaryIO, size: int) -> None:
    """Refuse an archive of too many records before the list of them is read."""
    file.seek(max(0, size - 2**16 - 22))
    end = file.read()
    place = end.rfind(b"PK\5\6")
    count, length = struct.unpack_from("<10xHL", end, place)
    locator = end.rfind(b"PK\6\7", 0, place)
    if locator >= 0:  # the larger format, whose own end lies before
        file.seek(struct.unpack_from("<8xQ", end, locator)[0])
        count, length = struct.unpack_from("<32xQQ", file.read(56))
    if count > 2 * MAX_TENSORS or length > MAX_PICKLE:
        raise Unreadable(f"is an archive of {count} records, more than any model has")


def _walk(stream: BytesIO) -> dict[object, int]:
    """Walk over one pickle as `torch.load` would: bytes of each storage that it asks for."""
    walk = Walk()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count > MAX_OPCODES:
            raise Unreadable(f"is a pickle of more than {MAX_OPCODES} steps")
        walk.step(opcode.name, argument)
    return walk.storages


class Walk:
    """An unpickler that makes nothing. storages: bytes by key, of those that were asked for."""

    def __init__(self) -> None:
        self.storages: dict[object, int] = {}
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []  # the stacks below
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Do one opcode. Raises Unreadable for those that no checkpoint needs."""
        stack = self._stack
        if name in NUMBERS or name in TEXTS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in CONTAINERS:
            stack.append(Built(CONTAINERS[name]))
        elif name == "GLOBAL":
            stack.append(Global(argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            self._marks.append(stack)
            self._stack = []
        elif name in TUPLES:
            stack.append(tuple(self._pop(TUPLES[name])))
        elif name == "TUPLE":
            items = self._since_mark()
            self._stack.append(tuple(items))
        elif name == "APPEND":
            self._pop(1)
        elif name == "APPENDS":
            self._since_mark()
        elif name == "SETITEM":
            self._set(self._pop(2))
        elif name == "SETITEMS":
            self._set(self._since_mark())
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name == "REDUCE":
            self._call(*self._pop(2))
        elif name == "BUILD":
            self._build(*self._pop(1))
        elif name == "STOP":
            self._pop(1)
        elif name != "PROTO":
            raise Unreadable(UNSAFE)

    def _pop(self, count: int) -> list[Any]:
        popped = [self._stack.pop() for _ in range(count)]
        return popped[::-1]

    def _since_mark(self) -> list[Any]:
        popped, self._stack = self._stack, self._marks.pop()
        return popped

    def _set(self, pairs: list[Any]) -> None:
        # Tuples of tuples of tuples, each twice the same, take forever to be hashed.
        if not all(isinstance(key, str | int | float) for key in pairs[::2]):
            raise Unreadable(UNSAFE)

    def _storage(self, name: Any) -> Built:
        _, kind, key, _, count, *_ = name
        number = STORAGES[kind.name.removeprefix("torch ").removesuffix("Storage")]
        if not isinstance(key, str | int) or not isinstance(count, int) or count < 0:
            raise Unreadable(UNSAFE)
        self.storages[key] = max(self.storages.get(key, 0), number * count)
        return Built("storage")

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Global) or function.name not in BUILDERS:
            raise Unreadable(UNSAFE)
        if function.name == "collections OrderedDict" and arguments != ():
            raise Unreadable(UNSAFE)
        self._stack.append(Built(function.name))

    def _build(self, state: Any) -> None:
        target = self._stack[-1]
        if not isinstance(target, Built) or target.by != "collections OrderedDict":
            raise Unreadable(UNSAFE)
