"""Mixtures in a common subspace: densities on all columns against dense normals, and selection."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError

STRUCTURES = ("full", "tied", "diag", "spherical", "VVE")


def in_factors(draw, n=120, D=24, apart=6.0):
    """Three groups along two factors, columns in different units with noise of their own."""
    labels = draw.integers(0, 3, n)
    means = apart * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    factors = means[labels] + draw.normal(size=(n, 2))
    X = factors @ draw.normal(size=(2, D)) + draw.normal(size=(n, D)) * draw.uniform(1, 3, D)
    return X * 10.0 ** draw.integers(-3, 4, D) + 7.0, labels


@pytest.fixture(scope="module")
def data():
    return in_factors(np.random.default_rng(20))


@pytest.fixture(scope="module")
def gaps(data):
    """Standardised data with a fifth of the cells missing, and without."""
    X = data[0] / data[0].std(axis=0)
    return np.where(np.random.default_rng(3).random(X.shape) < 0.2, np.nan, X), X


def dense_normals(m):
    return m.result_.plug_in.components.unframed(m.result_.mixture.frame)


def log_densities_of_seen(x, dense):
    """Log density of the observed cells of a sample under each dense normal."""
    seen = ~np.isnan(x)
    return [
        multivariate_normal.logpdf(x[seen], mean[seen], S[np.ix_(seen, seen)])
        for mean, S in zip(dense.means, dense.covariances, strict=True)
    ]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_density_of_observed_cells_is_that_of_dense_normals(data, gaps, structure):
    X, _ = gaps
    family = bm.CommonSubspace(2, structure)
    m = bm.GaussianMixture(3, covariance_type=family, missing="use", random_state=0).fit(X)
    dense = dense_normals(m)
    truth = [logsumexp(log_densities_of_seen(x, dense), b=m.weights_) for x in X]
    np.testing.assert_allclose(m.score_samples(X), truth, atol=1e-9)
    assert m.log_likelihood_ == pytest.approx(sum(truth), abs=1e-8)
    assert np.diff(m.result_.trace).min() > -1e-8
    assert adjusted_rand_score(data[1], m.predict(X)) > 0.9


def test_missing_cells_are_expected_as_by_dense_normals(gaps):
    X, truth = gaps
    m = bm.GaussianMixture(
        3, covariance_type=bm.CommonSubspace(2), missing="use", random_state=0
    ).fit(X)
    dense, filled = dense_normals(m), m.impute(X)
    for x, of_x in zip(X[:10], filled, strict=False):
        hidden, seen = np.isnan(x), ~np.isnan(x)
        log_joint = np.array(log_densities_of_seen(x, dense)) + np.log(m.weights_)
        expected = [
            mean[hidden]
            + S[np.ix_(hidden, seen)] @ np.linalg.solve(S[np.ix_(seen, seen)], (x - mean)[seen])
            for mean, S in zip(dense.means, dense.covariances, strict=True)
        ]
        shares = np.exp(log_joint - logsumexp(log_joint))
        np.testing.assert_allclose(of_x[hidden], shares @ np.array(expected), atol=1e-9)
    missing = np.isnan(X)
    # Draws are about the expectations: 600 of them within 4 standard errors in all but one cell.
    draws = np.array(m.impute(X[:5], 600, random_state=0))[:, missing[:5]]
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - filled[:5][missing[:5]]) > 4.0 * error).sum() <= 1
    apart = (filled - truth)[missing]
    assert np.sqrt((apart**2).mean()) < 0.7  # by column means it is 1


def test_the_bound_of_observed_cells_integrates_the_missing_ones_out(gaps):
    X, _ = gaps
    b = bm.BayesianGaussianMixture(
        3, covariance_type=bm.CommonSubspace(2), missing="use", prune=False, random_state=0
    ).fit(X)
    inner, frame = b.result_.mixture, b.result_.mixture.frame
    forms = inner.components.linear
    covariances = np.linalg.inv(forms.root @ forms.root.transpose(0, 2, 1))
    V, scale = frame.basis, frame.scale
    whole = V @ covariances @ V.T + frame.rest * (np.eye(len(V)) - V @ V.T)
    means = frame.centre + scale * (forms.means @ V.T)
    averaged = forms.offset + 0.5 * np.linalg.slogdet(2.0 * np.pi * covariances)[1]
    averaged = averaged + inner.weights.expected_log()
    joint = []
    for x in X:
        seen = ~np.isnan(x)
        S = whole[:, seen][:, :, seen] * np.outer(scale[seen], scale[seen])
        pairs = zip(means[:, seen], S, strict=True)
        joint.append(averaged + [multivariate_normal.logpdf(x[seen], m, C) for m, C in pairs])
    bound = logsumexp(joint, axis=1).sum() + b.result_.inference.regulariser(inner)
    assert b.elbo_ == pytest.approx(bound, abs=1e-6)


def test_noise_has_its_density_beside_components_in_a_subspace(gaps):
    X = gaps[1].copy()
    X[:6] = np.random.default_rng(4).uniform(-9, 9, (6, 24))
    log_noise = -24.0 * np.log(18.0)
    m = bm.GaussianMixture(
        3, covariance_type=bm.CommonSubspace(2), random_state=0,
        noise=lambda values: np.full(len(values), log_noise),
    ).fit(X)  # fmt: skip
    terms = np.array([log_densities_of_seen(x, dense_normals(m)) for x in X])
    terms = np.column_stack([terms, np.full(len(X), log_noise)])
    weights = np.append(m.weights_, 1.0 - m.weights_.sum())
    truth = logsumexp(terms, axis=1, b=weights)
    np.testing.assert_allclose(m.score_samples(X), truth, atol=1e-9)
    assert m.log_likelihood_ == pytest.approx(truth.sum(), abs=1e-8)
    assert (m.predict(X) == -1).nonzero()[0].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_density_is_that_of_dense_normals(data, structure):
    X, _ = data
    family = bm.CommonSubspace(2, structure)
    m = bm.GaussianMixture(3, covariance_type=family, random_state=0).fit(X)
    dense = m.result_.plug_in.components.unframed(m.result_.mixture.frame)
    scale = X.std(axis=0)  # densities of standardised columns, so that SciPy can invert
    terms = [
        multivariate_normal.logpdf(X / scale, mean / scale, S / np.outer(scale, scale))
        for mean, S in zip(dense.means, dense.covariances, strict=True)
    ]
    truth = logsumexp(terms, axis=0, b=m.weights_[:, None]) - np.log(scale).sum()
    np.testing.assert_allclose(m.score_samples(X), truth, atol=1e-8)
    assert m.log_likelihood_ == pytest.approx(truth.sum(), abs=1e-6)
    assert m.bic() == pytest.approx(m.bic(X), abs=1e-6)
    V = m.directions_
    np.testing.assert_allclose(V.T @ V, np.eye(2), atol=1e-12)


def test_one_component_has_the_parameters_of_a_factor_analyser(data):
    X, _ = data
    subspace, factors = (
        bm.GaussianMixture(1, covariance_type=family, random_state=0).fit(X)
        for family in (bm.CommonSubspace(2), bm.FactorAnalytic(2))
    )
    assert subspace.n_parameters_ == factors.n_parameters_
    # Principal factors are near the maximum of the likelihood, which is that of the analyser.
    gap = factors.log_likelihood_ - subspace.log_likelihood_
    assert 0.0 <= gap < 0.02 * len(X) * X.shape[1]


def test_groups_along_factors_are_found_in_any_units(data):
    X, labels = data
    m = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0).fit(X)
    assert adjusted_rand_score(labels, m.predict(X)) > 0.95
    units = 10.0 ** np.random.default_rng(1).integers(-2, 3, X.shape[1])
    other = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0)
    np.testing.assert_array_equal(other.fit(X * units).predict(X * units), m.predict(X))
    truth = m.score_samples(X) - np.log(units).sum()
    np.testing.assert_allclose(other.score_samples(X * units), truth, rtol=1e-6)


def test_the_variational_bound_is_that_of_the_coordinates_and_the_rest(data):
    """Given directions and rest, all else is a variational mixture of the coordinates."""
    X, _ = data
    b = bm.BayesianGaussianMixture(
        2, covariance_type=bm.CommonSubspace(2), prune=False, random_state=0
    ).fit(X)
    frame = b.result_.mixture.frame
    coordinates = frame.apply(X)
    rest = (X - frame.centre) / frame.scale
    rest = rest - coordinates @ frame.basis.T
    D, q = frame.basis.shape
    log_rest = -0.5 * (rest**2).sum(axis=1) / frame.rest
    log_rest -= 0.5 * (D - q) * np.log(2.0 * np.pi * frame.rest) + np.log(frame.scale).sum()
    framed = b.result_.objective - log_rest.sum()
    inner = b.result_.mixture
    joint = inner.components.expected_log_density(coordinates) + inner.weights.expected_log()
    bound = logsumexp(joint, axis=1).sum() + b.result_.inference.regulariser(inner)
    assert framed == pytest.approx(bound, abs=1e-6)
    assert b.score_samples(X).shape == (len(X),)


def test_draws_and_evidence_are_of_all_columns(gaps):
    """Densities of posterior draws and of drawn observations include the rest."""
    X = gaps[1]
    b = bm.BayesianGaussianMixture(
        3, covariance_type=bm.CommonSubspace(2), prune=False, random_state=0,
        weight_concentration_prior_type="dirichlet_distribution",
    ).fit(X)  # fmt: skip
    evidence = bm.log_evidence(b, X)
    assert b.elbo_ < evidence.estimate < b.elbo_ + 20.0
    in_sample = b.score_samples(X).sum()
    assert in_sample - 60.0 < bm.leave_one_out(b, X).total < in_sample
    # Of the data to which a model is fitted, tail probabilities are about uniform.
    assert abs(b.tail_probability(X).mean() - 0.5) < 4.0 / np.sqrt(12 * len(X))
    centre = np.log(b.density_interval(X)).mean(axis=1)
    assert np.abs(centre - b.score_samples(X)).max() < 2.0


def test_draws_have_the_moments_of_the_mixture(data):
    X, _ = data
    m = bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(3), random_state=0).fit(X)
    drawn, _ = m.sample(4000, random_state=3)
    standard = np.sqrt(np.diag(m.result_.plug_in.components.unframed(
        m.result_.mixture.frame).covariances[0]))  # fmt: skip
    np.testing.assert_allclose(drawn.std(axis=0) / standard, 1.0, atol=0.06)
    np.testing.assert_allclose((drawn.mean(axis=0) - X.mean(axis=0)) / standard, 0.0, atol=0.08)


def test_marginals_are_those_of_the_dense_normals(data):
    X, _ = data
    m = bm.GaussianMixture(2, covariance_type=bm.CommonSubspace(2), random_state=0).fit(X)
    dense = m.result_.plug_in.components.unframed(m.result_.mixture.frame)
    columns = [3, 11]
    scale = X.std(axis=0)[columns]
    terms = [
        multivariate_normal.logpdf(
            X[:, columns] / scale,
            mean[columns] / scale,
            S[np.ix_(columns, columns)] / np.outer(scale, scale),
        )
        for mean, S in zip(dense.means, dense.covariances, strict=True)
    ]
    truth = logsumexp(terms, axis=0, b=m.weights_[:, None]) - np.log(scale).sum()
    np.testing.assert_allclose(m.marginal(columns).score_samples(X[:, columns]), truth, atol=1e-8)


def test_constant_columns_do_not_matter(data):
    X, _ = data
    wider = np.column_stack([X, np.full(len(X), 3.0)])
    plain, with_constant = (
        bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0).fit(values)
        for values in (X, wider)
    )
    np.testing.assert_array_equal(plain.predict(X), with_constant.predict(wider))
    assert plain.n_parameters_ == with_constant.n_parameters_


def test_a_fit_is_saved_and_loaded(data, tmp_path):
    X, _ = data
    m = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2, "tied"), random_state=0).fit(X)
    m.save(tmp_path / "m.bayesmix")
    loaded = bm.load(tmp_path / "m.bayesmix")
    np.testing.assert_array_equal(loaded.score_samples(X), m.score_samples(X))
    assert repr(loaded.covariance_type) == "CommonSubspace(2, 'tied')"
    np.testing.assert_array_equal(loaded.directions_, m.directions_)


def test_unusable_data_are_refused_by_name(data):
    X, _ = data
    flat = np.random.default_rng(0).normal(size=(50, 2)) @ np.arange(12.0).reshape(2, 6) ** 2
    with pytest.raises(InvalidInputError, match="more columns than directions"):
        bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(2)).fit(X[:, :2])
    with pytest.raises(InvalidInputError, match="vary in 2 directions"):
        bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(2)).fit(flat)
    with pytest.raises(InvalidInputError, match="reg_covar"):
        bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(2), reg_covar=0.1).fit(X)
    with pytest.raises(UnsupportedError, match="incremental fits"):
        bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(2)).partial_fit(X)
    with pytest.raises(ValueError, match="n_directions"):
        bm.CommonSubspace(0)


def test_directions_of_data_on_dask_are_those_in_memory(data):
    arrays = pytest.importorskip("dask.array")
    X, family = data[0], bm.CommonSubspace(2)
    parts = arrays.from_array(X, chunks=(40, X.shape[1]))
    here, there = (
        bm.GaussianMixture(3, covariance_type=family, random_state=0).fit(values)
        for values in (X, parts)
    )
    np.testing.assert_allclose(there.directions_, here.directions_, atol=1e-10)
    assert there.log_likelihood_ == pytest.approx(here.log_likelihood_, abs=1e-6)


@pytest.mark.slow
def test_groups_are_found_in_samples_of_large_data():
    X, labels = in_factors(np.random.default_rng(5), n=110_000, D=12, apart=8.0)
    m = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0).fit(X)
    assert adjusted_rand_score(labels, m.predict(X)) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("n", "D"), [(60, 1_300), (1_200, 1_300)])
def test_directions_of_more_columns_are_those_of_their_covariance(n, D):
    """By products of rows, and by random projections."""
    X, _ = in_factors(np.random.default_rng(6), n=n, D=D)
    m = bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(2), random_state=0).fit(X)
    scaled = (X - X.mean(axis=0)) / m.result_.mixture.frame.scale
    V = np.linalg.svd(scaled, full_matrices=False)[2][:2].T
    np.testing.assert_allclose(np.linalg.svd(V.T @ m.directions_)[1], 1.0, atol=1e-6)


@pytest.mark.slow
def test_select_finds_groups_along_factors_in_their_subspace():
    draw = np.random.default_rng(4)
    X, labels = in_factors(draw, n=150, D=80)
    search = bm.select(X)
    assert search.n_clusters_ == 3
    assert adjusted_rand_score(labels, search.predict_clusters(X)) > 0.95
    text = search.summary()
    assert "of 80 directions" in text
    assert "directions (n = 150" in text


@pytest.mark.slow
def test_select_finds_groups_along_factors_with_missing_values():
    draw = np.random.default_rng(4)
    X, labels = in_factors(draw, n=150, D=80)
    X = np.where(draw.random(X.shape) < 0.1, np.nan, X)
    search = bm.select(X, missing="use")
    assert "directions (n = 150" in search.summary()
    assert adjusted_rand_score(labels, search.predict_clusters(X)) > 0.95


def test_select_says_what_to_do_about_missing_values_of_pandas():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 25))).convert_dtypes()
    frame.iloc[0, 0] = pd.NA
    with pytest.raises(InvalidInputError, match="missing='use'"):
        bm.select(frame, missing="error")


@pytest.mark.slow
def test_groups_that_differ_in_single_columns_are_found_in_all_columns_or_along_directions():
    draw = np.random.default_rng(9)
    labels = draw.integers(0, 3, 150)
    means = np.zeros((3, 200))
    means[:, :20] = draw.normal(size=(3, 20)) * 1.6
    X = draw.normal(size=(150, 200)) + means[labels]
    search = bm.select(X)
    assert search.n_clusters_ == 3
    assert adjusted_rand_score(labels, search.predict_clusters(X)) == 1.0


def named(X):
    return pd.DataFrame(X, columns=[f"gene{d}" for d in range(X.shape[1])])


def test_figures_show_directions_and_name_the_columns_that_load_on_them(data):
    figure = pytest.importorskip("matplotlib.figure").Figure
    F = named(data[0])
    m = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0).fit(F)
    ax = bm.plot_density(m, F, ax=figure().subplots())
    first, loading = ax.get_xlabel().split("\n")
    assert first == "direction 1"
    largest = int(np.abs(m.directions_[:, 0]).argmax())
    assert loading.split()[0] == f"+gene{largest}"  # its sign is positive
    drawn = np.concatenate([np.asarray(points.get_offsets()) for points in ax.collections[-3:]])
    centre = m.result_.mixture.frame.centre
    coordinates = (data[0] - centre) / m.column_scales_ @ m.directions_
    np.testing.assert_allclose(np.sort(drawn[:, 0]), np.sort(coordinates[:, 0]), atol=1e-9)
    axes = bm.plot_pairs(m, F, axes=figure().subplots(2, 2))
    assert axes[1, 1].get_xlabel().startswith("direction 2\n")
    axes = bm.plot_pairs(m, F, axes=figure().subplots(2, 2), columns=["gene3", "gene4"])
    assert axes[1, 1].get_xlabel() == "gene4"
    assert bm.plot_assignment(m, F, ax=figure().subplots()).get_xlabel() == ax.get_xlabel()


def test_the_density_over_a_direction_is_that_of_its_coordinates(data):
    m = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(1), random_state=0).fit(data[0])
    figure = pytest.importorskip("matplotlib.figure").Figure
    ax = bm.plot_density(m, data[0], ax=figure().subplots())
    curve = max(ax.lines, key=lambda line: line.get_linewidth())
    x, height = curve.get_data()
    inside = m.result_.plug_in.components
    means, deviations = inside.means[:, 0], np.sqrt(inside.covariances[:, 0, 0])
    truth = multivariate_normal.pdf(((x[:, None] - means) / deviations).reshape(-1, 1))
    np.testing.assert_allclose(height, truth.reshape(-1, 3) / deviations @ m.weights_, rtol=1e-9)
    with pytest.raises(UnsupportedError, match="columns=0"):
        bm.plot_density(m, data[0], ax=figure().subplots(), band=0.9)


def test_coordinates_of_samples_with_missing_values_are_expected_ones(gaps):
    figure = pytest.importorskip("matplotlib.figure").Figure
    X, truth = gaps
    family = bm.CommonSubspace(2)
    m = bm.GaussianMixture(3, covariance_type=family, missing="use", random_state=0).fit(X)
    ax = bm.plot_density(m, X, ax=figure().subplots())
    drawn = np.concatenate([np.asarray(points.get_offsets()) for points in ax.collections[-3:]])
    assert len(drawn) == len(X)
    frame = m.result_.mixture.frame
    apart = np.sort(drawn[:, 0]) - np.sort(frame.apply(truth)[:, 0])
    assert np.abs(apart).mean() < 0.2 * drawn[:, 0].std()


@pytest.mark.slow
def test_the_report_of_a_search_has_the_prior_along_the_directions(tmp_path):
    X, _ = in_factors(np.random.default_rng(4), n=60, D=80)
    search = bm.select(named(X), (1, 2, 3), [bm.CommonSubspace(2)], random_state=0)
    # A criterion without finite values is not drawn.
    assert np.isinf(search.results_["aicc"]).all()
    search.report(tmp_path / "report.html", named(X))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Along the common directions" in text
    assert "two directions in which components overlap least" in text


@pytest.mark.parametrize("side", ["covariates", "groups", "labels"])
def test_side_information_is_used_along_the_directions(data, side):
    X, labels = data
    given = {
        "covariates": ((labels == 0) ^ (np.arange(len(X)) % 10 == 0))[:, None].astype(float),
        "groups": labels * 40 + np.arange(len(X)) % 40,
        "labels": np.where(np.arange(len(X)) % 2 == 0, labels, -1),
    }[side]
    m = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0)
    m.fit(X, **{side: given})
    found = m.predict(X, **({side: given} if side == "covariates" else {}))
    assert adjusted_rand_score(labels, found) > 0.95
    if side == "labels":
        np.testing.assert_array_equal(found[::2], labels[::2])
    if side == "covariates":
        plain = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0).fit(X)
        # The gain is the mutual information of group and covariate, as groups hardly overlap.
        shares = np.histogram2d(labels, given[:, 0], (3, 2))[0] / len(X)
        alone = np.outer(shares.sum(axis=1), shares.sum(axis=0))
        information = (shares * np.log(shares / alone)).sum()
        gain = (m.log_likelihood_ - plain.log_likelihood_) / len(X)
        assert gain == pytest.approx(information, abs=0.05)


def test_precisions_are_inverse_covariances(data):
    X = data[0] / data[0].std(axis=0)
    m = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0).fit(X)
    identity = np.broadcast_to(np.eye(24), (3, 24, 24))
    np.testing.assert_allclose(m.precisions_ @ m.covariances_, identity, atol=1e-10)
    roots = m.precisions_cholesky_
    np.testing.assert_allclose(roots @ roots.transpose(0, 2, 1), m.precisions_, atol=1e-8)


def test_what_a_subspace_does_not_support_is_refused_by_name(data):
    with pytest.raises(UnsupportedError, match="covariance_prior"):
        bm.BayesianGaussianMixture(
            2, covariance_type=bm.CommonSubspace(2), covariance_prior=np.eye(24)
        ).fit(data[0])
    with pytest.raises(UnsupportedError, match="Student-t"):
        bm.CommonSubspace(2, bm.StudentT())  # type: ignore[arg-type]  # refused


@pytest.mark.slow
def test_mcmc_of_the_coordinates_is_that_of_the_model(data):
    """With fixed directions; its log evidence exceeds the bound as that of the model does."""
    pytest.importorskip("arviz")
    X, _ = data
    b = bm.BayesianGaussianMixture(
        3, covariance_type=bm.CommonSubspace(2), prune=False, random_state=0,
        weight_concentration_prior_type="dirichlet_distribution",
    ).fit(X)  # fmt: skip
    check = bm.crosscheck(b, X, n_draws=200, sampler="gibbs", n_jobs=1)
    assert "means[component 1, direction 1]" in check.parameters.index
    evidence = bm.log_evidence(b, X)
    gain = check.evidence.estimate - check.evidence.lower
    assert gain == pytest.approx(evidence.estimate - b.elbo_, abs=0.1)
    gaps = np.where(np.arange(X.size).reshape(X.shape) % 50 == 0, np.nan, X)
    seen = bm.BayesianGaussianMixture(
        3, covariance_type=bm.CommonSubspace(2), missing="use", random_state=0
    ).fit(gaps)
    with pytest.raises((InvalidInputError, UnsupportedError), match="missing"):
        bm.crosscheck(seen, gaps)


def test_the_model_in_pymc_has_the_log_density_of_the_coordinates(data):
    pytest.importorskip("pymc")
    X, _ = data
    b = bm.BayesianGaussianMixture(
        2, covariance_type=bm.CommonSubspace(2, "diag"), prune=False, random_state=0,
        weight_concentration_prior_type="dirichlet_distribution",
    ).fit(X)  # fmt: skip
    model = bm.pymc_model(b, X)
    assert list(model.coords["feature"]) == ["direction 1", "direction 2"]
    point = model.initial_point()
    options = {"mode": "FAST_COMPILE", "on_unused_input": "ignore"}
    names = ("weights", "means", "covariances")
    outputs = model.replace_rvs_by_values([model[name] for name in names])
    read = model.compile_fn(outputs, inputs=model.value_vars, **options)
    weights, means, variances = read(point)
    Z = b.result_.mixture.frame.apply(X)
    terms = [
        np.log(w) - 0.5 * (((Z - m) ** 2 / v) + np.log(2.0 * np.pi * v)).sum(axis=1)
        for w, m, v in zip(weights, means, variances, strict=True)
    ]
    likelihood = model.compile_logp(vars=[model["log_likelihood"]], **options)
    assert float(likelihood(point)) == pytest.approx(logsumexp(terms, axis=0).sum(), abs=1e-6)


def test_a_mixture_of_fewer_components_keeps_the_mean_of_the_whole(data):
    m = bm.GaussianMixture(4, covariance_type=bm.CommonSubspace(2), random_state=0).fit(data[0])
    small = bm.reduce_mixture(m, 2)
    np.testing.assert_allclose(small.weights_ @ small.means_, m.weights_ @ m.means_, rtol=1e-9)
    assert float(bm.divergence(m, m)) == pytest.approx(0.0, abs=1e-9)


def test_a_product_refuses_a_subspace_whose_rest_it_would_leave_out():
    rng = np.random.default_rng(0)
    X = np.column_stack([in_factors(rng, n=60)[0], rng.poisson(3.0, 60)])
    last = X.shape[1] - 1
    family = bm.Product({tuple(range(last)): bm.CommonSubspace(2), last: bm.Poisson()})
    with pytest.raises(UnsupportedError, match=r"must not be CommonSubspace\(2\)"):
        bm.Mixture(2, family=family, random_state=0).fit(X)


@pytest.mark.parametrize("structure", [bm.CommonSubspace(2), bm.FactorAnalytic(1)])
def test_structures_with_factors_are_those_of_all_estimators(data, structure):
    X, labels = data
    wanted = bm.GaussianMixture(3, covariance_type=structure, random_state=0).fit(X)
    general = bm.Mixture(3, covariance_type=structure, random_state=0).fit(X)
    assert general.score(X) == pytest.approx(wanted.score(X), abs=1e-9)
    classifier = bm.MixtureClassifier(covariance_type=structure).fit(X, labels)
    assert classifier.score(X, labels) > 0.95
