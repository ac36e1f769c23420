"""Probabilities over K come true as often as they say, for data drawn from the prior itself.

``benchmarks.choosing.calibration`` does the same with hundreds of new data sets.
"""

import numpy as np
import pytest

from benchmarks.choosing import (
    DRAWN_ROWS,
    POSSIBLE,
    PRIOR,
    drawn,
    independent_probabilities,
    probabilities_of,
)


def test_the_generator_draws_from_the_prior_of_the_fits():
    numbers, variances = [], []
    for seed in range(400):
        k, rows = drawn(seed)
        assert rows.shape == (DRAWN_ROWS, 1)
        numbers.append(k)
        if k == 1:
            variances.append(rows.var(ddof=1))
    assert set(numbers) == set(POSSIBLE)
    # E[σ²] = W0⁻¹ / (ν0 - 2) of one dimension, 1.5 here; 5 standard errors.
    expected = PRIOR["covariance_prior"][0][0] / (PRIOR["degrees_of_freedom_prior"] - 2.0)
    error = np.std(variances) / np.sqrt(len(variances))
    assert abs(np.mean(variances) - expected) < 5 * error


@pytest.mark.nightly
@pytest.mark.slow
def test_probabilities_from_the_evidence_come_true_as_often_as_they_say():
    known = []
    for seed in range(1000, 1008):
        k, rows = drawn(seed)
        shares = probabilities_of(rows)["evidence"]
        if np.isfinite(shares).all():
            known.append(([k == possible for possible in POSSIBLE], shares))
    assert len(known) >= 5
    truth, shares = (np.array(part, dtype=float) for part in zip(*known, strict=True))
    assert shares.sum(axis=1) == pytest.approx(np.ones(len(known)))
    error = np.sqrt((shares * (1.0 - shares)).sum(axis=0))
    # 4 standard errors for each of three numbers: a false alarm in five thousand.
    assert (np.abs((truth - shares).sum(axis=0)) < 4.0 * error).all()


# Of the first K=1 comes last: candidates are ranked.
@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [
        (1838639875, 0),
        *(pytest.param(s, marks=pytest.mark.nightly) for s in (403, 407, 409, 410)),
    ],
)
def test_probabilities_are_those_of_sequential_monte_carlo(seed):
    """Data sets of which K is in doubt; two estimates by ways that have nothing in common."""
    _, rows = drawn(seed)
    shares = probabilities_of(rows)["evidence"]
    np.testing.assert_allclose(shares, independent_probabilities(seed, 8000), atol=0.02)
