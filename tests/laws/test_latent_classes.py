"""Latent classes: standard errors against the truth, tests of fit against SciPy and by hand."""

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from benchmarks.recipes import make
from laws.cases import generator

PLAIN = {"random_state": 0, "n_jobs": 1, "tol": 1e-10, "max_iter": 5000}
ANSWERS = np.array([[0.9, 0.8, 0.85, 0.7], [0.2, 0.3, 0.1, 0.25]])


def answers(rng, n=600, share=0.4):
    own = np.where(rng.random(n) < share, 0, 1)
    return (rng.random((n, 4)) < ANSWERS[own]).astype(int)


def fitted(rows, n_components=2, sample_weight=None, **options):
    model = bm.Mixture(n_components, family=bm.Categorical(), **(PLAIN | options))
    return model.fit(rows, sample_weight=sample_weight)


def test_standard_errors_of_one_class_are_those_of_shares():
    rows = generator(1).integers(0, 3, (500, 1))
    found = bm.latent_classes(fitted(rows, 1), rows)
    shares = np.array([(rows == level).mean(axis=0) for level in range(3)]).T.ravel()
    np.testing.assert_allclose(found.probabilities["class 1"], shares, atol=1e-10)
    expected = np.sqrt(shares * (1.0 - shares) / 500)
    np.testing.assert_allclose(found.standard_errors["class 1"], expected, rtol=1e-6)
    assert found.entropy == 1.0


def test_intervals_hold_the_truth_as_often_as_they_say():
    """200 intervals of 90 %: 0.82 to 0.97 but for once in ten thousand, rows being shared."""
    held = []
    for seed in range(25):
        rows = answers(generator(2, seed))
        found = bm.latent_classes(fitted(rows, search=None), rows, level=0.9)
        ones = found.lower.index.get_level_values("level") == 1
        order = np.argsort(-found.probabilities[ones].iloc[0].to_numpy())
        low, high = (found.lower[ones].to_numpy().T, found.upper[ones].to_numpy().T)
        held.append((low[order] <= ANSWERS) & (high[order] >= ANSWERS))
    assert 0.82 < np.mean(held) < 0.97


def test_one_class_is_the_test_of_independence():
    rows = answers(generator(3))[:, :2]
    found = bm.latent_classes(fitted(rows, 1), rows)
    table = np.array([[((rows == (i, j)).all(axis=1)).sum() for j in (0, 1)] for i in (0, 1)])
    for statistic, kind in ((found.x_squared, "pearson"), (found.g_squared, "log-likelihood")):
        expected = stats.chi2_contingency(table, correction=False, lambda_=kind)
        assert statistic == pytest.approx(expected.statistic, rel=1e-9)
        assert found.degrees_of_freedom == expected.dof == 1
    assert found.bivariate_residuals.iloc[0, 1] == pytest.approx(found.x_squared, rel=1e-9)


def test_degrees_of_freedom_of_polca_are_named_where_they_differ():
    # poLCA: min(n, cells - 1) minus the number of parameters, here 9 of 15.
    rows = answers(generator(3))
    agreeing = bm.latent_classes(fitted(rows), rows)
    assert agreeing.degrees_of_freedom == 15 - 9
    assert "poLCA" not in agreeing.summary()
    few = bm.latent_classes(fitted(rows[:12]), rows[:12])
    assert few.degrees_of_freedom == 15 - 9
    assert "poLCA has 3 degrees of freedom" in few.summary()


def test_a_pair_that_classes_do_not_explain_stands_out():
    rows = answers(generator(4))
    rows[:, 3] = np.where(generator(5).random(len(rows)) < 0.9, rows[:, 2], rows[:, 3])
    rows = np.column_stack([rows, answers(generator(4))[:, 0] ^ (generator(6).random(600) < 0.1)])
    found = bm.latent_classes(fitted(rows, 1), rows)
    assert found.bivariate_residuals.stack().idxmax() in {(2, 3), (0, 4)}
    assert "Largest bivariate residual" in found.summary()


def test_errors_of_a_variational_fit_are_those_at_its_posterior_means():
    # At 4,000 rows the prior moves estimates, and so their errors, by about one in a thousand.
    rows = answers(generator(7), 4000)
    fits = fitted(rows, inference=bm.VariationalBayes(), prune=False), fitted(rows)
    found, expected = (bm.latent_classes(model, rows) for model in fits)
    np.testing.assert_allclose(found.standard_errors, expected.standard_errors, rtol=0.02)
    np.testing.assert_allclose(
        found.sizes["standard_error"], expected.sizes["standard_error"], rtol=0.02
    )


def test_weights_are_repetitions():
    rows = answers(generator(8), 150)
    model = fitted(np.repeat(rows, 2, axis=0))
    twice = bm.latent_classes(model, np.repeat(rows, 2, axis=0))
    weights = np.full(150, 2.0)
    weighted = bm.latent_classes(fitted(rows, sample_weight=weights), rows, weights)
    np.testing.assert_allclose(weighted.standard_errors, twice.standard_errors, rtol=1e-8)
    assert weighted.g_squared == pytest.approx(twice.g_squared, rel=1e-9)


def test_fractions_without_a_type_have_the_errors_of_sampling_weights():
    rows = answers(generator(8), 150)
    weights = generator(9).exponential(size=150)
    weights /= weights.mean()
    model = fitted(rows, sample_weight=weights)
    errors = [
        bm.latent_classes(model, rows, weights, weight_type=kind).standard_errors
        for kind in (None, "sampling", "frequency")
    ]
    np.testing.assert_allclose(errors[0], errors[1], rtol=1e-9)
    assert not np.allclose(errors[0], errors[2], rtol=0.01)
    with pytest.raises(ValueError, match="total weight"):
        bm.latent_classes(model, rows, 1000.0 * weights, weight_type="frequency")


def log_likelihood(rows, shares, probabilities):
    """Of answers 0 and 1 with gaps, by hand."""
    logs = np.log(shares) + sum(
        np.where(np.isnan(own)[:, None], 0.0, np.log(np.where(own[:, None] == 1, p, 1.0 - p)))
        for own, p in zip(rows.T, probabilities.T, strict=True)
    )
    return np.logaddexp.reduce(logs, axis=1)


def test_rows_with_gaps_count_by_the_answers_that_they_have():
    rng = generator(10)
    complete = answers(rng, 900).astype(float)
    rows = np.where(rng.random(complete.shape) < 0.2, np.nan, complete)
    rows = rows[~np.isnan(rows).all(axis=1)]
    found = bm.latent_classes(fitted(rows, missing="use"), rows)
    ones = found.probabilities[found.probabilities.index.get_level_values("level") == 1]
    p, shares = ones.to_numpy().T, found.sizes["share"].to_numpy()

    places = np.concatenate([np.log(p / (1.0 - p)).ravel(), [np.log(shares[0] / shares[1])]])

    def total(log_odds):
        moved = 1.0 / (1.0 + np.exp(-log_odds))
        both = np.array([moved[-1], 1.0 - moved[-1]])
        return log_likelihood(rows, both, moved[:-1].reshape(p.shape)).sum()

    steps = 1e-3 * np.eye(len(places))
    slopes = [(total(places + a) - total(places - a)) / 2e-3 for a in steps]
    assert np.abs(slopes).max() < 1e-2  # at the maximum
    hessian = [
        [total(places + a + b) - total(places + a - b) - total(places - a + b)
         + total(places - a - b) for b in steps]
        for a in steps
    ]  # fmt: skip
    covariance = np.linalg.inv(-np.array(hessian) / 4e-6)
    derivative = np.append((p * (1.0 - p)).ravel(), shares[0] * shares[1])
    expected = derivative * np.sqrt(covariance.diagonal())
    errors = found.standard_errors.loc[ones.index].to_numpy().T.ravel()
    of_share = found.sizes["standard_error"]["class 1"]
    np.testing.assert_allclose(np.append(errors, of_share), expected, rtol=1e-4)

    whole = rows[~np.isnan(rows).any(axis=1)]
    table = {key: (whole == key).all(axis=1).sum() for key in {tuple(row) for row in whole}}
    cells = np.exp(log_likelihood(np.array(list(table)), shares, p)) * len(whole)
    observed = np.array(list(table.values()))
    assert found.g_squared == pytest.approx(2.0 * (observed * np.log(observed / cells)).sum())
    assert f"{len(whole)} complete observations of {len(rows)}" in found.summary()
    pair = rows[~np.isnan(rows[:, :2]).any(axis=1), :2]
    residual = sum(
        ((pair == (i, j)).all(axis=1).sum() - e) ** 2 / e
        for i in (0, 1)
        for j in (0, 1)
        for e in [len(pair) * (shares * np.abs(1 - i - p[:, 0]) * np.abs(1 - j - p[:, 1])).sum()]
    )
    assert found.bivariate_residuals.iloc[0, 1] == pytest.approx(residual)


def test_it_is_drawn_and_refuses_what_it_cannot_say():
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    rows = answers(generator(9), 100)
    found = bm.latent_classes(fitted(rows), rows)
    ax = found.plot(ax=Figure().subplots())
    assert len(ax.get_xticklabels()) == 4
    with pytest.raises(InvalidInputError, match="LatentClasses"):
        bm.plots.plot_latent_classes(rows)
    coins = bm.Mixture(2, family=bm.Bernoulli(), **PLAIN).fit(rows)
    with pytest.raises(UnsupportedError, match="categorical"):
        bm.latent_classes(coins, rows)
    model = fitted(rows)
    with pytest.raises(InvalidInputError, match="level"):
        bm.latent_classes(model, rows, level=1.0)


def best_of_plain_em(rows, n_components, seed, n_starts=20, passes=400):
    """The largest log-likelihood of so many runs of EM from random responsibilities, by hand."""
    ones = [np.eye(int(column.max()) + 1)[column.astype(int)] for column in rows.T]
    shares = generator(seed).dirichlet(np.ones(n_components), (n_starts, len(rows)))
    for _ in range(passes):
        counts = shares.sum(axis=1)
        joint = np.log(counts / len(rows))[:, None]
        for one in ones:
            level_shares = (shares.transpose(0, 2, 1) @ one) / counts[:, :, None]
            joint = joint + (np.log(np.maximum(level_shares, 1e-300)) @ one.T).transpose(0, 2, 1)
        total = np.logaddexp.reduce(joint, axis=2)
        shares = np.exp(joint - total[:, :, None])
    return total.sum(axis=1).max()


@pytest.mark.parametrize("number", [1, 8])
@pytest.mark.slow
def test_the_default_search_finds_what_twenty_runs_of_plain_em_find(number):
    """Hard starts make probabilities of 0, which EM cannot leave: 2.8 and 5.7 nats behind here."""
    rows, _ = make("latent classes", np.random.default_rng([20261123, number]))
    model = bm.Mixture(3, family=bm.Categorical(), random_state=0).fit(rows)
    assert model.log_likelihood_ > best_of_plain_em(rows, 3, 8) - 1e-3
