"""Laws of new components that are fitted by themselves beside a mixture that stays."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.engine.monitor import Monitor
from bayesmix.engine.run import run
from bayesmix.engine.stopping import Aitken
from bayesmix.families.gaussian import Gaussians
from bayesmix.families.gaussian.moments import moments
from bayesmix.records import Mixture
from bayesmix.sources import ArraySource
from bayesmix.workflow.model import Model, Settings, resolve
from bayesmix.workflow.search import beginnings, newcomers
from bayesmix.workflow.search.beginnings import Begun, by_place
from bayesmix.workflow.search.newcomers import Present, best_of, different
from bayesmix.workflow.search.splits import Look, statistics_of, update_of
from bayesmix.workflow.search.starts import Given, begun

from .cases import CENTRED_FORM, COMPILED, COMPILED_LINEAR, LINEAR_FORM


def one_component(values, weights=None, family=None):
    """A mixture of one component, which holds all rows."""
    model = Model(1, family or bm.Gaussian(), bm.MaximumLikelihood())
    problem = resolve(model, ArraySource(values, weights), Settings(Aitken()))
    state = run(problem, begun(problem, Given(np.ones((len(values), 1))), 1), Monitor(), 5)
    return Present(problem, state, Look.at(problem, state))


def in_form(present, form):
    """The same in a form."""
    return replace(present, state=replace(present.state, form=form))


def as_begun(present, rng, most):
    """So many newcomers, which look at all rows of the component that they began in."""
    return present.among_all(present.grouped(present.begun(rng, most)))


def two_clusters(rng):
    return np.concatenate([rng.normal(0.0, 3.0, (300, 2)), rng.normal([2.0, 1.0], 0.4, (60, 2))])


@pytest.mark.parametrize("weighted", [False, True])
def test_what_a_newcomer_gains_is_what_the_mixture_with_it_does(weighted):
    rng = np.random.default_rng(0)
    values = two_clusters(rng)
    weights = rng.integers(1, 4, len(values)).astype(float) if weighted else np.ones(len(values))
    present = one_component(values, weights if weighted else None)
    (before,) = present.after(as_begun(present, rng, 12), 3)
    (now,) = present.after([before], 1)
    framed = present.problem.frame.apply(values)
    cov = np.cov(framed.T, bias=True, aweights=weights)
    centre = np.average(framed, axis=0, weights=weights)
    density = stats.multivariate_normal(centre, cov).pdf(framed)
    assert now.size == 12
    sums = before.statistics
    for j, count in enumerate(sums.counts):
        new = stats.multivariate_normal(sums.means[j], sums.scatter[j] / count)
        share = count / weights.sum()
        gain = weights @ np.log1p(share * (new.pdf(framed) / density - 1.0))
        assert now.gains[j] == pytest.approx(gain, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("form", [LINEAR_FORM, CENTRED_FORM], ids=lambda each: each.name)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("family", [bm.Gaussian(), bm.Gaussian("diag"), bm.Gaussian("spherical")])
def test_a_kernel_fits_them_as_numpy_does(family, weighted, form):
    pytest.importorskip("numba")
    from bayesmix.numerics.compiled import LEAST_LOG_ODDS

    rng = np.random.default_rng(7)
    values = two_clusters(rng)
    weights = (
        rng.choice(np.arange(4.0), len(values), p=[0.05, 0.35, 0.3, 0.3]) if weighted else None
    )
    present = one_component(values, weights, family)
    present, by_kernel = in_form(present, form), in_form(present, COMPILED[form])
    groups = present.grouped(present.begun(rng, 30))
    n = len(present.held[0].mine)
    assert {len(group.held.mine) for group in groups} == {n, -(-n // 3)}
    assert sum(group.size for group in groups) == 30
    # What the kernel leaves out of blocks where no row has larger odds, in every pass.
    left_out = 3 * len(values) * np.exp(LEAST_LOG_ODDS)
    for slow, fast in zip(present.after(groups, 3), by_kernel.after(groups, 3), strict=True):
        assert slow.held is fast.held
        np.testing.assert_allclose(fast.gains, slow.gains, atol=left_out)
        np.testing.assert_allclose(
            fast.statistics.counts, slow.statistics.counts, rtol=1e-9, atol=left_out
        )
        np.testing.assert_allclose(
            fast.statistics.scatter, slow.statistics.scatter, rtol=1e-6, atol=left_out
        )


@pytest.mark.parametrize("form", [LINEAR_FORM, CENTRED_FORM], ids=lambda each: each.name)
def test_where_it_is_far_from_a_newcomer_takes_nothing(form):
    """Of blocks of rows without one that has a share worth a word."""
    pytest.importorskip("numba")
    from bayesmix.numerics.compiled import LEAST_LOG_ODDS

    rng = np.random.default_rng(11)
    present = one_component(rng.normal(size=(4000, 2)))
    present, by_kernel = in_form(present, form), in_form(present, COMPILED[form])
    groups = as_begun(present, rng, 100)
    (slow,), (fast,) = present.after(groups, 1), by_kernel.after(groups, 1)
    most = 4000.0 * np.exp(LEAST_LOG_ODDS)
    np.testing.assert_allclose(fast.gains, slow.gains, rtol=1e-9, atol=most)
    np.testing.assert_allclose(fast.statistics.counts, slow.statistics.counts, atol=most)
    assert (fast.statistics.counts != slow.statistics.counts).any()
    assert (np.abs(fast.gains - slow.gains) > 1e-9).any()


@pytest.mark.parametrize("family", [bm.Gaussian("diag"), bm.Gaussian("spherical"), bm.Poisson()])
def test_a_newcomer_never_loses_by_a_pass(family, monkeypatch):
    rng = np.random.default_rng(1)
    values = two_clusters(rng)
    if isinstance(family, bm.Poisson):
        values = np.floor(4.0 * np.abs(values))
    monkeypatch.setattr(newcomers, "LEAST_COUNT", 0.0)
    present = one_component(values, family=family)
    groups, gains = as_begun(present, rng, 20), []
    for _ in range(7):
        groups = present.after(groups, 1)
        gains.append(groups[0].gains)
    assert np.diff(gains, axis=0).min() > -1e-9
    assert np.ptp(gains, axis=0).min() > 0.0


def test_the_best_newcomer_is_the_cluster_that_is_missing():
    rng = np.random.default_rng(2)
    values = two_clusters(rng)
    present = one_component(values)
    found = list(present.fitted(present.begun(rng, 100), (), 1e-3))
    assert 1 <= len(found) <= 40
    framed = present.problem.frame.apply(values)
    missing = [
        one
        for one in found
        if np.linalg.norm(one.halves.means[1] - framed[300:].mean(axis=0)) < 0.1
        and 40.0 < one.halves.counts[1] < 80.0
    ]
    assert missing
    for one in found:
        assert one.k == 0
        assert one.halves.counts.sum() == pytest.approx(360.0)


def two_of_two_clusters(rng, flipped=False):
    """Two components, each of which holds a broad cluster with a small one inside."""
    values = np.concatenate([two_clusters(rng), two_clusters(rng) + np.array([40.0, 0.0])])
    model = Model(2, bm.Gaussian(), bm.MaximumLikelihood())
    problem = resolve(model, ArraySource(values), Settings(Aitken()))
    shares = np.repeat(np.eye(2)[::-1] if flipped else np.eye(2), 360, axis=0)
    state = run(problem, begun(problem, Given(shares), 2), Monitor(), 3)
    return Present(problem, state, Look.at(problem, state))


def test_newcomers_go_on_in_the_component_that_holds_their_rows_now():
    first = two_of_two_clusters(np.random.default_rng(12))
    other = two_of_two_clusters(np.random.default_rng(12), flipped=True)
    found = list(first.fitted(first.begun(np.random.default_rng(0), 200), (), 1e-3))
    again = list(other.fitted([], found, 1e-3))
    assert {one.k for one in found} == {0, 1}
    assert all((one.row < 360) == (one.k == 0) for one in found)
    assert all((one.row < 360) == (one.k == 1) for one in again)
    # Where they were fitted until little was left to gain they stay.
    ended = {tuple(np.round(one.halves.means[1], 2)) for one in found}
    assert ended & {tuple(np.round(one.halves.means[1], 2)) for one in again}
    assert list(first.fitted([], (), 1e-3)) == []


def in_two(present, group):
    """Newcomers as two groups, and the components that they become."""
    first = np.arange(group.size) < group.size // 3
    groups = [group.subset(first), group.subset(~first)]
    return groups, update_of(present.problem, present.state, statistics_of(groups))


def test_those_that_go_on_gain_most(monkeypatch):
    monkeypatch.setattr(newcomers, "ONE_PLACE", -1.0)
    rng = np.random.default_rng(8)
    present = one_component(two_clusters(rng))
    (group,) = present.after(as_begun(present, rng, 60), 3)
    kept = best_of(*in_two(present, group), 5, 20.0, 0.0)
    enough = group.gains[group.statistics.counts >= 20.0]
    assert enough.max() < group.gains.max() or len(enough) > 5
    np.testing.assert_array_equal(
        np.sort(np.concatenate([each.gains for each in kept])), np.sort(enough)[-5:]
    )
    assert min(each.statistics.counts.min(initial=np.inf) for each in kept) >= 20.0
    assert best_of([], None, 5, 20.0, 0.0) == []


def test_of_those_in_one_place_the_one_that_gains_most_goes_on():
    rng = np.random.default_rng(8)
    present = one_component(two_clusters(rng))
    (group,) = present.after(as_begun(present, rng, 60), 3)
    kept = best_of(*in_two(present, group), 60, 5.0, 0.0)
    best = np.concatenate([each.gains for each in kept])
    means = np.concatenate([each.statistics.means for each in kept])
    scatter = np.concatenate([each.statistics.scatter for each in kept])
    counts = np.concatenate([each.statistics.counts for each in kept])
    densities = [
        stats.multivariate_normal(m, S / n) for m, S, n in zip(means, scatter, counts, strict=True)
    ]

    def lost(i, mean):
        return densities[i].logpdf(means[i]) - densities[i].logpdf(mean)

    apart = [
        0.5 * (lost(i, means[j]) + lost(j, means[i])) for i in range(len(best)) for j in range(i)
    ]
    assert min(apart) >= newcomers.ONE_PLACE
    enough = group.statistics.counts >= 5.0
    assert 2 <= len(best) < enough.sum() / 2
    assert best.max() == group.gains[enough].max()
    # What was left out lies near one that gains more.
    for mean, gain in zip(group.statistics.means[enough], group.gains[enough], strict=True):
        if gain not in best:
            better = np.flatnonzero(best > gain)
            assert min(lost(i, mean) for i in better) < 2.0 * newcomers.ONE_PLACE


@pytest.mark.parametrize("by_kernel", [False, True])
def test_newcomers_that_collapse_leave_the_others(by_kernel):
    rng = np.random.default_rng(3)
    values = two_clusters(rng)
    values[:40] = values[0]
    present = one_component(values)
    if by_kernel:
        pytest.importorskip("numba")
        present = in_form(present, COMPILED_LINEAR)
    held = present.held[0]
    places = held.mine.argsort()[np.concatenate([np.arange(20), np.arange(300, 320)])]
    (group,) = present.grouped([Begun(0, held, places, np.full(40, 12), rng)])
    sound = group.sound(present.problem, present.state)
    assert 20 <= sum(part.size for part in sound) < 40
    empty = group.subset(np.zeros(40, dtype=bool))
    found = present.after([empty, group], 4)
    assert 15 <= sum(each.size for each in found) < 40
    nobody = group.subset(np.arange(40) < 20)
    assert present.after([nobody], 4) == []
    assert all(np.isfinite(each.gains).all() for each in found)


def test_no_newcomer_begins_at_a_row_that_no_component_holds():
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(0.0, 1.0, (100, 2)), rng.normal(30.0, 1.0, (100, 2))])
    model = Model(2, bm.Gaussian(), bm.MaximumLikelihood())
    problem = resolve(model, ArraySource(values), Settings(Aitken()))
    shares = np.repeat(np.eye(2), 100, axis=0)
    state = run(problem, begun(problem, Given(shares), 2), Monitor(), 5)
    look = Look.at(problem, state)
    look.shares[:100, 0] = 0.01
    present = Present(problem, state, look)
    (some,) = present.begun(rng, 50)
    assert some.k == 1
    assert 0 < len(some.places) < 50
    (group,) = present.grouped([some])
    assert group.size == len(some.places)
    assert one_component(rng.normal(size=(9, 2))).begun(rng, 9) == []


def test_equal_rows_are_all_as_near():
    present = one_component(np.random.default_rng(12).normal(size=(80, 2)))
    held = replace(present.held[0], white=np.zeros((80, 0)))
    np.testing.assert_array_equal(by_place(held.white), np.arange(80))
    near = held.nearest(np.array([3, 7]), 10, np.random.default_rng(0))
    assert near.all()


@pytest.mark.parametrize("stretched", [1.0, 60.0])
def test_they_begin_with_the_rows_nearest_to_their_own(stretched, monkeypatch):
    monkeypatch.setattr(beginnings, "MOST_STRETCHED", stretched)
    rng = np.random.default_rng(5)
    held = one_component(rng.normal(size=(200, 2))).held[0]
    places = rng.choice(200, 40, replace=False)
    near = held.nearest(places, 20, rng)
    np.testing.assert_array_equal(near.sum(axis=1), 21)
    assert near[np.arange(40), places].all()
    away = np.linalg.norm(held.white[places][:, None] - held.white, axis=2)
    nearest = np.argsort(away, axis=1)[:, :21]
    same = np.take_along_axis(near, nearest, axis=1).mean()
    assert same == 1.0 if stretched == 1.0 else same < 0.7


def test_newcomers_are_fewer_where_rows_are_many(monkeypatch):
    monkeypatch.setattr(beginnings, "MOST_LOOKED_AT", 1000)
    rng = np.random.default_rng(6)
    present = one_component(rng.normal(size=(200, 2)))
    (some,) = present.begun(rng, 50)
    assert len(some.places) == sum(len(near) for near in some.near()) == 5


def test_as_they_begin_they_take_all_of_the_rows_nearby():
    rng = np.random.default_rng(9)
    present = one_component(two_clusters(rng), family=bm.Gaussian("tied"))
    some = list(present.as_they_begin(present.begun(rng, 30)))
    assert len(some) == 30
    sizes = present.held[0].sizes
    some_of_all = sizes >= beginnings.MANY_ROWS
    assert some_of_all.any()
    sizes = np.where(some_of_all, 3 * (sizes // 3 + 1), sizes + 1)
    for one in some:
        assert np.abs(sizes - one.halves.counts[1]).min() < 1e-9
        assert one.halves.counts.sum() == pytest.approx(360.0)


def test_threads_change_no_bit_of_them():
    pytest.importorskip("numba")
    rng = np.random.default_rng(10)
    values = np.concatenate([two_clusters(rng), two_clusters(rng) + np.array([9.0, 0.0])])
    model = Model(2, bm.Gaussian(), bm.MaximumLikelihood())
    found = []
    for n_jobs in (1, 2, 3):
        source = ArraySource(values, None, n_jobs)
        problem = resolve(model, source, Settings(Aitken()))
        problem = replace(problem, form=COMPILED_LINEAR)
        shares = np.repeat(np.eye(2), 360, axis=0)
        state = run(problem, begun(problem, Given(shares), 2), Monitor(), 3)
        present = Present(problem, state, Look.at(problem, state))
        assert present.n_threads == n_jobs
        some = present.begun(np.random.default_rng(0), 60)
        found.append([each.gains for each in present.after(present.grouped(some), 3)])
    for other in found[1:]:
        np.testing.assert_array_equal(np.concatenate(found[0]), np.concatenate(other))


def test_one_row_of_three_stands_for_those_beside_it():
    rng = np.random.default_rng(13)
    values = rng.normal(size=(3000, 2))
    weights = rng.integers(1, 4, 3000).astype(float)
    (held,) = one_component(values, weights).held
    some = held.one_of(3)
    assert held.one_of(1) is held
    np.testing.assert_array_equal(np.sort(held.mine), np.arange(3000))
    np.testing.assert_array_equal(some.mine, held.mine[::3])
    np.testing.assert_array_equal(some.rows.weights, 3.0 * weights[some.mine])
    # They are spread more evenly than as many that are drawn.
    sides = held.white @ rng.normal(size=(2, 200)) > rng.normal(size=200)
    apart = np.abs(sides[::3].mean(axis=0) - sides.mean(axis=0)).mean()
    drawn = rng.choice(3000, 1000, replace=False)
    assert apart < 0.6 * np.abs(sides[drawn].mean(axis=0) - sides.mean(axis=0)).mean()


def test_what_ended_where_another_did_is_left_out():
    gains = np.array([1.0, 5.0, 4.9995, 3.0, 5.0])
    np.testing.assert_array_equal(different(gains, 1e-3), [1, 3, 0])
    np.testing.assert_array_equal(different(gains, -1.0), [1, 4, 2, 3, 0])


class OfItsOwn(bm.Gaussian):
    """Normal components as those of a family that has no linear forms."""

    linear = centred_kernel = linear_kernel = False

    def maximum_likelihood(self, *arguments):
        found = super().maximum_likelihood(*arguments)
        _ = found.precision_root  # raises where one has collapsed
        return found


def test_a_family_without_linear_forms_is_searched_all_the_same(monkeypatch):
    def refused(mixture):
        raise AssertionError("linear forms of a family that has none")

    def of_all(components, values, shares):
        assert shares.shape[1] == components.n_components
        return moments(components.structure, values, shares)

    rng = np.random.default_rng(3)
    values = two_clusters(rng)
    best = bm.Mixture(5, random_state=0).fit(values)
    known = in_form(one_component(values), CENTRED_FORM)
    expected = list(known.fitted(known.begun(np.random.default_rng(0), 40), (), 1e-3))
    monkeypatch.setattr(Mixture, "linear", property(refused))
    monkeypatch.setattr(Gaussians, "statistics", of_all)
    present = one_component(values, family=OfItsOwn())
    found = list(present.fitted(present.begun(np.random.default_rng(0), 40), (), 1e-3))
    # Without linear forms it does not show which of them lie in one place.
    assert {one.row for one in expected} <= {one.row for one in found}
    own = bm.Mixture(5, family=OfItsOwn(), random_state=0).fit(values)
    assert own.result_.objective == pytest.approx(best.result_.objective, abs=1e-4)
