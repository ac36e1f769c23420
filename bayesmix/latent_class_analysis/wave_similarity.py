"""Similarity of states over waves: whether variables measure the states in the same way.

Invariance of measurement over time is the base of latent transition analysis: a state is the same
at all waves if its item probabilities or means are (Collins & Lanza 2010, ch. 7; Nylund-Gibson et
al. 2023). A variable that is free has a column for each wave, which is missing at other waves.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone

from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.rows import SideInformation
from bayesmix.em.model import resolve
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.em.run import Monitor, step
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.latent_class_analysis.class_tests import information_criteria
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.chain_starts import sums_of_assignment
from bayesmix.starts.responsibilities import Given, begun


def wave_similarity(
    model: Any,
    X: Any,
    *,
    lengths: Any = None,
    groups: Any = None,
    covariates: Any = None,
    waves: Any = None,
) -> pd.DataFrame:
    """Compare states of a hidden Markov model over waves (invariance of measurement).

    Parameters
    ----------
    model : HiddenMarkovModel
        Its number of states, family and structure; it need not be fitted. Maximum likelihood.
        Normal states need ``covariance_type="diag"``, several variables being independent given
        the state; other families are Bernoulli, Categorical and Poisson.
    X : array or frame (n, D)
        Values are missing where unknown, with ``missing="use"``.
    lengths, groups, covariates
        As in ``HiddenMarkovModel.fit``.
    waves : array (n,), optional
        Wave of each sample; by default its place in the sequence.

    Returns
    -------
    DataFrame
        Log likelihood, number of parameters, AIC and BIC of models in which all variables have the
        same parameters at all waves ("equal"), one has its own at each wave ("free: name"), or all
        have ("free"), with a likelihood ratio test of "equal" against each. Each model has the
        search of a fit. BIC counts persons or rows as the parameter ``n`` of the model says.

    Raises
    ------
    InvalidInputError
        For fewer than two waves.
    UnsupportedError
        For other families, and for priors.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> states = np.repeat(rng.random(150) < 0.5, 3)
    >>> X = (rng.random((450, 4)) < np.where(states[:, None], 0.8, 0.2)).astype(float)
    >>> hmm = bm.HiddenMarkovModel(2, family="bernoulli", random_state=0)
    >>> table = bm.wave_similarity(hmm, X, lengths=[3] * 150)
    >>> table["bic"].idxmin()
    'equal'
    """
    if not hasattr(model, "covariate_effects") or not hasattr(model, "family"):
        raise InvalidInputError(f"model must be a HiddenMarkovModel, got {type(model).__name__}")
    given = {"lengths": lengths, "groups": groups, "covariates": covariates}
    equal = clone(model).fit(X, **given)
    result: FitResult = equal.result_
    if result.inference.name != "maximum_likelihood":
        raise UnsupportedError("wave_similarity needs maximum likelihood: use inference=None")
    components: Any = result.unframed
    if not components.independent_columns:
        raise UnsupportedError(
            "wave_similarity needs variables that are independent given the state: use "
            "covariance_type='diag', or a family such as Bernoulli, Categorical or Poisson"
        )
    codes = _codes_of_waves(waves, result.side)
    values = np.asarray(equal._seen(X, lengths, groups).values, dtype=np.float64)  # and codes
    names = result.columns or tuple(f"x{place}" for place in range(values.shape[1]))
    fits, nested = {"equal": result}, [equal.predict_proba(X, **given)]
    with single_threaded_blas():
        for place, name in enumerate(names if len(names) > 1 else ()):
            freed, shares = _freed(equal, values, nested[:1], codes, names, [place])
            fits[f"free: {name}"] = freed
            nested.append(shares)
        fits["free"], _ = _freed(equal, values, nested, codes, names, range(len(names)))
    return _table(fits)


def _codes_of_waves(waves: Any, side: SideInformation) -> Integers:
    """Return the numbers (n,) of the waves, by default places in sequences."""
    if waves is None and len(side.starts) == 1:
        raise InvalidInputError(
            "lengths or groups must give the sequences, as waves are places in them, or waves be "
            "given"
        )
    codes, n = side.waves, len(side.waves)
    if waves is not None:
        codes = pd.factorize(np.asarray(waves), sort=True)[0]
    if len(codes) != n or codes.min() < 0 or codes.max() == 0:
        raise InvalidInputError(
            f"waves must have a value for each of the {n} samples, and at least two "
            f"different ones, got {len(codes)} values of {codes.max() + 1} waves"
        )
    return np.asarray(codes, dtype=np.intp)


def _freed(
    equal: Any,
    values: Array,
    nested: Sequence[Array],
    codes: Integers,
    names: Sequence[str],
    free: Iterable[int],
) -> tuple[FitResult, Array]:
    """Return the fit in which some variables have own parameters at each wave.

    The better of a search as for any fit, and of runs from the responsibilities (n, K) of
    ``nested`` models, so that the likelihood is not below theirs. Its own are returned too.
    """
    columns, origins, labels = [], [], []
    for place, name in enumerate(names):
        for wave in range(codes.max() + 1) if place in free else (None,):
            column = values[:, place].copy()
            if wave is not None:
                column[codes != wave] = np.nan
            if not np.isnan(column).all():
                columns.append(column)
                origins.append(place)
                labels.append(name if wave is None else f"{name} (wave {wave + 1})")
    side = equal.result_.side
    source = ArraySource(np.column_stack(columns), side=side, columns=tuple(labels))
    searched, near = (clone(equal).set_params(missing="use") for _ in range(2))
    near.set_params(n_init=1, search="short")
    model = near._model_of(near._model(), source)
    problem = resolve(model, source, near._settings(model, source).among(()))
    starts = []
    for shares in nested:
        state = begun(problem, Given(shares), shares.shape[1])
        sums = sums_of_assignment(shares, side.begins)
        state = replace(state, expectation=replace(state.expectation, allocation=sums))
        starts.append(step(problem, state, Monitor()).current_mixture())
    with warnings.catch_warnings(action="ignore"):  # those of the better fit follow
        searched._fit(lambda n_jobs: source)
        near._fit(lambda n_jobs: source, tuple(starts))
    best = max((searched, near), key=lambda fit: fit.log_likelihood_)
    result: FitResult = best.result_
    best._warn(result)
    return result, result.mixture.responsibilities(source.rows)[0]


def _table(fits: dict[str, FitResult]) -> pd.DataFrame:
    """Return log likelihoods, criteria and tests of the equal model against each."""
    rows = []
    for name, fit in fits.items():
        sums = DensitySums(fit.log_likelihood, 0.0, 0.0, fit.plug_in_sums.n)
        criteria = information_criteria(sums, fit.n_parameters)
        row = {"model": name, "log_likelihood": fit.log_likelihood}
        row |= {"n_parameters": fit.n_parameters, "aic": criteria["aic"], "bic": criteria["bic"]}
        rows.append(row)
    table = pd.DataFrame(rows).set_index("model")
    df = (table["n_parameters"] - table["n_parameters"]["equal"]).where(table.index != "equal")
    statistic = 2.0 * (table["log_likelihood"] - table["log_likelihood"]["equal"])
    statistic = statistic.where(table.index != "equal")
    return table.assign(chi_squared=statistic, df=df, p=stats.chi2.sf(statistic, df))
