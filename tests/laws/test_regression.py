"""Mixtures of regressions against flexmix and likelihoods written again with scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from scipy.special import expit, logsumexp, softmax
from sklearn.model_selection import GroupKFold

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from bayesmix.families.regressions import NegativeBinomialResponse
from laws.cases import generator

DATA = "tests/data/"


@pytest.fixture(scope="module")
def npreg():
    table = pd.read_csv(DATA + "npreg.csv")
    return table.assign(x2=table.x**2)


@pytest.mark.parametrize(
    ("n_components", "log_likelihood"), [(1, -728.3149), (2, -642.5451), (3, -636.2796)]
)
def test_normal_regressions_reach_flexmix(npreg, n_components, log_likelihood):
    model = bm.RegressionMixture(n_components, random_state=0).fit(npreg[["x", "x2"]], npreg.yn)
    # flexmix divides squared residuals by n - p, so that it ends just below the maximum; its best
    # of many starts at K = 3 is a local optimum.
    best_known = -631.6032 if n_components == 3 else log_likelihood
    assert log_likelihood <= model.log_likelihood_ < best_known + 0.02
    assert model.converged_
    assert (np.diff(model.objective_trace_) > -1e-9).all()


def test_the_smallest_bic_and_the_coefficients_are_those_of_flexmix(npreg):
    search = bm.MixtureSearch(bm.RegressionMixture(), range(1, 4), random_state=1)
    model = search.fit(npreg[["x", "x2"]], npreg.yn).best_estimator_
    assert search.n_components_ == 2
    assert model.bic() == pytest.approx(1332.775, abs=0.03)
    assert search.best_score_ == pytest.approx(model.bic())
    order = np.argsort(-model.intercept_)
    found = np.column_stack([model.intercept_, model.coef_])[order]
    np.testing.assert_allclose(found, [[14.718, 9.845, -0.968], [-0.208, 4.815, 0.036]], atol=6e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_components", "log_likelihood", "bic"),
    [(2, -218.4911, 462.473), (3, -197.6752, 437.835), (4, -193.8786, 447.236)],
)
def test_experts_of_counts_reach_flexmix(n_components, log_likelihood, bic):
    patent = pd.read_csv(DATA + "patent.csv")
    model = bm.RegressionMixture(n_components, response="poisson", random_state=0)
    model.fit(patent[["lgRD"]], patent.Patents, gate=patent[["RDS"]])
    assert model.log_likelihood_ == pytest.approx(log_likelihood, abs=1e-2)
    assert model.bic() == pytest.approx(bic, abs=2e-2)


def log_density(response, y, eta, scale, trials=1):
    """The density of each response, written with scipy."""
    if response == "normal":
        return stats.norm.logpdf(y, eta, scale)
    if response == "poisson":
        return stats.poisson.logpmf(y, np.exp(eta))
    if response == "binomial":
        return stats.binom.logpmf(y, trials, expit(eta))
    if response == "gamma":
        return stats.gamma.logpdf(y, scale**-2, scale=np.exp(eta) * scale**2)
    return stats.nbinom.logpmf(y, 1 / scale, 1 / (1 + scale * np.exp(eta)))


def draw(response, eta, rng, trials=1):
    if response == "normal":
        return rng.normal(eta, 0.7)
    if response == "poisson":
        return rng.poisson(np.exp(eta)).astype(float)
    if response == "binomial":
        return rng.binomial(trials, expit(eta)).astype(float)
    if response == "gamma":
        return rng.gamma(4.0, np.exp(eta) / 4.0)
    return rng.negative_binomial(3.0, 3.0 / (3.0 + np.exp(eta))).astype(float)


RESPONSES = ["normal", "poisson", "binomial", "gamma", "negative_binomial"]


@pytest.mark.parametrize("response", RESPONSES)
def test_one_component_is_the_generalised_linear_model(response):
    rng = generator(11)
    X, offset = rng.normal(size=(150, 2)) * [1.0, 30.0] + [5.0, -2.0], rng.normal(size=150) * 0.1
    eta = 0.5 + X @ [0.3, 0.01] + offset
    trials = np.full(150, 6.0)
    y = draw(response, eta - 1.0, rng, 6)
    more = {"trials": trials} if response == "binomial" else {}
    model = bm.RegressionMixture(1, response=response).fit(X, y, offset=offset, **more)

    def minus(theta):
        predictor = theta[0] + X @ (theta[1:3] / [1.0, 30.0]) + offset
        return -log_density(response, y, predictor, np.exp(theta[3]), 6).sum()

    ours = np.concatenate([model.intercept_, model.coef_[0] * [1, 30], np.log(model.scale_)])
    best = optimize.minimize(minus, ours + 0.01, method="BFGS", options={"gtol": 1e-7})
    assert model.log_likelihood_ == pytest.approx(-minus(ours), rel=1e-10)
    assert model.log_likelihood_ >= -best.fun - 1e-7
    np.testing.assert_allclose(ours[:3], best.x[:3], atol=2e-4)


@pytest.mark.parametrize("response", RESPONSES)
def test_likelihood_and_standard_errors_are_those_of_the_density_written_again(response):
    rng = generator(12)
    n = 300
    X, Z = rng.normal(size=(n, 1)), rng.normal(size=(n, 1))
    first = rng.random(n) < expit(1.5 * Z[:, 0])
    eta = np.where(first, 2.0 + X[:, 0], -0.5 - 0.5 * X[:, 0])
    y = draw(response, eta, rng, 8)
    more = {"trials": np.full(n, 8.0)} if response == "binomial" else {}
    model = bm.RegressionMixture(2, response=response, random_state=0).fit(X, y, gate=Z, **more)
    assert (np.diff(model.objective_trace_) > -1e-8).all()

    def total(theta):
        logs = np.log(softmax(np.column_stack([np.zeros(n), theta[0] + Z * theta[1]]), axis=1))
        for k in range(2):
            predictor = theta[2 + 2 * k] + X[:, 0] * theta[3 + 2 * k]
            logs[:, k] += log_density(response, y, predictor, np.exp(theta[6 + k]), 8)
        return logsumexp(logs, axis=1).sum()

    regressions = np.column_stack([model.intercept_, model.coef_[:, 0]]).ravel()
    gate = [model.gate_intercept_[1], model.gate_coef_[1, 0]]
    theta = np.concatenate([gate, regressions, np.log(model.scale_)])
    assert model.log_likelihood_ == pytest.approx(total(theta), rel=1e-11)
    scored = model.score_samples(X, y, gate=Z, **more)
    assert scored.sum() == pytest.approx(model.log_likelihood_, rel=1e-11)
    free = 8 if response in ("normal", "gamma", "negative_binomial") else 6
    h = 1e-4
    steps = np.eye(8)[:free] * h
    hessian = np.array(
        [
            [total(theta + a + b) - total(theta + a - b) - total(theta - a + b)
             + total(theta - a - b) for b in steps]
            for a in steps
        ]
    ) / (4 * h * h)  # fmt: skip
    errors = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    errors[6:] *= model.scale_[: free - 6]  # of the scale, not of its logarithm
    table = model.coefficients()
    np.testing.assert_allclose(table.standard_error, errors, rtol=2e-3)
    tested = table.loc[["gate", "coefficient"]]
    np.testing.assert_allclose(tested.z, theta[:6] / errors[:6], rtol=2e-3)
    np.testing.assert_allclose(tested.p, 2 * stats.norm.sf(np.abs(tested.z)))
    if free == 8:
        spread = table.loc["dispersion" if response == "negative_binomial" else "scale"]
        half = stats.norm.ppf(0.975) * errors[6:] / model.scale_
        np.testing.assert_allclose(spread.lower, model.scale_ * np.exp(-half), rtol=2e-3)
        assert spread[["z", "p"]].isna().to_numpy().all()


def test_a_gate_without_effect_is_the_mixture(npreg):
    X = npreg[["x", "x2"]]
    plain = bm.RegressionMixture(2, random_state=0).fit(X, npreg.yn)
    gated = bm.RegressionMixture(2, random_state=0).fit(X, npreg.yn, gate=npreg[["x"]])
    assert plain.log_likelihood_ <= gated.log_likelihood_ < plain.log_likelihood_ + 4.0
    assert gated.n_parameters_ == plain.n_parameters_ + 1
    parts = plain.coefficients().index.get_level_values("part")
    assert set(parts) == {"share", "coefficient", "scale"}


def test_weights_are_repetitions(npreg):
    X, y = npreg[["x", "x2"]].to_numpy()[::2], npreg.yn.to_numpy()[::2]
    weights = generator(3).integers(0, 3, 100)
    model = bm.RegressionMixture(2, random_state=0)
    weighted = model.fit(X, y, sample_weight=weights).log_likelihood_
    repeated = model.fit(np.repeat(X, weights, axis=0), np.repeat(y, weights)).log_likelihood_
    assert weighted == pytest.approx(repeated, abs=1e-5)


def test_units_change_nothing_but_their_coefficient(npreg):
    X = npreg[["x", "x2"]].to_numpy()
    model = bm.RegressionMixture(2, random_state=0).fit(X, npreg.yn)
    value, coef = model.log_likelihood_, model.coef_
    model.fit(X * [1e3, 1e-4] + [0.0, 7.0], npreg.yn)
    assert model.log_likelihood_ == pytest.approx(value, abs=1e-6)
    np.testing.assert_allclose(model.coef_ * [1e3, 1e-4], coef, rtol=1e-3, atol=1e-4)


def test_lines_far_from_zero_are_the_same_lines():
    for seed in (105, 111):
        rng = generator(seed)
        D, n = int(rng.integers(1, 5)), int(rng.integers(60, 250))
        z = rng.integers(0, 3, n)
        x = rng.normal(size=(n, D)) @ rng.normal(size=(D, D)) + 3.0 * rng.normal(size=(3, D))[z]
        y = (x @ rng.normal(size=D)) * np.array([1.0, -1.0, 2.0])[z] + 3.0 * z
        y += 0.5 * rng.normal(size=n)
        near, far = (
            bm.RegressionMixture(3, random_state=0).fit(x, y + away).log_likelihood_
            for away in (0.0, 2e6 * y.std())
        )
        assert far == pytest.approx(near, abs=1e-3)


def test_groups_share_their_component():
    rng = generator(5)
    units = rng.permutation(np.repeat(np.arange(40), 5))
    kind = rng.integers(0, 2, 40)[units]
    X = rng.normal(size=(200, 1))
    y = np.where(kind == 0, 1.0 + X[:, 0], 0.5 - X[:, 0]) + rng.normal(size=200)
    model = bm.RegressionMixture(2, random_state=0).fit(X, y, groups=units)
    density = stats.norm.logpdf(y[:, None], model.intercept_ + X * model.coef_[:, 0], model.scale_)
    sums = np.zeros((40, 2))
    np.add.at(sums, units, density)
    joint = sums + np.log(model.weights_)
    assert model.log_likelihood_ == pytest.approx(logsumexp(joint, axis=1).sum(), rel=1e-8)
    shares = model.predict_proba(X, y, groups=units)
    np.testing.assert_allclose(shares, softmax(joint, axis=1)[units], atol=1e-6)
    agreement = (shares.argmax(axis=1) == kind).mean()
    assert max(agreement, 1 - agreement) > 0.9


def test_fixed_coefficients_are_shared():
    rng = generator(6)
    X = rng.normal(size=(300, 2))
    kind = rng.integers(0, 2, 300)
    y = np.where(kind == 0, 4.0, -4.0) * X[:, 0] + 2.0 * X[:, 1] + rng.normal(size=300)
    frame = pd.DataFrame(X, columns=["a", "b"])
    free = bm.RegressionMixture(2, random_state=0).fit(frame, y)
    fixed = bm.RegressionMixture(2, fixed=["b"], random_state=0).fit(frame, y)
    assert fixed.coef_[0, 1] == pytest.approx(fixed.coef_[1, 1], rel=1e-12)
    assert fixed.n_parameters_ == free.n_parameters_ - 1
    assert free.log_likelihood_ - 5.0 < fixed.log_likelihood_ < free.log_likelihood_
    assert (np.diff(fixed.objective_trace_) > -1e-9).all()


@pytest.mark.parametrize("response", ["normal", "poisson"])
def test_intervals_cover_and_residuals_are_standard_normal(response):
    rng = generator(7)
    X = rng.normal(size=(2000, 1))
    eta = np.where(rng.random(2000) < 0.4, 2.0 + X[:, 0], -X[:, 0])
    y = draw(response, eta, rng)
    model = bm.RegressionMixture(2, response=response, random_state=0).fit(X, y)
    low, high = model.predict_interval(X, 0.8).T
    inside = ((low <= y) & (y <= high)).mean()
    assert inside > 0.77
    assert response != "normal" or inside < 0.83
    assert stats.kstest(model.residuals(X, y), "norm").pvalue > 1e-3


def test_wrong_input_is_named(npreg):
    X, y = npreg[["x", "x2"]], npreg.yn
    model = bm.RegressionMixture(2)
    with pytest.raises(InvalidInputError, match="'twice' is a linear combination"):
        model.fit(X.assign(twice=2 * X.x + 1), y)
    with pytest.raises(InvalidInputError, match="'x2' is constant"):
        model.fit(X.assign(one=1.0).to_numpy(), y)
    with pytest.raises(InvalidInputError, match=r"y must be counts .*row 0: correct"):
        bm.RegressionMixture(2, response="poisson").fit(X, y)
    with pytest.raises(InvalidInputError, match=r"from 0 to trials .* of 1 trials in row"):
        bm.RegressionMixture(2, response="binomial").fit(X, npreg.yp)
    with pytest.raises(InvalidInputError, match="column 'x' differs in row 1: use one value"):
        model.fit(X, y, groups=np.repeat(np.arange(100), 2), gate=X[["x"]])
    assert not hasattr(model, "coef_")


def test_separation_is_named():
    rng = generator(8)
    z = np.repeat([-1.0, 1.0], 60)
    y = 5.0 * z + 0.1 * rng.normal(size=120)
    X = rng.normal(size=(120, 1))
    with pytest.warns(BayesmixWarning, match="separate classes completely"):
        bm.RegressionMixture(2, random_state=0).fit(X, y, gate=z + rng.normal(size=120) * 0.01)
    # Columns far from 0: the intercept is not what separates.
    ages = pd.DataFrame({"age": rng.normal(40.0, 9.0, 120)})
    with pytest.warns(BayesmixWarning, match="'age' predicts responses completely"):
        bm.RegressionMixture(1, response="binomial").fit(ages, (ages["age"] > 40.0) * 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "gate", "groups", "weights", "variational"])
def test_starts_from_a_sample_of_large_data_reach_the_same_optimum(monkeypatch, kind):
    rng = generator(22)
    x = rng.normal(size=(400, 1))
    y = np.where(np.repeat(rng.random(200) < 0.4, 2), 6.0 + x[:, 0], -2.0 * x[:, 0])
    y += rng.normal(size=400)
    data = {"gate": {"gate": x}, "groups": {"groups": rng.permutation(200).repeat(2)}}
    data["weights"] = {"sample_weight": rng.integers(0, 3, 400)}
    inference = bm.VariationalBayes() if kind == "variational" else None
    model = bm.RegressionMixture(2, inference=inference, random_state=0)
    trace = model.fit(x, y, **data.get(kind, {})).objective_trace_
    monkeypatch.setattr("bayesmix.regressions.regression_data.MOST_UNITS", 60)
    sampled = model.fit(x, y, **data.get(kind, {})).objective_trace_
    assert sampled[-1] == pytest.approx(trace[-1], abs=1e-4)
    assert not np.array_equal(sampled, trace)


@pytest.mark.parametrize("response", ["poisson", "binomial", "negative_binomial"])
def test_a_column_that_predicts_responses_completely_is_named(response):
    rng = generator(21)
    frame = pd.DataFrame({"x": rng.normal(size=200), "arm": np.repeat([0.0, 1.0], 100)})
    y = draw(response, 0.8 + 0.4 * frame.x.to_numpy(), rng) * (frame.arm == 0)
    model = bm.RegressionMixture(1, response=response)
    with pytest.warns(BayesmixWarning, match="class 1: 'arm' predicts responses completely"):
        model.fit(frame, y)
    errors = model.coefficients().loc["coefficient"].standard_error.droplevel(0)
    assert np.isnan(errors["arm"])
    # The others are those of the samples that are not all zero.
    half = bm.RegressionMixture(1, response=response).fit(frame[["x"]][:100], y[:100])
    expected = half.coefficients().loc["coefficient"].standard_error.droplevel(0)
    np.testing.assert_allclose(errors[["intercept", "x"]], expected, rtol=1e-3)


def test_standard_errors_follow_the_units_of_the_response(npreg):
    X = npreg[["x", "x2"]]
    model = bm.RegressionMixture(2, random_state=0)
    errors = model.fit(X, npreg.yn).coefficients().standard_error["coefficient"]
    other = model.fit(X, 1e6 * npreg.yn).coefficients().standard_error["coefficient"]
    np.testing.assert_allclose(other, 1e6 * errors, rtol=1e-3)


@pytest.mark.parametrize("kind", ["gate", "groups", "variational", "poisson"])
def test_a_saved_fit_is_the_same(tmp_path, kind):
    rng = generator(77)
    X = pd.DataFrame({"x": rng.uniform(0.0, 5.0, 120)})
    y = np.where(rng.random(120) < 0.5, 3.0 * X.x, 10.0 - X.x) + rng.normal(size=120)
    options, data = {}, {}
    if kind == "gate":
        data["gate"] = X
    elif kind == "groups":
        data["groups"] = np.arange(120) // 2
    elif kind == "variational":
        options["inference"] = bm.VariationalBayes()
    else:
        options["response"], y = "poisson", np.floor(np.abs(y))
    model = bm.RegressionMixture(2, random_state=0, **options).fit(X, y, **data)
    model.save(tmp_path / "model.bayesmix")
    loaded = bm.load(tmp_path / "model.bayesmix")
    gate = {"gate": data["gate"]} if "gate" in data else {}
    np.testing.assert_array_equal(loaded.predict(X, **gate), model.predict(X, **gate))
    pd.testing.assert_frame_equal(loaded.coefficients(), model.coefficients())
    assert loaded.summary() == model.summary()
    assert loaded.log_likelihood_ == model.log_likelihood_
    assert set(vars(loaded)) == set(vars(model))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gate": pd.Series(list("mfmf"), name="sex")}, "'sex' is not numeric"),
        ({"X": pd.DataFrame({"age": [1.0, 2, np.nan, 5]})}, "row 2, column 'age'"),
        ({"X": pd.DataFrame({"type": ["a", "b", None, "a"]})}, "row 2, column 'type'"),
        ({"y": [0, 1, np.nan, 2]}, "y must have no missing values, got one in row 2"),
        ({"y": list("abab")}, "y must be numbers, got text"),
        ({"y": np.array(["1.5", "2", "0", "1"])}, "y must be numbers, got text"),
        ({"y": pd.date_range("2026-12-01", periods=4)}, "y must be numbers, got dates"),
        ({"y": pd.Series([0, 1, -np.inf, 2], index=list("abcd"))}, "y must be finite, .* in row c"),
        ({"groups": ["a", None, "b", "b"]}, "groups must have no missing values"),
        ({"groups": [np.nan, 1, 1, 2]}, "groups must have no missing values"),
        ({"trials": [1, 2.5, 1, 1]}, "trials must be whole numbers .* 2.5 in row 1"),
    ],
)
def test_odd_input_names_the_argument_and_the_place(change, message):
    model = bm.RegressionMixture(1, response="binomial")
    arguments = {"X": [[1.0], [2], [3], [5]], "y": [0, 1, 0, 1]} | change
    with pytest.raises(InvalidInputError, match=message):
        model.fit(**arguments)


def test_odd_input_after_the_fit():
    rng = generator(47, 9)
    x = rng.normal(size=(60, 1))
    gate = pd.DataFrame({"age": x[:, 0]})
    model = bm.RegressionMixture(2, response="poisson", n_init=2, random_state=0)
    model.fit(x, rng.poisson(rng.choice([3, 40], 60)), gate=gate)
    for call, message in (
        (lambda: model.coefficients(95), "level must be a number above 0 and below 1"),
        (lambda: model.predict(x, gate=gate.rename(columns={"age": "size"})), "gate must have"),
        (lambda: model.residuals(x, x[:, 0], gate=gate), "counts"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            call()
    assert model.summary().startswith("Mixture of 2 Poisson regressions")


def test_the_summary_has_residual_scales():
    x, y = np.arange(6.0)[:, None], np.array([0.0, 1, 0, 1, 0, 1])
    residuals = y - np.polyval(np.polyfit(x[:, 0], y, 1), x[:, 0])
    scale = np.sqrt((residuals**2).mean())
    assert f"Scales: {scale:.3g}." in bm.RegressionMixture(1).fit(x, y).summary()


def test_held_out_densities_of_a_search_are_those_of_fits_to_the_other_samples(npreg):
    X, y, units = npreg[["x", "x2"]], npreg.yn, np.repeat(np.arange(100), 2)
    folds = list(GroupKFold(2).split(X, y, units))
    search = bm.MixtureSearch(
        bm.RegressionMixture(n_init=5), [1, 2], criterion="cv", cv=GroupKFold(2), random_state=0
    ).fit(X, y, groups=units)
    assert search.n_components_ == 2
    expected = 0.0
    for train, test in folds:
        model = bm.RegressionMixture(2, random_state=0)
        model.fit(X.iloc[train], y.iloc[train], groups=units[train])
        held_out = model.score_samples(X.iloc[test], y.iloc[test], groups=units[test])
        expected += held_out.sum()
    assert search.best_score_ == pytest.approx(expected, abs=1e-3)


def test_searches_over_regressions_are_saved_and_predict(tmp_path, npreg):
    X, y = npreg[["x", "x2"]], npreg.yp.to_numpy()
    search = bm.MixtureSearch(bm.RegressionMixture(n_init=5), [1, 2], random_state=0)
    search.fit(X, y, gate=npreg[["x"]])
    search.save(tmp_path / "search")
    loaded = bm.load(tmp_path / "search")
    assert loaded.summary() == search.summary()
    gate = npreg[["x"]]
    np.testing.assert_array_equal(loaded.predict(X, gate=gate), search.predict(X, gate=gate))
    density = loaded.score_samples(X, y=y, gate=gate)
    assert density.sum() == pytest.approx(search.best_estimator_.log_likelihood_)
    assert "regressions" in search.summary()
    assert search.plot(kind="criterion").lines
    labels = [text.get_text() for text in bm.plots.plot_gate(search).get_legend().get_texts()]
    assert labels == [f"class {k + 1}" for k in range(search.n_components_)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("gibbs", "goodness_of_fit", "leave_one_out", "log_evidence"),
        *("merge_components", "weighted_bootstrap"),
    ],
)
def test_analyses_of_a_density_refuse_regressions(npreg, name):
    X, y = npreg[["x"]], npreg.yn
    vb = bm.RegressionMixture(2, inference=bm.VariationalBayes(), random_state=0).fit(X, y)
    with pytest.raises(UnsupportedError, match="does not support regressions: it needs a density"):
        getattr(bm, name)(vb, X)
    search = bm.MixtureSearch(bm.RegressionMixture(), (1, 2)).fit(X, y)
    with pytest.raises(UnsupportedError, match="sample does not support regressions"):
        search.sample()


def test_what_searches_over_regressions_do_not_support_is_refused(npreg):
    X, y = npreg[["x"]], npreg.yn
    with pytest.raises(InvalidInputError, match=r"MixtureSearch\(RegressionMixture\(\), n_comp"):
        bm.RegressionMixture([1, 2]).fit(X, y)
    with pytest.raises(InvalidInputError, match="gate: for RegressionMixture only"):
        bm.MixtureSearch().fit(X, gate=X)
    with pytest.raises(TypeError, match=r"fit MixtureSearch\(RegressionMixture\(\)\) to X and y"):
        bm.select(X, y=y)
    search = bm.MixtureSearch(bm.RegressionMixture(), [1])
    with pytest.raises(UnsupportedError, match="labels does not support regressions"):
        search.fit(X, y, labels=np.zeros(len(X), dtype=int))
    with pytest.raises(UnsupportedError, match="trajectories need units"):
        search.fit(X, y).report("page.html")


def test_a_search_names_problems_of_the_data_unless_some_candidate_takes_them(npreg):
    X, y = npreg[["x"]], npreg.yn - 20.0
    counts = bm.MixtureSearch(bm.RegressionMixture(response="poisson"), [1, 2])
    with pytest.raises(InvalidInputError, match=r"^y must be counts .*row 0"):
        counts.fit(X, y)
    with pytest.raises(InvalidInputError, match=r"^gate: column 'gate0' is constant"):
        counts.fit(X, npreg.yp, gate=np.ones(200))
    both = counts.set_params(param_grid={"response": ["poisson", "normal"]}).fit(X, y)
    assert both.best_params_["response"] == "normal"


def scored(response, X, y, scale):
    """Return coefficients after 200 steps of Fisher scoring at a given dispersion (log link)."""
    design = np.column_stack([np.ones(len(X)), X])
    beta = np.linalg.lstsq(design, np.log(y + 0.1))[0]
    for _ in range(200):
        means = np.exp(design @ beta)
        weights = np.ones(len(y)) if response == "gamma" else means / (1.0 + means * scale)
        score = design.T @ (weights * (y - means) / means)
        beta = beta + np.linalg.solve((design * weights[:, None]).T @ design, score)
    return beta


@pytest.mark.parametrize("response", ["gamma", "negative_binomial"])
def test_one_regression_is_a_generalised_linear_model_to_rounding(response):
    rng = generator(77)
    X = rng.normal(size=(400, 2))
    means = np.exp(0.5 + X @ [0.4, -0.3])
    if response == "gamma":
        y = rng.gamma(3.0, means / 3.0)
    else:
        y = rng.negative_binomial(2, 2.0 / (2.0 + means)).astype(float)
    model = bm.RegressionMixture(1, response=response).fit(X, y)
    expected = scored(response, X, y, model.scale_[0])
    np.testing.assert_allclose(
        np.append(model.intercept_, model.coef_), expected, rtol=0.0, atol=1e-10
    )


def test_counts_without_extra_variance_have_the_standard_errors_of_poisson_regression():
    rng = generator(5)
    X, y = rng.normal(size=(300, 1)), rng.binomial(6, 0.4, 300)
    model = bm.RegressionMixture(1, response="negative_binomial").fit(X, y)
    design = np.column_stack([np.ones(300), X])
    means = np.exp(model.intercept_ + X[:, 0] * model.coef_[0])
    inverse = np.linalg.inv((design * means[:, None]).T @ design)
    errors = model.coefficients().loc["coefficient", "standard_error"]
    np.testing.assert_allclose(errors, np.sqrt(np.diag(inverse)), rtol=1e-4)
    assert model.parameter_table()["standard_error"].iloc[-1:].isna().all()


def test_a_response_of_another_length_is_named():
    with pytest.raises(InvalidInputError, match="each of the 20 rows of X, got 5"):
        bm.RegressionMixture(1).fit(np.arange(40.0).reshape(20, 2), np.arange(5.0))


def test_the_order_of_samples_and_columns_changes_no_start():
    rng = generator(9)
    X = pd.DataFrame({"a": rng.normal(size=40).round(1), "b": rng.integers(0, 2, 40)})
    y = np.where(np.arange(40) % 3, X["a"], -X["b"]) + rng.normal(0.0, 0.3, 40).round(1)
    fits = [
        bm.RegressionMixture(3, n_init=1, random_state=0).fit(X.iloc[rows][columns], y[rows])
        for rows, columns in [
            (np.arange(40), ["a", "b"]),
            (rng.permutation(40), ["a", "b"]),
            (np.arange(40)[::-1], ["b", "a"]),
        ]
    ]
    assert np.ptp([fit.log_likelihood_ for fit in fits]) < 1e-6


@pytest.mark.parametrize("framed", [False, True])
def test_without_columns_it_is_a_mixture_of_rates(framed):
    rng = generator(31)
    trials = rng.integers(5, 40, 60)
    y = rng.binomial(trials, np.where(np.arange(60) < 25, 0.2, 0.6))
    X = pd.DataFrame(index=range(60)) if framed else np.empty((60, 0))
    model = bm.RegressionMixture(2, response="binomial", random_state=0).fit(X, y, trials=trials)

    def loss(at):
        each = stats.binom.logpmf(y[:, None], trials[:, None], expit(at[:2]))
        shares = np.log([expit(at[2]), expit(-at[2])])
        return -logsumexp(each + shares, axis=1).sum()

    best = optimize.minimize(loss, [-1.0, 0.5, 0.0])
    assert model.log_likelihood_ == pytest.approx(-best.fun, abs=1e-6)
    rate = model.predict(X[:3], offset=np.zeros(3))
    np.testing.assert_allclose(rate, model.weights_ @ expit(model.intercept_))
    poisson = bm.RegressionMixture(1, response="poisson", fit_intercept=False)
    with pytest.raises(ValueError, match="0 feature"):
        poisson.fit(np.empty((60, 0)), y)


def test_components_that_fit_few_samples_exactly_are_not_chosen(npreg):
    for seed in range(3):
        model = bm.RegressionMixture(3, random_state=seed).fit(npreg[["x", "x2"]], npreg.yn)
        assert model.weights_.min() * len(npreg) >= 8.0
        assert model.scale_.min() > 0.05


def test_an_impossible_mean_of_negative_binomial_counts_has_no_density():
    density = NegativeBinomialResponse().log_density
    y, ones = np.array([[3.0]]), np.ones(1)
    far = density(y, ones, np.array([[60.0, 1e4]]), np.full(2, 1e-6))
    assert far[0, 1] < far[0, 0] < -1e7
    near = density(y, ones, np.array([[1.0]]), np.array([0.5]))
    assert near == pytest.approx(stats.nbinom.logpmf(3, 2.0, 2.0 / (2.0 + np.e)))


def test_held_coefficients_are_offsets_of_their_component():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2)) + 3.0
    y = X @ [1.5, -1.0] + rng.normal(size=150)
    held = bm.RegressionMixture(hold={"coef": [[1.5, np.nan]]}).fit(X, y)
    known = bm.RegressionMixture().fit(X[:, 1:], y, offset=1.5 * X[:, 0])
    assert np.allclose(held.coef_[0], [1.5, known.coef_[0, 0]])
    assert np.isclose(held.log_likelihood_, known.log_likelihood_)
    assert held.n_parameters_ == known.n_parameters_
    table, expected = (each.coefficients().loc["coefficient"] for each in (held, known))
    errors = expected["standard_error"]
    assert table.index.get_level_values("term").tolist() == ["intercept", "x1"]
    assert np.allclose(table["standard_error"], errors, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hold": {"coef": [[0.0, 1.0]]}}, r"hold\['coef'\] must have shape \(1, 1\)"),
        ({"hold": {"means": [[0.0]]}}, "hold must map 'coef' to an array"),
        ({"hold": {"coef": [[0.0]]}, "fixed": [0]}, "column 'x0', which is fixed"),
        ({"hold": {"coef": [[0.0]]}, "inference": bm.VariationalBayes()}, "does not support hold"),
    ],
)
def test_wrong_held_coefficients_are_named(options, message):
    with pytest.raises(bm.errors.BayesmixError, match=message):
        bm.RegressionMixture(**options).fit(np.arange(5.0)[:, None], np.arange(5.0) ** 2)
