"""Hidden Markov models with given parameters, for every family, beside fits and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.core.rows import Frame
from bayesmix.errors import BayesmixError

RNG = np.random.default_rng(61)
STATE = np.repeat([0, 1, 0, 1], 15)[:, None]
NORMAL = RNG.normal(3 * STATE, 1.0, (60, 2))
COUNTS = RNG.poisson(2 + 5 * STATE, (60, 2)).astype(float)
LEVELS = np.minimum(COUNTS, 3)
CASES = {
    "full": (bm.Gaussian(), NORMAL),
    "tied": (bm.Gaussian("tied"), NORMAL),
    "spherical": (bm.Gaussian("spherical"), NORMAL),
    "student_t": (bm.StudentT(), NORMAL),
    "log_normal": (bm.LogNormal(), np.exp(NORMAL)),
    "bernoulli": (bm.Bernoulli(), (COUNTS > 4).astype(float)),
    "binomial": (bm.Binomial((30, 30)), COUNTS),
    "poisson": (bm.Poisson(), COUNTS),
    "negative_binomial": (bm.NegativeBinomial(), COUNTS),
    "zero_inflated_poisson": (bm.ZeroInflatedPoisson(), COUNTS),
    "multinomial": (bm.Multinomial(), COUNTS),
    "exponential": (bm.Exponential(), np.exp(NORMAL)),
    "gamma": (bm.Gamma(), np.exp(NORMAL)),
    "weibull": (bm.Weibull(), np.exp(NORMAL)),
    "categorical": (bm.Categorical(), LEVELS),
    "ordinal": (bm.Ordinal(), LEVELS),
    "von_mises_fisher": (
        bm.VonMisesFisher(),
        NORMAL / np.linalg.norm(NORMAL, axis=1, keepdims=True),
    ),
}


def parameters_of(model):
    """The parameters of the states by the names of the components' own fields."""
    components = model.result_.unframed.plug_in()
    if hasattr(model, "covariances_"):
        return {"means": model.means_, "covariances": model.covariances_}
    if model.result_.family.name == "student_t":
        return {
            "means": components.means,
            "scales": components.scales,
            "degrees_of_freedom": components.degrees_of_freedom,
        }
    if model.result_.family.name == "log_normal":
        drawn = model.result_.family.as_draws([components]).parameters(Frame.identity(2))
        return {name: drawn[name][1][0] for name in ("log_means", "log_variances")}
    values = {name: getattr(components, name) for name in components.__dataclass_fields__}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("name", CASES)
def test_a_model_with_the_parameters_of_a_fit_is_that_fit(name):
    family, rows = CASES[name]
    fit = bm.HiddenMarkovModel(2, family=family, n_init=1, search="short", random_state=0).fit(rows)
    model = bm.HiddenMarkovModel.from_parameters(
        fit.startprob_, fit.transmat_, fit.result_.family, **parameters_of(fit)
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
