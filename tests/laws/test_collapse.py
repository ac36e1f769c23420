"""No collapse: what is degenerate is repaired or named, and nothing else is touched.

DESIGN section 4 defines it once: along some direction a variance below the floor (1e-6 in columns
of unit scale, gap²/12 where rows tie) on rows that take fewer than 5 (D + 1) distinct values. The
data sets are those on which scikit-learn fits spikes in silence (shown at the end).
"""

import warnings
from itertools import product

import numpy as np
import pytest
import scipy.stats
from reference import slow_em as em
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as ScikitLearns

import bayesmix as bm
from bayesmix.errors import (
    BayesmixWarning,
    DegenerateComponentWarning,
    FlatDirectionWarning,
)
from laws.cases import COVARIANCES, GAUSSIAN_CASES, generator, identity, soft_assignments

every_structure = pytest.mark.parametrize("covariance", COVARIANCES)
own_covariance = pytest.mark.parametrize("covariance", ["full", "diag", "spherical"])
CHANGES = {"held", "relocated"}


def likelihood(n_components, covariance="full", **options):
    defaults = {"random_state": 0, "max_iter": 5000, "n_jobs": 1}
    return bm.GaussianMixture(n_components, covariance_type=covariance, **defaults | options)


def posterior_mode(n_components, covariance="full", **options):
    return likelihood(n_components, covariance, prior="auto", **options)


def variational(n_components, covariance="full", **options):
    defaults = {"random_state": 0, "max_iter": 5000, "n_jobs": 1}
    return bm.BayesianGaussianMixture(
        n_components, covariance_type=covariance, **defaults | options
    )


METHODS = {"ml": likelihood, "map": posterior_mode, "vb": variational}
every_method = pytest.mark.parametrize("method", METHODS)


def fitted(model, rows, sample_weight=None, converging=True):
    """The fit and the warnings of the package that it gave; other warnings are errors."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", BayesmixWarning)
        if not converging:
            warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, sample_weight=sample_weight)
    return model, [warning.category for warning in caught]


def kinds(model):
    return {event.kind for event in model.result_.events}


def assert_no_nan(model, rows):
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert np.isfinite(getattr(model, name)).all(), name
    for name in ("score_samples", "predict_proba", "responsibilities"):
        assert np.isfinite(getattr(model, name)(rows)).all(), name
    for value in (model.log_likelihood_, model.lower_bound_, model.bic(), model.icl()):
        assert np.isfinite(value)
    assert np.isfinite(model.objective_trace_).all()
    assert model.weights_.sum() == pytest.approx(1.0)


def assert_honest(model, caught):
    """Held means warned, once, and of no value as a likelihood; not held means neither.

    A likelier maximum that was left out is a warning too.
    """
    held = [event for event in model.result_.events if event.kind == "held"]
    left_out = [event for event in model.result_.events if event.kind == "spurious"]
    assert caught.count(DegenerateComponentWarning) == bool(held) + len(left_out)
    valueless = bool(held) and model.result_.inference.name == "maximum_likelihood"
    assert (model.result_.degenerate is not None) == valueless
    if model.result_.inference.name != "maximum_likelihood":
        assert "relocated" not in kinds(model)
    for event in model.result_.events:
        assert "{which}" not in event.text


def variances(model):
    """Smallest variance along any direction, in data units, of every component."""
    covariances = model.covariances_
    if model.covariance_type in ("full", "tied"):
        return np.atleast_1d(np.linalg.eigvalsh(covariances)[..., 0])
    return covariances.min(axis=-1) if covariances.ndim == 2 else covariances


def two_clusters(seed=0):
    rng = generator(seed)
    return rng.normal(size=(300, 2)) + np.repeat([[0.0, 0.0], [8.0, 0.0]], 150, axis=0)


# Duplicated rows


# Half the floor of the design for these rows: the smaller robust scale is near 1.
FLOOR = 0.5e-6
N_TIED = 8
TIED_ROWS = np.arange(300, 300 + N_TIED)


def with_duplicates():
    return np.vstack([two_clusters(), np.tile([3.0, 3.0], (N_TIED, 1))])


def labels_of_duplicates():
    """The two clusters, and a component for the duplicated rows alone."""
    return np.repeat([0, 1, 2], [150, 150, N_TIED])


@own_covariance
def test_a_component_on_duplicated_rows_is_moved_to_where_the_fit_is_worst(covariance):
    rows = with_duplicates()
    model, caught = fitted(likelihood(3, covariance, init_params=labels_of_duplicates()), rows)
    moved = [event for event in model.result_.events if event.kind == "relocated"]
    assert moved
    assert set(moved[0].rows) == set(TIED_ROWS)
    assert moved[0].components == (2,)
    assert_honest(model, caught)
    assert_no_nan(model, rows)
    assert variances(model).min() > FLOOR


@pytest.mark.slow
@every_method
@every_structure
def test_from_the_default_start_duplicated_rows_make_no_spike(method, covariance):
    rows = with_duplicates()
    # The learned scale shrinks slowly around an atom: a few hundred passes show where it goes.
    model = METHODS[method](3, covariance, max_iter=500)
    model, caught = fitted(model, rows, converging=False)
    assert_honest(model, caught)
    assert_no_nan(model, rows)
    assert variances(model).min() > FLOOR
    # A spike of width 1e-8 on the eight rows would be worth about 8 * 2 * log(1e8) = 290 nats.
    base, _ = fitted(METHODS[method](3, covariance), two_clusters())
    assert model.log_likelihood_ < base.log_likelihood_ + 150.0


@pytest.mark.slow
@every_structure
def test_an_atom_is_held_at_the_floor_under_a_learned_prior_and_named(covariance):
    """60 tied rows of 360: with a learned scale nothing else would stop them."""
    rows = np.vstack([two_clusters(), np.tile([3.0, 3.0], (60, 1))])
    model, caught = fitted(variational(6, covariance), rows)
    assert_honest(model, caught)
    assert_no_nan(model, rows)
    assert variances(model).min() > FLOOR
    if covariance != "tied":  # a shared covariance has no spike
        # A component that was held and then pruned is in none of these.
        kept = [e for e in model.result_.events if e.kind == "held" and e.components]
        assert kept
        assert set(kept[-1].rows) <= set(range(300, 360))


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_a_component_is_held_once_in_a_direction(covariance):
    """Under a prior the held variance stays below the floor: holding it again widens it."""
    rng = generator(5)
    labels = np.repeat([0, 1], 60)
    rows = np.column_stack([rng.normal(size=(120, 2)) + 9.0 * labels[:, None], labels])
    model, _ = fitted(variational(2, covariance, prune=False), rows)
    given = {"search": None, "init_params": np.eye(2)[labels]}
    one_start, _ = fitted(variational(2, covariance, prune=False, **given), rows)
    assert model.elbo_ == pytest.approx(one_start.elbo_, abs=1e-3)


@every_method
@own_covariance
def test_a_row_of_weight_many_is_duplicated_rows(method, covariance):
    """Weights are repetitions here too: one row of weight 60 is an atom."""
    rows = np.vstack([two_clusters(), [[3.0, 3.0]]])
    row_weights = np.append(np.ones(300), 60.0)
    model, caught = fitted(METHODS[method](3, covariance), rows, row_weights)
    assert_honest(model, caught)
    assert_no_nan(model, rows)
    assert variances(model).min() > FLOOR
    if method == "vb":
        assert "held" in kinds(model)


# Few rows in a line


@pytest.mark.parametrize(("n", "at", "n_in_line"), [(600, 0.0, 9), (6000, 3.0, 14)])
def test_a_spike_is_judged_and_named_by_its_own_rows(n, at, n_in_line):
    """At the floor's width it would hold none of them here, and rows of its neighbours there."""
    rng = generator(0)
    clusters = rng.normal(size=(n, 2)) + np.repeat([[0.0, 0.0], [300.0, 0.0]], n // 2, axis=0)
    across, along = at + 1e-4 * rng.normal(size=n_in_line), np.linspace(-0.5, 0.5, n_in_line)
    rows = np.vstack([clusters, np.column_stack([across, along])])
    labels = np.repeat([0, 1, 2], [n // 2, n // 2, n_in_line])
    model, caught = fitted(likelihood(3, search=None, init_params=labels), rows, converging=False)
    moved = [event for event in model.result_.events if event.kind == "relocated"]
    assert [event.components for event in moved] == [(2,)]
    assert moved[0].rows == tuple(range(n, n + n_in_line))
    assert moved[0].n_rows == n_in_line
    assert_honest(model, caught)
    assert_no_nan(model, rows)


# One far row


def components_near(model, rows):
    """Index of the component nearest to each of the two clusters' means."""
    centres = np.array([rows[:150].mean(axis=0), rows[150:300].mean(axis=0)])
    distances = np.linalg.norm(model.means_[:, None] - centres, axis=2)
    return distances.argmin(axis=0)


def one_covariance(model, k):
    covariances = model.covariances_
    return covariances if model.covariance_type == "tied" else covariances[k]


# The fixed β0 = 0.01 of the automatic prior draws every mean to the medians, and a covariance that
# is shared pays for it with β0 N / (β0 + N) 1e18: there the model itself cannot keep the promise.
PAIRS = enumerate(product(METHODS, COVARIANCES))
FAR = [(*pair, number // 4 % 2) for number, pair in PAIRS if pair != ("map", "tied")]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "covariance", "column"), FAR)
def test_one_row_at_1e9_deviations_moves_the_others_components_by_less_than_5_percent(
    method, covariance, column
):
    clean = two_clusters()
    far = np.zeros((1, 2))
    far[0, column] = 1e9
    rows = np.vstack([clean, far])
    n_components = {"ml": 2, "map": 2, "vb": 5}[method]
    make = METHODS[method]
    alone, _ = fitted(make(n_components, covariance), clean)
    model, caught = fitted(make(n_components + 1, covariance), rows)
    assert_honest(model, caught)
    assert_no_nan(model, rows)
    pairs = list(zip(components_near(alone, clean), components_near(model, clean), strict=True))
    assert len({k for _, k in pairs}) == 2
    for k, j in pairs:
        before, after = one_covariance(alone, k), one_covariance(model, j)
        deviation = np.sqrt(np.diag(before) if before.ndim == 2 else before)
        assert np.all(np.abs(model.means_[j] - alone.means_[k]) < 0.05 * deviation)
        spread = np.outer(deviation, deviation) if before.ndim == 2 else before
        assert np.all(np.abs(after - before) < 0.05 * spread)
        assert model.weights_[j] == pytest.approx(alone.weights_[k], rel=0.05)


# Directions without extent


@every_method
@pytest.mark.parametrize("covariance", ["full", "tied", "diag"])
def test_a_constant_column_is_named_once_and_cancels_in_every_comparison(method, covariance):
    """It adds the same number to what is compared for every K, and moves no likelihood fit."""
    clean = two_clusters()
    rows = np.column_stack([clean, np.full(300, 7.0)])
    options = {} if method != "vb" else {"prune": False}
    shifts = []
    for n_components in (1, 2, 3):
        start = np.arange(300) * n_components // 300
        pair = []
        for values in (clean, rows):
            model = METHODS[method](n_components, covariance, init_params=start, **options)
            model, caught = fitted(model, values)
            assert caught == ([FlatDirectionWarning] if values is rows else [])
            assert_no_nan(model, values)
            pair.append(model)
        without, model = pair
        assert [event.kind for event in model.result_.events].count("flat") == 1
        np.testing.assert_allclose(model.means_[:, 2], 7.0, rtol=1e-12)
        compared = "elbo_" if method == "vb" else "log_likelihood_"
        shifts.append(getattr(model, compared) - getattr(without, compared))
        if method == "ml" and n_components < 3:
            np.testing.assert_allclose(model.weights_, without.weights_, rtol=1e-4)
            np.testing.assert_allclose(model.means_[:, :2], without.means_, atol=1e-4)
            np.testing.assert_array_equal(model.predict(rows), without.predict(clean))
    np.testing.assert_allclose(shifts, shifts[0], atol=1e-2)


@every_method
@every_structure
def test_a_constant_column_makes_no_nan_and_hides_no_cluster(method, covariance):
    rows = np.column_stack([two_clusters(), np.full(300, -1e6)])
    model, caught = fitted(METHODS[method](2, covariance), rows)
    assert caught == ([] if covariance == "spherical" else [FlatDirectionWarning])
    assert not kinds(model) & CHANGES
    assert_no_nan(model, rows)
    np.testing.assert_array_equal(np.sort(np.bincount(model.predict(rows))), [150, 150])


def test_collinear_columns_are_named_once_and_cancel_in_every_comparison():
    """For the structures that see them; the same start on both sides."""
    clean, rng = two_clusters(), generator(3)
    rows = np.column_stack([clean, clean[:, 0] + 2.0 * clean[:, 1]])
    for covariance in ("full", "tied"):
        shifts = []
        for n_components in (1, 2, 3):
            start = soft_assignments(rng, 300, n_components)
            options = {"init_params": start, "tol": 0.0, "max_iter": 40, "acceleration": None}
            pair = []
            for values in (clean, rows):
                model = likelihood(n_components, covariance, **options)
                with pytest.warns() as caught:
                    model.fit(values)
                flat = [w for w in caught if w.category is FlatDirectionWarning]
                assert len(flat) == (values is rows)
                pair.append(model)
            without, model = pair
            assert_no_nan(model, rows)
            assert not kinds(model) & CHANGES
            np.testing.assert_allclose(model.weights_, without.weights_, rtol=1e-4)
            np.testing.assert_allclose(model.means_[:, :2], without.means_, atol=1e-4)
            shifts.append(model.log_likelihood_ - without.log_likelihood_)
        np.testing.assert_allclose(shifts, shifts[0], atol=1e-2)


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
def test_collinear_columns_change_nothing_for_structures_that_do_not_see_them(covariance):
    """Not a bit of repair: the fit is the textbook's."""
    clean = two_clusters()
    rows = np.column_stack([clean, clean[:, 0] + clean[:, 1]])
    start = soft_assignments(generator(1), 300, 2)
    options = {"init_params": start, "tol": 0.0, "max_iter": 20, "acceleration": None}
    model = likelihood(2, covariance, **options)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(rows)
    assert len(caught) == 1
    run = em.run_em(rows, start, covariance, 20)
    np.testing.assert_allclose(model.objective_trace_, run.trace, rtol=1e-10)


@every_method
@every_structure
def test_collinear_columns_make_no_nan_and_hide_no_cluster(method, covariance):
    clean = two_clusters()
    rows = np.column_stack([clean, clean[:, 0] + clean[:, 1]])
    model, caught = fitted(METHODS[method](2, covariance), rows)
    sees = covariance in ("full", "tied")
    assert caught.count(FlatDirectionWarning) == sees
    assert_honest(model, caught)
    assert_no_nan(model, rows)
    np.testing.assert_array_equal(np.sort(np.bincount(model.predict(rows))), [150, 150])


# Fewer rows than dimensions


@every_method
@every_structure
def test_fewer_rows_than_dimensions_are_fitted_and_never_nan(method, covariance):
    rng = generator(5)
    rows = rng.normal(size=(10, 20)) + 4.0 * (np.arange(10) < 5)[:, None]
    model, caught = fitted(METHODS[method](2, covariance), rows)
    assert caught.count(FlatDirectionWarning) == (covariance in ("full", "tied"))
    assert_honest(model, caught)
    assert_no_nan(model, rows)
    if (method, covariance) == ("ml", "full"):
        # A likelihood without a maximum tells no clusters, and says so.
        assert caught.count(DegenerateComponentWarning) == 1
        assert model.result_.degenerate is not None
    elif method != "vb":
        assert sorted(np.bincount(model.predict(rows))) == [5, 5]


@pytest.mark.slow
def test_full_covariances_for_too_few_distinct_rows_are_fitted_with_the_largest_number_named():
    rng = generator(6)
    distinct = rng.normal(size=(17, 2))
    rows = np.repeat(distinct, 4, axis=0)  # 68 rows, 17 distinct: at most 5 full covariances
    for many in (likelihood(6), bm.Mixture(6, family=bm.Gaussian("full"), random_state=0)):
        with pytest.warns(DegenerateComponentWarning, match=r"n_components=6 .*17.*at most 5 comp"):
            many.fit(rows)
        assert "at most 5 components" in many.result_.degenerate
        assert_no_nan(many, rows)
    for allowed in (likelihood(5), posterior_mode(6), variational(6), likelihood(6, "diag")):
        model, caught = fitted(allowed, rows)
        assert_honest(model, caught)
        assert_no_nan(model, rows)
    # A float ridge is scikit-learn's contract, and takes what it takes.
    model, _ = fitted(likelihood(6, reg_covar=1e-2), rows)
    assert_no_nan(model, rows)


# iris and its ties


def iris():
    return np.asarray(bm.datasets.load_iris().iloc[:, :4], dtype=float)


def labels_with_petal_width():
    """The three species, and a component for the 29 flowers whose petals are 0.2 wide."""
    labels = np.repeat([0, 1, 2], 50)
    labels[iris()[:, 3] == 0.2] = 3
    return labels


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_irises_that_share_a_petal_width_have_no_component_without_end(covariance):
    rows = iris()
    assert np.sum(rows[:, 3] == 0.2) == 29
    model, caught = fitted(likelihood(4, covariance, init_params=labels_with_petal_width()), rows)
    first = next(event for event in model.result_.events if event.kind in CHANGES)
    assert first.components == (3,)
    assert set(first.rows) <= set(np.flatnonzero(rows[:, 3] == 0.2))
    assert_honest(model, caught)
    assert_no_nan(model, rows)
    # As degenerate as rows known to 0.1 allow: gap²/12.
    assert variances(model).min() > 0.5 * 0.1**2 / 12.0


@pytest.mark.slow
@every_method
@every_structure
def test_iris_from_the_default_start_has_no_spike(method, covariance):
    rows = iris()
    model, caught = fitted(METHODS[method](6, covariance), rows)
    assert_honest(model, caught)
    assert_no_nan(model, rows)
    assert variances(model).min() > 0.1 * 0.1**2 / 12.0


@every_method
@every_structure
def test_three_species_of_iris_are_not_touched(method, covariance):
    """Three components from the species: nothing is degenerate, nothing happens."""
    model = METHODS[method](3, covariance, init_params=np.repeat([0, 1, 2], 50))
    model, caught = fitted(model, iris())
    assert caught == []
    assert not kinds(model) & CHANGES


# What is not degenerate is not touched


def tight_clusters(n=300):
    """Three clusters of unit spread, 1e4 standard deviations apart."""
    rng = generator(7)
    return [rng.normal(size=(n, 2)) + 1e4 * np.array(c) for c in ((0, 0), (1, 0), (0, 1))]


@every_method
@every_structure
def test_tight_clusters_of_many_distinct_rows_are_not_touched(method, covariance):
    clusters = tight_clusters()
    rows = np.vstack(clusters)
    model, caught = fitted(METHODS[method](3, covariance), rows)
    assert caught == []
    assert not kinds(model) & CHANGES
    assert model.n_components_ == 3
    assert sorted(np.bincount(model.predict(rows))) == [300, 300, 300]


@every_structure
def test_tight_clusters_have_their_own_moments(covariance):
    clusters = tight_clusters()
    labels = np.repeat([0, 1, 2], 300)
    model, caught = fitted(likelihood(3, covariance, init_params=labels), np.vstack(clusters))
    assert caught == []
    own = np.array([np.cov(cluster.T, bias=True) for cluster in clusters])
    expected = {
        "full": own,
        "tied": own.mean(axis=0),
        "diag": np.diagonal(own, axis1=1, axis2=2),
        "spherical": np.trace(own, axis1=1, axis2=2) / 2.0,
    }[covariance]
    np.testing.assert_allclose(model.covariances_, expected, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(model.means_, [c.mean(axis=0) for c in clusters], atol=1e-7)


@pytest.mark.slow
@every_structure
def test_components_too_many_for_tight_clusters_are_dropped_in_silence(covariance):
    """A component without rows is no component on tied rows."""
    clusters = tight_clusters(n=60)
    for start in (None, np.repeat([0, 1, 2], 60)):
        options = {} if start is None else {"init_params": start}
        model, caught = fitted(variational(6, covariance, **options), np.vstack(clusters))
        assert caught == []
        assert not kinds(model) & CHANGES
        assert model.n_components_ >= 3


@pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=identity)
def test_where_nothing_is_degenerate_nothing_is_changed(case):
    """Old Faithful has ties, and no component on them: the trace is the textbook's."""
    rows = np.asarray(bm.datasets.load_faithful(), dtype=float)
    start = soft_assignments(generator(8), len(rows), 2)
    options = {"init_params": start, "tol": 0.0, "max_iter": 30, "acceleration": None}
    model = likelihood(2, case.covariance, **options)
    with pytest.warns(ConvergenceWarning):
        model.fit(rows)
    assert model.result_.events == ()
    run = em.run_em(rows, start, case.covariance, 30)
    np.testing.assert_allclose(model.objective_trace_, run.trace, rtol=1e-11)
    np.testing.assert_allclose(model.covariances_, case_covariances(case, run), rtol=1e-8)


def case_covariances(case, run):
    """The reference's matrices (K, D, D) in scikit-learn's shape."""
    matrices = run.mixture.covariances
    return {
        "full": matrices,
        "tied": matrices[0],
        "diag": np.diagonal(matrices, axis1=1, axis2=2),
        "spherical": matrices[:, 0, 0],
    }[case.covariance]


# What is said of it


def test_several_degenerate_components_are_one_warning():
    rows = np.vstack([two_clusters(), np.tile([3.0, 3.0], (30, 1)), np.tile([-3.0, 3.0], (30, 1))])
    labels = np.repeat([0, 1, 2, 3], [150, 150, 30, 30])
    model, caught = fitted(variational(4, "spherical", init_params=labels), rows)
    held = {k for event in model.result_.events if event.kind == "held" for k in event.components}
    assert held == {2, 3}
    assert caught == [DegenerateComponentWarning]


def test_the_warning_names_the_component_its_rows_and_the_remedy():
    rows = np.vstack([two_clusters(), np.tile([3.0, 3.0], (60, 1))])
    labels = np.repeat([0, 1, 2], [150, 150, 60])
    with pytest.warns(
        DegenerateComponentWarning, match=r"component 3 .*60 observations.*300, 301"
    ) as got:
        variational(3, "spherical", init_params=labels).fit(rows)
    message = str(got[0].message)
    assert "prior" in message or "fewer components" in message
    assert "{" not in message


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "diag", "spherical"])
def test_a_sound_fit_is_preferred_to_a_degenerate_one_among_restarts(covariance):
    """A likelihood that only the floor keeps finite has no value: more restarts never go back.

    Runs are keyed by their index, so that the best of n + 1 has seen all that the best of n has.
    """
    rows, sound, best = with_duplicates(), False, -np.inf
    for n_init in range(1, 9):
        options = {"n_init": n_init, "search": None, "init_params": "random_from_data"}
        model, caught = fitted(likelihood(3, covariance, **options), rows)
        assert_honest(model, caught)
        assert not (sound and model.result_.degenerate)
        if not model.result_.degenerate:
            assert not sound or model.log_likelihood_ > best - 1e-9
            sound, best = True, model.log_likelihood_


def test_a_candidate_that_collapses_wherever_it_begins_gives_up_early():
    """A run ends where a component is held, and the table says why."""
    rows = np.random.default_rng(0).normal(size=(70, 6))
    estimator = bm.GaussianMixture(search="short", covariance_type="EVV")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesmixWarning)
        search = bm.MixtureSearch(estimator, (2, 9), random_state=0).fit(rows)
    many = search.estimators_[search.results_.n_components.tolist().index(9)].result_
    assert many.degenerate
    assert many.status == "collapsed"
    # 15 starts at most, each and again by way of a prior: some twenty passes.
    assert many.passes < 15 * 20
    assert search.results_.note[1].startswith("degenerate: component")


# What others do


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
def test_scikit_learn_fits_the_spike_in_silence(covariance):
    """Why all this: its component sits on the eight rows with ``reg_covar`` as its variance."""
    rows = with_duplicates()
    theirs = ScikitLearns(
        3, covariance_type=covariance, means_init=[[0, 0], [8, 0], [3, 3]], random_state=0
    ).fit(rows)  # warnings are errors here: there is none
    assert theirs.converged_
    np.testing.assert_allclose(theirs.covariances_[2], 1e-6, rtol=1e-3)
    assert theirs.weights_[2] == pytest.approx(N_TIED / len(rows), rel=1e-6)
    assert theirs.score(rows) > ScikitLearns(2, random_state=0).fit(rows).score(rows) + 0.2
    ours, _ = fitted(likelihood(3, covariance, init_params=labels_of_duplicates()), rows)
    assert kinds(ours) & CHANGES


@pytest.mark.parametrize("seed", [29, 31, 58])
def test_one_component_has_the_covariance_of_the_data(seed):
    rows = np.random.default_rng(seed).normal(size=(4, 3)).round(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = bm.GaussianMixture(1).fit(rows)
    np.testing.assert_allclose(model.covariances_[0], np.cov(rows.T, bias=True), rtol=1e-6)
    normal = scipy.stats.multivariate_normal(rows.mean(axis=0), np.cov(rows.T, bias=True))
    np.testing.assert_allclose(model.score(rows), normal.logpdf(rows).mean(), rtol=1e-8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("structure", ["full", "diag", "spherical", "tied"])
@pytest.mark.parametrize("K", [2, 3])
def test_copies_of_two_points_are_two_components(K, structure):
    """A restart elsewhere had all means in the middle, with a smaller likelihood."""
    points = np.array([[0.0, 0.0], [3.0, 1.0]])
    X = np.repeat(points, 20, axis=0)
    gm = bm.GaussianMixture(K, covariance_type=structure, random_state=0, n_jobs=1).fit(X)
    labels = gm.predict(X)
    assert len(set(labels[:20])) == len(set(labels[20:])) == 1
    np.testing.assert_allclose(gm.means_[labels], X, atol=1e-3)
    middle = bm.GaussianMixture(1, covariance_type=structure, n_jobs=1).fit(X)
    assert gm.log_likelihood_ > middle.log_likelihood_
    assert gm.result_.degenerate
