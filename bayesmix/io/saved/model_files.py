"""Fitted estimators to one file and back, without pickle: nothing in the file is ever executed."""

from __future__ import annotations

import os
from os import PathLike
from typing import Any

from bayesmix.errors import DamagedFileError, InvalidInputError
from bayesmix.io.saved import mixture_records, searches
from bayesmix.io.saved.container import opened, pack, unpack
from bayesmix.io.saved.records import Reader, Writer
from bayesmix.version import __version__
from bayesmix.writing import file_to_write, path_text, write


def save(model: Any, path: str | PathLike[str]) -> None:
    """Write a fitted estimator to one file; ``load`` reads it.

    The file holds the parameters, the whole ``result_`` and the names of the features, not the
    data. It appears under its name only when it is complete. Parameters that are code or a state
    are not kept: a ``random_state`` that is a generator becomes the seed that was drawn from it,
    with which the fit can be repeated, and a callable ``init_params`` becomes the default, with a
    warning.

    Parameters
    ----------
    model : GaussianMixture, BayesianGaussianMixture, Mixture or a MixtureSearch of these
        Fitted. A search is saved with all its candidates, ``best_estimator_`` by itself.
    path : path
        Where to write; a file that is there is replaced.

    Raises
    ------
    UnsupportedError
        For other models, and for families or priors that are not bayesmix's own.
    InvalidInputError
        For a path that is no place of a file; a device or a pipe is never replaced.
    FileAccessError
        Where the system refuses, as on a full disk: what was there is as it was.

    Examples
    --------
    >>> import os, tempfile, bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> path = os.path.join(tempfile.mkdtemp(), "faithful.bayesmix")
    >>> gm.save(path)
    >>> bool((bm.load(path).score_samples(X) == gm.score_samples(X)).all())
    True
    """
    place = file_to_write(path)
    writer = Writer()
    kind = searches if type(model).__name__ == searches.NAME else mixture_records
    described = {"bayesmix": __version__} | kind.described(model, writer)
    write(place, pack(described, writer.arrays))


def load(path: str | PathLike[str]) -> Any:
    """The fitted estimator that ``save`` wrote: it predicts the same, to the last bit.

    Parameters
    ----------
    path : path
        A file that ``save`` wrote, by this version of bayesmix or an older one.

    Returns
    -------
    GaussianMixture, BayesianGaussianMixture, Mixture or MixtureSearch

    Raises
    ------
    DamagedFileError
        For files that are truncated or altered, of a newer format, or no saved models at all.
        Files are safe to open wherever they come from: they hold no code.
    """
    path = path_text("path", path)
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "no file"
        what = f"{path} is {kind}" if os.path.exists(path) else f"there is no {path}"
        raise InvalidInputError(f"path must name a saved model, but {what}")
    with opened(path) as stream:
        return _model(*unpack(stream))


def _model(header: dict[str, Any], arrays: list[Any]) -> Any:
    kind = searches if header["class"] == searches.NAME else mixture_records
    try:
        return kind.restored(header, Reader(arrays))
    except DamagedFileError as problem:
        writer = header.get("bayesmix")
        if writer == __version__ or "does not know" not in str(problem):
            raise
        raise DamagedFileError(f"{problem}: it was saved by bayesmix {writer}") from None
