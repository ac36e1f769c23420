"""Latent classes against published tables and output of other programs."""

import numpy as np
import pytest

import bayesmix as bm

# Role conflict: 216 respondents, four items (Stouffer & Toby 1951; Goodman 1974, table 1).
CONFLICT = [42, 23, 6, 25, 6, 24, 7, 38, 1, 4, 1, 6, 2, 9, 2, 20]
# Cheating: 319 students, four items (Dayton 1998, table 3.4).
CHEATING = [207, 46, 7, 5, 13, 4, 1, 2, 10, 3, 1, 2, 11, 4, 1, 2]
# Pleural thickening: 1,692 men, three readers (Dayton 1998, table 3.1).
PLEURAL = [1513, 23, 59, 12, 21, 19, 11, 34]
# Opinions of surveys, 1,202 respondents of 1982: purpose, accuracy, understanding, cooperation
# (McCutcheon 1987, table 3.1).
SURVEY = [419, 35, 2, 71, 25, 5, 270, 25, 4, 42, 16, 5, 23, 4, 1, 6, 2, 0]
SURVEY += [43, 9, 2, 9, 3, 2, 26, 3, 0, 1, 2, 0, 85, 23, 6, 13, 12, 8]
# Carcinoma: 118 slides, positive by seven pathologists (Landis & Koch 1977; Agresti 2002).
CARCINOMA = {
    **{(): 34, "E": 2, "B": 6, "BG": 1, "BE": 4, "BEG": 5, "A": 2, "ACEG": 1, "AB": 2, "ABG": 1},
    **{"ABE": 2, "ABEG": 7, "ABEFG": 1, "ABDG": 1, "ABDEG": 2, "ABDEFG": 3, "ABCEG": 13},
    **{"ABCEFG": 5, "ABCDEG": 10, "ABCDEFG": 16},
}
# Log likelihood, G², X² and parameters: of Goodman (1974), poLCA (Linzer & Lewis 2011), and Mplus
# (pleural, survey; UCLA's textbook examples of Dayton 1998 and McCutcheon 1987).
PUBLISHED = {
    ("pleural", 2): (-891.143, 0.0, 0.0, 7),
    ("survey", 1): (-2872.230, 257.260, 368.666, 6),
    ("survey", 2): (-2783.268, None, None, 13),
    ("survey", 3): (-2754.545, None, None, 20),
    ("carcinoma", 2): (-317.2568, 62.36543, 92.64814, 15),
    ("carcinoma", 3): (-293.705, 15.26171, 20.50335, 23),
    ("carcinoma", 4): (-289.2858, 6.423452, 10.08438, 31),
    ("conflict", 1): (-543.6498, 81.084, None, 4),
    ("conflict", 2): (-504.4677, 2.719922, 2.719764, 9),
    ("conflict", 3): (-503.3011, None, None, 14),
    ("cheating", 1): (-467.4382, 62.58641, 136.3417, 4),
    ("cheating", 2): (-440.0271, 7.764242, 8.3234, 9),
    ("cheating", 3): (-436.2356, 0.181173, 0.182425, 14),
}
BIC = {("pleural", 2): 1834.321, ("survey", 1): 5787.010, ("carcinoma", 2): 706.0739}
BIC |= {("carcinoma", 3): 697.1357, ("conflict", 2): 1057.313}
BIC |= {("cheating", 1): 957.9372, ("cheating", 2): 931.9409}


def people(counts, sizes=(2, 2, 2, 2)):
    patterns = np.indices(sizes).reshape(len(sizes), -1).T
    return np.repeat(patterns, counts, axis=0)


TABLES = {
    "conflict": people(CONFLICT),
    "cheating": people(CHEATING),
    "pleural": people(PLEURAL, (2, 2, 2)),
    "survey": people(SURVEY, (3, 2, 2, 3)),
    "carcinoma": np.repeat(
        [[int(one in positive) for one in "ABCDEFG"] for positive in CARCINOMA],
        list(CARCINOMA.values()),
        axis=0,
    ),
}


# Where classes are not identified the likelihood is flat, and a fit takes seconds.
FLAT = ("cheating", 3), ("conflict", 3), ("survey", 3)
PLACES = [pytest.param(one, marks=[pytest.mark.slow] * (one in FLAT)) for one in PUBLISHED]


@pytest.mark.parametrize("place", PLACES)
def test_fits_have_the_published_likelihoods_and_statistics(place):
    rows = TABLES[place[0]]
    m = bm.Mixture(place[1], family=bm.Categorical(), random_state=0).fit(rows)
    found = bm.latent_classes(m, rows)
    log_likelihood, g_squared, x_squared, n_parameters = PUBLISHED[place]
    assert m.log_likelihood_ == pytest.approx(log_likelihood, abs=6e-4)
    if g_squared is not None:
        assert found.g_squared == pytest.approx(g_squared, abs=2e-3)
    if x_squared is not None:
        assert found.x_squared == pytest.approx(x_squared, abs=2e-3)
    assert m.n_parameters_ == n_parameters
    if place in BIC:
        assert m.bic(rows) == pytest.approx(BIC[place], abs=1e-3)


# Mplus: shares, probabilities of the first answers, and robust standard errors of each class.
MPLUS = {
    "pleural": (
        [0.05448, 0.94552],
        [[0.251, 0.356, 0.235], [0.990, 0.965, 0.989]],
        [[0.067, 0.067, 0.067], [0.003, 0.005, 0.004]],
    ),
    "conflict": (
        [0.27925, 0.72075],
        [[0.993, 0.940, 0.927, 0.769], [0.714, 0.330, 0.354, 0.132]],
        [[0.025, 0.067, 0.068, 0.098], [0.042, 0.051, 0.049, 0.039]],
    ),
}


@pytest.mark.parametrize("name", MPLUS)
def test_profiles_and_standard_errors_are_those_of_mplus(name):
    rows, (shares, probabilities, errors) = TABLES[name], MPLUS[name]
    m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(rows)
    found = bm.class_profiles(m, rows, standard_errors="sandwich")
    order = list(found.sizes["share"].sort_values().index)
    np.testing.assert_allclose(found.sizes["share"][order], shares, atol=1e-4)
    table = found.profiles.xs(0, level="level")
    for column, expected in (("estimate", probabilities), ("standard_error", errors)):
        values = table[column].unstack("class")[order].to_numpy().T
        np.testing.assert_allclose(values, expected, atol=1.5e-3)
    if name == "pleural":
        assert found.entropy == pytest.approx(0.949, abs=5e-4)


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
