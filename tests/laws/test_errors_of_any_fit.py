"""Standard errors of chains, noise, labels, measured data, factors, regressions, classifiers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import ive

import bayesmix as bm
from bayesmix.posterior.parameter_errors import scores_of
from bayesmix.posterior.unit_scores import UnitScores


@pytest.fixture(scope="module")
def groups():
    """Two classes (n,) and values (n, 2) that leave no doubt about them."""
    generator = np.random.default_rng(11)
    z = (generator.random(240) < 0.4).astype(int)
    return z, generator.normal(size=(240, 2)) * [1.0, 2.0] + 60.0 * z[:, None]


def assert_closed_form(z, X, table, shares=True):
    """Check shares, means and variances of known classes, of which 0 is the larger."""
    counts = np.bincount(z)
    variances = np.array([X[z == k].var(axis=0) for k in (0, 1)])
    errors = table["standard_error"]
    if shares:
        p = counts / len(z)
        np.testing.assert_allclose(errors["share"], np.sqrt(p * (1.0 - p) / len(z)), rtol=1e-4)
    expected = np.sqrt(variances / counts[:, None]).T.ravel()
    np.testing.assert_allclose(errors["mean"], expected, rtol=1e-4)
    expected = (variances * np.sqrt(2.0 / counts)[:, None]).T.ravel()
    np.testing.assert_allclose(errors["variance"], expected, rtol=1e-4)


@pytest.mark.parametrize("missing", [False, True])
def test_differences_by_unit_agree_with_the_identities_of_fisher_and_louis(missing):
    generator = np.random.default_rng(2)
    X = generator.normal(size=(200, 2)) + 2.5 * (generator.random(200) < 0.4)[:, None]
    X[::9, 1] = np.nan if missing else X[::9, 1]
    m = bm.GaussianMixture(2, covariance_type="diag", missing="use", random_state=0).fit(X)
    louis = scores_of(m, X)
    units = UnitScores(louis.result, louis.source)
    for kind in ("information", "sandwich"):
        np.testing.assert_allclose(units.errors(kind), louis.errors(kind), rtol=1e-4)


def test_a_chain_of_states_without_doubt_has_the_errors_of_counted_transitions():
    generator = np.random.default_rng(3)
    moves, z = np.array([[0.8, 0.2], [0.4, 0.6]]), []
    for _ in range(60):
        state = int(generator.random() < 0.4)
        for _ in range(8):
            z.append(state)
            state = int(generator.random() < moves[state, 1])
    z = np.array(z)
    X = generator.normal(size=(len(z), 2)) + 60.0 * z[:, None]
    h = bm.HiddenMarkovModel(2, covariance_type="diag", inference=bm.MaximumLikelihood())
    h.set_params(random_state=0).fit(X, lengths=[8] * 60)
    z = h.predict(X, lengths=[8] * 60)
    table = h.parameter_table(X)
    assert_closed_form(z, X, table, shares=False)
    sequences = z.reshape(60, 8)
    before, after = sequences[:, :-1].ravel(), sequences[:, 1:].ravel()
    errors = table["standard_error"]
    for j in (0, 1):
        p, n = after[before == j].mean(), (before == j).sum()
        found = errors["transition"].xs(f"from {j + 1}", level="level")
        np.testing.assert_allclose(found, np.sqrt(p * (1.0 - p) / n), rtol=1e-4)
    p = sequences[:, 0].mean()
    np.testing.assert_allclose(errors["start"], np.sqrt(p * (1.0 - p) / 60), rtol=1e-4)
    # Sandwich by sequence of a mean: residuals summed by sequence, with 60 / 59 and t.
    residuals = np.where(z == 0, X[:, 0] - X[z == 0, 0].mean(), 0.0).reshape(60, 8).sum(axis=1)
    expected = np.sqrt(60 / 59 * (residuals**2).sum()) / (z == 0).sum()
    row = h.parameter_table(X, "sandwich").loc[("mean", 0, "", "state 1")]
    assert row["standard_error"] == pytest.approx(expected, rel=1e-4)
    degrees = min(59.0, 2.0 * 60.0 / (stats.kurtosis(residuals, fisher=False) - 1.0))
    assert 50.0 < degrees < 59.0
    quantile = stats.t.ppf(0.975, degrees)
    assert (row["upper"] - row["estimate"]) / expected == pytest.approx(quantile, rel=1e-4)
    drawn = h.parameter_table(X, "bootstrap", n_draws=60)["standard_error"]["mean"]
    assert (drawn / errors["mean"]).between(0.6, 1.6).all()


def test_one_sequence_has_no_sandwich_and_no_error_of_its_first_state():
    generator = np.random.default_rng(4)
    X = generator.normal(size=(80, 1)) + 5.0 * (np.arange(80) // 10 % 2)[:, None]
    h = bm.HiddenMarkovModel(2, inference=bm.MaximumLikelihood(), random_state=0).fit(X)
    assert h.parameter_table(X)["standard_error"]["start"].isna().all()
    with pytest.raises(ValueError, match="two sequences or more, got one"):
        h.parameter_table(X, "sandwich")


@pytest.mark.slow
def test_transitions_by_covariates_have_the_component_errors_of_a_plain_chain(groups):
    z, X = groups
    z, X = z[:80], X[:80]
    c, lengths = np.random.default_rng(5).normal(size=(80, 1)), [8] * 10
    tables = []
    for effects in ("first", "all"):
        h = bm.HiddenMarkovModel(2, covariance_type="diag", covariate_effects=effects)
        h.set_params(inference=bm.MaximumLikelihood(), random_state=0)
        h.fit(X, lengths=lengths, covariates=c if effects == "all" else c.repeat(8, 0)[:80])
        tables.append(h.parameter_table(X))
    for table in tables:
        assert_closed_form(z, X, table, shares=False)


def test_known_labels_give_the_errors_of_samples_by_class(groups):
    z, X = groups
    near = X - 58.0 * z[:, None]  # classes overlap, but labels tell them apart
    m = bm.GaussianMixture(2, covariance_type="diag", random_state=0).fit(near, labels=z)
    assert_closed_form(z, near, m.parameter_table(near))


def test_noise_apart_from_all_components_is_a_proportion(groups):
    z, X = groups
    generator = np.random.default_rng(6)
    far = np.vstack([X, generator.uniform(300.0, 4000.0, (40, 2))])
    m = bm.GaussianMixture(2, covariance_type="diag", noise="uniform", random_state=0).fit(far)
    table = m.parameter_table(far)
    row = table.loc[("noise", "", "", "all")]
    assert row["estimate"] == pytest.approx(1.0 / 7.0, rel=1e-3)
    assert row["standard_error"] == pytest.approx(np.sqrt(6.0 / 49.0 / 280.0), rel=1e-3)
    assert_closed_form(z, X, table, shares=False)
    assert table["estimate"][["share", "noise"]].sum() == pytest.approx(1.0)


def test_errors_of_measurement_widen_the_errors_of_one_class():
    """The values, with their known error, have the variance σ² + e²."""
    X = np.random.default_rng(12).normal(size=(200, 2)) * [1.0, 2.0]
    error = np.array([0.5, 1.0])
    m = bm.GaussianMixture(1, covariance_type="diag").fit(bm.Measured(X, error=error))
    table = m.parameter_table(bm.Measured(X, error=error))["standard_error"]
    variances = X.var(axis=0)
    np.testing.assert_allclose(table["mean"], np.sqrt(variances / 200), rtol=1e-4)
    np.testing.assert_allclose(table["variance"], variances * np.sqrt(2.0 / 200), rtol=1e-4)


def test_one_direction_has_the_errors_of_von_mises_and_fisher():
    """Mardia & Jupp 2000, sec. 10.3: variances 1 / (n κ A) across and 1 / (n A') of κ."""
    generator = np.random.default_rng(7)
    X = generator.normal([0.0, 0.0, 3.0], size=(300, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    m = bm.Mixture(1, family=bm.VonMisesFisher()).fit(X)
    table = m.parameter_table(X)
    mean = table["estimate"]["direction"].to_numpy()
    kappa = table["estimate"]["concentration"].iloc[0]
    A = ive(1.5, kappa) / ive(0.5, kappa)
    expected = np.sqrt((1.0 - mean**2) / (300 * kappa * A))
    np.testing.assert_allclose(table["standard_error"]["direction"], expected, rtol=1e-5)
    slope = 1.0 - A**2 - 2.0 * A / kappa
    found = table["standard_error"]["concentration"].iloc[0]
    assert found == pytest.approx(1.0 / np.sqrt(300 * slope), rel=1e-4)


@pytest.mark.parametrize("kind", ["UUU", "CUU", "UUC"])
def test_one_factor_of_three_columns_has_the_errors_of_a_full_covariance(kind):
    generator = np.random.default_rng(8)
    X = generator.normal(size=(200, 1)) * [1.0, 2.0, 1.5] + generator.normal(size=(200, 3))
    family = bm.FactorAnalytic(1, kind)
    m = bm.GaussianMixture(1, covariance_type=family, tol=1e-12, max_iter=100_000).fit(X)
    table = m.parameter_table(X)["standard_error"]
    full = bm.GaussianMixture(1).fit(X).parameter_table(X)["standard_error"]
    if kind == "UUC":  # one noise variance is a restriction
        assert (table["variance"] <= full["variance"] * 1.1).all()
    else:
        np.testing.assert_allclose(table, full, rtol=1e-3)


def test_one_regression_has_the_errors_of_least_squares():
    generator = np.random.default_rng(9)
    x = generator.normal(size=150)
    y = 1.0 + 2.0 * x + generator.normal(size=150) * (1.0 + 0.5 * np.abs(x))
    m = bm.RegressionMixture(1).fit(x[:, None], y)
    design = np.column_stack([np.ones(150), x])
    inverse = np.linalg.inv(design.T @ design)
    residuals = y - design @ inverse @ design.T @ y
    variance = (residuals**2).mean()
    table = m.parameter_table()["standard_error"]
    np.testing.assert_allclose(table["coefficient"], np.sqrt(variance * inverse.diagonal()), 1e-4)
    np.testing.assert_allclose(table["scale"], np.sqrt(0.5 * variance / 150), rtol=1e-4)
    robust = m.parameter_table("sandwich")["standard_error"]
    scores = design * residuals[:, None]
    expected = np.sqrt((inverse @ scores.T @ scores @ inverse).diagonal())
    np.testing.assert_allclose(robust["coefficient"], expected, rtol=1e-4)
    drawn = m.parameter_table("bootstrap", n_draws=100)["standard_error"]
    assert (drawn["coefficient"] / expected).between(0.7, 1.4).all()


def test_classes_of_a_classifier_have_the_errors_of_their_samples(groups):
    z, X = groups
    near, names = X - 58.0 * z[:, None], np.array(["first", "second"])[z]
    one = bm.MixtureClassifier(covariance_type="diag").fit(near, names)
    table = one.parameter_table(near, names)
    assert_closed_form(z, near, table)
    assert list(table.index.unique("class")) == ["first", "second"]
    frame = pd.DataFrame(near, columns=["a", "b"])
    several = bm.MixtureClassifier(2, covariance_type="diag").fit(frame, names)
    table = several.parameter_table(frame, names)
    own = several.models_["first"].parameter_table(frame[names == "first"])
    np.testing.assert_allclose(table.loc["first"], own)
    with pytest.raises(ValueError, match="class of every sample"):
        several.parameter_table(frame, np.where(z == 0, names, None))


def test_fits_under_a_prior_are_refused_with_the_remedy(groups):
    X = groups[1][:50, :1]
    h = bm.HiddenMarkovModel(2, random_state=0, inference=bm.VariationalBayes()).fit(X)
    with pytest.raises(ValueError, match="maximum likelihood"):
        h.parameter_table(X)
    y = X[:, 0] + 1.0
    m = bm.RegressionMixture(1, inference=bm.VariationalBayes()).fit(X, y)
    with pytest.raises(ValueError, match="credible"):
        m.parameter_table()
