"""Errors and warnings of bayesmix: what was wrong, and what to do about it."""

from __future__ import annotations

import os
import sys
import warnings

_PACKAGE = os.path.dirname(__file__) + os.sep


class BayesmixError(ValueError):
    """Base of every error that bayesmix raises on purpose."""


class InvalidInputError(BayesmixError):
    """An argument has the wrong type, shape or values."""


class InvalidTypeError(InvalidInputError, TypeError):
    """An argument is of a kind that can never do; also a ``TypeError``, as scikit-learn raises."""


class UnsupportedError(BayesmixError):
    """The model has no such answer, for a reason that the message states."""


class TooManyRowsError(UnsupportedError):
    """What looks at all rows at once was asked of a source that holds too many for it."""


class UndefinedError(UnsupportedError, AttributeError):
    """An attribute that this model has no value of; also an ``AttributeError``, as for hasattr."""


class DegenerateFitError(BayesmixError):
    """A covariance cannot be factorised and nothing in the model prevents it."""


class MissingExtraError(BayesmixError, ImportError):
    """An optional package is needed; the message says what to install."""


class DamagedFileError(BayesmixError):
    """A saved model or checkpoint is truncated, altered or of a newer format."""


class FileAccessError(BayesmixError, OSError):
    """A file or folder cannot be read or written; also an ``OSError``, with its ``errno``."""


class BayesmixWarning(UserWarning):
    """Base of every warning that bayesmix gives; each is something the user can act on."""


class DegenerateComponentWarning(BayesmixWarning):
    """A component fell onto a few tied rows and is held at the resolution of the data."""


class FlatDirectionWarning(BayesmixWarning):
    """All rows agree in some direction; it is set aside, the same for every component."""


class SelectionWarning(BayesmixWarning):
    """What a search chose is at an edge of its range, or has components that are no clusters."""


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """The error for an optional package that is not installed."""
    return MissingExtraError(
        f"{package} is needed for this and is not installed: pip install 'bayesmix[{extra}]'"
    )


def warn(message: str, category: type[Warning]) -> None:
    """A warning that points at the first line outside this package: the user's call."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
