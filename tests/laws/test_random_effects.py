"""Mixtures of regressions with random effects: exact densities, other programs, boundaries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import bayesmix as bm
from bayesmix.em.run import Monitor, run
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from bayesmix.regressions.regression_vector import ParameterVector
from bayesmix.starts.responsibilities import Given, begun
from laws.test_covariates import hessian

BOTH = ("intercept", "time")


def visits(seed, n_units=40, slopes=(1.0, -1.0), deviation=0.5, residual=0.4, most=7):
    """Return a long frame of units with random intercepts and slopes in classes of curves."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, most + 1, n_units)
    unit = np.repeat(np.arange(n_units), sizes)
    time = rng.uniform(0.0, 4.0, len(unit)) + 2.0
    classes = rng.integers(0, len(slopes), n_units)
    effects = rng.normal(0.0, deviation, (n_units, 2))
    y = 1.0 + effects[unit, 0] + (np.array(slopes)[classes[unit]] + effects[unit, 1]) * time
    y += rng.normal(0.0, residual, len(y))
    z = classes + rng.normal(0.0, 1.0, n_units)
    frame = pd.DataFrame({"unit": unit, "time": time, "y": y, "z": z[unit]})
    return frame.sample(frac=1.0, random_state=seed).reset_index(drop=True)


def fit(frame, n_components=2, columns=("time",), random=BOTH, gate=None, n_init=2, **options):
    model = bm.RegressionMixture(
        n_components, random=random, n_init=n_init, random_state=0, **options
    )
    gate = None if gate is None else frame[[gate]]
    return model.fit(frame[list(columns)], frame["y"], groups=frame["unit"], gate=gate)


def dense_log_likelihood(model, frame, random=BOTH):
    """Return Σ_i log Σ_k π_ik N(y_i; X_i β_k, Z_i D_k Z_i' + σ_k² I) of the estimates."""
    total = 0.0
    for _, rows in frame.groupby("unit"):
        time, y = rows["time"].to_numpy(), rows["y"].to_numpy()
        columns = {"intercept": np.ones(len(y)), "time": time}
        Z = np.array([columns[name] for name in random]).reshape(len(random), len(y)).T
        logs = np.log(model.weights_)
        if hasattr(model, "gate_coef_"):
            logs = model.gate_intercept_ + model.gate_coef_[:, 0] * rows["z"].iloc[0]
            logs = logs - logsumexp(logs)
        densities = [
            multivariate_normal(
                model.intercept_[k] + model.coef_[k, 0] * time,
                Z @ model.random_covariance_[k] @ Z.T + model.scale_[k] ** 2 * np.eye(len(y)),
            ).logpdf(y)
            for k in range(model.n_components_)
        ]
        total += logsumexp(logs + np.array(densities))
    return total


@pytest.mark.filterwarnings("ignore:.*boundary")
@pytest.mark.parametrize(
    ("random", "options"),
    [
        (BOTH, {}),
        (BOTH, {"gate": "z", "random_covariance": "proportional"}),
        (BOTH, {"random_covariance": "free", "residual_variance": "free"}),
        (("intercept",), {"residual_variance": "free"}),
        (("time",), {}),
        ((), {}),
    ],
)
def test_log_likelihood_equals_that_of_dense_covariances(random, options):
    frame = visits(1)
    model = fit(frame, random=random, **options)
    expected = dense_log_likelihood(model, frame, random)
    assert abs(model.log_likelihood_ - expected) < 1e-10 * abs(expected)
    given = {"groups": frame["unit"], "gate": frame[["z"]] if "gate" in options else None}
    scores = model.score_samples(frame[["time"]], frame["y"], **given)
    assert np.isclose(scores.sum(), expected, rtol=1e-10)
    shares = model.predict_proba(frame[["time"]], frame["y"], **given)
    unit = frame["unit"].iloc[0]
    assert np.allclose(shares[0], model.random_effects().loc[unit, ["p_1", "p_2"]])


@pytest.mark.filterwarnings("ignore:.*boundary")
@pytest.mark.parametrize("covariance", ["shared", "proportional", "free"])
def test_scores_of_units_are_the_gradient_of_the_log_likelihood(covariance):
    frame = visits(2, 25)
    options = {"random_covariance": covariance, "residual_variance": "free"}
    model = fit(frame, gate="z", **options)
    layout = ParameterVector(model._data, model._mixture)
    away = layout.theta + 0.01 * layout.scale  # from the maximum, where the gradient is 0
    values = model._data.rows.values

    def log_likelihood(theta):
        size = layout.n_located
        moved = layout.components.moved(theta[2:size][layout.places], theta[size:])
        gate = np.vstack([np.zeros(2), layout.gate + theta[:2]])
        logs = model._data.covariates @ gate.T
        logs = logs - logsumexp(logs, axis=1, keepdims=True)
        return logsumexp(logs + moved.expected_log_density(values), axis=1).sum()

    numeric, exact = approx_fprime(away, log_likelihood, 1e-7), layout.score(away)
    assert np.allclose(numeric, exact, atol=1e-4 * np.abs(exact).max())
    units = layout.unit_scores().sum(axis=0)
    assert np.allclose(units, layout.score(layout.theta) * layout.scale, atol=1e-4)


def test_one_class_is_the_linear_mixed_model_of_statsmodels():
    frame = visits(3, 60, slopes=(1.0,), deviation=1.0)
    model = fit(frame, 1)
    # MixedLM(y, Z, unit, exog_re=Z).fit(reml=False) of statsmodels 0.15, which ends 7e-7 nats below
    # the maximum, where variances differ by 1e-4.
    covariance = [[0.5001259190, 0.3168888667], [0.3168888667, 0.9824526790]]
    assert 0.0 < model.log_likelihood_ + 299.7065495650 < 1e-6
    coefficients = [model.intercept_[0], model.coef_[0, 0]]
    assert np.allclose(coefficients, [1.2460456002, 0.9914628406], rtol=1e-5)
    assert np.allclose(model.random_covariance_[0], covariance, rtol=1e-3)
    assert abs(model.scale_[0] ** 2 / 0.1474175446 - 1.0) < 1e-4


def direct_maximum(frame, n_starts, seed):
    """Return the best of L-BFGS runs on the marginal density of two classes, shared D and σ²."""
    units = [(r["time"].to_numpy(), r["y"].to_numpy()) for _, r in frame.groupby("unit")]

    def loss(theta):
        root = np.array([[theta[5], 0.0], [theta[6], theta[7]]])
        D, variance = root @ root.T, np.exp(theta[8])
        logs = np.array([0.0, theta[0]]) - np.logaddexp(0.0, theta[0])
        total = 0.0
        for time, y in units:
            Z = np.column_stack([np.ones(len(y)), time])
            V = Z @ D @ Z.T + variance * np.eye(len(y))
            residuals = y[:, None] - Z @ theta[1:5].reshape(2, 2).T
            distances = (residuals * np.linalg.solve(V, residuals)).sum(axis=0)
            constant = np.linalg.slogdet(2.0 * np.pi * V)[1]
            total += logsumexp(logs - 0.5 * (distances + constant))
        return -total

    rng = np.random.default_rng(seed)
    starts = rng.normal(0.0, 1.0, (n_starts, 9))
    return -min(minimize(loss, start, method="L-BFGS-B").fun for start in starts)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:all classes. random effects are perfectly")
def test_maxima_are_those_of_direct_optimisation_from_several_starts():
    frame = visits(4, 30, deviation=0.3)
    best = direct_maximum(frame, 4, 0)
    for seed in range(2):
        model = bm.RegressionMixture(2, random=BOTH, random_state=seed)
        model.fit(frame[["time"]], frame["y"], groups=frame["unit"])
        assert model.log_likelihood_ > best - 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*boundary")
def test_singular_proportional_covariances_are_those_of_direct_optimisation():
    rng, K = np.random.default_rng(42), 2
    sizes = rng.integers(1, 6, 80)
    unit = np.repeat(np.arange(80), sizes)
    time, classes = rng.uniform(0.0, 5.0, len(unit)), rng.integers(0, K, 80)
    y = np.array([4.0, 1.0])[classes][unit] + np.array([-0.6, 0.8])[classes][unit] * time
    y += rng.normal(0.0, 0.7, 80)[unit] * (1 + classes[unit]) + rng.normal(0.0, 0.6, len(unit))
    model = bm.RegressionMixture(
        K, random=("intercept", 0), random_covariance="proportional", random_state=0
    ).fit(time[:, None], y, groups=unit)
    # L-BFGS from two starts on dense marginal densities, with D of rank one at its end.
    assert abs(model.log_likelihood_ + 364.0281340461) < 1e-6
    assert model.converged_
    assert model.n_iter_ < 100


@pytest.mark.filterwarnings("ignore:.*boundary|predicted effects")
def test_a_class_without_variance_ends_at_the_constrained_maximum_in_any_order():
    rng, time = np.random.default_rng(9), np.linspace(0.0, 4.0, 5)
    classes, lines = np.arange(60) < 15, np.array([[3.0, -0.5], [0.0, 0.5]])
    Z = np.column_stack([np.ones(5), time])
    y = lines[classes.astype(int)] @ Z.T + rng.normal(0.0, 0.4, (60, 5))
    y[~classes] += rng.normal(size=(45, 1)) * (1.0 + 0.2 * time)

    def loss(theta):
        logs = []
        for k, (line, share) in enumerate(
            zip(theta[:4].reshape(2, 2), (0.0, theta[7]), strict=True)
        ):
            effect = k * Z @ theta[4:6]
            V = np.outer(effect, effect) + np.exp(theta[6]) * np.eye(5)
            logs.append(share + multivariate_normal(Z @ line, V).logpdf(y))
        return -(logsumexp(logs, axis=0) - np.logaddexp(0.0, theta[7])).sum()

    start = [*lines[1], *lines[0], 1.0, 0.2, -2.0, 1.0]
    best = -minimize(loss, start, method="L-BFGS-B", options={"ftol": 1e-14}).fun
    frame = pd.DataFrame({"time": np.tile(time, 60), "y": y.ravel()})
    data = fit(
        frame.assign(unit=np.repeat(np.arange(60), 5)), random_covariance="proportional"
    )._data
    problem = data.problem()
    for shares in (np.eye(2)[classes.astype(int)], np.eye(2)[1 - classes]):
        state = begun(problem, Given(0.9 * shares + 0.05), 2)
        assert abs(run(problem, state, Monitor(), 200).objective - best) < 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*perfectly|predicted effects")
def test_spare_classes_end_at_the_best_of_direct_optimisations():
    rng, time = np.random.default_rng(51_012), np.linspace(0.0, 5.0, 6)
    rng.integers(0, 1, 100)  # one class of 100 units
    effects = rng.normal(size=(100, 2)) * [0.6, 0.12]
    y = effects[:, :1] + effects[:, 1:] * time + rng.normal(0.0, 0.5, (100, 6))
    frame = pd.DataFrame({"unit": np.repeat(np.arange(100), 6), "time": np.tile(time, 100)})
    frame["y"] = y.ravel()
    # Nine of twenty L-BFGS runs on dense marginal densities end here, with classes of 6 and 10 %.
    model = bm.RegressionMixture(4, random=BOTH, random_state=0)
    model.fit(frame[["time"]], frame["y"], groups=frame["unit"])
    assert abs(model.log_likelihood_ + 575.5398425781) < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:predicted effects")
def test_a_narrow_class_within_a_wide_one_is_found():
    """Six of twenty L-BFGS runs on dense marginal densities end there, others 1.4 nats below."""
    rng = np.random.default_rng([922, 17])
    rng.random(), rng.integers(3)
    n, distance, most = int(rng.integers(40, 201)), rng.choice([1.0, 1.5, 2.5]), rng.integers(3, 9)
    curves = distance * np.column_stack([rng.normal(0, 1.2, 3), rng.normal(0, 0.4, 3)])
    z, sizes = rng.choice(3, n, p=rng.dirichlet(np.full(3, 3.0))), rng.integers(1, most + 1, n)
    deviations = 0.7 * np.exp(rng.normal(0, 0.6, 3))[z]
    line = curves[z] + rng.normal(size=(n, 2)) * np.column_stack([deviations, np.zeros(n)])
    unit = np.repeat(np.arange(n), sizes)
    time = np.concatenate([np.sort(rng.uniform(0, 5, size)) for size in sizes])
    y = line[unit, 0] + line[unit, 1] * time + rng.normal(0, 0.5, len(unit))
    for seed in range(3):
        model = bm.RegressionMixture(
            3, random=("intercept",), random_covariance="free", random_state=seed
        ).fit(time[:, None], y, groups=unit)
        assert abs(model.log_likelihood_ + 468.3981) < 1e-3


@pytest.mark.slow
def test_a_singular_covariance_is_the_constrained_maximum_and_named():
    # At most two visits of a unit do not determine three random effects.
    frame = visits(5, 30, most=2)
    frame["square"] = frame["time"] ** 2
    with pytest.warns(BayesmixWarning, match="perfectly correlated"):
        model = fit(frame, 1, ("time", "square"), (*BOTH, "square"))
    assert model.converged_
    # Coefficients have the standard errors of the dense likelihood in a root of D, and D has none.
    units = [
        (np.column_stack([np.ones(len(rows)), rows["time"], rows["square"]]), rows["y"].to_numpy())
        for _, rows in frame.groupby("unit")
    ]

    def density(coefficients, D, variance):
        return sum(
            multivariate_normal(Z @ coefficients, Z @ D @ Z.T + variance * np.eye(len(y))).logpdf(y)
            for Z, y in units
        )

    def log_likelihood(theta):
        root = np.zeros((3, 3))
        root[np.tril_indices(3)] = theta[3:9]
        return density(theta[:3], root @ root.T, theta[9])

    # At the maximum over positive semidefinite D the gradient G has DG = 0 and no positive value.
    coefficients, D = np.append(model.intercept_, model.coef_[0]), model.random_covariance_[0]
    scale, slope = np.sqrt(np.diag(D)), np.empty((3, 3))
    for i, j in np.ndindex(3, 3):
        step = 1e-4 * np.outer(np.eye(3)[i], np.eye(3)[j]) * np.outer(scale, scale)
        ends = [
            density(coefficients, D + s * (step + step.T), model.scale_[0] ** 2) for s in (1, -1)
        ]
        slope[i, j] = (ends[0] - ends[1]) / 4e-4
    correlations = D / np.outer(scale, scale)
    assert np.abs(correlations @ slope).max() < 1e-4 * np.abs(slope).max()
    assert np.linalg.eigvalsh(slope).max() < 1e-4 * np.abs(slope).max()
    root = np.linalg.cholesky(model.random_covariance_[0])[np.tril_indices(3)]
    theta = np.concatenate([model.intercept_, model.coef_[0], root, model.scale_**2])
    information = -hessian(log_likelihood, theta)
    errors = model.coefficients()["standard_error"]
    expected = np.sqrt(np.diag(np.linalg.inv(information))[:3])
    assert np.allclose(errors["coefficient"], expected, rtol=1e-3)
    assert errors.xs("residual", level="term").notna().all()
    assert errors.drop("residual", level="term").loc[["variance", "covariance"]].isna().all()


@pytest.mark.filterwarnings("ignore:.*boundary|predicted effects")
def test_the_order_of_units_changes_no_start():
    frame = visits(10, 30)
    names = pd.Series(np.random.default_rng(0).permutation(30))
    turned = frame.assign(unit=frame["unit"].map(names)).sort_values("unit")
    models = [fit(each, 2) for each in (frame, turned)]
    for number in range(4):
        first, second = (
            pd.DataFrame(model._data.start(2, number, 0), index=model._data.labels)
            for model in models
        )
        assert first.equals(
            second.set_axis(names.sort_values().index[second.index]).loc[first.index]
        )
    assert np.isclose(models[0].log_likelihood_, models[1].log_likelihood_, rtol=1e-12)


def test_as_many_random_effects_as_visits_are_named():
    rng = np.random.default_rng(0)
    unit, time = np.repeat(np.arange(40), 2), np.tile([0.0, 1.0], 40)
    y = time + rng.normal(size=40)[unit] * (1.0 + time) + rng.normal(0.0, 0.5, 80)
    model = bm.RegressionMixture(1, random=("intercept", 0), random_state=0)
    with pytest.warns(BayesmixWarning, match="no unit has more rows than random effects"):
        model.fit(time[:, None], y, groups=unit)
    # D and σ² are on a ridge.
    assert not (model.coefficients()["standard_error"].loc["variance"] < 10.0).any()


def test_a_zero_variance_is_named():
    frame = visits(6, 30)
    frame["y"] -= frame.groupby("unit")["y"].transform("mean")
    with pytest.warns(BayesmixWarning, match="'intercept' is estimated as 0"):
        model = fit(frame, 1, random=("intercept",))
    plain = bm.RegressionMixture(1).fit(frame[["time"]], frame["y"])
    assert np.isclose(model.log_likelihood_, plain.log_likelihood_, rtol=1e-7)


def test_bic_counts_units():
    frame = visits(7)
    model = fit(frame, 1)
    expected = -2.0 * model.log_likelihood_ + model.n_parameters_ * np.log(40)
    assert np.isclose(model.bic(), expected)
    assert model.n_parameters_ == 2 + 3 + 1
    assert f"n = 40 units, {len(frame)} observations" in model.summary()
    plain = bm.RegressionMixture(1).fit(frame[["time"]], frame["y"], groups=frame["unit"])
    assert np.isclose(plain.bic(), -2.0 * plain.log_likelihood_ + 3 * np.log(40))


def test_predicted_effects_are_the_conditional_means():
    frame = visits(8, 20)
    model = fit(frame, 1)
    effects = model.random_effects()
    unit = frame["unit"].iloc[0]
    rows = frame[frame["unit"] == unit]
    Z = np.column_stack([np.ones(len(rows)), rows["time"]])
    D, beta = model.random_covariance_[0], np.append(model.intercept_, model.coef_[0])
    V = Z @ D @ Z.T + model.scale_[0] ** 2 * np.eye(len(rows))
    expected = D @ Z.T @ np.linalg.solve(V, rows["y"] - Z @ beta)
    assert np.allclose(effects.loc[unit, ["intercept", "time"]], expected, rtol=1e-8)


def test_standard_errors_of_one_class_are_those_of_generalised_least_squares():
    frame = visits(9, 50)
    model = fit(frame, 1)
    information = np.zeros((2, 2))
    for _, rows in frame.groupby("unit"):
        Z = np.column_stack([np.ones(len(rows)), rows["time"]])
        V = Z @ model.random_covariance_[0] @ Z.T + model.scale_[0] ** 2 * np.eye(len(rows))
        information += Z.T @ np.linalg.solve(V, Z)
    table = model.coefficients()
    errors = table["standard_error"].to_numpy()
    assert np.allclose(errors[:2], np.sqrt(np.diag(np.linalg.inv(information))), rtol=0.05)
    robust = model.coefficients(robust=True)["standard_error"].to_numpy()
    assert ((robust > 0.5 * errors) & (robust < 2.0 * errors)).all()
    variances = table.loc["variance"]["estimate"].to_numpy()
    expected = [*np.diag(model.random_covariance_[0]), model.scale_[0] ** 2]
    assert np.allclose(variances, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"random": ("speed",)}, "random must contain 'intercept'"),
        ({"random": ("time", "time")}, "name each effect once"),
        ({"columns": ("time", "z"), "random": ("z",)}, "'z' is constant within all units"),
        ({"random_covariance": "diag"}, "random_covariance must be"),
        ({"n_components": 41}, "number of units"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(InvalidInputError, match=message):
        fit(visits(1), **change)


@pytest.mark.parametrize("groups", [np.zeros(8), np.arange(8)])
def test_one_unit_and_units_of_one_row_have_no_random_effects(groups):
    model, y = bm.RegressionMixture(1, random=("intercept",)), np.arange(8.0) ** 2
    with pytest.raises(InvalidInputError, match=r"need several units, .* got 8 rows of [18] units"):
        model.fit(np.arange(8.0)[:, None], y, groups=groups)


def test_random_effects_of_other_responses_are_refused():
    frame = visits(1)
    frame["y"] = 1.0
    with pytest.raises(UnsupportedError, match="random effects do not support response='poisson'"):
        fit(frame, response="poisson")
    with pytest.raises(InvalidInputError, match="give groups="):
        bm.RegressionMixture(1, random=BOTH).fit(visits(1)[["time"]], visits(1)["y"])


def test_saved_fits_are_read_again(tmp_path):
    frame = visits(1)
    model = fit(frame)
    model.save(tmp_path / "model.bayesmix")
    again = bm.load(tmp_path / "model.bayesmix")
    assert again.log_likelihood_ == model.log_likelihood_
    assert again.coefficients().equals(model.coefficients())
    assert again.random_effects().equals(model.random_effects())


def test_standard_errors_do_not_depend_on_the_origin_of_the_response():
    frame = visits(9, 30)
    for random in ((), ("intercept",)):
        tables = [
            bm.RegressionMixture(2, random=random, n_init=2, random_state=0)
            .fit(frame[["time"]], frame["y"] + origin, groups=frame["unit"])
            .coefficients()["standard_error"]
            for origin in (0.0, 1e6)
        ]
        assert tables[0].notna().all()
        assert np.allclose(*tables, rtol=1e-3)
    # Without random effects, one class has the errors of least squares.
    model = bm.RegressionMixture(1, random=()).fit(
        frame[["time"]], frame["y"], groups=frame["unit"]
    )
    X = np.column_stack([np.ones(len(frame)), frame["time"]])
    expected = model.scale_[0] * np.sqrt(np.diag(np.linalg.inv(X.T @ X)))
    errors = model.coefficients().loc["coefficient", "standard_error"]
    assert np.allclose(errors, expected, rtol=1e-6)


def test_proportional_covariances_are_not_extrapolated_out_of_all_digits():
    # A class without random variance made the others 1e23 times as large.
    rng = np.random.default_rng(77019)
    n, K = int(rng.integers(25, 60)), 3
    sizes, labels = rng.integers(1, 7, n), rng.integers(K, size=n)
    slopes, root = rng.normal(0.0, 2.0, (K, 2)), np.tril(rng.normal(0.0, 0.6, (2, 2)))
    D, factors = root @ root.T + 0.2 * np.eye(2), np.r_[1.0, rng.uniform(0.3, 2.0, K - 1)]
    times, values = [], []
    for k, size in zip(labels, sizes, strict=True):
        t = np.sort(rng.uniform(0.0, 4.0, size))
        b = slopes[k] + rng.multivariate_normal(np.zeros(2), factors[k] * D)
        times.append(t)
        values.append(b[0] + b[1] * t + rng.normal(0.0, 0.6, size))
    model = bm.RegressionMixture(
        K, random=("intercept", "t"), random_covariance="proportional", random_state=0
    )
    X, units = pd.DataFrame({"t": np.concatenate(times)}), np.repeat(np.arange(n), sizes)
    with pytest.warns(BayesmixWarning, match="estimated as 0"):
        model.fit(X, np.concatenate(values), groups=units)
    assert model.converged_
    # The best of L-BFGS from the truth and three more starts, on the dense likelihood.
    assert model.log_likelihood_ == pytest.approx(-244.43527, abs=1e-4)
