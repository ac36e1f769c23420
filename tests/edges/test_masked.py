"""Masked arrays: without its mask an array is other data, so each that comes in is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import InvalidInputError

ROWS = np.random.default_rng(0).normal(size=(60, 2))
MASKED = np.ma.array(ROWS, mask=np.arange(120).reshape(60, 2) == 7)
WEIGHTS = np.ma.array(np.ones(60), mask=np.arange(60) == 5)
GAPS = pd.DataFrame(ROWS, columns=["a", "b"]).astype("Float64").mask(np.asarray(MASKED.mask))
LABELS = np.ma.array(np.arange(60) % 2, mask=np.arange(60) < 3)
FITTED = bm.BayesianGaussianMixture(2, random_state=0).fit(ROWS)
STRICT = partial(bm.select, missing="error")

PLACES: dict[str, Callable[[], Any]] = {
    "fit": lambda: bm.GaussianMixture(2).fit(MASKED),
    "fit to a list": lambda: bm.GaussianMixture(2).fit(list(MASKED)),
    "select": lambda: bm.select(MASKED, missing="error"),
    "search": lambda: bm.MixtureSearch().fit(MASKED),
    "predict": lambda: FITTED.predict(MASKED),
    "score": lambda: FITTED.score_samples(MASKED),
    "band": lambda: FITTED.density_interval(MASKED),
    "marginal": lambda: FITTED.marginal([0]).score_samples(MASKED[:, 1:]),
    "conditional mean": lambda: FITTED.conditional_mean(MASKED[:, 1:], [1]),
    "gibbs": lambda: bm.gibbs(FITTED, MASKED, n_draws=5),
    "weights": lambda: bm.GaussianMixture(2).fit(ROWS, sample_weight=WEIGHTS),
    "weights of select": lambda: bm.select(ROWS, sample_weight=WEIGHTS),
    "weights of stability": lambda: bm.stability(FITTED, ROWS, sample_weight=WEIGHTS),
    "means_init": lambda: bm.GaussianMixture(2, means_init=MASKED[2:4]).fit(ROWS),
    "weights_init": lambda: bm.GaussianMixture(
        2, weights_init=np.ma.array([0.5, 0.5], mask=[False, True])
    ).fit(ROWS),
    "labels": lambda: bm.GaussianMixture(2, init_params=LABELS).fit(ROWS),
    "called start": lambda: bm.GaussianMixture(2, init_params=lambda *_: LABELS).fit(ROWS),
    "prior": lambda: bm.BayesianGaussianMixture(2, mean_prior=MASKED[3]).fit(ROWS),
    "parameters": lambda: bm.GaussianMixture.from_parameters(
        [0.5, 0.5], MASKED[2:4], np.ones((2, 2))
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_masked_entries_are_refused_with_the_first_place_and_the_remedy(place: str) -> None:
    with pytest.raises(InvalidInputError, match=r"masked, the first in row \d.* fill them in"):
        PLACES[place]()


@pytest.mark.parametrize("call", [bm.GaussianMixture(2).fit, FITTED.predict, STRICT])
@pytest.mark.filterwarnings("ignore:X has feature names")
def test_missing_values_of_pandas_are_refused_by_row_and_column(call: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidInputError, match="row 3, column 'b': drop or impute"):
        call(GAPS)


@pytest.mark.parametrize("call", [bm.GaussianMixture(2).fit, STRICT])
def test_a_fit_to_masked_rows_names_the_option_that_takes_them(call: Callable[[Any], Any]) -> None:
    with pytest.raises(
        InvalidInputError, match=r"filled\), or set missing='use' .* or missing='dr"
    ):
        call(MASKED)
    used = bm.GaussianMixture(2, missing="use", random_state=0)
    np.testing.assert_array_equal(used.fit(MASKED).means_, used.fit(MASKED.filled(np.nan)).means_)


def test_missing_weights_of_pandas_are_refused_by_row() -> None:
    weights = pd.Series(np.ones(60)).astype("Float64").mask(np.arange(60) == 4)
    with pytest.raises(InvalidInputError, match="row 4: drop that row"):
        bm.GaussianMixture(2).fit(ROWS, sample_weight=weights)


def test_an_array_that_masks_nothing_is_an_array() -> None:
    plain = bm.GaussianMixture(2, random_state=0).fit(ROWS)
    unmasked = bm.GaussianMixture(2, random_state=0).fit(np.ma.array(ROWS))
    assert np.array_equal(plain.means_, unmasked.means_)
