"""The compiled twin of the E-step: one pass over rows in blocks that stay in cache.

Log densities, responsibilities and sums of a block are made and used up before the next is read;
nothing is stored for all rows. Loops run over the rows of a block innermost, so that they become
vector instructions, and do several products for every number they load. Functions that call one
another stand in this one file, because the compiler's cache does not see changes across files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from scipy.special import gammaln

from bayesmix.numerics.features import AXES, BLOCK_ROWS, COUNTS, DENSE, LINE
from bayesmix.numerics.kernel_cache import with_cache

# Re-association lets the loops be vectorised; nothing here relies on NaN or infinities being kept.
FAST = {"reassoc", "contract", "nsz", "arcp"}
LOG2_E = 1.4426950408889634
LN2 = math.log(2.0)
SMALLEST_EXPONENT = -708.0
# Added to n, it puts n + 1023 into the last bits, where a shift makes 2^n of them.
TO_LAST_BITS = 1.5 * 2.0**52 + 1023.0
SQRT_HALF_BITS = int(np.float64(math.sqrt(0.5)).view(np.int64))
VECTOR = ir.VectorType(ir.DoubleType(), LINE)
INTEGER = ir.IntType(64)
BYTES_OF_LINE = 8 * LINE
# A block has fewer rows where what is made of a row is wide, so that it stays in the second cache.
MOST_LINES = BLOCK_ROWS // LINE
FEWEST_LINES = 9
BLOCK_VALUES = 2**16
# Responsibilities below this are left out of the sums: they add less than rounding does.
NEGLIGIBLE = 2.0**-60
# Distances along so many features or more, to so many components, are first those along one feature
# in ``HEAD``: components so far below the leading one have no share that counts. Blocks have more
# rows then, of which a component leads few. Where most joints of a block have to be completed all
# the same, the rest of the chunk is done in one step.
WIDE_IN_TWO_STEPS = 32
MANY_IN_TWO_STEPS = 4
HEAD = 3
LINES_IN_TWO_STEPS = 67
LOG_NEGLIGIBLE = -45.0
MOST_COMPLETED = 0.5
# Where no more than one in so many rows of a block has a share, those are gathered first,
# padded to whole vectors.
FEW = 4
WIDE = 16  # fewer features cost less than a search for rows
VECTORS = 32
# Of so many components or more, where at most one in two of the lines of eight rows have a share of
# a row, exponentials and sums are those of these lines alone.
MANY = 16
FEW_LINES = 2
LOG_FACTORIALS = gammaln(np.arange(1.0, 257.0))


# A division that may raise is not vectorised.
OPTIONS = {"nogil": True, "fastmath": FAST, "error_model": "numpy"}


def _kernel(function: Callable[..., Any]) -> Any:
    """The function compiled, cached on disk where there is a place that can be written."""
    return with_cache(nb.njit(**OPTIONS)(function))


def _part(function: Callable[..., Any]) -> Any:
    """The function as a part of the kernels that call it: compiled into each, never called alone.

    Of a function that several kernels call, Numba uses the copy that came first into the process;
    copies were made among different code, and differ in the last digit.
    """
    return nb.njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(
        function
    )


def _inlined(function: Callable[..., Any]) -> Any:
    """The function as a part of those that call it."""
    return nb.njit(inline="always")(function)


def _same_bits(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))


@intrinsic  # type: ignore[untyped-decorator]
def _as_double(context: Any, bits: Any) -> Any:
    """The double with these 64 bits."""
    return nb.float64(nb.int64), _same_bits


@intrinsic  # type: ignore[untyped-decorator]
def _as_bits(context: Any, number: Any) -> Any:
    """The 64 bits of a double."""
    return nb.int64(nb.float64), _same_bits


@intrinsic  # type: ignore[untyped-decorator]
def _less(context: Any, left: Any, right: Any) -> Any:
    """left - right rounded as it stands: (x + c) - c is not taken for x."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fsub(*arguments, flags=["nsz"])

    return nb.float64(nb.float64, nb.float64), build


@intrinsic  # type: ignore[untyped-decorator]
def _widest_vectors(context: Any) -> Any:
    """The function that calls this uses vectors of 512 bits where the machine has them."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # The set's own ``add`` knows attributes without a value only.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return nb.void(), build


def _wide_registers() -> bool:
    """Whether what Numba compiles for has 32 registers that hold a line each."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return "+avx512f" in features


# Log joints are made in tiles whose sums registers hold: of so many components and lines of rows.
TILE_COMPONENTS, TILE_LINES = (8, 3) if _wide_registers() else (6, 1)


def _line(context: Any, builder: Any, array_type: Any, array: Any, *place: Any) -> Any:
    """Where eight neighbours in an array begin."""
    view = context.make_array(array_type)(context, builder, array)
    first = cgutils.get_item_pointer(context, builder, array_type, view, place)
    return builder.bitcast(first, VECTOR.as_pointer())


def _mask(places: list[int]) -> Any:
    """Which of the sixteen numbers of two vectors to take."""
    return ir.Constant(ir.VectorType(ir.IntType(32), LINE), places)


def _read(context: Any, builder: Any, array_type: Any, array: Any, *place: Any) -> Any:
    """Eight neighbours in an array."""
    return builder.load(_line(context, builder, array_type, array, *place), align=8)


def _all_of(builder: Any, number: Any) -> Any:
    """A vector of eight times a number."""
    nothing = ir.Constant(VECTOR, ir.Undefined)
    vector = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(vector, nothing, _mask([0] * LINE))


def _multiply_add(builder: Any, total: Any, left: Any, right: Any) -> Any:
    """total + left right, rounded once where the machine can."""
    product = builder.fmul(left, right, flags=["contract"])
    return builder.fadd(total, product, flags=["contract"])


def _tile(n_lines: int) -> Any:
    """A function that makes log joints of so many lines of rows and a few components.

    It has a loop for every number of components, whose sums stay in registers.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        coefficients, k, n, features, start, joint = arguments
        of_coefficients, _, _, of_features, _, of_joint = signature.args
        given = context.make_array(of_coefficients)(context, builder, coefficients)
        width = builder.extract_value(given.shape, 1)
        starts = [builder.add(start, INTEGER(LINE * i)) for i in range(n_lines)]

        def coefficient(component: Any, feature: Any) -> Any:
            place = component, feature
            number = cgutils.get_item_pointer(context, builder, of_coefficients, given, place)
            return _all_of(builder, builder.load(number))

        for size in range(1, TILE_COMPONENTS + 1):
            with builder.if_then(builder.icmp_unsigned("==", n, INTEGER(size))):
                components = [builder.add(k, INTEGER(i)) for i in range(size)]
                sums = [[cgutils.alloca_once(builder, VECTOR) for _ in starts] for _ in components]
                for component, totals in zip(components, sums, strict=True):
                    offset = coefficient(component, INTEGER(0))
                    for total in totals:
                        builder.store(offset, total)
                with cgutils.for_range(builder, width, start=INTEGER(1)) as loop:
                    rows = [
                        _read(context, builder, of_features, features, loop.index, i)
                        for i in starts
                    ]
                    for component, totals in zip(components, sums, strict=True):
                        factor = coefficient(component, loop.index)
                        for row, total in zip(rows, totals, strict=True):
                            value = _multiply_add(builder, builder.load(total), factor, row)
                            builder.store(value, total)
                for component, totals in zip(components, sums, strict=True):
                    for begin, total in zip(starts, totals, strict=True):
                        out = _line(context, builder, of_joint, joint, component, begin)
                        builder.store(builder.load(total), out, align=8)
        return context.get_dummy_value()

    def tile(
        context: Any, coefficients: Any, k: Any, n: Any, features: Any, start: Any, joint: Any
    ) -> Any:
        return nb.void(coefficients, k, n, features, start, joint), generate

    return intrinsic(tile)


_tile_of_lines, _tile_of_a_line = _tile(TILE_LINES), _tile(1)


@intrinsic  # type: ignore[untyped-decorator]
def _keep_line(
    context: Any, joint: Any, k: Any, start: Any, largest: Any, kept: Any, i: Any
) -> Any:
    """Eight log joints less the largest of their columns to ``kept``; 1 if one has a share."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        joint, k, start, largest, kept, i = arguments
        of_joint, _, _, of_largest, of_kept, _ = signature.args
        left = _read(context, builder, of_joint, joint, k, start)
        right = _read(context, builder, of_largest, largest, start)
        less = builder.fsub(left, right)
        builder.store(less, _line(context, builder, of_kept, kept, i, INTEGER(0)), align=8)
        shared = builder.fcmp_ordered(">", less, ir.Constant(VECTOR, [LOG_NEGLIGIBLE] * LINE))
        none = ir.Constant(ir.IntType(LINE), 0)
        one = builder.icmp_unsigned("!=", builder.bitcast(shared, ir.IntType(LINE)), none)
        return builder.zext(one, INTEGER)

    return nb.int64(joint, k, start, largest, kept, i), build


@intrinsic  # type: ignore[untyped-decorator]
def _add_line(context: Any, out: Any, start: Any, lines: Any, i: Any) -> Any:
    """Line i to eight neighbours of ``out``."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, start, lines, i = arguments
        of_out, _, of_lines, _ = signature.args
        to = _line(context, builder, of_out, out, start)
        line = _read(context, builder, of_lines, lines, i, INTEGER(0))
        total = builder.fadd(builder.load(to, align=8), line)
        builder.store(total, to, align=8)
        return context.get_dummy_value()

    return nb.void(out, start, lines, i), build


@intrinsic  # type: ignore[untyped-decorator]
def _add_rows(
    context: Any, sums: Any, k: Any, lines: Any, i: Any, scale: Any, start: Any, turned: Any
) -> Any:
    """Σ_b s_b l_b t_b of the eight numbers of line i and of ``scale``, and rows of ``turned``."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, k, lines, i, scale, start, turned = arguments
        of_sums, _, of_lines, _, of_scale, _, of_turned = signature.args
        numbers = [INTEGER(b) for b in range(LINE)]
        line = _read(context, builder, of_lines, lines, i, INTEGER(0))
        shares = builder.fmul(line, _read(context, builder, of_scale, scale, start))
        each = [_all_of(builder, builder.extract_element(shares, b)) for b in numbers]
        view = context.make_array(of_turned)(context, builder, turned)
        width = builder.extract_value(view.shape, 1)
        n_lines = builder.udiv(width, INTEGER(LINE))
        with cgutils.for_range(builder, n_lines) as loop:
            place = builder.mul(loop.index, INTEGER(LINE))
            to = _line(context, builder, of_sums, sums, k, place)
            total = builder.load(to, align=8)
            for b, share in zip(numbers, each, strict=True):
                row = _read(context, builder, of_turned, turned, b, place)
                total = _multiply_add(builder, total, share, row)
            builder.store(total, to, align=8)
        return context.get_dummy_value()

    return nb.void(sums, k, lines, i, scale, start, turned), build


@intrinsic  # type: ignore[untyped-decorator]
def _turn(context: Any, values: Any, row: Any, column: Any, turned: Any, place: Any) -> Any:
    """Eight by eight numbers of ``values`` become columns of ``turned`` (8, n)."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, row, column, turned, place = arguments
        of_values, _, _, of_turned, _ = signature.args
        numbers = [INTEGER(i) for i in range(LINE)]
        rows = [builder.add(row, i) for i in numbers]
        lines = [_read(context, builder, of_values, values, i, column) for i in rows]
        # Of two lines, every other number changes places; then every other two, then four.
        for step in (1, 2, 4):
            even = [i + LINE - step if i & step else i for i in range(LINE)]
            odd = [i + LINE if i & step else i + step for i in range(LINE)]
            for i in range(LINE):
                if not i & step:
                    pair = lines[i], lines[i + step]
                    lines[i] = builder.shuffle_vector(*pair, _mask(even))
                    lines[i + step] = builder.shuffle_vector(*pair, _mask(odd))
        for line, i in zip(lines, numbers, strict=True):
            builder.store(line, _line(context, builder, of_turned, turned, i, place), align=8)
        return context.get_dummy_value()

    return nb.void(values, row, column, turned, place), build


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(context: Any, values: Any, row: Any, column: Any) -> Any:
    """Have a number and its neighbours in the cache soon."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        number = cgutils.get_item_pointer(context, builder, signature.args[0], view, arguments[1:])
        flag = ir.IntType(32)
        place = builder.bitcast(number, cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, flag, flag, flag])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], kind)
        # To be read, to be kept, of data.
        builder.call(prefetch, [place, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return nb.void(values, row, column), build


@_part
def _ask_for(values: Any, order: Any, start: int, stop: int) -> None:
    """Have the rows of the next block in the cache soon."""
    n_features = values.shape[1]
    for b in range(start, stop):
        row = order[b]
        for d in range(0, n_features, LINE):
            _prefetch(values, row, d)
        _prefetch(values, row, n_features - 1)


@_part
def _aligned(n_lines: int, n_columns: int) -> Any:
    """An array (n_lines, n_columns) that begins where a line of the cache does.

    A single line is taken by its index: unpacked, Numba would no longer know it to be contiguous.
    """
    buffer = np.empty(n_lines * n_columns + LINE)
    begin = (-buffer.ctypes.data % BYTES_OF_LINE) // 8
    return buffer[begin : begin + n_lines * n_columns].reshape((n_lines, n_columns))


@_part
def _block_rows(width: int) -> int:
    """Rows of a block of which ``width`` numbers each are made."""
    lines = BLOCK_VALUES // (width * LINE) // 2 * 2 + 1
    return LINE * min(MOST_LINES, max(FEWEST_LINES, lines))


@_part
def _rows_at_once(n_rows: int, most: int) -> int:
    """Rows of the blocks of a group: equal ones of an odd number of lines, at most so many."""
    n_blocks = -(-n_rows // most)
    lines = -(-n_rows // max(1, n_blocks * LINE))
    return LINE * (lines // 2 * 2 + 1)


@_part
def _block(room: Any, n_rows: int, n_block: int) -> Any:
    """An array (n_rows, n_block) at the beginning of the room for the largest."""
    return room.reshape(room.size)[: n_rows * n_block].reshape((n_rows, n_block))


@_part
def _fill(values: Any, first: int, last: int, number: float) -> None:
    """Rows first to last become a number; Numba compiles ``values[:] = number`` for seconds."""
    for i in range(first, last):
        for j in range(values.shape[1]):
            values[i, j] = number


@_part
def _load(values: Any, order: Any, start: int, size: int, centre: Any, inverse: Any, x: Any) -> Any:
    """Rows order[start : start + size], framed, as columns of x (D, B), zeros beyond them.

    Two columns at once: a row is looked up once for both, and both are written as they lie.
    """
    _widest_vectors()
    n_features, n_block = x.shape
    for d in range(0, n_features - 1, 2):
        first, second = centre[d], centre[d + 1]
        by_first, by_second = inverse[d], inverse[d + 1]
        for b in range(size):
            row = order[start + b]
            x[d, b] = (values[row, d] - first) * by_first
            x[d + 1, b] = (values[row, d + 1] - second) * by_second
    if n_features % 2 == 1:
        d = n_features - 1
        for b in range(size):
            x[d, b] = (values[order[start + b], d] - centre[d]) * inverse[d]
    for d in range(n_features):
        for b in range(size, n_block):
            x[d, b] = 0.0


@_part
def _add_log(values: Any, out: Any) -> None:
    """log of finite numbers of at least 1, by its series in (m - 1) / (m + 1), added to ``out``."""
    _widest_vectors()
    bits = values.view(np.int64)
    for b in range(len(values)):
        # values = m 2^n with m from √½ to √2
        n = (bits[b] - SQRT_HALF_BITS) >> 52
        m = _as_double(bits[b] - (n << 52))
        s = (m - 1.0) / (m + 1.0)
        t = s * s
        p = 2.0 / 21.0
        p = p * t + 2.0 / 19.0
        p = p * t + 2.0 / 17.0
        p = p * t + 2.0 / 15.0
        p = p * t + 2.0 / 13.0
        p = p * t + 2.0 / 11.0
        p = p * t + 2.0 / 9.0
        p = p * t + 2.0 / 7.0
        p = p * t + 2.0 / 5.0
        p = p * t + 2.0 / 3.0
        p = p * t + 2.0
        out[b] += np.float64(n) * LN2 + p * s


@_inlined
def _exp(x: float) -> Any:
    """exp of numbers that do not overflow; those that would underflow are negligible."""
    x = x if x > SMALLEST_EXPONENT else SMALLEST_EXPONENT
    shifted = x * LOG2_E + TO_LAST_BITS
    n = _less(shifted, TO_LAST_BITS)
    # Off by n rounding errors, of numbers that are as small as 2^n.
    r = x - n * LN2
    # At Chebyshev's points of ±½ log 2: off by less than 2^-55.
    p = 2.511003761756205e-08
    p = p * r + 2.763263965412376e-07
    p = p * r + 2.7557240918547625e-06
    p = p * r + 2.480148548228773e-05
    p = p * r + 1.9841269890047143e-04
    p = p * r + 1.3888888952314812e-03
    p = p * r + 8.333333333319601e-03
    p = p * r + 4.166666666648809e-02
    p = p * r + 1.666666666666668e-01
    p = p * r + 5.000000000000019e-01
    p = p * r + 1.0
    p = p * r + 1.0
    return p * _as_double(_as_bits(shifted) << 52)


@_part
def _largest_of(joint: Any, largest: Any) -> None:
    """The largest of every column of log joints (K, B)."""
    _widest_vectors()
    n_components, n_rows = joint.shape
    for b in range(n_rows):
        largest[b] = joint[0, b]
    for k in range(1, n_components):
        for b in range(n_rows):
            value = joint[k, b]
            largest[b] = value if value > largest[b] else largest[b]


@_part
def _softmax_columns(joint: Any, largest: Any, total: Any) -> None:
    """Log joints (K, B) become responsibilities in place, ``largest`` the log normalisers."""
    _widest_vectors()
    n_components, n_rows = joint.shape
    _largest_of(joint, largest)
    for b in range(n_rows):
        total[b] = 0.0
    for k in range(n_components):
        for b in range(n_rows):
            value = _exp(joint[k, b] - largest[b])
            joint[k, b] = value
            total[b] += value
    _add_log(total, largest)
    for b in range(n_rows):
        total[b] = 1.0 / total[b]
    for k in range(n_components):
        for b in range(n_rows):
            value = joint[k, b] * total[b]
            joint[k, b] = value if value > NEGLIGIBLE else 0.0


@_part
def _weights_of(weights: Any, order: Any, start: int, size: int, own: Any) -> None:
    """The weights of the rows of a block (B,), 0 beyond them."""
    for b in range(size):
        own[b] = weights[order[start + b]] if len(weights) > 0 else 1.0
    for b in range(size, len(own)):
        own[b] = 0.0


@_part
def _of_block(log_normaliser: Any, own: Any, size: int) -> tuple[float, float]:
    """Σ w l and Σ w (1 + |l|) of a block."""
    _widest_vectors()
    total, magnitude = 0.0, 0.0
    for b in range(size):
        total += own[b] * log_normaliser[b]
        magnitude += own[b] * (1.0 + abs(log_normaliser[b]))
    return total, magnitude


@_part
def _weigh(
    joint: Any, log_normaliser: Any, weights: Any, order: Any, start: int, size: int, own: Any
) -> tuple[float, float]:
    """Responsibilities times row weights, in place; Σ w l and Σ w (1 + |l|) of the block.

    ``own`` (B,) is overwritten.
    """
    n_components, n_block = joint.shape
    _weights_of(weights, order, start, size, own)
    for k in range(n_components):
        if len(weights) > 0:
            for b in range(size):
                joint[k, b] *= own[b]
        for b in range(size, n_block):
            joint[k, b] = 0.0
    of_block: tuple[float, float] = _of_block(log_normaliser, own, size)
    return of_block


@_part
def _leading(joint: Any, lead: Any, largest: Any) -> None:
    """The component with most of every column of log joints (K, B), and its log joint."""
    _widest_vectors()
    n_components, n_block = joint.shape
    for b in range(n_block):
        lead[b] = 0
        largest[b] = joint[0, b]
    for k in range(1, n_components):
        for b in range(n_block):
            larger = joint[k, b] > largest[b]
            lead[b] = k if larger else lead[b]
            largest[b] = joint[k, b] if larger else largest[b]


@_part
def _describe(
    logs: Any,
    joint: Any,
    log_normaliser: Any,
    known: Any,
    weights: Any,
    order: Any,
    start: int,
    size: int,
    best: Any,
    log_density: Any,
    hard: Any,
) -> tuple[float, float]:
    """Σ w Σ r log r with its sign changed, and Σ w log max r, of log joints and responsibilities.

    Rows get the ``best`` of the components that they know and their ``log_density``.
    """
    _widest_vectors()
    n_components, n_block = logs.shape
    of_row, lead, largest = np.zeros(n_block), np.empty(n_block, np.int64), np.empty(n_block)
    _leading(logs, lead, largest)
    for k in range(n_components):
        for b in range(n_block):
            of_row[b] += joint[k, b] * (log_normaliser[b] - logs[k, b])
    entropy, log_largest = 0.0, 0.0
    for b in range(size):
        row = order[start + b]
        weight = weights[row] if len(weights) > 0 else 1.0
        entropy += weight * of_row[b]
        log_largest += weight * (largest[b] - log_normaliser[b])
        best[row] = known[lead[b]]
        log_density[row] = log_normaliser[b]
        hard[best[row]] += weight
    return entropy, log_largest


@_part
def _shared_out(
    joint: Any,
    logs: Any,
    largest: Any,
    total: Any,
    known: Any,
    weights: Any,
    order: Any,
    start: int,
    size: int,
    best: Any,
    log_density: Any,
    hard: Any,
    of_group: Any,
) -> None:
    """Log joints (K, B) become weighted responsibilities; adds to the four sums of the group.

    ``largest`` gets the log normalisers; ``logs`` keeps the joints where rows are described.
    """
    if len(best) > 0:
        for k in range(len(joint)):
            for b in range(joint.shape[1]):
                logs[k, b] = joint[k, b]
    _softmax_columns(joint, largest, total)
    if len(best) > 0:
        entropy, log_largest = _describe(
            logs, joint, largest, known, weights, order, start, size, best, log_density, hard
        )
        of_group[2] += entropy
        of_group[3] += log_largest
    log_normaliser, magnitude = _weigh(joint, largest, weights, order, start, size, total)
    of_group[0] += log_normaliser
    of_group[1] += magnitude


@_part
def _squared_dense(
    away: Any, n_features: int, n_block: int, root: Any, first: Any, second: Any, out: Any
) -> None:
    """|Uᵀ a|² of so many first columns a of ``away`` and as many of their first features.

    U is upper triangular, two of its columns at once; ``first`` and ``second`` collect the products
    with its rows, eight and four at a time.
    """
    _widest_vectors()
    for b in range(n_block):
        out[b] = 0.0
    for i in range(0, n_features - 1, 2):
        for b in range(n_block):
            first[b] = 0.0
            second[b] = 0.0
        j = 0
        while j + 8 <= i:
            u0, u1, u2, u3 = root[j, i], root[j + 1, i], root[j + 2, i], root[j + 3, i]
            u4, u5, u6, u7 = root[j + 4, i], root[j + 5, i], root[j + 6, i], root[j + 7, i]
            v0, v1, v2, v3 = (
                root[j, i + 1],
                root[j + 1, i + 1],
                root[j + 2, i + 1],
                root[j + 3, i + 1],
            )
            v4, v5, v6, v7 = (
                root[j + 4, i + 1],
                root[j + 5, i + 1],
                root[j + 6, i + 1],
                root[j + 7, i + 1],
            )
            for b in range(n_block):
                a0, a1, a2, a3 = away[j, b], away[j + 1, b], away[j + 2, b], away[j + 3, b]
                a4, a5, a6, a7 = away[j + 4, b], away[j + 5, b], away[j + 6, b], away[j + 7, b]
                first[b] += (
                    u0 * a0 + u1 * a1 + u2 * a2 + u3 * a3 + u4 * a4 + u5 * a5 + u6 * a6 + u7 * a7
                )
                second[b] += (
                    v0 * a0 + v1 * a1 + v2 * a2 + v3 * a3 + v4 * a4 + v5 * a5 + v6 * a6 + v7 * a7
                )
            j += 8
        if j + 4 <= i:
            u0, u1, u2, u3 = root[j, i], root[j + 1, i], root[j + 2, i], root[j + 3, i]
            v0, v1, v2, v3 = (
                root[j, i + 1],
                root[j + 1, i + 1],
                root[j + 2, i + 1],
                root[j + 3, i + 1],
            )
            for b in range(n_block):
                a0, a1, a2, a3 = away[j, b], away[j + 1, b], away[j + 2, b], away[j + 3, b]
                first[b] += u0 * a0 + u1 * a1 + u2 * a2 + u3 * a3
                second[b] += v0 * a0 + v1 * a1 + v2 * a2 + v3 * a3
            j += 4
        u2, v2, v3 = root[i, i], root[i, i + 1], root[i + 1, i + 1]
        if j < i:
            u0, u1, v0, v1 = root[j, i], root[j + 1, i], root[j, i + 1], root[j + 1, i + 1]
            for b in range(n_block):
                a0, a1, a2, a3 = away[j, b], away[j + 1, b], away[i, b], away[i + 1, b]
                left = first[b] + u0 * a0 + u1 * a1 + u2 * a2
                right = second[b] + v0 * a0 + v1 * a1 + v2 * a2 + v3 * a3
                out[b] += left * left + right * right
        else:
            for b in range(n_block):
                a2, a3 = away[i, b], away[i + 1, b]
                left = first[b] + u2 * a2
                right = second[b] + v2 * a2 + v3 * a3
                out[b] += left * left + right * right
    if n_features % 2 == 1:
        i = n_features - 1
        for b in range(n_block):
            first[b] = 0.0
        for j in range(n_features):
            u0 = root[j, i]
            for b in range(n_block):
                first[b] += u0 * away[j, b]
        for b in range(n_block):
            out[b] += first[b] * first[b]


@_part
def _joint_dense(
    x: Any, mean: Any, n_features: int, root: Any, offset: float, work: Any, joint: Any
) -> None:
    """offset - ½ |Uᵀ (x - m)|² of so many first features of every column of x (D, B)."""
    _widest_vectors()
    away, first, second, total = work
    n_block = x.shape[1]
    for d in range(n_features):
        for b in range(n_block):
            away[d, b] = x[d, b] - mean[d]
    _squared_dense(away, n_features, n_block, root, first, second, total)
    for b in range(n_block):
        joint[b] = offset - 0.5 * total[b]


@_part
def _joint_of_some(
    x: Any, mean: Any, root: Any, offset: float, chosen: Any, n: int, work: Any, joint: Any
) -> int:
    """The same of all features for the n chosen columns, padded to whole vectors; how many it did.

    All columns as they lie where many are chosen.
    """
    _widest_vectors()
    n_features: int = x.shape[0]
    n_block: int = x.shape[1]
    if FEW * n > n_block:
        _joint_dense(x, mean, n_features, root, offset, work, joint)
        return n_block
    away, first, second, total = work
    padded = -(-n // VECTORS) * VECTORS
    for d in range(n_features):
        for c in range(n):
            away[d, c] = x[d, chosen[c]] - mean[d]
        for c in range(n, padded):
            away[d, c] = 0.0
    _squared_dense(away, n_features, padded, root, first, second, total)
    for c in range(n):
        joint[chosen[c]] = offset - 0.5 * total[c]
    return padded


@_part
def _joints_dense(
    x: Any,
    head: int,
    known: Any,
    offset: Any,
    means: Any,
    root: Any,
    work: Any,
    lead: Any,
    least: Any,
    chosen: Any,
    joint: Any,
) -> int:
    """Log joints (G, B) of a block; how many of them had to be completed.

    A distance along the first ``head`` features is no more than the whole. Where that leaves a
    component a negligible share of a row, its log joint stays at what it is by them: too large, and
    negligible even so.
    """
    n_features, n_block = x.shape
    n_components = len(known)
    for g in range(n_components):
        k = known[g]
        own = root[min(k, len(root) - 1)]
        _joint_dense(x, means[k], head, own, offset[k], work, joint[g])
    if head == n_features:
        return 0
    _leading(joint, lead, least)
    completed = 0
    for step in range(2):
        for g in range(n_components):
            # Leading components first; then those that may still have a share beside them.
            n = 0
            for b in range(n_block):
                chosen[n] = b
                leads = lead[b] == g
                n += leads if step == 0 else (not leads) & (joint[g, b] > least[b])
            if n > 0:
                k = known[g]
                own = root[min(k, len(root) - 1)]
                completed += _joint_of_some(x, means[k], own, offset[k], chosen, n, work, joint[g])
        if step == 0:
            for b in range(n_block):
                least[b] = joint[lead[b], b] + LOG_NEGLIGIBLE
    return completed


@_part
def _squared_axes(x: Any, mean: Any, root: Any, out: Any) -> None:
    """Σ_d u_d² (x_d - m_d)² of every column of x, four features at a time."""
    _widest_vectors()
    n_features, n_block = x.shape
    for b in range(n_block):
        out[b] = 0.0
    d = 0
    while d + 4 <= n_features:
        m0, m1, m2, m3 = mean[d], mean[d + 1], mean[d + 2], mean[d + 3]
        u0, u1, u2, u3 = root[d], root[d + 1], root[d + 2], root[d + 3]
        for b in range(n_block):
            a0, a1 = u0 * (x[d, b] - m0), u1 * (x[d + 1, b] - m1)
            a2, a3 = u2 * (x[d + 2, b] - m2), u3 * (x[d + 3, b] - m3)
            out[b] += (a0 * a0 + a1 * a1) + (a2 * a2 + a3 * a3)
        d += 4
    while d < n_features:
        for b in range(n_block):
            a0 = root[d] * (x[d, b] - mean[d])
            out[b] += a0 * a0
        d += 1


@_part
def _gather(x: Any, mean: Any, shares: Any, root: Any, chosen: Any, away: Any) -> Any:
    """√share (x - mean) of the columns of x (D, B) that have a share; how many it wrote.

    Where many have one, all are taken as they lie; few are padded with zeros to whole vectors.
    """
    _widest_vectors()
    n_features, n_block = x.shape
    n = 0
    for b in range(n_block):
        n += shares[b] > 0.0
        root[b] = math.sqrt(shares[b])
    if FEW * n > n_block or n_features < WIDE:
        for d in range(n_features):
            for b in range(n_block):
                away[d, b] = root[b] * (x[d, b] - mean[d])
        return n_block
    n = 0
    for b in range(n_block):
        if shares[b] > 0.0:
            chosen[n] = b
            n += 1
    padded = min(n_block, -(-n // VECTORS) * VECTORS)
    for d in range(n_features):
        for c in range(n):
            away[d, c] = root[chosen[c]] * (x[d, chosen[c]] - mean[d])
        for c in range(n, padded):
            away[d, c] = 0.0
    return padded


@_part
def _add_four(row: Any, j: int, a: float, b: float, c: float, d: float) -> None:
    row[j] += a
    row[j + 1] += b
    row[j + 2] += c
    row[j + 3] += d


@_part
def _add_tile(left: Any, i: int, right: Any, j: int, n: int, out: Any) -> None:
    """Σ_b l_b r_bᵀ of n columns, of four rows of ``left`` from i and of ``right`` from j."""
    _widest_vectors()
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
    for b in range(n):
        p, q, u, v = left[i, b], left[i + 1, b], left[i + 2, b], left[i + 3, b]
        a, c, e, f = right[j, b], right[j + 1, b], right[j + 2, b], right[j + 3, b]
        s00 += p * a
        s01 += p * c
        s02 += p * e
        s03 += p * f
        s10 += q * a
        s11 += q * c
        s12 += q * e
        s13 += q * f
        s20 += u * a
        s21 += u * c
        s22 += u * e
        s23 += u * f
        s30 += v * a
        s31 += v * c
        s32 += v * e
        s33 += v * f
    _add_four(out[i], j, s00, s01, s02, s03)
    _add_four(out[i + 1], j, s10, s11, s12, s13)
    _add_four(out[i + 2], j, s20, s21, s22, s23)
    _add_four(out[i + 3], j, s30, s31, s32, s33)


@_part
def _add_row(left: Any, i: int, right: Any, j: int, last: int, n: int, out: Any) -> None:
    """The same of row i of ``left`` and rows j to ``last`` of ``right``."""
    _widest_vectors()
    while j + 4 <= last:
        s0 = s1 = s2 = s3 = 0.0
        for b in range(n):
            p = left[i, b]
            s0 += p * right[j, b]
            s1 += p * right[j + 1, b]
            s2 += p * right[j + 2, b]
            s3 += p * right[j + 3, b]
        _add_four(out[i], j, s0, s1, s2, s3)
        j += 4
    while j < last:
        s0 = 0.0
        for b in range(n):
            s0 += left[i, b] * right[j, b]
        out[i, j] += s0
        j += 1


@_part
def _add_column(left: Any, i: int, right: Any, j: int, n: int, out: Any) -> None:
    """The same of four rows of ``left`` from i and row j of ``right``."""
    _widest_vectors()
    s0 = s1 = s2 = s3 = 0.0
    for b in range(n):
        a = right[j, b]
        s0 += left[i, b] * a
        s1 += left[i + 1, b] * a
        s2 += left[i + 2, b] * a
        s3 += left[i + 3, b] * a
    out[i, j] += s0
    out[i + 1, j] += s1
    out[i + 2, j] += s2
    out[i + 3, j] += s3


@_part
def _add_scatter(away: Any, n: int, scatter: Any) -> None:
    """Σ_b a_b a_bᵀ of the first n columns to the lower triangle, four by four at a time."""
    n_features = away.shape[0]
    for i in range(0, n_features - 3, 4):
        for j in range(0, i + 1, 4):
            _add_tile(away, i, away, j, n, scatter)
    for i in range(n_features // 4 * 4, n_features):
        _add_row(away, i, away, 0, i + 1, n, scatter)


@_part
def _add_sums(n_components: int, joint: Any, features: Any, sums: Any) -> None:
    """Σ_b r_b φ_bᵀ (K, F), four by four at a time.

    A row more of ``joint`` and of ``sums`` is there to be taken as the fourth of three.
    """
    n_block = joint.shape[1]
    width = len(features)
    whole = (n_components + 1) // 4 * 4
    for i in range(0, whole, 4):
        for j in range(0, width - 3, 4):
            _add_tile(joint, i, features, j, n_block, sums)
        for j in range(width // 4 * 4, width):
            _add_column(joint, i, features, j, n_block, sums)
    for i in range(whole, n_components):
        _add_row(joint, i, features, 0, width, n_block, sums)


@_part
def _joints_linear(coefficients: Any, features: Any, joint: Any) -> None:
    """Log joints Θ φ (K, B) of features (F, B), of which the first is 1.

    Many machines have a BLAS that takes twice as long.
    """
    _widest_vectors()
    n_components, n_block = joint.shape
    n_tiles = -(-n_components // TILE_COMPONENTS)
    start = 0
    while start < n_block:
        several = start + LINE * TILE_LINES <= n_block
        k = 0
        for left in range(n_tiles, 0, -1):
            n = -(-(n_components - k) // left)
            if several:
                _tile_of_lines(coefficients, k, n, features, start, joint)
            else:
                _tile_of_a_line(coefficients, k, n, features, start, joint)
            k += n
        start += LINE * TILE_LINES if several else LINE


@_part
def _keep_lines(joint: Any, largest: Any, lines: Any, owners: Any, ends: Any) -> int:
    """The lines of log joints (K, B), less ``largest``, with a share of a row; how many.

    ``lines`` (n, 8) has those of the same eight rows together, ``owners`` (n,) their components;
    ``ends`` (1 + B / 8,) tells where those of the next eight rows begin.
    """
    n_components, n_block = joint.shape
    n_lines = 0
    ends[0] = 0
    for start in range(0, n_block, LINE):
        for k in range(n_components):
            owners[n_lines] = k
            n_lines += _keep_line(joint, k, start, largest, lines, n_lines)
        ends[start // LINE + 1] = n_lines
    return n_lines


@_part
def _add_few(
    joint: Any,
    largest: Any,
    total: Any,
    weights: Any,
    order: Any,
    start: int,
    size: int,
    own: Any,
    features: Any,
    work: Any,
    added: Any,
    of_group: Any,
) -> bool:
    """What ``_shared_out`` and ``_add_sums`` do, of the pairs with a share; False if not few.

    ``features`` (F, B) and ``added`` (K, F) are padded to whole lines; the rest is as there, but
    for log joints, which stay.
    """
    _widest_vectors()
    lines, owners, ends, turned, sums = work
    n_components, n_block = joint.shape
    _largest_of(joint, largest)
    n_lines = _keep_lines(joint, largest, lines, owners, ends)
    if n_lines * LINE * FEW_LINES > joint.size:
        return False
    shares = lines.reshape(lines.size)
    for i in range(n_lines * LINE):
        log_share = shares[i]
        share = _exp(log_share)
        shares[i] = share if log_share > LOG_NEGLIGIBLE else 0.0
    for b in range(n_block):
        total[b] = 0.0
    for line in range(len(ends) - 1):
        for i in range(ends[line], ends[line + 1]):
            _add_line(total, line * LINE, lines, i)
    _add_log(total, largest)
    _weights_of(weights, order, start, size, own)
    log_normaliser, magnitude = _of_block(largest, own, size)
    of_group[0] += log_normaliser
    of_group[1] += magnitude
    for b in range(n_block):
        own[b] /= total[b]
    _fill(sums, 0, n_components, 0.0)
    for line in range(len(ends) - 1):
        for f in range(0, len(features), LINE):
            _turn(features, f, line * LINE, turned, f)
        for i in range(ends[line], ends[line + 1]):
            _add_rows(sums, owners[i], lines, i, own, line * LINE, turned)
    for k in range(n_components):
        for f in range(len(features)):
            added[k, f] += sums[k, f]
    return True


@_part
def _add_squares(x: Any, mean: Any, shares: Any, scatter: Any) -> None:
    """Σ_b w_b (x_db - m_d)² of every feature, four features at a time."""
    _widest_vectors()
    n_features, n_block = x.shape
    d = 0
    while d + 4 <= n_features:
        m0, m1, m2, m3 = mean[d], mean[d + 1], mean[d + 2], mean[d + 3]
        s0 = s1 = s2 = s3 = 0.0
        for b in range(n_block):
            w = shares[b]
            a0, a1, a2, a3 = x[d, b] - m0, x[d + 1, b] - m1, x[d + 2, b] - m2, x[d + 3, b] - m3
            s0 += w * a0 * a0
            s1 += w * a1 * a1
            s2 += w * a2 * a2
            s3 += w * a3 * a3
        _add_four(scatter, d, s0, s1, s2, s3)
        d += 4
    while d < n_features:
        s0 = 0.0
        for b in range(n_block):
            a0 = x[d, b] - mean[d]
            s0 += shares[b] * a0 * a0
        scatter[d] += s0
        d += 1


@_kernel
def centred_pass(
    values: Any,
    centre: Any,
    inverse: Any,
    weights: Any,
    order: Any,
    bounds: Any,
    candidates: Any,
    offset: Any,
    means: Any,
    root: Any,
    dense: bool,
    counts: Any,
    new_means: Any,
    scatter: Any,
    of_groups: Any,
    best: Any,
    log_density: Any,
    hard: Any,
) -> None:
    """Moments of the rows into ``counts`` to ``scatter``, Σ w l and Σ w (1 + |l|) of every group.

    ``values`` (n, D) as stored, framed here by ``centre`` and ``inverse`` scale; ``weights`` (n,)
    or empty. Rows ``order[bounds[a] : bounds[a + 1]]`` know the components ``candidates[a]`` only.
    ``offset`` (K,) with the log weights; precision roots (K or 1, D, D), or (K, 1, D) over axes.
    Moments start at zero: counts (K,), means (K, D), scatter (K, D, D) or (K, 1, D). Those of
    blocks are merged pairwise (Chan et al. 1983). ``of_groups`` (A, 4) starts at zero too. Where
    ``best`` (n,), ``log_density`` (n,) and ``hard`` (K,) are not empty they get the most
    responsible component of each row, its log normaliser, and how many rows each component has;
    two more sums of every group then are the entropy -Σ w Σ r log r and Σ w log max r.
    """
    _widest_vectors()
    n_features = values.shape[1]
    n_components = candidates.shape[1]
    head, lines = n_features, MOST_LINES
    in_two_steps = n_features >= WIDE_IN_TWO_STEPS and n_components >= MANY_IN_TWO_STEPS
    if dense and in_two_steps:
        head, lines = n_features // HEAD, LINES_IN_TWO_STEPS
    most = LINE * lines
    of_rows, of_distances = _aligned(n_features, most), _aligned(n_features, most)
    of_joints = _aligned(n_components + 1, most)
    of_logs = _aligned(n_components if len(best) > 0 else 0, most)
    of_row = _aligned(4, most)
    _fill(of_row, 0, len(of_row), 0.0)
    places = np.empty((2, most), np.int64)
    totals = np.empty((n_components + 1, n_features))
    mean, shift = np.empty(n_features), np.empty(n_features)
    for group in range(len(candidates)):
        known = candidates[group]
        n_known = len(known)
        n_block = _rows_at_once(bounds[group + 1] - bounds[group], most)
        x, away = _block(of_rows, n_features, n_block), _block(of_distances, n_features, n_block)
        joint_and_more = _block(of_joints, n_known + 1, n_block)
        _fill(joint_and_more, n_known, n_known + 1, 0.0)
        joint = joint_and_more[:n_known]
        logs = _block(of_logs, n_known if len(best) > 0 else 0, n_block)
        largest, total = of_row[0, :n_block], of_row[1, :n_block]
        first, second = of_row[2, :n_block], of_row[3, :n_block]
        whole, lead = places[0, :n_block], places[1, :n_block]
        work = away, first, second, total
        for start in range(bounds[group], bounds[group + 1], n_block):
            size = min(n_block, bounds[group + 1] - start)
            _load(values, order, start, size, centre, inverse, x)
            _ask_for(values, order, start + size, min(start + size + n_block, bounds[-1]))
            if dense:
                completed = _joints_dense(
                    x, head, known, offset, means, root, work, lead, largest, whole, joint
                )
                if completed > MOST_COMPLETED * n_known * n_block:
                    head = n_features
            else:
                for g in range(n_known):
                    k = known[g]
                    _squared_axes(x, means[k], root[k, 0], total)
                    for b in range(n_block):
                        joint[g, b] = offset[k] - 0.5 * total[b]
            _shared_out(
                joint,
                logs,
                largest,
                total,
                known,
                weights,
                order,
                start,
                size,
                best,
                log_density,
                hard,
                of_groups[group],
            )
            _fill(totals, 0, len(totals), 0.0)
            _add_sums(n_known, joint_and_more, x, totals)
            for g in range(n_known):
                k = known[g]
                count = 0.0
                for b in range(n_block):
                    count += joint[g, b]
                if count == 0.0:
                    continue
                merged = counts[k] + count
                between = counts[k] / merged * count
                for d in range(n_features):
                    mean[d] = totals[g, d] / count
                    shift[d] = mean[d] - new_means[k, d]
                    new_means[k, d] += count / merged * shift[d]
                counts[k] = merged
                if dense:
                    n = _gather(x, mean, joint[g], second, whole, away)
                    _add_scatter(away, n, scatter[k])
                    for i in range(n_features):
                        for j in range(i + 1):
                            scatter[k, i, j] += between * shift[i] * shift[j]
                else:
                    _add_squares(x, mean, joint[g], scatter[k, 0])
                    for d in range(n_features):
                        scatter[k, 0, d] += between * shift[d] ** 2
    if dense:
        for k in range(len(scatter)):
            for i in range(n_features):
                for j in range(i):
                    scatter[k, j, i] = scatter[k, i, j]


@_part
def _log_factorials(column: Any) -> float:
    """Σ log x! of the counts of one row."""
    total = 0.0
    for x in column:
        total += LOG_FACTORIALS[int(x)] if x < len(LOG_FACTORIALS) else math.lgamma(x + 1.0)
    return total


@_kernel
def linear_pass(
    values: Any,
    centre: Any,
    inverse: Any,
    weights: Any,
    order: Any,
    bounds: Any,
    candidates: Any,
    coefficients: Any,
    kind: int,
    sums: Any,
    of_groups: Any,
    best: Any,
    log_density: Any,
    hard: Any,
) -> None:
    """Add Σ_n w r_nk φ(x_n) to ``sums`` (K, F), and the rest as ``centred_pass`` does.

    As there, with ``coefficients`` (K, F), the log weights in their first column, of features of a
    ``kind``.
    """
    _widest_vectors()
    n_features, width = values.shape[1], coefficients.shape[1]
    n_components = candidates.shape[1]
    most = _block_rows(width + n_components)
    padded = -(-width // LINE) * LINE
    of_features = _aligned(padded, most)
    of_joints = _aligned(n_components + 1, most)
    of_logs = _aligned(n_components if len(best) > 0 else 0, most)
    of_row = _aligned(3, most)
    _fill(of_row, 0, len(of_row), 0.0)
    some_of_all = np.empty((n_components, width))
    added = _aligned(n_components + 1, padded)
    # Where shares are not few in one block of a group, they are in none after it.
    n_lines = n_components * most // LINE if len(best) == 0 and n_components >= MANY else 0
    lines, owners = _aligned(n_lines, LINE), np.empty(n_lines, np.int64)
    ends, turned = np.empty(1 + most // LINE, np.int64), _aligned(LINE, padded)
    sums_of_few = _aligned(n_components if n_lines > 0 else 0, padded)
    for group in range(len(candidates)):
        known = candidates[group]
        n_known = len(known)
        few = n_lines > 0 and n_known >= MANY
        n_block = _rows_at_once(bounds[group + 1] - bounds[group], most)
        features_and_more = _block(of_features, padded, n_block)
        _fill(features_and_more, width, padded, 0.0)
        _fill(features_and_more, 0, 1, 1.0)
        features = features_and_more[:width]
        joint_and_more = _block(of_joints, n_known + 1, n_block)
        _fill(joint_and_more, n_known, n_known + 1, 0.0)
        some, joint = some_of_all[:n_known], joint_and_more[:n_known]
        logs = _block(of_logs, n_known if len(best) > 0 else 0, n_block)
        largest, total, own = of_row[0, :n_block], of_row[1, :n_block], of_row[2, :n_block]
        work = lines, owners, ends[: 1 + n_block // LINE], turned, sums_of_few
        for g in range(n_known):
            for f in range(width):
                some[g, f] = coefficients[known[g], f]
        _fill(added, 0, len(added), 0.0)
        for start in range(bounds[group], bounds[group + 1], n_block):
            x = features[1 : 1 + n_features]
            size = min(n_block, bounds[group + 1] - start)
            _load(values, order, start, size, centre, inverse, x)
            _ask_for(values, order, start + size, min(start + size + n_block, bounds[-1]))
            place = 1 + n_features
            if kind >= AXES:
                for i in range(n_features):
                    last = n_features if kind == DENSE else i + 1
                    for j in range(i, last):
                        for b in range(n_block):
                            features[place, b] = x[i, b] * x[j, b]
                        place += 1
            elif kind == COUNTS:
                for b in range(n_block):
                    features[place, b] = -_log_factorials(x[:, b])
            _joints_linear(some, features, joint)
            few = few and _add_few(
                joint,
                largest,
                total,
                weights,
                order,
                start,
                size,
                own,
                features_and_more,
                work,
                added[:n_known],
                of_groups[group],
            )
            if few:
                continue
            _shared_out(
                joint,
                logs,
                largest,
                total,
                known,
                weights,
                order,
                start,
                size,
                best,
                log_density,
                hard,
                of_groups[group],
            )
            _add_sums(n_known, joint_and_more, features, added)
        for g in range(n_known):
            for f in range(width):
                sums[known[g], f] += added[g, f]
