"""Panels: what criteria count, sizes of states by wave, and Mplus' latent transition analysis.

``lsay_science.csv`` are answers to five items on science in grades 7 and 10 of the Longitudinal
Study of American Youth, with the outputs of Mplus 8.11 of an online course (see tests/data).
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import optimize, special
from sklearn.base import clone

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError

DATA = Path(__file__).parent.parent / "data"


def lsay():
    """Return items (2n, 5) of the pupils wave by wave, their numbers, and covariates."""
    table = pd.read_csv(DATA / "lsay_science.csv", dtype=str, keep_default_na=False)
    table = table.loc[table.index.repeat(table["count"].astype(int))].reset_index(drop=True)
    digits = [[list(row) for row in table[grade]] for grade in ("grade7", "grade10")]
    items = np.where(np.array(digits) == "-", "nan", digits).astype(float)
    X = pd.DataFrame(items.transpose(1, 0, 2).reshape(-1, 5), columns=list("mtuwx"))
    covariates = table[["female", "minority"]].replace("-", np.nan).astype(float)
    return X, np.repeat(np.arange(len(table)), 2), covariates


@pytest.fixture(scope="module")
def pupils():
    X, persons, _ = lsay()
    model = bm.HiddenMarkovModel(4, family="bernoulli", missing="use", n_init=3, random_state=0)
    return model.fit(X, groups=persons), X, persons


def panel(n_persons=60, n_waves=3, seed=0):
    """Return values of two states, and persons."""
    rng = np.random.default_rng(seed)
    states = rng.integers(2, size=(n_persons, n_waves))
    X = rng.normal(4.0 * states.ravel())[:, None]
    return X, np.repeat(np.arange(n_persons), n_waves)


@pytest.mark.slow
def test_likelihood_and_criteria_of_a_latent_transition_analysis_are_those_of_mplus(pupils):
    model, X, persons = pupils
    assert model.log_likelihood_ == pytest.approx(-14542.768, abs=1e-3)
    assert model.result_.n_parameters == 35
    assert model.aic() == pytest.approx(29155.536, abs=2e-3)
    assert model.bic() == pytest.approx(29366.816, abs=2e-3)  # 24 pupils have no answer
    assert model.bic(X, groups=persons) == pytest.approx(model.bic())
    assert "count 3,092 persons (6,232 person-waves, 913 of them empty)" in model.summary()


@pytest.mark.slow
def test_sizes_of_states_by_wave_are_class_proportions_of_mplus(pupils):
    model, X, _ = pupils
    proportions = np.array([[0.29017, 0.26980, 0.14263, 0.29740],
                            [0.34970, 0.33059, 0.16336, 0.15635]])  # fmt: skip
    np.testing.assert_allclose(model.state_shares(), proportions, atol=3e-4)
    profiles = bm.class_profiles(model, X)
    np.testing.assert_allclose(profiles.waves["share"], model.state_shares().to_numpy().ravel())
    text = str(profiles.to_apa("waves"))
    assert "Wave 2" in text
    assert "N = 3,092 persons" in text
    assert "N = 3,092 persons" in str(profiles.to_apa())


@pytest.mark.parametrize(
    ("n_persons", "n_waves", "given", "n", "counted"),
    [
        (60, 3, "groups", "auto", 60),
        (60, 3, "groups", "rows", 180),
        (60, 3, "lengths", "auto", 180),
        (60, 3, "lengths", "persons", 60),
        (4, 45, "groups", "auto", 180),  # few long series
        (4, 45, "groups", "persons", 4),
    ],
)
def test_criteria_count_persons_of_panels_and_rows_of_series(n_persons, n_waves, given, n, counted):
    X, persons = panel(n_persons, n_waves)
    sequences = {"groups": persons} if given == "groups" else {"lengths": [n_waves] * n_persons}
    model = bm.HiddenMarkovModel(2, n=n, n_init=1, search="short", random_state=0)
    model.fit(X, **sequences)
    p = model.result_.n_parameters
    expected = -2.0 * model.log_likelihood_ + p * np.log(counted)
    assert model.bic() == pytest.approx(expected)
    assert model.bic(X, **sequences) == pytest.approx(expected)
    unit = f"{counted} rows" if counted == 180 else f"{counted} persons (180 person-waves)"
    assert f"Information criteria count {unit}." in model.summary()


def test_persons_without_any_value_are_not_counted():
    X, persons = panel()
    empty = np.concatenate([X, np.full((6, 1), np.nan)])
    model = bm.HiddenMarkovModel(2, missing="use", n_init=1, search="short", random_state=0)
    one = model.fit(X, groups=persons)
    bic = one.bic()
    more = model.fit(empty, groups=np.append(persons, np.repeat([100, 101], 3)))
    assert more.bic() == pytest.approx(bic, abs=1e-6)
    assert "60 persons (186 person-waves, 6 of them empty)" in more.summary()


def test_searches_count_persons_and_say_so(tmp_path):
    X, persons = panel()
    quick = bm.HiddenMarkovModel(n_init=1, search="short", random_state=0)
    search = bm.MixtureSearch(quick, [1, 2], criterion="bic").fit(X, groups=persons)
    best = search.best_estimator_
    assert search.best_score_ == pytest.approx(best.bic())
    assert best.bic() < -2.0 * best.log_likelihood_ + best.result_.n_parameters * np.log(100)
    assert "n = 60 persons (180 person-waves)" in search.summary()
    best.save(tmp_path / "panel.bayesmix")
    assert bm.load(tmp_path / "panel.bayesmix").bic() == best.bic()


def test_unknown_n_and_sizes_of_series_are_refused():
    X, persons = panel()
    with pytest.raises(InvalidInputError, match="n must be"):
        bm.HiddenMarkovModel(2, n="units").fit(X, groups=persons)
    series = bm.HiddenMarkovModel(2, n_init=1, search="short", random_state=0).fit(X)
    with pytest.raises(InvalidInputError, match="of a panel"):
        bm.class_profiles(series, X).to_apa("waves")


# Weights of persons


def weighted_panel(n_persons=90, seed=3):
    """Return two binary items at three waves, persons, their weights, clusters and strata."""
    rng = np.random.default_rng(seed)
    states = rng.random(n_persons) < 0.4
    waves = []
    for _ in range(3):
        waves.append(rng.random((n_persons, 3)) < np.where(states, 0.85, 0.2)[:, None])
        states = np.where(rng.random(n_persons) < 0.25, ~states, states)
    X = np.stack(waves, axis=1).reshape(-1, 3).astype(float)
    clusters = rng.integers(20, size=n_persons)
    weights = rng.uniform(0.3, 2.0, n_persons)
    return X, np.repeat(np.arange(n_persons), 3), weights / weights.mean(), clusters, clusters % 3


def by_hand(parameters, X):
    """Return the log likelihood of each person, by the sum over all paths of two states."""
    p = 1.0 / (1.0 + np.exp(-np.asarray(parameters)))
    first, moves = np.array([p[0], 1.0 - p[0]]), np.array([[1.0 - p[1], p[1]], [p[2], 1.0 - p[2]]])
    probabilities = p[3:].reshape(2, 3)
    items = X.reshape(-1, 3, 1, 3)
    f = np.where(items == 1.0, probabilities, 1.0 - probabilities).prod(axis=3)
    total = 0.0
    for a, b, c in np.ndindex(2, 2, 2):
        total += first[a] * moves[a, b] * moves[b, c] * f[:, 0, a] * f[:, 1, b] * f[:, 2, c]
    return np.log(total)


def slopes(function, at, step=1e-5):
    steps = step * np.eye(len(at))
    return np.array([(function(at + s) - function(at - s)) / (2.0 * step) for s in steps])


@pytest.mark.slow
@pytest.mark.parametrize("design", ["weights", "clusters and strata"])
def test_weighted_fits_and_errors_are_those_of_direct_maximisation_and_an_own_sandwich(design):
    X, persons, weights, clusters, strata = weighted_panel()
    hmm = bm.HiddenMarkovModel(2, family="bernoulli", tol=1e-12, random_state=0)
    hmm.fit(X, groups=persons, sample_weight=weights)
    pi, A, B = hmm.startprob_, hmm.transmat_, hmm.result_.plug_in.components.probabilities
    at = special.logit([pi[0], A[0, 1], A[1, 0], *B.ravel()])
    direct = optimize.minimize(
        lambda q: -(weights @ by_hand(q, X)), at + 0.1, method="BFGS", options={"gtol": 1e-7}
    )
    assert hmm.log_likelihood_ == pytest.approx(-direct.fun, abs=1e-7)
    np.testing.assert_allclose(at, direct.x, atol=2e-4)

    def gradient(q):
        return slopes(lambda q: by_hand(q, X), q) @ weights

    information = -slopes(gradient, at, 1e-4)
    scores = weights[:, None] * slopes(lambda q: by_hand(q, X), at).T
    groups = persons[::3] if design == "weights" else clusters
    layers = np.zeros(len(weights)) if design == "weights" else strata
    meat = np.zeros_like(information)
    for layer in np.unique(layers):
        inside = layers == layer
        sums = pd.DataFrame(scores[inside]).groupby(groups[inside]).sum().to_numpy()
        away = sums - sums.mean(axis=0)
        meat += len(sums) / (len(sums) - 1) * away.T @ away
    inverse = np.linalg.inv(information)
    p = special.expit(at)
    expected = np.sqrt(np.diag(inverse @ meat @ inverse)) * p * (1.0 - p)
    given = {} if design == "weights" else {"clusters": clusters, "strata": strata}
    table = hmm.parameter_table(X, "sandwich", sample_weight=weights, **given)
    errors = table["standard_error"]
    found = [*errors["start"].iloc[:1], *errors["transition"].iloc[[1, 2]]]
    by_item = errors["probability"].xs(1, level="level").to_numpy().reshape(3, 2).T
    np.testing.assert_allclose([*found, *by_item.ravel()], expected, rtol=2e-3)
    by_row = {name: np.repeat(values, 3) for name, values in given.items()}
    again = hmm.parameter_table(X, "sandwich", sample_weight=np.repeat(weights, 3), **by_row)
    pd.testing.assert_frame_equal(again, table)


CHAINS = [("none", False), ("first", False), ("all", False), ("none", True), ("all", True)]


@pytest.mark.parametrize(("effects", "timed"), CHAINS)
def test_whole_weights_are_repetitions_of_persons(effects, timed):
    X, persons, *_ = weighted_panel(40)
    rng = np.random.default_rng(4)
    weights, times = rng.integers(4, size=40), np.tile([0.0, 1.0, 2.5], 40)
    z = rng.normal(size=(120, 1)) if effects == "all" else np.repeat(rng.normal(size=(40, 1)), 3, 0)
    rows = np.concatenate([np.arange(3 * i, 3 * i + 3) for i in np.repeat(np.arange(40), weights)])
    hmm = bm.HiddenMarkovModel(
        2, family="bernoulli", covariate_effects=effects, n_init=1, search="short", tol=1e-13,
        random_state=0,
    )  # fmt: skip

    def given(chosen):
        beside = {} if effects == "none" else {"covariates": z[chosen]}
        return beside | ({"times": times[chosen]} if timed else {})

    every = slice(None)
    hmm.fit(X, groups=persons, sample_weight=weights, **given(every))
    own = hmm.log_likelihood_, hmm.bic(), hmm.icl(), hmm.startprob_
    errors = hmm.parameter_table(X, sample_weight=weights)["standard_error"]
    by_row = np.repeat(weights, 3)
    assert hmm.bic(X, groups=persons, sample_weight=by_row, **given(every)) == pytest.approx(own[1])
    hmm.fit(X[rows], groups=np.repeat(np.arange(weights.sum()), 3), **given(rows))
    expected = hmm.log_likelihood_, hmm.bic(), hmm.icl(), hmm.startprob_
    for value, of_rows in zip(own, expected, strict=True):
        np.testing.assert_allclose(value, of_rows, rtol=1e-5)
    if not (timed and effects == "all"):  # whose transitions are at means of other covariates
        repeated = hmm.parameter_table(X[rows])["standard_error"]
        np.testing.assert_allclose(errors, repeated, rtol=1e-4)


def test_searches_and_tables_take_weights_of_persons():
    X, persons, weights, clusters, strata = weighted_panel()
    quick = bm.HiddenMarkovModel(family="bernoulli", n_init=1, search="short", random_state=0)
    given = {"groups": persons, "sample_weight": np.repeat(weights, 3)}
    best = bm.MixtureSearch(quick, [1, 2], criterion="bic").fit(X, **given).best_estimator_
    alone = clone(quick).set_params(n_components=2).fit(X, **given)
    assert best.log_likelihood_ == pytest.approx(alone.log_likelihood_, abs=1e-3)
    profiles = bm.class_profiles(alone, X, sample_weight=weights, clusters=clusters, strata=strata)
    assert "sampling weights, 19 clusters and 3 strata" in str(profiles.to_apa())
    np.testing.assert_allclose(
        profiles.waves["share"], alone.state_shares(weights).to_numpy().ravel()
    )


def test_weights_that_vary_and_other_designs_are_refused():
    X, persons, weights, clusters, _ = weighted_panel()
    hmm = bm.HiddenMarkovModel(2, family="bernoulli", n_init=1, search="short", random_state=0)
    by_row = np.repeat(weights, 3)
    by_row[4] = 9.0
    with pytest.raises(InvalidInputError, match=r"row 4 \(row 1 of sequence 1\) has 9"):
        hmm.fit(X, groups=persons, sample_weight=by_row)
    hmm.fit(X, groups=persons, sample_weight=weights)
    rows = np.repeat(clusters, 3)
    rows[4] += 1
    with pytest.raises(InvalidInputError, match="clusters must be equal within a sequence"):
        hmm.parameter_table(X, "sandwich", sample_weight=weights, clusters=rows)
    with pytest.raises(InvalidInputError, match="pass the sample_weight of the fit"):
        hmm.parameter_table(X, sample_weight=2.0 * weights)
    with pytest.raises(UnsupportedError, match="has no weights, clusters or strata"):
        hmm.parameter_table(X, "bootstrap", sample_weight=weights)
    with pytest.raises(UnsupportedError, match="weights of sequences"):
        bm.gibbs(clone(hmm).set_params(inference=bm.VariationalBayes()).fit(
            X, groups=persons, sample_weight=weights), X, sample_weight=by_row)  # fmt: skip


# Transitions by wave


def psid():
    """Return two binary variables of 1,446 women in seven years, and their numbers."""
    table = pd.read_csv(DATA / "psid_employment.csv", dtype=str)
    table = table.loc[table.index.repeat(table["count"].astype(int))]
    digits = [[list(row) for row in table[name]] for name in ("fertility", "employment")]
    return np.array(digits, float).transpose(1, 2, 0).reshape(-1, 2), np.repeat(range(1446), 7)


@pytest.fixture(scope="module")
def women():
    X, persons = psid()
    years = np.tile(np.arange(1, 8), 1446)
    later = pd.DataFrame({f"year {k}": 1.0 * (years == k) for k in range(3, 8)})
    hmm = bm.HiddenMarkovModel(
        2, family="bernoulli", covariate_effects="transitions", n_init=2, search="short",
        random_state=0,
    )  # fmt: skip
    return hmm.fit(X, groups=persons, covariates=later), X


@pytest.mark.slow
def test_transitions_by_wave_and_their_errors_are_those_of_lmest(women):
    hmm, X = women
    assert hmm.log_likelihood_ == pytest.approx(-6900.447, abs=1e-3)
    assert hmm.result_.n_parameters == 17
    assert hmm.aic() == pytest.approx(13834.89, abs=0.005)
    assert hmm.bic() == pytest.approx(13924.6, abs=0.05)
    profiles = bm.class_profiles(hmm, X)
    errors = profiles.wave_transitions["standard_error"].to_numpy().reshape(6, 2, 2)[:, :, 0]
    by_wave = [0.01311762, 0.02212323, 0.01074772, 0.02149914, 0.009465333, 0.023346423]
    by_wave += [0.01037142, 0.02084359, 0.01002753, 0.02017732, 0.01156591, 0.02561638]
    np.testing.assert_allclose(errors.ravel(), by_wave, atol=5e-5)
    table = hmm.parameter_table(X)["standard_error"]
    np.testing.assert_allclose(table["start"], 0.01541024, atol=2e-5)
    of_items = [0.00282196, 0.005557113, 0.004149002, 0.01066309]
    np.testing.assert_allclose(table["probability"], of_items, atol=2e-5)
    assert "Wave 6 to 7: From State 2" in str(profiles.to_apa("transitions"))


@pytest.mark.slow
def test_effects_against_staying_are_those_against_state_1_turned_round(women):
    hmm, X = women
    first = hmm.gate_coefficients(X)
    staying = hmm.gate_coefficients(X, reference="staying")
    pd.testing.assert_frame_equal(
        staying.loc[["first", "state 1"]], first.loc[["first", "state 1"]]
    )
    turned = staying.loc[("state 2", "state 1")]
    own = first.loc[("state 2", "state 2")]
    np.testing.assert_allclose(turned["estimate"], -own["estimate"])
    np.testing.assert_allclose(turned["standard_error"], own["standard_error"])


def test_effects_against_staying_need_covariates_of_transitions():
    X, persons = panel()
    z = np.random.default_rng(0).normal(size=(60, 1))
    hmm = bm.HiddenMarkovModel(2, n_init=1, search="short", random_state=0)
    hmm.fit(X, groups=persons, covariates=z)
    with pytest.raises(InvalidInputError, match="transitions that depend on covariates"):
        hmm.gate_coefficients(X, reference="staying")


def test_bands_of_an_alluvial_figure_are_shares_times_transitions():
    X, persons = panel()
    hmm = bm.HiddenMarkovModel(2, n_init=1, search="short", random_state=0)
    hmm.fit(X, groups=persons)
    ax = bm.plots.plot_alluvial(hmm)
    heights = []
    for band in ax.collections:
        edge = band.get_paths()[0].vertices
        at_left = edge[np.isclose(edge[:, 0], edge[:, 0].min()), 1]
        heights.append(np.ptp(at_left))
    flows = hmm.state_shares().to_numpy()[:2, :, None] * hmm.transmat_
    np.testing.assert_allclose(heights, flows.ravel(), atol=1e-12)
    series = hmm.fit(X)
    with pytest.raises(InvalidInputError, match="a panel of 2 to 12 waves, got 180"):
        bm.plots.plot_alluvial(series)


@pytest.fixture(scope="module")
def free_by_wave():
    """Item probabilities, or means, with a column for each item and wave."""
    rng = np.random.default_rng(31)
    states = rng.random((150, 2)) < [0.4, 0.6]
    names = ["a1", "b1", "a2", "b2"]
    means, answers = np.full((2, 150, 2, 4), np.nan)
    for wave in (0, 1):
        own = slice(2 * wave, 2 * wave + 2)
        means[:, wave, own] = 4.0 * states[:, [wave]] + rng.normal(wave, 1.0, (150, 2))
        answers[:, wave, own] = rng.random((150, 2)) < np.where(states[:, [wave]], 0.9, 0.2)
    profiles = []
    for X, settings in ((means, {"covariance_type": "diag"}), (answers, {"family": "bernoulli"})):
        frame = pd.DataFrame(X.reshape(300, 4), columns=names)
        hmm = bm.HiddenMarkovModel(2, missing="use", random_state=0, n_init=2, **settings)
        hmm.fit(frame, groups=np.repeat(np.arange(150), 2))
        profiles.append(bm.class_profiles(hmm, frame))
    return profiles


@pytest.mark.parametrize("kind", [0, 1])
def test_panels_of_waves_show_the_estimates_and_sizes_of_each_wave(free_by_wave, kind):
    profiles = free_by_wave[kind]
    columns = {"before": ["a1", "b1"], "after": ["a2", "b2"]}
    axes = Figure().subplots(1, 2)
    bm.plots.plot_wave_profiles(profiles, columns, axes, units="raw", items=["a", "b"])
    for place, (ax, (wave, own)) in enumerate(zip(axes, columns.items(), strict=True)):
        assert ax.get_title() == wave
        assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]
        drawn = []
        for container in ax.containers:
            bars = [each for each in container if hasattr(each, "get_height")]
            drawn += [[bar.get_height() for bar in bars]] if bars else []
            drawn += [container[0].get_ydata()] if not bars and kind == 0 else []
        table = profiles.profiles["estimate"].loc[("mean", "probability")[kind]]
        expected = table.unstack("class" if "class" in table.index.names else "state")
        expected = expected.droplevel("level").loc[own].to_numpy().T
        np.testing.assert_allclose(drawn, expected)
        shares = profiles.waves["share"].to_numpy().reshape(2, 2)[place]
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert texts == [f"State {k + 1} ({share:.0%})" for k, share in enumerate(shares)]
    assert axes[0].get_ylim() == axes[1].get_ylim()
    if kind == 0:
        known = profiles.correlations.notna().to_numpy()
        np.testing.assert_array_equal(known, np.kron(np.eye(2), np.ones((2, 2))).astype(bool))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([["a1"], ["c2"]], "columns has 'c2', which is not in the profiles, only a1, b1, a2, b2"),
        ([["a1", "b1"], ["a2"]], "got 2 for 'Wave 1', 1 for 'Wave 2'"),
        ([["a1", "b1"]], "two waves or more"),
        ([], "got none"),
    ],
)
def test_waves_without_the_same_items_are_named(free_by_wave, columns, words):
    with pytest.raises(InvalidInputError, match=words):
        bm.plots.plot_wave_profiles(free_by_wave[1], columns)


@pytest.mark.parametrize("kind", ["mixture", "panel"])
def test_residuals_of_binary_items_are_those_of_two_categories(kind):
    X, persons, *_ = weighted_panel()
    X[::11, 1] = np.nan
    tables = []
    for family in (bm.Bernoulli(), bm.Categorical()):
        given = {"n_init": 2, "search": "short", "random_state": 0, "tol": 1e-9, "missing": "use"}
        if kind == "panel":
            model = bm.HiddenMarkovModel(2, family=family, **given).fit(X, groups=persons)
        else:
            model = bm.Mixture(2, family=family, **given).fit(X)
        tables.append(bm.class_profiles(model, X))
    binary, categories = (table.residuals for table in tables)
    np.testing.assert_allclose(binary, categories, atol=1e-3)
    assert "Bivariate Residuals" in str(tables[0].to_apa("residuals"))


def test_states_are_found_where_waves_have_no_column_in_common():
    rng = np.random.default_rng(5)
    n, D = 400, 8
    states = rng.integers(4, size=(n, 1)).repeat(3, axis=1)
    states = np.where(rng.random((n, 3)) < 0.1, rng.integers(4, size=(n, 3)), states)
    of_states = rng.choice([0.25, 0.75], (3, 4, D))  # of each wave, state and item
    X = np.full((n, 3, 3 * D), np.nan)
    for wave in range(3):
        answers = rng.random((n, D)) < of_states[wave, states[:, wave]]
        X[:, wave, D * wave : D * wave + D] = answers
    rows = X.reshape(-1, 3 * D)
    hmm = bm.HiddenMarkovModel(
        4, family="bernoulli", missing="use", n_init=1, search="short", random_state=0
    )
    hmm.fit(rows, groups=np.repeat(range(n), 3))
    truth = bm.HiddenMarkovModel.from_parameters(
        np.full(4, 0.25),
        np.eye(4) * 0.9 + 0.025,
        "bernoulli",
        probabilities=of_states.transpose(1, 0, 2).reshape(4, 3 * D),
    ).set_params(missing="use")
    # A maximum lies above the truth. Starts by k-means of samples alone end 12 nats below it.
    assert hmm.log_likelihood_ > 3 * n * truth.score(rows, lengths=[3] * n)


@pytest.mark.slow
def test_measurement_free_by_wave_has_the_likelihood_of_mplus():
    X, persons, _ = lsay()
    own = np.full((len(X) // 2, 2, 10), np.nan)
    own[:, 0, :5], own[:, 1, 5:] = X.to_numpy()[::2], X.to_numpy()[1::2]
    model = bm.HiddenMarkovModel(4, family="bernoulli", missing="use", n_init=3, random_state=0)
    model.fit(own.reshape(-1, 10), groups=persons)
    assert model.log_likelihood_ == pytest.approx(-14531.997, abs=2e-3)
    assert model.result_.n_parameters == 55
    assert model.bic() == pytest.approx(29506.005, abs=4e-3)
