"""Likelihood ratio test of a restricted mixture against a freer one with the same classes.

Twice the difference of the log likelihoods is chi-squared, with as many degrees of freedom as there
are restrictions. With weights or clusters of a survey it is divided by the mean of its eigenvalues
(Satorra & Bentler 2001; Asparouhov & Muthén 2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from bayesmix.assess import LEVEL
from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.em.result import FitResult
from bayesmix.em.shown import Shown
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.posterior.parameter_errors import scores_of
from bayesmix.posterior.survey_design import SurveyDesign
from bayesmix.sources.survey_weights import are_sampling, weighted

# Loss of log likelihood, per nat, that tolerances of two fits explain.
ROUNDING = 1e-6


@dataclass(frozen=True, repr=False, eq=False)
class RestrictionTest:
    """Result of a test of restrictions; see ``likelihood_ratio_test(against=)``.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log likelihoods, divided by ``scaling``.
    degrees_of_freedom : int
        Difference of the numbers of free parameters.
    p_value : float
        By the chi-squared distribution.
    scaling : float
        Scaling factor of a survey, 1 without weights or clusters.
    restricted, free : FitResult
        The two fits.
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float
    scaling: float
    restricted: FitResult
    free: FitResult

    @property
    def shown(self) -> Shown:
        """What text, notebooks and files show."""
        verdict = "are" if self.p_value <= LEVEL else "are not"
        df, scaled = self.degrees_of_freedom, self.scaling != 1.0
        title = f"The restrictions {verdict} rejected (p = {self.p_value:.2g})."
        ratio = f"Likelihood ratio: χ²({df}) = {self.statistic:.2f}"
        ratio += f", with scaling factor {self.scaling:.3f}." if scaled else "."
        return Shown(title, (ratio,))

    def summary(self) -> str:
        """Return the decision, p-value and statistic."""
        return self.shown.text()

    def __repr__(self) -> str:
        return f"<RestrictionTest: {self.shown.title}>"

    def _repr_html_(self) -> str:
        return self.shown.html()


def restriction_test(
    model: Any,
    X: Any,
    against: Any,
    sample_weight: Any,
    weight_type: str | None,
    clusters: Any,
    strata: Any,
) -> RestrictionTest:
    """Return the test of a fitted model against a fitted one with fewer restrictions."""
    (smaller, _), (larger, _) = fitted_mixture(model, X), fitted_mixture(against, X)
    restricted, free = smaller.result_, larger.result_
    _check_pair(restricted, free)
    if weight_type is not None or sample_weight is not None:
        sample_weight = weighted(X, sample_weight, weight_type)[1]
        if clusters is None and are_sampling(np.asarray(sample_weight), weight_type):
            clusters = np.arange(len(sample_weight))
    scores = [scores_of(one, X, sample_weight) for one in (smaller, larger)]
    df, scaling = free.n_parameters - restricted.n_parameters, 1.0
    if not (clusters is None and strata is None):
        survey = SurveyDesign.of(len(scores[0].weights), clusters, strata)
        # tr(A⁻¹ B) of the information A and the variance B of the score.
        traces = [float((s.information * s.covariance("sandwich", survey)).sum()) for s in scores]
        scaling = (traces[1] - traces[0]) / df
        if not scaling > 0.0:
            raise UnsupportedError(
                f"the scaling factor is {scaling:.3g}, which must be positive (Satorra & Bentler "
                "2010): use a Wald test, or leave the design out"
            )
    statistic = 2.0 * (free.log_likelihood - restricted.log_likelihood)
    statistic = max(statistic, 0.0) / scaling
    p = float(stats.chi2.sf(statistic, df))
    return RestrictionTest(statistic, df, p, scaling, restricted, free)


def _check_pair(restricted: FitResult, free: FitResult) -> None:
    """Raise an error unless two fits to the same data may be nested."""
    for result in (restricted, free):
        if result.inference.name != "maximum_likelihood":
            raise UnsupportedError(
                "likelihood_ratio_test needs maximum likelihood fits, got "
                f"{result.inference.name.replace('_', ' ')}: fit both without a prior"
            )
    if restricted.n_components != free.n_components:
        raise InvalidInputError(
            f"model and against have {restricted.n_components} and {free.n_components} "
            "components, for which the ratio is not chi-squared: leave against out, for a "
            "bootstrap test of the number"
        )
    if restricted.n_rows != free.n_rows or restricted.total_weight != free.total_weight:
        raise InvalidInputError(
            "model and against must be fitted to the same data, got "
            f"{restricted.n_rows:,} and {free.n_rows:,} samples"
        )
    if restricted.n_parameters >= free.n_parameters:
        raise InvalidInputError(
            f"model has {restricted.n_parameters} parameters and against {free.n_parameters}: "
            "model must be the restricted one, against the freer one"
        )
    lost = restricted.log_likelihood - free.log_likelihood
    if lost > ROUNDING * abs(free.log_likelihood):
        raise InvalidInputError(
            f"against has a lower log likelihood ({free.log_likelihood:.3f}) than model "
            f"({restricted.log_likelihood:.3f}): the models are not nested, or the freer fit is a "
            "local optimum, so raise its n_init"
        )
