"""Large data: candidates are compared on a sample, and the best are fitted to all of it."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.estimators.select import procedure
from bayesmix.selection.tasks import Task


@pytest.fixture
def rng():
    return np.random.default_rng(64)


def groups(rng, sizes, apart=6.0, D=2):
    centres = apart * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[: len(sizes)]
    return np.vstack([rng.normal(size=(n, D)) + c for n, c in zip(sizes, centres, strict=True)])


def searched(X, most, numbers=(1, 2, 3, 4), structures="full", **options):
    search = bm.MixtureSearch(
        bm.GaussianMixture(search="short"), numbers, structures, random_state=0, **options
    )
    return search.set_params(most_samples=most, progress=False).fit(X)


def test_the_answer_is_that_of_a_search_of_all_data(rng):
    X = groups(rng, (900, 700, 400))
    part, whole = (searched(X, most, structures=["full", "spherical"]) for most in (300, None))
    assert part.best_params_ == whole.best_params_
    assert part.best_params_ == {"covariance_type": "spherical", "n_components": 3}
    assert part.best_score_ == pytest.approx(whole.best_score_, rel=1e-8)
    assert part.best_estimator_.result_.total_weight == 2000
    assert part.n_clusters_ == 3


CENTRES = [[0, -2.4], [2.6, -3.1], [1.8, 3.4], [-3.9, 2], [3.6, -0.8], [-3.7, -0.2], [0.4, 0.8]]


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "seed"), [(1, 1), (2, 1), (3, 0)])
def test_a_poor_optimum_on_the_sample_does_not_decide(draw, seed):
    """Short runs on the sample end at nine components here."""
    rng = np.random.default_rng(draw)
    shares = [0.18, 0.05, 0.16, 0.15, 0.11, 0.2, 0.05, 0.1]
    means = np.array([*CENTRES, [-3.5, -3.4]])[rng.choice(8, 6000, p=shares)]
    root = np.linalg.cholesky([[0.58, -0.22], [-0.22, 0.96]])
    X = means + rng.normal(size=(6000, 2)) @ root.T
    options = {"family": "gaussian", "random_state": seed, "progress": False}
    search = bm.select(X, range(6, 11), most_samples=3000, **options)
    assert search.best_params_ == {"covariance_type": "tied", "n_components": 8}


def test_candidates_of_the_sample_alone_have_its_criterion_and_no_fit(rng):
    X = groups(rng, (900, 700, 400))
    search = searched(X, 300)
    table, first = search.results_, search.results_.iloc[0]
    fitted = np.array([one is not None for one in search.estimators_])
    assert 0 < fitted.sum() < len(table)
    assert np.isfinite(table["bic"]).tolist() == fitted.tolist()
    assert (
        table["note"].str.startswith("compared on 300 observations alone").tolist()
        == (~fitted).tolist()
    )
    sample = np.sort(np.random.default_rng(0).permutation(2000)[:300])  # another one of this size
    alike = bm.GaussianMixture(3, search="short", random_state=0).fit(X[sample])
    assert first["on_sample"] == pytest.approx(-0.5 * alike.bic(X[sample]), rel=0.1)
    assert search.matrix().notna().all(axis=None)
    assert "on 300 observations, of which" in search.summary(verbose=True)
    assert search.plot(kind="criterion").get_ylabel().startswith("the criterion on a sample")


def test_more_data_support_more_components(rng):
    """Two overlapping groups, which a sample of 150 does not tell apart, and 6,000 do."""
    X = groups(rng, (3000, 3000), apart=2.6)
    assert searched(X[::40], None).best_params_["n_components"] == 1
    search = searched(X, 150)
    assert search.matrix().attrs["best"][0][1] == 1  # on the sample
    assert search.best_params_["n_components"] == 2


def test_more_data_support_a_richer_structure(rng):
    X = rng.normal(size=(8000, 4)) @ np.linalg.cholesky(np.full((4, 4), 0.06) + 0.94 * np.eye(4)).T
    search = searched(X, 100, (1,), ["spherical", "full"])
    assert search.matrix().attrs["best"][0][0] == "spherical"  # on the sample
    assert search.best_params_["covariance_type"] == "full"


def test_the_number_of_workers_changes_nothing(rng):
    X = groups(rng, (900, 700, 400))
    one, two = (searched(X, 300, n_jobs=n_jobs).results_ for n_jobs in (1, 2))
    for name in ("bic", "on_sample"):
        np.testing.assert_array_equal(one[name], two[name])


def test_ctrl_c_on_the_sample_leaves_the_best_so_far_fitted_to_all(rng, monkeypatch):
    X, made = groups(rng, (900, 700, 400)), Task.fit_or_load

    def stopping(task, question):
        if question.parameters["n_components"] == 4 and task.fitter.source.shape[0] == 300:
            raise KeyboardInterrupt
        return made(task, question)

    monkeypatch.setattr(Task, "fit_or_load", stopping)
    with pytest.warns(bm.errors.BayesmixWarning, match="interrupted"):
        search = searched(X, 300)
    assert search.interrupted_
    assert search.best_params_["n_components"] == 3
    assert search.best_estimator_.result_.total_weight == 2000


def test_it_can_be_saved_and_read(rng, tmp_path):
    search = searched(groups(rng, (900, 700, 400)), 300)
    search.save(tmp_path / "search.bayesmix")
    again = bm.load(tmp_path / "search.bayesmix")
    np.testing.assert_array_equal(again.results_["on_sample"], search.results_["on_sample"])
    assert again.summary(verbose=True) == search.summary(verbose=True)


def test_cross_validation_uses_all_data(rng):
    search = searched(groups(rng, (60, 60)), 50, (1, 2), criterion="cv", cv=3)
    assert "on_sample" not in search.results_


def test_the_size_must_be_a_number(rng):
    with pytest.raises(bm.errors.InvalidInputError, match="most_samples must be"):
        searched(groups(rng, (30, 30)), 0)


def test_mixed_tables_are_compared_on_fewer_observations():
    rng = np.random.default_rng(0)
    numbers = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    mixed = numbers.assign(c=rng.choice(["x", "y", "z"], 60))
    sizes = [procedure(table).most_samples for table in (numbers, mixed)]
    assert sizes == [20_000, 5_000]
