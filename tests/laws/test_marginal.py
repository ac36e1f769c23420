"""Parts of a density: marginals are integrals, conditionals the joint density over marginals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import bayesmix as bm
from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame
from bayesmix.errors import InvalidInputError
from bayesmix.posterior.density import MixtureDensity
from laws.cases import CASES, COUNT_CASES, GAUSSIAN_CASES, generator, posterior_of

K = 3


@dataclass(frozen=True)
class Kind:
    """A case at a point, or its predictive density under some posterior."""

    case: object
    variational: bool

    def __str__(self):
        return f"{self.case.name}-{'variational' if self.variational else 'point'}"

    def components(self, rng, dimension):
        if self.variational:
            return posterior_of(self.case, rng, K, dimension)[0].predictive()
        return self.case.point(rng, K, dimension)

    def density(self, rng, dimension):
        """A mixture of these components, in a frame that is not the identity."""
        frame = Frame.identity(dimension)
        if self.case.continuous:
            scale = np.full(dimension, 4.0)
            if self.case.name != "spherical":
                scale = np.exp2(rng.integers(-2, 4, dimension))
            frame = Frame(rng.normal(size=dimension) * 10.0, scale)
        weights = PointWeights(rng.dirichlet(np.ones(K)))
        mixture = Mixture(weights, self.components(rng, dimension), frame)
        return MixtureDensity(mixture, self.case.family, tuple(range(dimension)), None, {})

    def rows(self, rng, density, n):
        return density.sample(n, rng)[0]


KINDS = [Kind(case, variational) for case in CASES for variational in (False, True)]
CONTINUOUS = [kind for kind in KINDS if kind.case.continuous]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
every_continuous = pytest.mark.parametrize("kind", CONTINUOUS, ids=str)


def total(function, density, column):
    """∫ function(x) dx over one column, or the sum over its values."""
    if not density.family.continuous:
        return sum(
            function(float(x)) for x in range(2 if density.family.name == "bernoulli" else 90)
        )
    centre, scale = (
        float(part[column]) for part in (density.mixture.frame.centre, density.mixture.frame.scale)
    )

    def along(angle):
        # x = centre + scale tan(angle): the tails, Students' included, are at the ends.
        return function(centre + scale * np.tan(angle)) * scale / np.cos(angle) ** 2

    return integrate.quad(along, -np.pi / 2, np.pi / 2, limit=400, epsabs=0, epsrel=1e-9)[0]


def density_at(density, *values):
    return float(np.exp(density.score_samples([values])[0]))


@every_kind
def test_a_marginal_is_the_integral_of_the_joint_density(kind):
    rng = generator(1)
    joint = kind.density(rng, 2)
    first = joint.marginal(0)
    for x, _ in kind.rows(rng, joint, 2):
        integral = total(lambda y, x=x: density_at(joint, x, y), joint, 1)
        assert density_at(first, x) == pytest.approx(integral, rel=1e-7)


@every_kind
def test_a_marginal_integrates_to_one(kind):
    joint = kind.density(generator(2), 3)
    last = joint.marginal([2])
    assert total(lambda x: density_at(last, x), joint, 2) == pytest.approx(1.0, rel=1e-8)


@every_kind
def test_a_conditional_times_its_marginal_is_the_joint_density(kind):
    rng = generator(3)
    joint = kind.density(rng, 4)
    rows = kind.rows(rng, joint, 6)
    for row, given in zip(rows, ([0], [3], [2, 0], [1, 3], [0, 1, 2], [3, 2, 1]), strict=True):
        rest = [column for column in range(4) if column not in given]
        part = joint.conditional({column: row[column] for column in given})
        assert part.columns == tuple(rest)
        found = part.score_samples(row[None, rest]) + joint.marginal(given).score_samples(
            row[None, given]
        )
        np.testing.assert_allclose(found, joint.score_samples(row[None]), rtol=1e-10)


@every_kind
def test_a_conditional_mean_is_the_integral_of_the_conditional_density(kind):
    rng = generator(4)
    joint = kind.density(rng, 2)
    rows = kind.rows(rng, joint, 2)
    means = joint.conditional_mean(rows[:, :1], [0])
    assert means.shape == (2, 1)
    centre = joint.mixture.frame.centre[1]
    for (x, _), (mean,) in zip(rows, means, strict=True):
        part = joint.conditional({0: x})
        away = total(lambda y, part=part: (y - centre) * density_at(part, y), joint, 1)
        assert mean - centre == pytest.approx(away, rel=1e-6, abs=1e-8)


@every_kind
def test_conditional_means_of_rows_are_those_of_every_conditional_density(kind):
    rng = generator(5)
    joint = kind.density(rng, 4)
    rows = kind.rows(rng, joint, 5)
    for given in ([2], [3, 1], [0, 2, 3]):
        means = joint.conditional_mean(rows[:, given], given)
        for row, mean in zip(rows, means, strict=True):
            part = joint.conditional({column: row[column] for column in given})
            np.testing.assert_allclose(mean, part.weights_ @ part.means_, rtol=1e-10)


@every_kind
def test_the_order_of_marginals_and_conditionals_does_not_matter(kind):
    rng = generator(6)
    joint = kind.density(rng, 4)
    row = kind.rows(rng, joint, 1)[0]
    values = {3: row[3], 0: row[0]}
    one = joint.conditional(values).marginal([2])
    other = joint.marginal([3, 2, 0]).conditional(values)
    steps = joint.conditional({3: row[3]}).conditional({0: row[0]}).marginal(2)
    for part in (other, steps):
        assert part.columns == one.columns == (2,)
        assert part.given.keys() == one.given.keys()
        np.testing.assert_allclose(
            part.score_samples(row[None, [2]]), one.score_samples(row[None, [2]]), rtol=1e-10
        )


@every_kind
def test_columns_of_a_marginal_stand_in_the_order_asked_for(kind):
    rng = generator(7)
    joint = kind.density(rng, 3)
    rows = kind.rows(rng, joint, 4)
    np.testing.assert_allclose(
        joint.marginal([2, 0, 1]).score_samples(rows[:, [2, 0, 1]]),
        joint.score_samples(rows),
        rtol=1e-11,
    )


@every_continuous
def test_rows_drawn_from_a_conditional_follow_it(kind):
    rng = generator(8)
    joint = kind.density(rng, 3)
    given = dict(enumerate(kind.rows(rng, joint, 1)[0, :2]))
    part = joint.conditional(given)
    drawn, labels = part.sample(2000, random_state=1)
    assert drawn.shape == (2000, 1)
    assert np.bincount(labels, minlength=K).sum() == 2000
    centre, scale = joint.mixture.frame.centre[2], joint.mixture.frame.scale[2]
    angles = np.linspace(-np.pi / 2, np.pi / 2, 200_001)[1:-1]
    places = centre + scale * np.tan(angles)
    heights = np.exp(part.score_samples(places[:, None])) * scale / np.cos(angles) ** 2
    shares = integrate.cumulative_trapezoid(heights, angles, initial=0.0)
    # A false alarm in a million.
    uniform = np.interp(drawn[:, 0], places, shares)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-6


# Gaussians by SciPy and by regression


@pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=lambda case: case.name)
def test_a_gaussian_marginal_has_the_rows_and_columns_of_the_covariances(case):
    rng = generator(9)
    rows = case.rows(rng, 80, 4)
    model = bm.GaussianMixture(2, covariance_type=case.covariance, random_state=0).fit(rows)
    dense = case.dense(model.covariances_, 2, 4)
    at = rows[:5, [3, 1]]
    by_scipy = sum(
        weight * stats.multivariate_normal(mean[[3, 1]], cov[np.ix_([3, 1], [3, 1])]).pdf(at)
        for weight, mean, cov in zip(model.weights_, model.means_, dense, strict=True)
    )
    np.testing.assert_allclose(np.exp(model.marginal([3, 1]).score_samples(at)), by_scipy)


@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_the_conditional_mean_of_one_gaussian_is_linear_regression(shift):
    rng = generator(10)
    rows = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4))
    model = bm.GaussianMixture(1).fit(rows + shift)
    design = np.column_stack([np.ones(200), rows[:, [2, 0]]])
    fitted = design @ np.linalg.lstsq(design, rows[:, [1, 3]], rcond=None)[0]
    found = model.conditional_mean(rows[:, [2, 0]] + shift, [2, 0]) - shift
    np.testing.assert_allclose(found, fitted, rtol=1e-7, atol=1e-6 if shift else 1e-12)


def test_a_students_conditional_is_wider_where_the_given_value_is_far():
    rng = generator(11)
    rows = rng.normal(size=(8, 2))
    model = bm.BayesianGaussianMixture(1).fit(rows)
    near = model.conditional({0: 0.0}).mixture.components.covariances
    far = model.conditional({0: 30.0}).mixture.components.covariances
    assert far[0, 0, 0] > 10.0 * near[0, 0, 0]


# Fits


def test_columns_go_by_name_or_by_number(faithful):
    model = bm.GaussianMixture(2, random_state=0).fit(faithful)
    by_name, by_number = model.conditional({"waiting": 60}), model.conditional({1: 60.0})
    assert by_name.names == by_number.names == ("eruptions",)
    assert by_name.given == by_number.given == {"waiting": 60.0}
    np.testing.assert_array_equal(by_name.means_, by_number.means_)
    frame = faithful[["waiting"]]
    np.testing.assert_array_equal(
        model.conditional_mean(frame, "waiting"),
        model.conditional_mean(frame.to_numpy(np.float32), [1]),
    )
    assert "eruptions | waiting=60" in repr(by_name)


def test_the_marginal_over_all_columns_is_the_density_itself(faithful):
    for kind in (bm.GaussianMixture, bm.BayesianGaussianMixture):
        model = kind(3, random_state=0).fit(faithful)
        whole = model.marginal(["eruptions", "waiting"])
        np.testing.assert_allclose(whole.score_samples(faithful), model.score_samples(faithful))
        assert whole.score(faithful) == pytest.approx(model.score(faithful))
        np.testing.assert_allclose(whole.means_, model.means_)
        np.testing.assert_allclose(whole.weights_, model.weights_)


@pytest.mark.parametrize("kind", [bm.GaussianMixture, bm.BayesianGaussianMixture])
@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
@pytest.mark.filterwarnings("ignore::bayesmix.errors.FlatDirectionWarning")
def test_a_constant_column_changes_nothing_for_the_others(faithful, kind, structure):
    values = faithful.to_numpy()
    wide = np.column_stack([values[:, 0], np.full(len(values), 7.0), values[:, 1]])
    without = kind(2, covariance_type=structure, random_state=0).fit(values)
    model = kind(2, covariance_type=structure, random_state=0).fit(wide)
    np.testing.assert_allclose(
        model.marginal([2]).score_samples(values[:9, 1:]),
        without.marginal([1]).score_samples(values[:9, 1:]),
        rtol=1e-6,
    )
    both = model.conditional({1: 7.0})
    np.testing.assert_allclose(
        both.score_samples(values[:9]), without.score_samples(values[:9]), rtol=1e-6
    )
    np.testing.assert_allclose(
        model.conditional_mean(wide[:9, :2], [0, 1]),
        without.conditional_mean(values[:9, :1], [0]),
        rtol=1e-6,
    )
    rest = model.conditional({0: 2.0})
    assert (rest.sample(5, random_state=0)[0][:, 0] == 7.0).all()
    np.testing.assert_allclose(rest.means_[:, 0], 7.0)
    row = wide[:1]
    found = model.marginal(0).score_samples(row[:, :1]) + model.conditional(
        {0: row[0, 0]}
    ).score_samples(row[:, 1:])
    np.testing.assert_allclose(found, model.score_samples(row), rtol=1e-9)
    with pytest.raises(InvalidInputError, match="constant has no density"):
        model.marginal(1)


@pytest.mark.parametrize("kind", [bm.GaussianMixture, bm.BayesianGaussianMixture])
@pytest.mark.filterwarnings("ignore::bayesmix.errors.FlatDirectionWarning")
def test_linearly_dependent_columns_have_the_marginals_of_a_fit_without(faithful, kind):
    values = faithful.to_numpy()
    wide = np.column_stack([values, values @ [3.0, 1.0]])
    without = kind(2, random_state=0).fit(values)
    model = kind(2, random_state=0).fit(wide)
    np.testing.assert_allclose(model.means_[:, :2], without.means_, rtol=0.02)
    density = model.marginal([0, 1])
    # The priors differ a little: they are set in other coordinates.
    np.testing.assert_allclose(
        density.score(values), without.marginal([0, 1]).score(values), atol=0.02
    )
    np.testing.assert_allclose(
        model.conditional_mean(values[:5], [0, 1])[:, 0], wide[:5, 2], rtol=1e-3
    )


@pytest.mark.parametrize("case", COUNT_CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("variational", [False, True])
def test_given_counts_only_the_weights_change(case, variational):
    rng = generator(12)
    inference = bm.VariationalBayes() if variational else None
    rows = case.rows(rng, 60, 3)
    model = bm.Mixture(2, family=case.family, inference=inference, random_state=0).fit(rows)
    part = model.conditional({1: rows[0, 1]})
    np.testing.assert_array_equal(part.means_, model.means_[:, [0, 2]])
    joint = model.score_samples(rows[:1])
    found = part.score_samples(rows[:1, [0, 2]]) + model.marginal(1).score_samples(rows[:1, 1:2])
    np.testing.assert_allclose(found, joint, rtol=1e-10)


def test_what_no_component_can_have_is_refused():
    rows = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    model = bm.Mixture(1, family=bm.Bernoulli()).fit(rows)
    said = "positive density in some component, but the values in row 0 do not"
    with pytest.raises(InvalidInputError, match=said):
        model.conditional({0: 1})
    with pytest.raises(InvalidInputError, match="row 2"):
        model.conditional_mean([[0.0], [0.0], [1.0]], 0)
    with pytest.raises(InvalidInputError, match="zeros and ones"):
        model.conditional({0: 0.5})


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda m: m.marginal("height"), "columns must be among eruptions, waiting"),
        (lambda m: m.marginal(2), "got 2"),
        (lambda m: m.marginal(-1), "got -1"),
        (lambda m: m.marginal(True), "got True"),
        (lambda m: m.marginal([]), "one or more"),
        (lambda m: m.marginal(["waiting", 1]), "distinct"),
        (lambda m: m.conditional({}), "must be a dict"),
        (lambda m: m.conditional("waiting"), "must be a dict"),
        (lambda m: m.conditional({"waiting": np.nan}), "finite"),
        (lambda m: m.conditional({"waiting": "long"}), "finite"),
        (lambda m: m.conditional({"waiting": 1.0, "eruptions": 2.0}), "leave at least one other"),
        (lambda m: m.conditional_mean([[1.0, 2.0]], [0, 1]), "leave at least one other"),
        (lambda m: m.conditional_mean([[1.0, 2.0]], [0]), r"shape \(n, 1\)"),
        (lambda m: m.conditional_mean([1.0, 2.0], [0]), r"shape \(n, 1\)"),
        (lambda m: m.conditional_mean([["a"]], [0]), "X_given must be numbers"),
        (lambda m: m.conditional_mean([[np.inf]], [0]), "row 0"),
        (lambda m: m.conditional_mean(pd.DataFrame({"b": [1.0]}), [0]), "eruptions"),
        (lambda m: m.marginal(0).score_samples([[1.0, 2.0]]), "X must have shape"),
        (lambda m: m.marginal(0).sample(0), "n_samples"),
        (lambda m: m.marginal(0).marginal(1), "among eruptions"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_to_do(faithful, ask, words):
    model = bm.GaussianMixture(1).fit(faithful)
    with pytest.raises(InvalidInputError, match=words):
        ask(model)
