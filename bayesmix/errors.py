"""Errors and warnings of bayesmix: what is wrong, and what to do."""

from __future__ import annotations

import os
import re
import sys
import warnings

_PACKAGE = os.path.dirname(__file__) + os.sep


# NumPy's scalars print their type, which says nothing to a reader.
_SCALAR = re.compile(r"\bnp\.(?:u?int\d*|float\d*|bool_?|str_|datetime64)\((.*?)\)")


def _readable(message: str) -> str:
    """Return a message in which scalars of NumPy are plain: "5" for "np.int64(5)"."""
    return _SCALAR.sub(r"\1", message)


class BayesmixError(ValueError):
    """Base of all errors that bayesmix raises deliberately."""

    def __str__(self) -> str:
        return _readable(super().__str__())


class InvalidInputError(BayesmixError):
    """An argument has the wrong type, shape or values."""


class InvalidTypeError(InvalidInputError, TypeError):
    """An argument of an impossible type; also a ``TypeError``, as in scikit-learn."""


class UnsupportedError(BayesmixError):
    """The model does not support this, for the reason in the message."""


class TooManyRowsError(UnsupportedError):
    """The data of a source are too large for an operation that needs all of them in memory."""


class UndefinedError(UnsupportedError, AttributeError):
    """An attribute without a value for this model; also an ``AttributeError``, for ``hasattr``."""


class DegenerateFitError(BayesmixError):
    """A covariance cannot be factorised."""


class MissingExtraError(BayesmixError, ImportError):
    """An optional package is missing; the message says what to install."""


class DamagedFileError(BayesmixError):
    """A saved model or checkpoint is truncated, altered or of a newer format."""


class FileAccessError(BayesmixError, OSError):
    """A file or folder cannot be read or written; also an ``OSError``, with its ``errno``."""


class BayesmixWarning(UserWarning):
    """Base of all warnings of bayesmix; the user can act on each of them."""


class DegenerateComponentWarning(BayesmixWarning):
    """A component collapsed onto identical observations, or is spurious.

    The variance of a collapsed component was set to a lower limit. A spurious one describes a few
    observations that happen to lie close together or along a line.
    """


class FlatDirectionWarning(BayesmixWarning):
    """The data do not vary in some direction, which is left out of the model."""


class SelectionWarning(BayesmixWarning):
    """The selected K is at an edge of the range, or some components are not clusters."""


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """Return the error for a missing optional package."""
    return MissingExtraError(
        f"{package} is needed for this and is not installed: pip install 'bayesmix[{extra}]'"
    )


def warn(message: str, category: type[Warning]) -> None:
    """Warn with the first line outside this package as its place."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(_readable(message), category, stacklevel=level)
