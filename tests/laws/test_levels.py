"""Columns of named levels: Dirichlet factors by quadrature and by hand, and names at the border."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError
from bayesmix.selection.criteria import log_relabellings
from laws.cases import LEVEL_CASE, estimator, generator, posterior_of, soft_assignments

PLAIN = {"random_state": 0, "n_jobs": 1}


def table(n=200, seed=0):
    """Two classes of rows that differ in every column."""
    rng = generator(seed)
    first = rng.random(n) < 0.4
    colour = np.where(rng.random(n) < np.where(first, 0.8, 0.2), "red", "blue")
    answer = np.where(rng.random(n) < np.where(first, 0.9, 0.3), "yes", "no")
    size = rng.binomial(3, np.where(first, 0.2, 0.8))
    frame = pd.DataFrame({"colour": colour, "answer": answer, "size": size})
    frame["answer"] = frame["answer"].astype(pd.CategoricalDtype(["yes", "no", "no answer"]))
    return frame, first


def test_kl_is_an_average_over_draws_of_scipys_dirichlet():
    posterior, prior, _ = posterior_of(LEVEL_CASE, generator(5), 2, 2)
    alpha, total = posterior.concentration.reshape(2, 2, 3), 0.0
    for k, d in np.ndindex(2, 2):
        q, p = alpha[k, d], np.full(3, 1.4)
        logs = special.digamma(q) - special.digamma(q.sum())
        at = np.full(3, 1.0 / 3.0)  # densities differ by what the powers say elsewhere
        constant = stats.dirichlet.logpdf(at, q) - stats.dirichlet.logpdf(at, p)
        total += constant + (q - p) @ (logs - np.log(at))
    assert prior.kl(posterior) == pytest.approx(total, rel=1e-12)


def test_the_expected_log_density_is_an_average_over_draws():
    posterior, _, _ = posterior_of(LEVEL_CASE, generator(3), 2, 2)
    draws = posterior.draws(200_000, generator(4))
    mean = draws.log_probabilities.mean(axis=0)
    error = draws.log_probabilities.std(axis=0) / np.sqrt(200_000)
    assert (np.abs(mean - posterior.log_shares) < 5.0 * error).all()


def test_log_densities_of_draws_are_scipys():
    posterior, prior, _ = posterior_of(LEVEL_CASE, generator(6), 2, 2)
    draws = posterior.draws(3, generator(7))
    shares = np.exp(draws.log_probabilities).reshape(3, 2, 2, 3)
    alpha = posterior.concentration.reshape(2, 2, 3)
    _, pairs = posterior.log_factors(draws)
    for s, j, k in np.ndindex(3, 2, 2):
        by_hand = sum(stats.dirichlet.logpdf(shares[s, k, d], alpha[j, d]) for d in range(2))
        assert pairs[s, j, k] == pytest.approx(by_hand, rel=1e-9)
    by_hand = [
        sum(stats.dirichlet.logpdf(each, np.full(3, 1.4)) for each in one.reshape(-1, 3))
        for one in shares
    ]
    np.testing.assert_allclose(prior.log_density_of(draws), by_hand, rtol=1e-9)


@pytest.mark.parametrize("n_components", [1, 3])
def test_the_bound_is_below_the_exact_evidence_and_at_one_component_is_it(n_components):
    rng = generator(9)
    rows, letters = LEVEL_CASE.rows(rng, 60, 2), LEVEL_CASE.letters(rng, 2)
    inference = bm.VariationalBayes(
        prior=LEVEL_CASE.choice(letters), weights=bm.DirichletPrior(1.3)
    )
    start = soft_assignments(rng, 60, n_components)
    model = estimator(LEVEL_CASE, n_components, inference, init_params=start, max_iter=500)
    model.fit(rows)
    exact = LEVEL_CASE.log_evidence(rows, letters)
    if n_components == 1:
        assert model.elbo_ == pytest.approx(exact, rel=1e-10)
    assert (np.diff(model.objective_trace_) > -1e-9 * abs(exact)).all()


@pytest.mark.slow
def test_two_levels_are_a_bernoulli_mixture():
    rows = (generator(2).random((150, 4)) < 0.4).astype(float)
    start = soft_assignments(generator(3), 150, 2)
    options = PLAIN | {"search": None, "init_params": start, "prune": False}
    options |= {"max_iter": 20_000, "tol": 1e-10}
    for of_levels, of_coins in (
        (None, None),
        (
            bm.VariationalBayes(prior=bm.CategoricalPrior(2.0)),
            bm.VariationalBayes(prior=bm.BetaPrior(1.0, 1.0)),
        ),
    ):
        levels = bm.Mixture(2, family=bm.Categorical(), inference=of_levels, **options).fit(rows)
        coins = bm.Mixture(2, family=bm.Bernoulli(), inference=of_coins, **options).fit(rows)
        assert levels.result_.objective == pytest.approx(coins.result_.objective, rel=1e-12)
        np.testing.assert_allclose(levels.predict_proba(rows), coins.predict_proba(rows), atol=1e-9)


def test_names_categories_and_codes_are_the_same_table():
    frame, first = table()
    named = bm.Mixture(2, family=bm.Categorical(), **PLAIN).fit(frame)
    codes = np.column_stack(
        [frame["colour"] == "red", frame["answer"].cat.codes, frame["size"]]
    ).astype(float)
    coded = bm.Mixture(2, family=bm.Categorical(), **PLAIN).fit(codes)
    listed = bm.Mixture(2, family=bm.Categorical(), **PLAIN).fit(frame.to_numpy(object).tolist())
    assert named.levels_[1] == ("yes", "no", "no answer")  # a level that no row has
    assert named.log_likelihood_ == pytest.approx(coded.log_likelihood_, rel=1e-9)
    assert named.log_likelihood_ == pytest.approx(listed.log_likelihood_, rel=1e-9)
    assert max((named.predict(frame) == first).mean(), (named.predict(frame) != first).mean()) > 0.8
    rows, _ = named.sample(20)
    assert set(rows[:, 0]) <= {"red", "blue"}
    named.predict(pd.DataFrame(rows, columns=frame.columns))


def test_levels_are_those_of_all_rows_before_folds_are_cut():
    frame, _ = table(60)
    frame.loc[0, "colour"] = "green"  # one row only: most folds are without
    mixture = bm.Mixture(family=bm.Categorical(), inference=bm.VariationalBayes())
    search = bm.MixtureSearch(mixture, n_components=(1, 2), criterion="cv", random_state=0)
    search.fit(frame)
    assert search.best_estimator_.result_.family.levels[0] == ("blue", "green", "red")


def test_an_unseen_level_of_new_data_is_a_missing_value_or_refused_by_name():
    frame, _ = table()
    model = bm.Mixture(2, family=bm.Categorical(), **PLAIN).fit(frame)
    expected = model.score_samples(frame)
    seen = frame.columns.drop("colour")
    expected[7] = model.marginal([1, 2]).score_samples(frame[seen])[7]
    frame.loc[7, "colour"] = "mauve"
    with pytest.warns(BayesmixWarning, match="1 row has categories .* as missing"):
        np.testing.assert_allclose(model.score_samples(frame), expected, rtol=1e-9)
    with pytest.raises(
        InvalidInputError,
        match="'colour' of X has 'mauve' in row 7, but the levels of the fit are 'blue', 'red'",
    ):
        model.set_params(unseen="error").predict(frame)
    levels = [("blue", "red"), ("yes", "no", "no answer"), range(4)]
    with pytest.raises(InvalidInputError, match="mauve"):
        bm.Mixture(2, family=bm.Categorical(levels), **PLAIN).fit(frame)
    with pytest.raises(InvalidInputError, match="each of the 3 columns"):
        bm.Mixture(2, family=bm.Categorical(levels[:2]), **PLAIN).fit(frame)


def test_a_gap_is_no_level():
    frame, _ = table()
    frame.loc[5, "colour"] = None
    with pytest.raises(InvalidInputError, match="NaN in row 5, column 'colour'"):
        bm.Mixture(2, family=bm.Categorical(), **PLAIN).fit(frame)


def test_a_saved_model_knows_its_levels(tmp_path):
    frame, _ = table()
    model = bm.Mixture(2, family=bm.Categorical(), **PLAIN).fit(frame)
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))
    assert loaded.result_.family.levels == model.result_.family.levels


def test_components_coincide_by_their_probabilities_not_by_mean_codes():
    # Two groups, of the first and last level and of the middle one: both have the mean code 1.
    rows = np.repeat([[0.0] * 6, [2.0] * 6, [1.0] * 6], [30, 30, 60], axis=0)
    rows[:30, ::2] = 2.0
    rows[30:60, ::2] = 0.0
    start = np.repeat([0, 1], 60)
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    options = PLAIN | {"search": None, "init_params": start, "prune": False}
    model = bm.Mixture(2, family=bm.Categorical(), inference=inference, **options).fit(rows)
    means = model.result_.mixture.components.means
    np.testing.assert_allclose(means[0], means[1], atol=1e-7)
    assert log_relabellings(model.result_) == pytest.approx(np.log(2.0))
    same = model.set_params(init_params=np.full((120, 2), 0.5)).fit(rows)
    assert log_relabellings(same.result_) == 0.0


def test_a_column_of_fifty_levels_that_says_nothing_changes_little():
    rng = np.random.default_rng(12)
    labels = rng.choice(3, 800, p=[0.5, 0.3, 0.2])
    columns = {
        "a": rng.normal(np.array([0.0, 3.5, 7.0])[labels]),
        "b": rng.normal(np.array([0.0, 2.0, -1.0])[labels]),
        "m": np.where(rng.random(800) < np.array([0.2, 0.5, 0.8])[labels], "yes", "no"),
    }
    plain = pd.DataFrame(columns)
    states = np.minimum(rng.geometric(0.05, 800) - 1, 49)
    for table in (plain, plain.assign(state=[f"S{code:02d}" for code in states])):
        search = bm.select(table)
        assert search.n_clusters_ == 3
        assert adjusted_rand_score(labels, search.predict_clusters(table)) > 0.9


def test_the_default_prior_has_one_observation_for_each_free_share():
    rows = [["a", "x"], ["b", "y"], ["c", "x"], ["a", "y"]] * 5
    model = bm.Mixture(1, family=bm.Categorical(), inference=bm.VariationalBayes()).fit(rows)
    counts, alphas = [np.array([10, 5, 5]), np.array([10, 10])], [2 / 3, 1 / 2]
    expected = sum(
        special.gammaln(own.size * alpha)
        - special.gammaln(own.size * alpha + 20)
        + (special.gammaln(alpha + own) - special.gammaln(alpha)).sum()
        for own, alpha in zip(counts, alphas, strict=True)
    )
    assert model.elbo_ == pytest.approx(expected, abs=1e-9)
