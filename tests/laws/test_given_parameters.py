"""Hidden Markov models with given parameters, for every family, beside fits and SciPy."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.core.parameters import declared
from bayesmix.core.rows import Frame
from bayesmix.errors import BayesmixError
from laws.families import EVERY_FAMILY, FamilyCase, factors, normal

CASES = EVERY_FAMILY | {
    "tied": FamilyCase(bm.Gaussian("tied"), normal),
    "spherical": FamilyCase(bm.Gaussian("spherical"), normal),
    "factors, shared": FamilyCase(bm.FactorAnalytic(2, "CUU"), factors),
}


def given(family, point):
    """The parameters of components by the names that they declare, in the shapes of users."""
    if family.name == "product":
        keys = [one.columns if len(one.columns) > 1 else one.columns[0] for one in family.parts]
        pairs = zip(family.families, point.parts, strict=True)
        return {"parts": dict(zip(keys, (given(*pair) for pair in pairs), strict=True))}
    if isinstance(family, bm.Transformed):
        named = family.as_draws([point]).parameters(Frame.identity(point.means.shape[1]))
        prefix = f"{family.function.prefix}_"
        return {name: value[0] for name, (_, value) in named.items() if name.startswith(prefix)}
    values = {own.label: getattr(point, own.field) for own in declared(point)}
    if hasattr(point, "structure"):
        name = "scales" if "scales" in values else "covariances"
        values[name] = point.structure.blocks.as_covariances(point.blocks)
    if family.name == "factor_analytic" and family.model.shared_loadings:
        values["loadings"] = point.loadings[0]
    if family.name == "factor_analytic" and family.model.isotropic_noise:
        values["noise_variances"] = point.noise[:, 0]
    return values


@pytest.mark.parametrize("name", CASES)
def test_a_model_with_the_parameters_of_a_fit_is_that_fit(name):
    family, rows = CASES[name].family, CASES[name].rows()
    fit = bm.HiddenMarkovModel(2, family=family, inference=bm.MaximumLikelihood(), n_init=1)
    fit.set_params(search="short", random_state=0, n_jobs=1, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit.fit(rows)
    family = fit.result_.family
    model = bm.HiddenMarkovModel.from_parameters(
        fit.startprob_, fit.transmat_, family, **given(family, fit.result_.unframed)
    )
    assert model.score(rows) == pytest.approx(fit.score(rows), rel=1e-9)
    np.testing.assert_allclose(model.predict_proba(rows), fit.predict_proba(rows), atol=1e-6)
    assert (model.predict(rows) == fit.predict(rows)).all()


def test_the_likelihood_is_that_of_all_paths(tmp_path):
    startprob, moves = np.array([0.3, 0.7]), np.array([[0.9, 0.1], [0.4, 0.6]])
    rates, means = np.array([[1.0], [6.0]]), np.array([[0.0], [2.0]])
    family = bm.Product({"visits": bm.Poisson(), "weight": bm.Gaussian("spherical")})
    parts = {"visits": {"rates": rates}, "weight": {"means": means, "covariances": [1.0, 4.0]}}
    model = bm.HiddenMarkovModel.from_parameters(startprob, moves, family, parts=parts)
    frame = pd.DataFrame({"weight": [0.5, 3.0, -1.0], "visits": [0, 7, 3]})
    density = stats.poisson.pmf(frame[["visits"]], rates.T) * stats.norm.pdf(
        frame[["weight"]], means.T, [1.0, 2.0]
    )
    total = sum(
        startprob[a] * density[0, a] * moves[a, b] * density[1, b] * moves[b, c] * density[2, c]
        for a in range(2)
        for b in range(2)
        for c in range(2)
    )
    assert model.score(frame) == pytest.approx(np.log(total) / 3, rel=1e-12)
    model.save(tmp_path / "m.bayesmix")
    assert bm.load(tmp_path / "m.bayesmix").score(frame) == model.score(frame)
    values, states = model.sample(5, random_state=0)
    assert len(values) == len(states) == 5


def test_levels_and_factors_can_be_given():
    colours = bm.Product({"colour": bm.Categorical((("blue", "red"),))})
    parts = {"colour": {"probabilities": [[1.0, 0.0], [0.5, 0.5]]}}
    moves = [[0.5, 0.5], [0.5, 0.5]]
    model = bm.HiddenMarkovModel.from_parameters(None, moves, colours, parts=parts)
    shares = model.predict_proba(pd.DataFrame({"colour": ["red", "blue"]}))
    np.testing.assert_allclose(shares, [[0.0, 1.0], [2 / 3, 1 / 3]])
    loadings = np.array([[1.0], [2.0], [0.5]])
    factors = bm.HiddenMarkovModel.from_parameters(
        [1.0],
        [[1.0]],
        bm.FactorAnalytic(1),
        means=np.zeros((1, 3)),
        loadings=loadings[None],
        noise_variances=np.ones((1, 3)),
    )
    row = np.array([[0.3, -1.0, 2.0]])
    covariance = loadings @ loadings.T + np.eye(3)
    expected = stats.multivariate_normal(np.zeros(3), covariance).logpdf(row)
    assert factors.score(row) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"transmat": [[0.5, 0.6], [0.5, 0.5]], "rates": [[1.0], [2.0]]}, "transmat must not"),
        ({"startprob": [0.5, 0.4], "rates": [[1.0], [2.0]]}, "startprob must not"),
        ({"rates": [[1.0], [-2.0]]}, "rates must lie between 0"),
        ({"rates": [[1.0]]}, "rates must have a row for each of 2 states"),
        ({"means": [[1.0]]}, "the parameters of Poisson are rates, got means"),
        ({"family": "categorical", "probabilities": [[0.5, 0.4]] * 2}, "levels of a"),
        ({"family": None, "means": [[0.0], [1.0]], "covariances": [1.0, -1.0]}, "covariance"),
    ],
)
def test_wrong_parameters_are_refused(given, said):
    call = {"startprob": None, "transmat": [[0.9, 0.1], [0.3, 0.7]], "family": "poisson"} | given
    with pytest.raises(BayesmixError, match=said):
        bm.HiddenMarkovModel.from_parameters(**call)
