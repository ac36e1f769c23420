"""Latent classes against published tables and output of other programs."""

import numpy as np
import pytest

import bayesmix as bm

# Role conflict: 216 respondents, four items (Stouffer & Toby 1951; Goodman 1974, table 1).
CONFLICT = [42, 23, 6, 25, 6, 24, 7, 38, 1, 4, 1, 6, 2, 9, 2, 20]
# Cheating: 319 students, four items (Dayton 1998, table 3.4).
CHEATING = [207, 46, 7, 5, 13, 4, 1, 2, 10, 3, 1, 2, 11, 4, 1, 2]
# Log likelihood, G², X² and parameters: of Goodman (1974) and poLCA (Linzer & Lewis 2011).
PUBLISHED = {
    ("conflict", 1): (-543.6498, 81.084, None, 4),
    ("conflict", 2): (-504.4677, 2.719922, 2.719764, 9),
    ("cheating", 1): (-467.4382, 62.58641, 136.3417, 4),
    ("cheating", 2): (-440.0271, 7.764242, 8.3234, 9),
    ("cheating", 3): (-436.2356, 0.181173, 0.182425, 14),
}
BIC = {("conflict", 2): 1057.313, ("cheating", 1): 957.9372, ("cheating", 2): 931.9409}


def people(counts):
    patterns = np.indices((2, 2, 2, 2)).reshape(4, -1).T
    return np.repeat(patterns, counts, axis=0)


# Where classes are not identified the likelihood is flat, and a fit takes seconds.
FLAT = ("cheating", 3)
PLACES = [pytest.param(one, marks=[pytest.mark.slow] * (one == FLAT)) for one in PUBLISHED]


@pytest.mark.parametrize("place", PLACES)
def test_fits_have_the_published_likelihoods_and_statistics(place):
    rows = people({"conflict": CONFLICT, "cheating": CHEATING}[place[0]])
    m = bm.Mixture(place[1], family=bm.Categorical(), random_state=0).fit(rows)
    found = bm.latent_classes(m, rows)
    log_likelihood, g_squared, x_squared, n_parameters = PUBLISHED[place]
    assert m.log_likelihood_ == pytest.approx(log_likelihood, abs=2e-4)
    assert found.g_squared == pytest.approx(g_squared, abs=2e-3)
    if x_squared is not None:
        assert found.x_squared == pytest.approx(x_squared, abs=2e-3)
    assert m.n_parameters_ == n_parameters
    if place in BIC:
        assert m.bic(rows) == pytest.approx(BIC[place], abs=1e-3)


@pytest.mark.parametrize(("K", "df"), [(2, 6), pytest.param(3, 2, marks=pytest.mark.slow), (4, 0)])
def test_degrees_of_freedom_know_that_three_classes_of_four_items_are_not_identified(K, df):
    """Goodman 1974, sec. 3: 15 free probabilities, 14 parameters, of which 13 are identified."""
    rows = people(CHEATING)
    m = bm.Mixture(K, family=bm.Categorical(), random_state=0).fit(rows)
    found = bm.latent_classes(m, rows)
    assert found.degrees_of_freedom == df
    assert np.isnan(found.p_value) == (df == 0)


def test_classes_with_covariates_have_the_errors_of_all_parameters():
    generator = np.random.default_rng(5)
    z = generator.normal(size=400)
    second = generator.random(400) < 1.0 / (1.0 + np.exp(-z))
    rows = (generator.random((400, 4)) < np.where(second[:, None], 0.85, 0.2)).astype(int)
    m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(rows, covariates=z)
    found = bm.latent_classes(m, rows, covariates=z)
    table = m.parameter_table(rows).xs("probability", level="parameter")["standard_error"]
    np.testing.assert_allclose(found.standard_errors.to_numpy().ravel(), table)
    assert found.degrees_of_freedom == 0
    assert found.sizes["share"].sum() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="the fit had none"):
        bm.latent_classes(
            bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(rows), rows, covariates=z
        )
