"""Errors of analyses that some fits do not support."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmix.errors import UnsupportedError

if TYPE_CHECKING:
    from bayesmix.em.result import FitResult

WITHOUT_SEQUENCES = (
    "{} does not support sequences: use elbo_ for the evidence, criterion='cv' of MixtureSearch "
    "for prediction, bayesmix.gibbs for uncertainty, pseudo_residuals for the goodness of fit"
)


def refuse_noise(result: FitResult, what: str) -> None:
    """Raise an error if the mixture has noise."""
    if result.mixture.noise is not None:
        raise UnsupportedError(
            f"{what} does not support noise: fit with noise=None to the rows that predict does "
            "not label -1"
        )


def refuse_constraints(result: FitResult, what: str) -> None:
    """Raise an error if the fit had known labels, groups, sequences or covariates."""
    refuse_order(result, what)
    if result.side:
        raise UnsupportedError(
            f"{what} does not support labels, groups or covariates, which this fit used: fit "
            "without them"
        )


def refuse_order(result: FitResult, what: str) -> None:
    """Raise an error for a hidden Markov model."""
    if result.side.ordered:
        raise UnsupportedError(WITHOUT_SEQUENCES.format(what))


def refuse_covariates(result: FitResult, what: str) -> None:
    """Raise an error if the weights depend on covariates."""
    if result.side.covariates is not None:
        raise UnsupportedError(f"{what} does not support covariates: fit without them")
