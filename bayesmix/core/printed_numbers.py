"""Numbers as journals print them."""

from __future__ import annotations

import math

# Larger numbers are powers of ten: their integer part would be longer than six digits.
LARGE = 1e6
SMALL = 1e-4
# Larger probabilities are told to exceed this one, because none is known better.
SUREST = 0.99


def number(value: float, decimals: int | None = None, least: int = 0) -> str:
    """Format a number as journals do: three significant digits, at most six before the point.

    ``decimals=None``: as many as three digits need, at most two, and at least ``least``.
    """
    size = abs(value)
    if not math.isfinite(size):
        return str(value)
    if size >= LARGE:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if decimals is None:
        decimals = max(least, 0 if size >= 100 else 1 if size >= 10 else 2)
    return f"{value:z,.{decimals}f}"  # z: no minus sign before 0.00


def probability(value: float) -> str:
    """Format a probability with two decimals, in text and beside bars; at most 0.99."""
    return f"{min(value, SUREST):.2f}"


def percent(share: float, decimals: int = 0) -> str:
    """Format a share as a percentage, with a space before the sign as in SI.

    Examples
    --------
    >>> from bayesmix.core.printed_numbers import percent
    >>> percent(0.25), percent(0.025, 1)
    ('25 %', '2.5 %')
    """
    return f"{100.0 * share:.{decimals}f} %"


def significant(value: float, digits: int = 3) -> str:
    """Format a number with these significant digits, also if it is small.

    Examples
    --------
    >>> from bayesmix.core.printed_numbers import significant
    >>> significant(0.02784), significant(61614.3), significant(2.85e-10)
    ('0.0278', '61,614', '2.85e-10')
    """
    size = abs(value)
    if not size or not math.isfinite(size) or size >= LARGE:
        return number(value, 0)
    if size < SMALL:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return number(value, max(0, digits - 1 - math.floor(math.log10(size))))
