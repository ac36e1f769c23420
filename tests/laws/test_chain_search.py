"""Searches over hidden Markov models: the number of states, held-out sequences, their order."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln, softmax
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import (
    BayesmixError,
    BayesmixWarning,
    InvalidInputError,
    SelectionWarning,
    UnsupportedError,
)
from bayesmix.sequences.sequence_data import GAP, SequenceFitter, in_sequences, sequence_folds
from bayesmix.sources.memory import ArraySource
from laws.cases import generator

EARTHQUAKES = pd.read_csv(Path(__file__).parents[1] / "data" / "earthquakes.csv")[["count"]]
TWO = [60, 47]


@pytest.fixture(autouse=True)
def no_cautions():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SelectionWarning)
        yield


def of_counts(**options):
    return bm.HiddenMarkovModel(family=bm.Poisson(), n_init=4, **options)


def alternating(rng, n):
    """Two states of forty samples each, three standard deviations apart."""
    states = (np.arange(n) // 40) % 2
    return rng.normal(3.0 * states, 1.0)[:, None]


def test_many_states_are_found_from_the_tree_of_their_rows():
    rng = np.random.default_rng(31)
    K, n = 12, 900
    stays = np.cumsum(rng.random(n) < 0.2)  # a new state after five samples on average
    states = rng.integers(0, K, n)[stays]
    X = 6.0 * np.column_stack(np.divmod(states, 4)) + rng.normal(size=(n, 2))
    search = bm.select(X, lengths=[300] * 3, covariance_type="spherical", n_jobs=1)
    assert search.n_components_ == K
    assert adjusted_rand_score(states, search.predict(X, lengths=[300] * 3)) > 0.99
    assert len(search.results_) < K  # it did not count up from one state
    assert len(search._trees) == 1


@pytest.mark.slow
def test_the_number_of_states_is_chosen_by_every_criterion():
    X = alternating(generator(9), 400)
    for criterion in ("bic", "icl", "cv"):
        search = bm.MixtureSearch(
            bm.HiddenMarkovModel(n_init=2), (1, 2, 3), criterion=criterion, random_state=0
        ).fit(X, lengths=[200, 80, 120])
        assert search.n_components_ == 2
        assert len(search.answer_.text.splitlines()) <= 8
    bayes = bm.select(X, lengths=[200, 80, 120], covariance_type="full")
    assert bayes.n_components_ == 2
    assert bayes.k_probabilities_.idxmax() == 2
    by_groups = bm.select(
        X, (1, 2), "full", criterion="bic", groups=np.repeat(["u", "v", "w"], [200, 80, 120])
    )
    assert by_groups.best_estimator_.result_.side.group_sizes.tolist() == [200, 80, 120]


def test_criteria_are_those_of_fits_alone():
    """Zucchini, MacDonald & Langrock 2016: BIC of one to three states."""
    search = bm.MixtureSearch(of_counts(), (1, 2, 3), random_state=0).fit(EARTHQUAKES)
    table = search.results_.set_index("n_components").sort_index()
    np.testing.assert_allclose(table["bic"], [788.51, 707.12, 708.46], atol=0.006)
    alone = of_counts(n_components=2, random_state=0).fit(EARTHQUAKES)
    assert alone.bic() == pytest.approx(search.best_score_)
    assert alone.icl() == pytest.approx(table.loc[2, "icl"])


def test_probabilities_of_the_number_of_states_are_those_of_bounds():
    search = bm.MixtureSearch(
        of_counts(inference=bm.VariationalBayes()), (1, 2, 3), criterion="elbo_log_k",
        prior_over_k={1: 1.0, 2: 2.0, 3: 1.0}, random_state=0,
    ).fit(EARTHQUAKES)  # fmt: skip
    bounds = search.results_.set_index("n_components").sort_index()["elbo"]
    expected = softmax(bounds + gammaln([2.0, 3.0, 4.0]) + np.log([1.0, 2.0, 1.0]))
    np.testing.assert_allclose(search.k_probabilities_, expected, atol=1e-12)


@pytest.mark.slow
def test_held_out_sequences_are_scored_by_fits_to_the_others():
    X = alternating(generator(46, 20), 480)
    lengths = [80] * 6
    search = bm.MixtureSearch(
        bm.HiddenMarkovModel(n_init=2), [2], criterion="cv", cv=3, random_state=0
    ).fit(X, lengths=lengths)
    folds = sequence_folds(3, in_sequences(ArraySource(X), lengths, None), 0)
    sizes, expected = [], 0.0
    for fold in folds:
        assert set(np.unique(fold.test // 80, return_counts=True)[1]) == {80}
        n_train = len(fold.train) // 80
        model = bm.HiddenMarkovModel(2, random_state=0).fit(X[fold.train], lengths=[80] * n_train)
        expected += model.score_samples(X[fold.test], [80] * (6 - n_train)).sum()
        sizes.append(len(fold.test))
    assert sum(sizes) == len(X)
    assert search.best_score_ == pytest.approx(expected, abs=1e-3)


def test_blocks_of_one_sequence_have_gaps_and_stationary_first_states():
    X = alternating(generator(46, 21), 200)
    source = in_sequences(ArraySource(X), None, None)
    fitter = SequenceFitter(bm.HiddenMarkovModel(2, random_state=0), source)
    model = bm.HiddenMarkovModel(2, random_state=0).fit(X)
    for number, fold in enumerate(sequence_folds(5, source, 0)):
        np.testing.assert_array_equal(fold.test, np.arange(40 * number, 40 * number + 40))
        distance = np.abs(fold.train[:, None] - fold.test).min(axis=1)
        assert distance.min() == round(GAP * 40) + 1
        train, test = fitter.on(fold.train), fitter.on(fold.test)
        begins = [0] if number in (0, 4) else [0, 40 * number - 4]
        assert train.source.side.starts.tolist() == begins
        # The first state has the stationary distribution, whatever that of the fit.
        first, second = (np.exp(_log_normal(model, X[fold.test[t]])) for t in (0, 1))
        steady = model.stationary_distribution_
        density = test.log_density(model)
        assert density[0] == pytest.approx(np.log(steady @ first), rel=1e-9)
        after = (steady * first / (steady @ first)) @ model.transmat_
        assert density[1] == pytest.approx(np.log(after @ second), rel=1e-9)


def _log_normal(model, x):
    variances = np.ravel(model.covariances_)
    return -0.5 * (np.log(2.0 * np.pi * variances) + (x - model.means_[:, 0]) ** 2 / variances)


@pytest.mark.slow
def test_whether_order_matters_is_the_difference_to_the_best_mixture():
    search = bm.MixtureSearch(of_counts(), (1, 2, 3), random_state=0).fit(EARTHQUAKES)
    mixtures = bm.MixtureSearch(bm.Mixture(family=bm.Poisson()), (1, 2, 3), random_state=0)
    behind = mixtures.fit(EARTHQUAKES).best_score_ - search.best_score_
    line = f"The order of samples matters. Best mixture: 2 components (+{behind:.1f})."
    assert line in search.summary().splitlines()
    shuffled = generator(46, 22).permutation(EARTHQUAKES.to_numpy())
    search = bm.MixtureSearch(of_counts(), (1, 2, 3), random_state=0).fit(shuffled)
    assert "order of samples does not matter" in search.summary()
    missing = EARTHQUAKES.to_numpy(dtype=float, copy=True)
    missing[[3, 50, 51]] = np.nan
    search = bm.MixtureSearch(
        of_counts(missing="use"), (1, 2), criterion="cv", cv=3, random_state=0
    ).fit(missing)
    assert "The order of samples matters. Best mixture" in search.summary()


@pytest.mark.slow
def test_searches_are_saved_plotted_and_reported(tmp_path):
    search = bm.select(EARTHQUAKES, (1, 2, 3), family=bm.Poisson(), lengths=TWO)
    search.save(tmp_path / "search")
    loaded = bm.load(tmp_path / "search")
    assert loaded.summary() == search.summary()
    assert len(search.answer_.text.splitlines()) <= 8
    pd.testing.assert_frame_equal(loaded.results_, search.results_)
    probabilities = search.predict_proba(EARTHQUAKES, lengths=TWO)
    np.testing.assert_array_equal(loaded.predict_proba(EARTHQUAKES, lengths=TWO), probabilities)
    assert loaded.best_estimator_.bic(EARTHQUAKES, TWO) == search.best_estimator_.bic()
    assert "state" in search._repr_html_()
    assert search.plot(kind="criterion").lines
    page = search.report(tmp_path / "page.html", EARTHQUAKES).read_text("utf-8")
    assert "Poisson states" in page
    assert "107 rows in 2 sequences" in page
    assert "rows of transitions ~ Dirichlet(1, ..., 1)" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": [107], "sample_weight": np.arange(1.0, 108.0)}, "equal within a sequence"),
        ({"lengths": [107], "labels": np.zeros(107, dtype=int)}, "labels does not support"),
        ({"lengths": [107], "variable_selection": True}, "variable_selection does not support"),
        ({"lengths": [107], "noise": True}, "noise does not support sequences"),
        ({"lengths": [107], "criterion": "loo"}, "criterion='loo' does not support sequences"),
        ({"lengths": [100]}, "must sum to the number of samples, 107"),
        ({"lengths": [0, 107]}, "leave out empty sequences"),
        ({"lengths": [1] * 107}, "use Mixture"),
        ({"groups": [0, 1] * 53 + [0]}, "groups must be contiguous"),
        ({"lengths": [107], "criterion": "cv", "cv": 200}, "cv must be from 2 to the number"),
    ],
)
def test_wrong_sequences_of_a_search_are_refused(options, message):
    with pytest.raises((InvalidInputError, UnsupportedError), match=message):
        bm.select(EARTHQUAKES, (1, 2), family=bm.Poisson(), **options)


def test_what_needs_independent_samples_or_one_number_is_refused():
    with pytest.raises(InvalidInputError, match="lengths is only for sequences"):
        bm.MixtureSearch().fit(EARTHQUAKES, lengths=[107])
    with pytest.raises(InvalidInputError, match=r"MixtureSearch\(HiddenMarkovModel\(\), n_comp"):
        bm.HiddenMarkovModel([1, 2], family=bm.Poisson()).fit(EARTHQUAKES)
    with pytest.raises(BayesmixError, match="must not be larger than the number of rows"):
        bm.MixtureSearch(of_counts(), [200]).fit(EARTHQUAKES)
    search = bm.MixtureSearch(of_counts(), [2], random_state=0).fit(EARTHQUAKES)
    assert search.n_clusters_ == 2
    for refused in (lambda: search.averaged_, lambda: bm.stability(search, EARTHQUAKES)):
        with pytest.raises(UnsupportedError, match="sequences"):
            refused()


def test_three_samples_of_two_states_end():
    X = np.array([[9.0, 2.0], [9.0, 2.0], [13.0, 4.0]])
    with warnings.catch_warnings(action="ignore", category=BayesmixWarning):
        model = bm.HiddenMarkovModel(2, n_init=2, random_state=0).fit(X)
    assert np.isfinite(model.result_.objective)
