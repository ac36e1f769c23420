"""Rows and weights on which fits once crashed, ran for minutes or gave nan."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hunts import nastier
from hunts.hard import fault, problem

import bayesmix as bm
from bayesmix.errors import BayesmixError, DegenerateFitError, InvalidInputError
from bayesmix.families.gamma import Gammas
from bayesmix.starts.noise_starts import NoiseOfFit

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def random_problem(generator: np.random.Generator) -> tuple[np.ndarray, Any]:
    """Few rows, rounded, tied, or on a lattice, at any scale; sometimes with wild weights."""
    n, D = int(generator.integers(8, 60)), int(generator.integers(1, 5))
    rows = generator.normal(size=(n, D))
    kind = generator.choice(["rounded", "dice", "zero or one", "repeated", "constant column"])
    if kind == "rounded":
        rows = np.round(rows / np.abs(rows).max() * generator.integers(1, 6))
    elif kind == "dice":
        rows = generator.integers(1, 7, (n, D)).astype(float)
    elif kind == "zero or one":
        rows = generator.integers(0, 2, (n, D)).astype(float)
    elif kind == "repeated":
        rows = rows[generator.integers(0, max(2, n // 4), n)]
    else:
        rows[:, 0] = 3.0
    weights = 10.0 ** generator.uniform(-6, 6, n) if generator.random() < 0.3 else None
    return rows * 10.0 ** generator.uniform(-8, 8), weights


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
@pytest.mark.nightly
def test_a_problem_that_nobody_chose_is_fitted_or_refused_by_name(seed: int) -> None:
    generator = np.random.default_rng([7, seed])
    rows, weights = random_problem(generator)
    structure = str(generator.choice(["full", "tied", "diag", "spherical"]))
    n_components = int(generator.integers(1, 8))
    for model in (
        bm.GaussianMixture(n_components, covariance_type=structure, random_state=0),
        bm.BayesianGaussianMixture(n_components, covariance_type=structure, random_state=0),
    ):
        try:
            model.fit(rows, sample_weight=weights)
        except BayesmixError:
            continue
        assert np.isfinite(model.score_samples(rows)).all()
        assert np.isfinite(model.result_.objective)
        assert model.weights_.sum() == pytest.approx(1.0)
        assert (np.linalg.eigvalsh(_dense(model)) > 0.0).all()


def _dense(model: Any) -> np.ndarray:
    return np.asarray(model.result_.plug_in.components.covariances)


def test_components_on_equal_rows_are_not_divided_anew() -> None:
    model = bm.Mixture(3, family=bm.Bernoulli(), random_state=0).fit(np.zeros((30, 3)))
    assert np.isfinite(model.score_samples(np.zeros((2, 3)))).all()


def test_a_component_without_rows_that_is_held_ends_the_run() -> None:
    generator = np.random.default_rng(5)
    rows = np.repeat(generator.integers(-1, 2, (13, 5)).astype(float), 5, axis=0)
    model = bm.GaussianMixture(7, covariance_type="diag", random_state=0).fit(rows)
    assert model.result_.passes < 4_000
    assert len(model.result_.events) < 60


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e14])
def test_weights_on_any_scale_that_counts_rows_leave_the_density_alone(scale: float) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 2))
    plain = bm.GaussianMixture(2, random_state=0).fit(rows)
    scaled = bm.GaussianMixture(2, random_state=0).fit(rows, sample_weight=np.full(100, scale))
    assert scaled.score(rows) == pytest.approx(plain.score(rows), abs=1e-6)


@pytest.mark.parametrize("weight", [1e-300, 1e-20, 1e17, 1e300, 1e308])
def test_weights_that_are_no_numbers_of_rows_are_refused(weight: float) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(InvalidInputError, match=r"sample_weight .* divide them by their mean"):
        bm.GaussianMixture(2).fit(rows, sample_weight=np.full(100, weight))


def test_a_row_whose_weight_changes_no_digit_is_left_out() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 1))
    weights = np.r_[1e-40, np.ones(49)]
    first = bm.GaussianMixture(1).fit(rows, sample_weight=weights)
    assert first.means_ == pytest.approx(rows[1:].mean(axis=0)[None])


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("largest", [1e151, 1e300, 1.7e308])
def test_values_whose_squares_overflow_are_refused_with_their_place(
    structure: str, largest: float
) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2))
    rows[7, 1] = largest
    with pytest.raises(InvalidInputError, match=r"row 7, column 1, whose square"):
        bm.GaussianMixture(2, covariance_type=structure).fit(rows)


def test_integers_beyond_doubles_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="in the range of a double"):
        bm.GaussianMixture(2).fit(np.array([[10**400], [1], [2]], dtype=object))


def test_a_search_takes_what_only_says_that_it_is_an_array() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))

    class Arraylike:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return rows

    found = bm.MixtureSearch(n_components=(1, 2), random_state=0).fit(Arraylike())
    plain = bm.MixtureSearch(n_components=(1, 2), random_state=0).fit(rows)
    assert found.best_score_ == plain.best_score_


def test_a_sample_that_no_memory_holds_is_refused_with_its_size() -> None:
    model = bm.GaussianMixture(1).fit(np.random.default_rng(0).normal(size=(60, 2)))
    with pytest.raises(InvalidInputError, match=r"n_samples=.* GB"):
        model.sample(2**62)


MANY = 10**11
TOO_MUCH = {
    "draws": lambda vb, rows: vb.sample_posterior(MANY),
    "tree": lambda vb, rows: vb.to_arviz(n_draws=MANY),
    "band": lambda vb, rows: vb.density_interval(rows, n_draws=MANY),
    "assignment": lambda vb, rows: vb.assignment_interval(rows, n_draws=MANY),
    "sweeps": lambda vb, rows: bm.gibbs(vb, rows, n_draws=MANY, chains=1),
    "refits": lambda vb, rows: bm.weighted_bootstrap(vb, rows, n_draws=MANY),
    "average": lambda vb, rows: (
        bm.MixtureSearch(vb, (1, 2), criterion="elbo").fit(rows).averaged_.sample(MANY)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_no_memory_holds_is_refused_with_its_size(what: str) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    prior = bm.DirichletPrior(1.0)
    inference = bm.VariationalBayes(weights=prior)
    vb = bm.Mixture(2, inference=inference, random_state=0, prune=False).fit(rows)
    with pytest.raises(InvalidInputError, match=r"would take .* GB, and this machine has"):
        TOO_MUCH[what](vb, rows)


@pytest.mark.parametrize(
    "asked",
    [
        lambda vb, many: bm.GaussianMixture(2).fit(many),
        lambda vb, many: bm.GaussianMixture(2, missing="use").fit(many),
        lambda vb, many: bm.Mixture(2, family="auto").fit(many),
        lambda vb, many: bm.select(many),
        lambda vb, many: bm.nested_cv(bm.GaussianMixture(2), many),
        lambda vb, many: vb.predict(many),
        lambda vb, many: vb.conditional_mean(many[:, :1], [0]),
        lambda vb, many: bm.gibbs(vb, many, n_draws=10),
        lambda vb, many: bm.GaussianMixture.from_parameters(many[:, 0], many, 1.0),
    ],
)
def test_a_row_said_more_often_than_memory_holds_is_refused_before_it_is_read(asked: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    vb = bm.BayesianGaussianMixture(1).fit(rows)
    with pytest.raises(InvalidInputError, match=r"contains repeated entries .* GB"):
        asked(vb, np.broadcast_to(rows[0], (MANY, 2)))


def test_weights_of_other_rows_are_refused_before_they_are_read() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(InvalidInputError, match=r"60 rows, got shape \(100000000000,\)"):
        bm.GaussianMixture(2).fit(rows, sample_weight=np.broadcast_to(1.0, (MANY,)))


def test_answers_for_more_rows_than_memory_holds_are_refused(monkeypatch: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(600, 2))
    model = bm.GaussianMixture(2, random_state=0).fit(rows)
    small = {"SC_PHYS_PAGES": 2, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", small.__getitem__)
    assert model.predict(rows[:100]).shape == (100,)
    for answer in (model.predict_proba, model.responsibilities, model.score_samples):
        with pytest.raises(InvalidInputError, match="for each of 600 rows would take"):
            answer(rows)


@pytest.mark.parametrize("kind", [bm.GaussianMixture, bm.BayesianGaussianMixture])
def test_covariances_that_no_memory_holds_are_refused_before_anything_is_made(kind: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(20, 60_000))
    with pytest.raises(InvalidInputError, match=r"20 components to 60000 columns .* GB"):
        kind(20).fit(rows)


@pytest.mark.parametrize("structure", ["full", "tied"])
@pytest.mark.parametrize(("far", "lean"), [(1e8, 1.0), (1e20, 0.0), (1e40, 1e3)])
def test_a_far_row_off_the_plane_of_the_others_is_counted_where_it_lies(
    structure: str, far: float, lean: float
) -> None:
    """Its distance was set aside with the plane: log_likelihood_ said 31 where rows score -6587."""
    generator = np.random.default_rng(3)
    along = generator.normal(size=12)
    rows = np.column_stack([along, 2.0 * along, generator.normal(size=12)])
    rows[4, :2] = far, 2.0 * far + lean
    try:
        model = bm.GaussianMixture(2, covariance_type=structure, random_state=0).fit(rows)
    except DegenerateFitError:
        # Beyond the digits of doubles, rounding decides whether a covariance is singular.
        assert far > 1.0 / np.finfo(float).eps
        return
    assert model.score_samples(rows).sum() == pytest.approx(model.log_likelihood_, rel=1e-9)


def test_a_far_row_on_the_plane_of_the_others_leaves_it_set_aside() -> None:
    rows = np.repeat(np.random.default_rng(3).normal(size=(30, 1)), 2, axis=1)
    rows[4] = 1e4
    model = bm.GaussianMixture(1).fit(rows)
    assert [event.kind for event in model.result_.events].count("flat") == 1


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-150])
def test_columns_whose_variance_is_no_double_are_refused(scale: float) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2)) * np.array([1.0, scale])
    with pytest.raises(InvalidInputError, match=r"column 1 has one of .* rescale that column"):
        bm.GaussianMixture(2).fit(rows)


@pytest.mark.parametrize(("scale", "largest"), [(1.0, 1e80), (1e-70, 1e10), (1e140, 1e149)])
def test_values_too_many_spreads_away_are_refused_by_column(scale: float, largest: float) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3)) * np.array([1.0, scale, 1e145])
    rows[7, 1] = largest
    if scale > 1.0:
        rows[8, 0] = 1e30
    with pytest.raises(InvalidInputError, match=r"column [01] has a value .* or take logarithms"):
        bm.BayesianGaussianMixture(2).fit(rows)


@pytest.mark.parametrize("covariance_type", ["VVE", "EVE", "EEV", "VEV"])
def test_columns_too_far_apart_for_axes_of_one_unit_are_refused(covariance_type: str) -> None:
    nasty = nastier.problem(301206514254)  # 11 seconds before
    model = bm.GaussianMixture(2, covariance_type=covariance_type)
    said = r"column 2 is .* column 0 .*standardise the columns"
    with pytest.raises(InvalidInputError, match=said):
        model.fit(nasty.rows)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_rows_beyond_squares_that_are_doubles_are_answered_or_refused_by_name(covariance_type):
    rows = bm.datasets.load_faithful().to_numpy()
    far = np.array([[1e160, 70.0], [3.0, -1e300], [1e308, 1e308], [3.0, 80.0]])
    options = {"covariance_type": covariance_type, "random_state": 0, "search": None}
    gm = bm.GaussianMixture(2, **options).fit(rows)
    vb = bm.BayesianGaussianMixture(2, **options).fit(rows)
    for model in (gm, vb):
        assert model.bic(far) > (1e280 if model is gm else 1e3)
        assert np.isclose(model.bic(rows), model.bic(), rtol=1e-12)
        with pytest.raises(InvalidInputError, match=r"given values .* in row 0 do not"):
            model.conditional_mean(far[:, :1], [0])
    bands = vb.density_interval(far, n_draws=20, random_state=0)
    assert np.array_equal(bands[:3], np.zeros((3, 2)))
    near = vb.density_interval(far[3:], n_draws=20, random_state=0)
    assert np.allclose(bands[3:], near, rtol=1e-12)


FOUND = {
    7: "squares of squares overflow",
    37: "a merged component explains a row by e^700 more",
    77: "a variance that is no double",
    127: "a far row off a plane, widened in large units",
    501734: "a shared covariance held at the rounding of its longest direction",
    694011861924: "a pivot whose inverse is no double when squared",
    1795385044411: "what is held counts for too little beside the prior",
    1795385044009: "components without weight are left alone",
    332743204884: "some are moved while others are held",
    301206512181: "a covariance that is lost in rounding along the last row's direction",
}


# Of ``hunts.nastier``.
FOUND_THERE = {
    1031: "bytes of numbers in another order, as levels",
    1055: "gaps in float32 beside a limit that is no float32",
    1077: "starts for values that lie 1e200 spreads apart",
    1121: "a log-normal whose mean is no double",
    1453: "all rows are noise",
    5108: "infinities of both signs in float32",
    6023: "all rows are noise beside covariances that share a shape",
    6047: "splits of rows that lie 1e200 units apart",
    6520: "Student-t scales at the floor, whose likelihood fell",
    10332: "logarithms one of which has nearly all weight",
    10850: "a row that is cut out of a bound over log-normals with gaps",
    11026: "a scatter whose volume is no double",
    7088: "noise over rows that lie in a plane, whose box is as thin as rounding",
    1795417914619: "means of log-normals under q that are no doubles",
    1795428708907: "an extrapolation to negative numbers of rows in a column with gaps",
    1795417914882: "a shape over a volume of zero, of rows 1e132 units apart",
    1795428709779: "a Student-t on one row so far out that its mean is rounded",
    1795428709177: "Student-t scales of columns 1e110 times apart, at the floor",
    11327: "small variances that an eigenvalue routine lost beside large ones",
    7283: "a shape in common that one component with most of the weight loses",
    332743202603: "a million trials, all of them successes",
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", FOUND_THERE)
def test_a_nastier_problem_that_was_found_is_sound_or_refused(seed: int) -> None:
    assert fault(nastier.problem(seed), np.inf) is None


@pytest.mark.slow
def test_one_row_of_a_component_does_not_end_extrapolation() -> None:
    nasty = nastier.problem(301206512787)
    model = nasty.estimator.fit(nasty.rows, sample_weight=nasty.weights)
    assert model.converged_
    # 6,846 in all without an end before.
    assert max(each.passes for each in model.result_.search_trace) < 150


def test_shares_that_leave_out_the_same_rows_are_fitted_once(monkeypatch: Any) -> None:
    fits = []

    begun = NoiseOfFit.begun

    def few_fits(self: Any, attempt: Any) -> Any:
        counted = replace(attempt, fit=lambda *given: fits.append(0) or attempt.fit(*given))
        return begun(self, counted)

    monkeypatch.setattr(NoiseOfFit, "begun", few_fits)
    rows = np.random.default_rng(0).normal(size=(9, 2))
    bm.GaussianMixture(1, noise="uniform", random_state=0).fit(rows)
    assert len(fits) == 2  # none of nine rows, or two


def test_a_gamma_has_no_density_where_a_row_is_no_double_of_its_mean() -> None:
    gammas = Gammas(np.full((1, 1), 2.0), np.full((1, 1), 2e200))
    assert gammas.expected_log_density(np.array([[1e150]])) == -np.inf


@pytest.mark.slow
@pytest.mark.parametrize("seed", FOUND)
def test_a_nasty_problem_that_was_found_is_sound_or_refused(seed: int) -> None:
    assert fault(problem(seed), np.inf) is None


@pytest.mark.slow
@pytest.mark.nightly
def test_random_nasty_problems_are_sound_or_refused() -> None:
    """Fresh ones every time; ``python -m tests.hunts.hard --random 2000`` looks at thousands."""
    first = int(np.random.default_rng().integers(2**40))
    for seed in range(first, first + 20):
        nasty = problem(seed)
        found = fault(nasty, np.inf)  # how long it takes is what the command looks at
        assert found is None, (
            f"python -m tests.hunts.hard --random 1 --seed {seed}: {nasty.name}: {found}"
        )
