"""The bytes of a saved model: a preamble, a JSON header and raw arrays, under one checksum.

======== ====== ==========================================================================
offset   bytes  what
======== ====== ==========================================================================
0        8      ``89 62 6d 69 78 0d 0a 1a`` (a transfer as text breaks it, as it does a PNG)
8        4      version of the format, little-endian, as are all numbers
12       8      length of the whole file
20       8      length of the header
28       32     SHA-256 of all other bytes
60       ...    header: JSON in ASCII, whose ``arrays`` lists (dtype, shape, order of axes)
then     ...    the arrays one after another, nothing between, nothing behind
======== ====== ==========================================================================

Not a zip archive: its lengths can lie about what unpacks from them, and it has bytes that nothing
checks. Here every length is compared with the file's own before anything is allocated, every byte
is under the checksum, and the same model gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from bayesmix.errors import DamagedFileError
from bayesmix.version import __version__

MAGIC = b"\x89bmix\r\n\x1a"
FORMAT = 1
PREAMBLE = struct.Struct("<8sIQQ")
HEADER_BEGINS = PREAMBLE.size + hashlib.sha256().digest_size

# Kinds of numbers that files hold, by their names on disk.
DTYPES = {
    np.dtype(name).newbyteorder("<").str: np.dtype(name)
    for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}

# How other files begin that somebody may give us.
FOREIGN = (
    (b"\x80", "a pickle, which is never opened here"),
    (b"PK", "a zip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "a gzip file"),
)

Bits = npt.NDArray[Any]


def storable(array: Bits) -> bool:
    """Whether files can hold numbers of this kind."""
    return array.dtype.newbyteorder("<").str in DTYPES


def pack(header: dict[str, Any], arrays: Sequence[Bits]) -> bytes:
    """The whole file. Arrays keep the order of their axes in memory: sums depend on it."""
    orders = [memory_order(array) for array in arrays]
    shapes = [
        [array.dtype.newbyteorder("<").str, list(array.shape), order]
        for array, order in zip(arrays, orders, strict=True)
    ]
    text = json.dumps({**header, "arrays": shapes}, allow_nan=False, separators=(",", ":")).encode(
        "ascii"
    )
    body = b"".join(
        array.transpose(order).astype(array.dtype.newbyteorder("<")).tobytes()
        for array, order in zip(arrays, orders, strict=True)
    )
    size = HEADER_BEGINS + len(text) + len(body)
    preamble = PREAMBLE.pack(MAGIC, FORMAT, size, len(text))
    return preamble + _digest(preamble, text + body) + text + body


def memory_order(array: Bits) -> list[int]:
    """Axes from the slowest to the fastest in memory."""
    if array.flags.c_contiguous:
        return list(range(array.ndim))
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def unpack(stream: BinaryIO) -> tuple[dict[str, Any], list[Bits]]:
    """Header and arrays of an open file; ``DamagedFileError`` where anything is not as written."""
    there = os.fstat(stream.fileno()).st_size
    beginning = stream.read(HEADER_BEGINS)
    header_bytes = _check_preamble(beginning, there)
    rest = stream.read(there - HEADER_BEGINS)
    if _digest(beginning[: PREAMBLE.size], rest) != beginning[PREAMBLE.size :]:
        raise DamagedFileError(
            "is damaged: its checksum does not fit what it holds; copy it or save the model again"
        )
    try:
        header = json.loads(rest[:header_bytes].decode("ascii"))
        return header, _arrays(header.pop("arrays"), rest, header_bytes)
    except DamagedFileError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise DamagedFileError(f"is damaged: its header cannot be read ({problem})") from None


def _check_preamble(beginning: bytes, there: int) -> int:
    """The length of the header, once it and the file's own length are possible."""
    if not there:
        raise DamagedFileError("is empty: save the model again")
    if beginning[: len(MAGIC)] != MAGIC[: len(beginning)]:
        kinds = [kind for start, kind in FOREIGN if beginning.startswith(start)]
        looks = f"; it looks like {kinds[0]}" if kinds else ""
        raise DamagedFileError(f"is not a model that bayesmix saved{looks}")
    if there < HEADER_BEGINS:
        raise DamagedFileError(
            f"is truncated: it ends after {there} bytes; copy it or save the model again"
        )
    _, version, size, header_bytes = PREAMBLE.unpack(beginning[: PREAMBLE.size])
    if version > FORMAT:
        raise DamagedFileError(
            f"was saved in format {version} by a newer bayesmix; this one ({__version__}) reads "
            f"formats up to {FORMAT}: pip install --upgrade bayesmix"
        )
    if there < size:
        raise DamagedFileError(
            f"is truncated: {there:,} of {size:,} bytes are there; copy it or save the model again"
        )
    if version < 1 or there > size or header_bytes > size - HEADER_BEGINS:
        raise DamagedFileError(
            "is damaged: its lengths do not fit the file; copy it or save the model again"
        )
    return int(header_bytes)


def _arrays(shapes: Any, rest: bytes, offset: int) -> list[Bits]:
    """Arrays as writable copies; none is made before all of them are known to fit."""
    sizes = []
    for name, shape, order in shapes:
        if any(type(n) is not int or n < 0 for n in shape):
            raise DamagedFileError(f"is damaged: it holds an array of the shape {shape}")
        if sorted(order) != list(range(len(shape))):
            raise DamagedFileError(f"is damaged: it holds an array with the axes {order}")
        sizes.append(DTYPES[name].itemsize * math.prod(shape))
    if sum(sizes) != len(rest) - offset:
        raise DamagedFileError("is damaged: its arrays do not fill the file")
    arrays = []
    for (name, shape, order), size in zip(shapes, sizes, strict=True):
        flat = np.frombuffer(rest, np.dtype("u1"), size, offset)
        # A boolean is one byte, and any byte but 0 is true; the view alone would keep odd ones.
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
