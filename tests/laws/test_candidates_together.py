"""Candidates that are fitted all at once: the steps that they share are those of each by itself."""

import numpy as np
import pytest
from gold.data import read_csv, read_json

import bayesmix as bm
from bayesmix.families.gaussian.covariance.dense import DENSE
from bayesmix.families.gaussian.covariance.models import NAMED, STRUCTURES
from bayesmix.families.gaussian.together.conditional_steps import TOGETHER, Ownership
from bayesmix.families.gaussian.together.many_mixtures import Bundle, SharedRows
from bayesmix.records import Frame
from bayesmix.sources import as_source
from bayesmix.workflow.search.candidates_together import begun_together, mixture_of
from bayesmix.workflow.search.side_by_side import run

every = pytest.mark.parametrize("letters", TOGETHER)


def scatters(letters, n_features, sizes, seed):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(sum(sizes), n_features, n_features + 3))
    dense = roots @ roots.swapaxes(1, 2) * rng.uniform(0.5, 20.0, (sum(sizes), 1, 1))
    counts = rng.uniform(3.0, 40.0, sum(sizes))
    if NAMED[letters].algebra is DENSE:
        return counts, dense
    return counts, np.diagonal(dense, axis1=1, axis2=2).copy()


def cost(counts, scatter, precisions, log_det):
    """Σ n_k log|Σ_k| + tr S_k Σ_k⁻¹ by component."""
    return counts * log_det + (scatter * precisions).reshape(len(counts), -1).sum(axis=1)


def of_estimate(structure, counts, scatter):
    blocks = structure.blocks
    pooled, behind = blocks.pool(scatter), blocks.counts(counts, scatter.shape[1])
    covariances = structure.estimate(pooled, behind, None)
    covariances = structure.algebra.dense(covariances, len(counts), scatter.shape[1])
    precisions = np.linalg.inv(covariances)
    if scatter.ndim == 2:
        precisions = np.diagonal(precisions, axis1=1, axis2=2)
    return cost(counts, scatter, precisions, np.linalg.slogdet(covariances)[1])


@every
@pytest.mark.parametrize("n_features", [2, 4])
def test_steps_taken_again_lead_every_mixture_where_its_own_m_step_does(letters, n_features):
    sizes = [3, 1, 2]
    parts = Ownership(np.array(sizes))
    counts, scatter = scatters(letters, n_features, sizes, seed=n_features)
    kept, before = None, np.full(len(sizes), np.inf)
    for _ in range(300):
        found = TOGETHER[letters](parts, counts, scatter, kept)
        kept = found.kept
        reached = parts.total(cost(counts, scatter, found.precisions, found.log_det))
        assert (reached <= before + 1e-9 * np.abs(reached)).all()
        before = reached
    structure = NAMED[letters]
    own = [slice(sum(sizes[:i]), sum(sizes[: i + 1])) for i in range(len(sizes))]
    best = [of_estimate(structure, counts[part], scatter[part]).sum() for part in own]
    # Axes in common have several optima: no mixture has to end in the other one's.
    slack = 0.02 if letters in ("EVE", "VVE") else 1e-7
    assert np.allclose(reached, best, rtol=slack)


def shared(values):
    size = values.shape[1]
    return SharedRows(values, np.ones(len(values)), Frame.identity(size), np.full(size, 1e-9))


def test_a_pass_of_all_is_the_pass_of_each():
    rng = np.random.default_rng(0)
    rows = shared(rng.normal(size=(300, 3)) + 2.0 * rng.integers(0, 2, (300, 1)))
    bundle = Bundle(("full", "full", "EVE", "diag"), np.array([2, 3, 2, 1]))
    shares = rng.uniform(size=(8, 300))
    for first, size in zip(bundle.division.starts, bundle.sizes, strict=True):
        shares[first : first + size] /= shares[first : first + size].sum(axis=0)
    sums = rows.sums(shares)
    coefficients, sound, _ = rows.maximised(bundle, sums, {})
    values, after = rows.expected(bundle, coefficients)
    assert sound.all()
    for i, first in enumerate(bundle.division.starts):
        own = slice(first, first + bundle.sizes[i])
        mixture = mixture_of(rows, bundle.structures[i], sums[own])
        own_shares, log_normaliser = mixture.responsibilities(rows.values)
        assert values[i] == pytest.approx(log_normaliser.sum(), rel=1e-6 if i == 2 else 1e-10)
        assert np.allclose(after[own], rows.sums(own_shares.T), rtol=1e-4 if i == 2 else 1e-8)


def test_runs_side_by_side_end_where_em_stays():
    rows = shared(bm.datasets.load_iris().select_dtypes("number").to_numpy() - 3.0)
    shares = np.repeat(np.eye(3), 50, axis=1)
    names = tuple(STRUCTURES)
    bundle = Bundle(names, np.full(len(names), 3))
    ends = run(rows, bundle, rows.sums(np.vstack([shares] * len(names))), 400)
    for i, name in enumerate(names):
        mixture = mixture_of(rows, name, ends.sums[3 * i : 3 * i + 3])
        model = bm.Mixture(3, family=bm.Gaussian(name), search=None, max_iter=2000)
        model.set_params(init_params=mixture.responsibilities(rows.values)[0]).fit(rows.values)
        assert model.log_likelihood_ == pytest.approx(ends.values[i], abs=2e-2)


def test_a_run_that_collapses_ends_no_other():
    values = np.random.default_rng(1).normal(size=(120, 2))
    values[:2] = 50.0
    rows = shared(values)
    shares = np.zeros((4, 120))
    shares[0, :2] = shares[1, 2:] = shares[2, ::2] = shares[3, 1::2] = 1.0
    ends = run(rows, Bundle(("full", "tied"), np.array([2, 2])), rows.sums(shares), 50)
    assert ends.values[0] == -np.inf
    assert np.isfinite(ends.values[1])


def test_first_fits_are_at_least_mclusts_but_for_few():
    table = read_json("mclust_bic_iris.json")["default_tol"]["loglik"]
    rows = read_csv("iris.csv", usecols=range(4))
    asked = [(name, k) for name in STRUCTURES for k in (2, 3)]
    found = begun_together(as_source(rows), asked, 0)
    assert len(found) >= len(asked) - 2
    values = {}
    for each, mixture in found.items():
        log_normaliser = mixture.responsibilities(mixture.frame.apply(rows))[1]
        values[each] = log_normaliser.sum() - len(rows) * mixture.frame.log_volume
    theirs = {each: table[NAMED[each[0]].letters][str(each[1])] for each in found}
    behind = [values[each] < theirs[each] - 1e-2 for each in found if theirs[each] is not None]
    assert len(behind) > 20
    assert sum(behind) <= 1


def test_what_a_merge_loses_is_what_the_moments_say():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(90, 2))
    rows = shared(values)
    shares = np.zeros((2, 90))
    shares[0, :30] = shares[1, 30:] = 1.0
    sums = rows.sums(shares)

    def reached(parts):
        """Log likelihood of hard clusters that are normal each."""
        total = 0.0
        for part in parts:
            n, log_det = len(part), np.linalg.slogdet(np.cov(part.T, bias=True))[1]
            total += n * np.log(n / 90) - 0.5 * n * (log_det + 2 * np.log(2 * np.pi) + 2)
        return total

    lost = reached([values[:30], values[30:]]) - reached([values])
    assert rows.losses(sums[:1], sums[1:]) == pytest.approx(lost, rel=1e-6)


def test_rows_on_a_plane_are_fitted_one_by_one():
    rows = np.random.default_rng(2).normal(size=(100, 2))
    flat = np.column_stack([rows, rows.sum(axis=1)])
    assert begun_together(as_source(flat), [("full", 2)], 0) == {}


def test_weights_count_as_rows_that_are_repeated():
    rng = np.random.default_rng(3)
    rows = np.vstack([rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 6.0])
    times = rng.integers(1, 4, 80)
    repeated = begun_together(as_source(np.repeat(rows, times, axis=0)), [("EVE", 2)], 0)
    weighted = begun_together(as_source(rows, times.astype(float)), [("EVE", 2)], 0)
    one, other = (np.sort(each["EVE", 2].weights.mean()) for each in (repeated, weighted))
    assert np.allclose(one, other, atol=1e-6)
