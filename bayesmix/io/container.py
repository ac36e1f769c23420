"""The bytes of a file of ours: a preamble, a JSON header and raw arrays, under one checksum.

======== ====== ==========================================================================
offset   bytes  what
======== ====== ==========================================================================
0        8      which kind of file, as ``89 62 6d 69 78 0d 0a 1a`` for a model (a transfer as
                text breaks it, as it does a PNG)
8        4      version of the kind's format, little-endian, as are all numbers
12       8      length of the whole file
20       8      length of the header
28       32     SHA-256 of all other bytes
60       ...    header: JSON in ASCII, whose ``arrays`` lists (dtype, shape, order of axes)
then     ...    the arrays one after another, nothing between, nothing behind
======== ====== ==========================================================================

Not a zip archive: its lengths can lie about what unpacks from them, and it has bytes that nothing
checks. Here every length is compared with the file's own before anything is allocated, every byte
is under the checksum, and the same content gives the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from bayesmix.errors import DamagedFileError, UnsupportedError
from bayesmix.sources.writing import naming
from bayesmix.version import __version__

PREAMBLE = struct.Struct("<8sIQQ")
# Lists and objects in JSON take 20 times their size when parsed. This limit is 50 MB, a hundred
# times the header of a fit with 1,000 components.
MOST_LISTS = 2**18
HEADER_BEGINS = PREAMBLE.size + hashlib.sha256().digest_size

# Number types in files, by their names on disk.
DTYPES = {
    np.dtype(name).newbyteorder("<").str: np.dtype(name)
    for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}


@dataclass(frozen=True)
class FileKind:
    """Kind of file: first bytes, format version, description, and what to do if damaged."""

    magic: bytes
    version: int
    what: str
    again: str


MODEL = FileKind(
    b"\x89bmix\r\n\x1a", 1, "a model saved by bayesmix", "copy it again, or save the model again"
)
# Format 1 used pickle.
FINISHED_FIT = FileKind(
    b"\x89bfit\r\n\x1a", 2, "a fit of a checkpoint", "delete it to repeat the fit"
)

# First bytes of other kinds of files.
FOREIGN = (
    *((kind.magic, kind.what) for kind in (MODEL, FINISHED_FIT)),
    (b"\x80", "a pickle, which bayesmix does not open"),
    (b"PK", "a zip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "a gzip file"),
)

Bits = npt.NDArray[Any]


def storable(array: Bits) -> bool:
    """Whether files support numbers of this type."""
    return array.dtype.newbyteorder("<").str in DTYPES


def pack(header: dict[str, Any], arrays: Sequence[Bits], kind: FileKind = MODEL) -> bytes:
    """Return the bytes of a file. Arrays keep their memory order, since sums depend on it."""
    orders = [memory_order(array) for array in arrays]
    shapes = [
        [array.dtype.newbyteorder("<").str, list(array.shape), order]
        for array, order in zip(arrays, orders, strict=True)
    ]
    text = json.dumps({**header, "arrays": shapes}, allow_nan=False, separators=(",", ":")).encode(
        "ascii"
    )
    if _n_lists(text) > MOST_LISTS:
        raise UnsupportedError(
            f"a file supports at most {MOST_LISTS:,} lists: use arrays instead of lists for "
            "parameters"
        )
    body = b"".join(
        array.transpose(order).astype(array.dtype.newbyteorder("<")).tobytes()
        for array, order in zip(arrays, orders, strict=True)
    )
    size = HEADER_BEGINS + len(text) + len(body)
    preamble = PREAMBLE.pack(kind.magic, kind.version, size, len(text))
    return preamble + _digest(preamble, text + body) + text + body


def _n_lists(text: bytes) -> int:
    """Count the lists and objects in JSON text (upper bound)."""
    return text.count(b"[") + text.count(b"{")


def memory_order(array: Bits) -> list[int]:
    """Return the axes from slowest to fastest in memory."""
    if array.flags.c_contiguous:
        return list(range(array.ndim))
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


@contextlib.contextmanager
def opened(path: Any) -> Iterator[BinaryIO]:
    """Open a file to read; errors name its path."""
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would never end
        raise DamagedFileError(f"{path} is not a file")
    with naming(path, "read", "check its permissions"), open(path, "rb") as stream:
        try:
            yield stream
        except DamagedFileError as problem:
            raise DamagedFileError(f"{path} {problem}") from None
        except (OSError, MemoryError):
            raise
        except Exception as problem:
            # Any error caused by the contents of a file is reported as damage.
            raise DamagedFileError(
                f"{path} is damaged: its parts do not fit together ({problem})"
            ) from None


def unpack(stream: BinaryIO, kind: FileKind = MODEL) -> tuple[dict[str, Any], list[Bits]]:
    """Read header and arrays; raise ``DamagedFileError`` for anything unexpected."""
    there = os.fstat(stream.fileno()).st_size
    beginning = stream.read(HEADER_BEGINS)
    header_bytes = _check_preamble(beginning, there, kind)
    rest = stream.read(there - HEADER_BEGINS)
    if _digest(beginning[: PREAMBLE.size], rest) != beginning[PREAMBLE.size :]:
        raise DamagedFileError(f"is damaged: its checksum does not match; {kind.again}")
    text = rest[:header_bytes]
    if _n_lists(text) > MOST_LISTS:
        raise DamagedFileError(f"is damaged: it contains more than {MOST_LISTS:,} lists")
    try:
        header = json.loads(text.decode("ascii"))
        return header, _arrays(header.pop("arrays"), rest, header_bytes)
    except DamagedFileError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise DamagedFileError(f"is damaged: its header cannot be read ({problem})") from None


def _check_preamble(beginning: bytes, there: int, kind: FileKind) -> int:
    """Return the length of the header after checking it and the file length."""
    if not there:
        raise DamagedFileError(f"is empty: {kind.again}")
    if beginning[: len(kind.magic)] != kind.magic[: len(beginning)]:
        known = [what for start, what in FOREIGN if beginning.startswith(start)]
        looks = f"; it looks like {known[0]}" if known else ""
        raise DamagedFileError(f"is not {kind.what}{looks}")
    if there < HEADER_BEGINS:
        raise DamagedFileError(f"is truncated: it ends after {there} bytes; {kind.again}")
    _, version, size, header_bytes = PREAMBLE.unpack(beginning[: PREAMBLE.size])
    if version > kind.version:
        raise DamagedFileError(
            f"was saved in format {version} by a newer bayesmix; this one ({__version__}) reads "
            f"formats up to {kind.version}: pip install --upgrade bayesmix"
        )
    if there < size:
        raise DamagedFileError(f"is truncated: it has {there:,} of {size:,} bytes; {kind.again}")
    if version < 1 or there > size or header_bytes > size - HEADER_BEGINS:
        raise DamagedFileError(f"is damaged: its lengths do not fit the file; {kind.again}")
    return int(header_bytes)


def _arrays(shapes: Any, rest: bytes, offset: int) -> list[Bits]:
    """Return arrays as writable copies, after checking that all fit the file."""
    sizes = []
    for name, shape, order in shapes:
        if any(type(n) is not int or n < 0 for n in shape):
            raise DamagedFileError(f"is damaged: it contains an array of shape {shape}")
        if sorted(order) != list(range(len(shape))):
            raise DamagedFileError(f"is damaged: it contains an array with axes {order}")
        sizes.append(DTYPES[name].itemsize * math.prod(shape))
    if sum(sizes) != len(rest) - offset:
        raise DamagedFileError("is damaged: its arrays do not fill the file")
    arrays = []
    for (name, shape, order), size in zip(shapes, sizes, strict=True):
        flat = np.frombuffer(rest, np.dtype("u1"), size, offset)
        # A boolean is one byte; any nonzero byte is true, but a view would keep odd values.
        typed = flat != 0 if name == "|b1" else flat.view(np.dtype(name))
        stored = typed.reshape([shape[axis] for axis in order])
        native = stored.astype(DTYPES[name])
        arrays.append(native.transpose(np.argsort(order)) if order else native)
        offset += size
    return arrays


def _digest(preamble: bytes, rest: bytes) -> bytes:
    seal = hashlib.sha256(preamble)
    seal.update(rest)
    return seal.digest()
