"""Symmetric lengths in strips of eight columns, and what is done with a strip's rows at once.

Compilers do not find these vector loops by themselves; LLVM splits the vectors of eight where
registers are narrower.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from brainnet.metrics._compile import kernel

FAR = 1e300
"""Stands for infinity among lengths in units of the shortest edge, where arithmetic is free."""

LANES = 8
"""Columns of a strip: as many float64 as the widest registers hold."""

PIVOTS = 4
"""Pivots by which a row is lowered each time that it is loaded: half a strip of them."""

FUSED = ("contract",)
"""Lets a product and a sum be rounded once, where the processor can."""


@intrinsic  # type: ignore[untyped-decorator]
def lower_strip(
    typing_context: Any, strips: Any, start: Any, first: Any, last: Any, pivots: Any, column: Any
) -> Any:
    """Lower each row of a strip to its lengths by way of the pivots, where these are shorter.

    In plain words, eight columns j at once, which compilers do not find by themselves::

        for i in range(first, last):
            for q in range(PIVOTS):
                for j in range(LANES):
                    here = start + LANES * i + j
                    strips[here] = min(strips[here], pivots[q, i] + pivots[q, column + j])
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        strips, start, first, last, pivots, column = arguments
        data = _data(context, builder, signature.args[0], strips)
        rows = _rows(context, builder, signature.args[4], pivots)
        onwards = [builder.load(_vector(builder, row, column), align=8) for row in rows]
        one = context.get_constant(types.intp, 1)
        with cgutils.for_range_slice(builder, first, last, one) as (i, _):
            offset = builder.mul(i, context.get_constant(types.intp, LANES))
            place = _vector(builder, data, builder.add(start, offset))
            known = builder.load(place, align=8)
            for row, onward in zip(rows, onwards, strict=True):
                to_pivot = builder.load(builder.gep(row, [i]))
                known = _shorter(builder, known, builder.fadd(_spread(builder, to_pivot), onward))
            builder.store(known, place, align=8)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(strips, whole, whole, whole, pivots, whole), generate


@intrinsic  # type: ignore[untyped-decorator]
def gather_pivots(typing_context: Any, strips: Any, n_strips: Any, first: Any, pivots: Any) -> Any:
    """Gather the rows of the pivots from ``first`` on, and lower them by way of each other.

    In plain words, where ``length(i, j)`` is that of the strips, at (j, i) where they end::

        for p in range(PIVOTS):
            for j in range(LANES * n_strips):
                pivots[p, j] = length(first + p, j)
        for p in range(PIVOTS):
            for q in range(PIVOTS):
                for j in range(LANES * n_strips):
                    through = pivots[q, first + p] + pivots[p, j]
                    pivots[q, j] = min(pivots[q, j], through)

    The lengths among the pivots come first, and all others, eight at once, follow from them.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def whole(number: int) -> Any:
            return context.get_constant(types.intp, number)

        strips, n_strips, first, pivots = arguments
        data = _data(context, builder, signature.args[0], strips)
        rows = _rows(context, builder, signature.args[3], pivots)
        size = builder.mul(n_strips, whole(LANES * LANES))
        own = builder.udiv(first, whole(LANES))
        beyond = builder.add(own, whole(1))
        at_rows = builder.mul(first, whole(LANES))
        at_columns = builder.add(builder.mul(own, size), builder.urem(first, whole(LANES)))
        among = _lengths_among(builder, data, builder.add(at_columns, at_rows), whole)

        def lower(b: Any, onwards: list[Any]) -> None:
            for p, row in enumerate(rows):
                known = onwards[p]
                for q in set(range(PIVOTS)) - {p}:
                    through = builder.fadd(among[p, q], onwards[q])
                    known = _shorter(builder, known, through)
                place = _vector(builder, row, builder.mul(b, whole(LANES)))
                builder.store(known, place, align=8)

        def load(place: Any, row: int, length: int) -> Any:
            place = builder.add(place, whole(LANES * row))
            return builder.load(_vector(builder, data, place, length), align=8)

        with cgutils.for_range_slice(builder, whole(0), beyond, whole(1)) as (b, _):
            place = builder.add(builder.mul(b, size), at_rows)
            lower(b, [load(place, p, LANES) for p in range(PIVOTS)])
        with cgutils.for_range_slice(builder, beyond, n_strips, whole(1)) as (b, _):
            place = builder.add(builder.mul(b, whole(LANES * LANES)), at_columns)
            lower(b, _transposed(builder, [load(place, j, PIVOTS) for j in range(LANES)]))
        return context.get_dummy_value()

    return types.void(strips, types.intp, types.intp, pivots), generate


def _lengths_among(builder: Any, data: Any, start: Any, whole: Callable[[int], Any]) -> Any:
    """Return the shortest lengths among the pivots, eight times each, from where theirs start."""
    among = {}
    for p, q in combinations(range(PIVOTS), 2):
        place = builder.add(start, whole(LANES * p + q))
        among[p, q] = among[q, p] = builder.load(builder.gep(data, [place]))
    for via in range(PIVOTS):
        for p, q in combinations(set(range(PIVOTS)) - {via}, 2):
            through = builder.fadd(among[p, via], among[via, q])
            among[p, q] = among[q, p] = _shorter(builder, among[p, q], through)
    return {pair: _spread(builder, length) for pair, length in among.items()}


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the four columns of eight rows: two of each four lanes, then pairs, exchange."""
    found = [_shuffled(builder, rows[j], rows[j + 4], list(range(8))) for j in range(4)]
    for apart, even in ((1, [0, 8, 2, 10, 4, 12, 6, 14]), (2, [0, 1, 8, 9, 4, 5, 12, 13])):
        odd = [lane + apart for lane in even]
        for j in (0, 3 - apart):
            one, other = found[j], found[j + apart]
            found[j] = _shuffled(builder, one, other, even)
            found[j + apart] = _shuffled(builder, one, other, odd)
    return found


@intrinsic  # type: ignore[untyped-decorator]
def sum_closeness(
    typing_context: Any,
    strips: Any,
    start: Any,
    first: Any,
    last: Any,
    ties: Any,
    column: Any,
    rooted: Any,
) -> Any:
    """Return the sum of ties times closeness over rows of a strip, without its zeros and ``FAR``.

    In plain words::

        for i in range(first, last):
            for j in range(LANES):
                length = strips[start + LANES * i + j]
                closeness = 1 / length if rooted else length ** (-1 / 3)
                total += ties[i] * closeness * ties[column + j]
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        strips, start, first, last, ties, column, rooted = arguments
        data = _data(context, builder, signature.args[0], strips)
        ties = _data(context, builder, signature.args[4], ties)
        one, lanes = (context.get_constant(types.intp, k) for k in (1, LANES))
        along = cgutils.alloca_once_value(builder, _constant(0.0))

        def add(closeness: Callable[[Any], Any]) -> None:
            with cgutils.for_range_slice(builder, first, last, one) as (i, _):
                place = builder.add(start, builder.mul(i, lanes))
                length = builder.load(_vector(builder, data, place), align=8)
                tie = _spread(builder, builder.load(builder.gep(ties, [i])))
                added = builder.fmul(closeness(length), tie, flags=FUSED)
                builder.store(builder.fadd(builder.load(along), added, flags=FUSED), along)

        _for_either(builder, rooted, add)
        onwards = builder.load(_vector(builder, ties, column), align=8)
        total = builder.fmul(builder.load(along), onwards)
        for half in (4, 2, 1):
            other = _shuffled(builder, total, total, [lane ^ half for lane in range(LANES)])
            total = builder.fadd(total, other)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    whole = types.intp
    return types.float64(strips, whole, whole, whole, ties, whole, types.boolean), generate


@intrinsic  # type: ignore[untyped-decorator]
def invert(typing_context: Any, lengths: Any, size: Any, out: Any, rooted: Any) -> Any:
    """Write the closeness of so many lengths, in whole vectors, as ``sum_closeness`` takes it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lengths, size, out, rooted = arguments
        source = _data(context, builder, signature.args[0], lengths)
        target = _data(context, builder, signature.args[2], out)
        zero, lanes = (context.get_constant(types.intp, k) for k in (0, LANES))

        def write(closeness: Callable[[Any], Any]) -> None:
            with cgutils.for_range_slice(builder, zero, size, lanes) as (place, _):
                length = builder.load(_vector(builder, source, place), align=8)
                builder.store(closeness(length), _vector(builder, target, place), align=8)

        _for_either(builder, rooted, write)
        return context.get_dummy_value()

    return types.void(lengths, types.intp, out, types.boolean), generate


def _for_either(builder: Any, rooted: Any, emit: Callable[[Callable[[Any], Any]], None]) -> None:
    """Emit code for cube roots of lengths, and for lengths, given what makes closeness of each."""

    def joined(length: Any, inverse: Any) -> Any:
        apart = builder.fcmp_ordered(">", length, _constant(0.0))
        reached = builder.fcmp_ordered("<", length, _constant(FAR))
        return builder.select(builder.and_(apart, reached), inverse, _constant(0.0))

    with builder.if_else(rooted) as (then, otherwise):
        with then:
            emit(lambda length: joined(length, builder.fdiv(_constant(1.0), length)))
        with otherwise:
            emit(lambda length: joined(length, _inverse_root(builder, length)))


def _inverse_root(builder: Any, x: Any) -> Any:
    """Return eight numbers to the power -1/3.

    A first guess from the exponent, good to 4 %, is refined twice by four terms of the series of
    (1 - e)^(-1/3), to the last digits.
    """

    def plus(number: float, a: Any, b: Any) -> Any:
        return builder.fadd(_constant(number), builder.fmul(a, b, flags=FUSED), flags=FUSED)

    whole = ir.VectorType(ir.IntType(64), LANES)
    exponent = builder.sitofp(builder.bitcast(x, whole), x.type)
    guess = plus(6.14261265415795e18, exponent, _constant(-1.0 / 3.0))
    y = builder.bitcast(builder.fptosi(guess, whole), x.type)
    for _ in range(2):
        cube = builder.fmul(builder.fmul(x, y), builder.fmul(y, y), flags=FUSED)
        e = builder.fsub(_constant(1.0), cube, flags=FUSED)
        series = plus(1.0 / 3.0, e, plus(2.0 / 9.0, e, _constant(14.0 / 81.0)))
        step = builder.fmul(builder.fmul(y, e), series, flags=FUSED)
        y = builder.fadd(y, step, flags=FUSED)
    return y


def _constant(number: float) -> Any:
    """Return eight times the same constant."""
    return ir.Constant(ir.VectorType(ir.DoubleType(), LANES), [number] * LANES)


def _shuffled(builder: Any, one: Any, other: Any, order: list[int]) -> Any:
    """Return lanes of two vectors, those of the second counted from ``LANES`` on."""
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), order)
    return builder.shuffle_vector(one, other, lanes)


def _data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Return the address of an array."""
    return context.make_array(kind)(context, builder, array).data


def _rows(context: Any, builder: Any, kind: Any, array: Any) -> list[Any]:
    """Return the addresses of the first rows of a two-dimensional array, one per pivot."""
    made = context.make_array(kind)(context, builder, array)
    length = cgutils.unpack_tuple(builder, made.shape)[1]
    return [
        builder.gep(made.data, [builder.mul(length, context.get_constant(types.intp, q))])
        for q in range(PIVOTS)
    ]


def _vector(builder: Any, data: Any, place: Any, length: int = LANES) -> Any:
    """Return the address of so many numbers from a place on."""
    vector = ir.VectorType(ir.DoubleType(), length)
    return builder.bitcast(builder.gep(data, [place]), vector.as_pointer())


def _spread(builder: Any, number: Any) -> Any:
    """Return eight times the same number."""
    undefined = ir.Constant(ir.VectorType(ir.DoubleType(), LANES), ir.Undefined)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    single = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(single, undefined, zeros)


def _shorter(builder: Any, known: Any, through: Any) -> Any:
    """Return the lesser of each."""
    return builder.select(builder.fcmp_ordered("<", through, known), through, known)


@kernel
def aligned(size):  # type: ignore[no-untyped-def]
    """Return an empty array that starts where a cache line does: a sixth faster."""
    array = np.empty(size + LANES)
    first = (-array.ctypes.data % 64) // 8
    return array[first : first + size]


@kernel
def lower_strips(strips, pivots, n):  # type: ignore[no-untyped-def]
    """Lower symmetric lengths to those of shortest paths, in place.

    Strip b holds the columns 8b to 8b + 7 of all rows, of which those from 8b on are used: half
    of a symmetric matrix. Rows and columns beyond ``n`` hold infinity; ``pivots`` is a buffer of
    ``PIVOTS`` rows of ``n`` columns or more, in whole strips.

    Floyd-Warshall for a few pivots at a time: the rows of the pivots are gathered and lowered
    by way of each other, then all others by way of them.
    """
    n_strips = (n + LANES - 1) // LANES
    size = n_strips * LANES * LANES
    for m in range(0, n, PIVOTS):
        gather_pivots(strips, n_strips, m, pivots)
        for b in range(n_strips):
            lower_strip(strips, b * size, b * LANES, n, pivots, b * LANES)
