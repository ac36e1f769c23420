"""Mixtures over some of their columns, alone or given others (Bishop 2006, sec. 2.3.1 and 2.3.2).

A marginal of a mixture is the mixture of the marginals; a conditional one weighs the conditionals
by how well their components explain what is given.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import normalise
from bayesmix.protocols import Predictive
from bayesmix.records import Frame, Mixture
from bayesmix.weights import PointWeights


def marginal(mixture: Mixture[Predictive], columns: Integers) -> Mixture[Predictive]:
    """The mixture over some of the columns, the others integrated out."""
    mixture = _by_columns(mixture)
    frame, places = mixture.frame.of_columns(columns)
    return Mixture(mixture.weights, mixture.components.marginal(places), frame)


def conditional(
    mixture: Mixture[Predictive], columns: Integers, given: Integers, values: Array
) -> Mixture[Predictive]:
    """The mixture over ``columns`` where those ``given`` have these values (G,), in data units."""
    mixture = _by_columns(mixture)
    frame, places = mixture.frame.of_columns(columns)
    known_frame, known = mixture.frame.of_columns(given)
    framed = known_frame.apply(values[None])
    shares = _shares(mixture, known, framed)
    components = mixture.components.conditional(places, known, framed[0])
    return Mixture(PointWeights(shares[0]), components, frame)


def conditional_means(
    mixture: Mixture[Predictive], columns: Integers, given: Integers, values: Array
) -> Array:
    """E[x_columns | x_given] (n, C) for rows of the given columns (n, G), in data units."""
    mixture = _by_columns(mixture)
    frame, places = mixture.frame.of_columns(columns)
    known_frame, known = mixture.frame.of_columns(given)
    framed = known_frame.apply(values)
    shares = _shares(mixture, known, framed)
    each = mixture.components.conditional_means(places, known, framed)
    return frame.undo(np.einsum("nk,nkc->nc", shares, each))


def _shares(mixture: Mixture[Predictive], known: Integers, framed: Array) -> Array:
    """Probabilities of the components (n, K) given framed values of the known columns."""
    log_joint = np.tile(mixture.weights.expected_log(), (len(framed), 1))
    if len(known):
        with np.errstate(over="ignore", invalid="ignore"):
            log_joint += mixture.components.marginal(known).expected_log_density(framed)
        # Squares of distances that are no doubles: of such a row nothing can be told.
        log_joint[np.isnan(log_joint)] = -np.inf
    impossible = np.flatnonzero(normalise(log_joint) == -np.inf)
    if len(impossible):
        raise InvalidInputError(
            f"no component of the mixture can have the given values (row {impossible[0]}): give "
            "others"
        )
    return log_joint


def _by_columns(mixture: Mixture[Predictive]) -> Mixture[Predictive]:
    """The mixture with coordinates that are columns.

    Rows on a slanted plane have others. There the narrow normal across the plane is made part of
    the components; next to Students it takes on their tails, which rows never see.
    """
    frame = mixture.frame
    if frame.basis is None or np.array_equal(frame.basis, frame.basis.astype(bool)):
        return mixture
    n_features = len(frame.centre)
    around = replace(frame, centre=np.zeros(n_features), scale=np.ones(n_features))
    components = mixture.components.unframed(around)
    return Mixture(mixture.weights, components, Frame(frame.centre, frame.scale))
