"""The report of a search: the answer first, all of it in one file, and nothing that loads."""

import base64
import builtins
import hashlib
import json
import re
import shlex
import sys
import xml.etree.ElementTree as ElementTree
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

import bayesmix as bm
from bayesmix.errors import InvalidInputError, MissingExtraError, UndefinedError
from bayesmix.report import write_report
from bayesmix.report.assumptions import prior_in_words
from bayesmix.report.page import write_fit_report
from bayesmix.report.reproduce import code
from bayesmix.report.subject import subject_of
from bayesmix.report.tables import typeset
from bayesmix.shell.app import app
from bayesmix.sources.memory import ArraySource

pytest.importorskip("matplotlib")

HEADINGS = [
    "Clusters",
    "Figures",
    "Component parameters",
    "Criteria",
    "Candidates",
    "Assumptions",
    "How to reproduce",
]
OPTIONAL = ROWS, WARNINGS = ("Individual observations", "Warnings")
ONE_COLUMN_AT_A_TIME = {"one column", "by bic", "pca", "bernoulli", "poisson"}
VOID = {"meta", "img", "source"}
LOADS = {"src", "href", "srcset", "action", "data", "poster", "background"}
# Six values estimate at most three variances, so K ends there.
SIX_VALUES = np.array([[0.0], [1.0], [50.0], [51.0], [100.0], [101.0]])
NASTY = '<script>alert("1")</script> & $x_{$'


class Page(HTMLParser):
    """A page as its elements: (name, attributes, text), with what does not close."""

    def __init__(self, path):
        super().__init__()
        self.source = Path(path).read_text("utf-8")
        self.open, self.elements, self.faults = [], [], []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, name, attributes):
        element = {"name": name, "attributes": dict(attributes), "text": ""}
        self.elements.append(element)
        if name not in VOID:
            self.open.append(element)

    def handle_endtag(self, name):
        if not self.open or self.open[-1]["name"] != name:
            self.faults.append(f"</{name}> in {[each['name'] for each in self.open]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def texts(self, name):
        return [each["text"] for each in self.elements if each["name"] == name]

    @property
    def text(self):
        return self.texts("main")[0]

    def code(self):
        return self.texts("code")


@pytest.fixture(scope="module")
def search(faithful):
    return bm.MixtureSearch(
        n_components=(1, 2, 3), covariance_type=("full", "tied"), random_state=0
    ).fit(faithful)


@pytest.fixture(scope="module")
def variational(faithful):
    return bm.select(faithful, (1, 2, 3, 4), "full", "elbo")


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    return np.vstack([rng.poisson([3.0, 5.0], (120, 2)), rng.poisson([14.0, 6.0], (60, 2))])


@pytest.fixture(scope="module")
def binary():
    rng = np.random.default_rng(0)
    shares = np.repeat([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5]], 60, axis=0)
    return (rng.random(shares.shape) < shares).astype(float)


def half_way(result, source):
    """Between AIC and BIC."""
    return result.log_likelihood - 1.5 * result.n_parameters


def searched(estimator, X, n_components=(1, 2), **options):
    weights = options.pop("sample_weight", None)
    options = {"random_state": 0, **options}
    return bm.MixtureSearch(estimator, n_components, **options).fit(X, sample_weight=weights), X


UNDRAWN = ("bayesmix.report.figures.svg", lambda draw, size, height: b"<svg/>")


@pytest.fixture
def undrawn(monkeypatch):
    """Empty figures, for what is about the text."""
    monkeypatch.setattr(*UNDRAWN)


def kinds(faithful, counts, binary):
    """Searches of every kind that a report must be able to show, each with its rows."""
    one = faithful[["waiting"]]
    bayes = bm.VariationalBayes()
    comparable = bm.BayesianGaussianMixture(
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
    )
    yield "em", lambda: searched(None, faithful, (1, 2, 3, 4), covariance_type=("full", "tied"))
    yield "one column", lambda: searched(None, one)
    yield "one component", lambda: searched(None, faithful, 1)
    yield "variational", lambda: searched(comparable, faithful, criterion="elbo_log_k")
    yield "pruned", lambda: searched(bm.BayesianGaussianMixture(), faithful, (2, 5))
    options = {"covariance_type": "diag", "criterion": "elbo"}
    yield "diag", lambda: searched(comparable, faithful, 2, **options)
    yield "select", lambda: (bm.select(faithful, (1, 2, 3), n_jobs=1), faithful)
    yield "by bic", lambda: (bm.select(one, (1, 2, 3), criterion="bic", n_jobs=1), one)
    yield "map", lambda: searched(bm.GaussianMixture(prior="auto"), faithful, 2)
    yield "cv_1se", lambda: searched(None, faithful, (1, 2, 3), criterion="cv_1se", cv=2)
    grid = {"init_params": ["kmeans", "random"]}
    yield "grid", lambda: searched(None, faithful.to_numpy(), 2, param_grid=grid)
    twice = np.full(len(faithful), 2.0)
    yield "weights", lambda: searched(None, faithful, criterion=half_way, sample_weight=twice)
    yield (
        "pipeline",
        lambda: searched(make_pipeline(StandardScaler(), bm.GaussianMixture()), faithful),
    )
    yield "pca", lambda: searched(make_pipeline(PCA(1), bm.GaussianMixture()), faithful)
    yield "bernoulli", lambda: searched(bm.Mixture(family=bm.Bernoulli(), inference=bayes), binary)
    yield "poisson", lambda: searched(bm.Mixture(family=bm.Poisson(), inference=bayes), counts)


KINDS = (
    *("em", "one column", "one component", "variational", "pruned", "diag", "select"),
    *("by bic", "map", "cv_1se"),
    *("grid", "weights", "pipeline", "pca", "bernoulli", "poisson"),
)


@pytest.fixture(scope="module")
def made(faithful, counts, binary):
    """The search of a kind with its rows, made when it is first asked for."""
    recipes, found = dict(kinds(faithful, counts, binary)), {}
    assert tuple(recipes) == KINDS
    return lambda kind: found.get(kind) or found.setdefault(kind, recipes[kind]())


@pytest.fixture(scope="module")
def page_of(made, tmp_path_factory):
    """The page of a kind, without its figures."""
    folder, found = tmp_path_factory.mktemp("pages"), {}

    def page(kind):
        if kind not in found:
            search, X = made(kind)
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(*UNDRAWN)
                found[kind] = Page(write_report(search, folder / f"{kind}.html", X))
        return found[kind]

    return page


# The answer


def test_the_answer_stands_first_then_the_clusters_and_how_sure_it_is(
    search, faithful, tmp_path, undrawn
):
    page = Page(search.report(tmp_path / "report.html", faithful))
    lines = [line for line in search.summary().splitlines()[1:] if line]
    header = " ".join(page.texts("header")[0].split())
    assert header.endswith(search.answer_.headline)
    clusters = page.texts("section")[0]
    among = "Compared by BIC: 6 candidates of 1 to 3 components, on 272 observations"
    assert f"{among} of 2 variables." in clusters
    for line in lines:
        assert typeset(line) in clusters.replace("\u00a0", " ")


def test_the_sizes_of_clusters_are_shares_of_the_observations(search, faithful, tmp_path, undrawn):
    page = Page(search.report(tmp_path / "report.html", faithful))
    rows = [row.split() for row in page.texts("table")[0].splitlines() if row.strip()]
    labels = search.predict_clusters(faithful)
    text = " ".join(cell for row in rows for cell in row)
    for number in range(search.n_clusters_):
        size = (labels == number).sum()
        assert f"cluster {number + 1} {size / 2.72:.0f} % {size}" in text
    assert labels.min() == 0
    assert "Labels in Python count from 0." in " ".join(page.text.split())


def test_the_columns_that_tell_clusters_apart_stand_first_in_their_units(tmp_path):
    rng = np.random.default_rng(5)
    groups = np.repeat([0.0, 1.0], 100)
    X = pd.DataFrame({
        "same": rng.normal(size=200),
        "near": 1e-3 * (rng.normal(size=200) + 4.0 * groups),
        "far": 1e4 * (rng.normal(size=200) + 20.0 * groups),
    })  # fmt: skip
    search = bm.MixtureSearch(n_components=(2,), random_state=0, criterion="bic").fit(X)
    lines = subject_of(search, X).differences
    assert [line.name for line in lines] == ["far", "near"]
    labels = search.predict_clusters(X)
    for line in lines:
        of_cluster = X[line.name].groupby(labels)
        np.testing.assert_allclose(line.middles, of_cluster.mean())
        np.testing.assert_allclose(line.upper - line.middles, of_cluster.std())
        np.testing.assert_allclose(line.middles - line.lower, of_cluster.std())


def test_of_one_cluster_the_density_stands_first(page_of):
    assert "Density of the chosen fit" in page_of("one component").texts("section")[0]


def test_each_warning_is_said_once(tmp_path, undrawn):
    search = bm.select(SIX_VALUES)
    (caution,) = search.cautions_
    assert caution in search.summary()
    assert Page(search.report(tmp_path / "report.html")).text.count(caution) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_search_has_all_parts_in_order(page_of, kind):
    found = page_of(kind).texts("h2")
    first = "Classes" if kind in ("bernoulli", "poisson") else HEADINGS[0]
    assert [heading for heading in found if heading not in OPTIONAL] == [first, *HEADINGS[1:]]
    # Rows are shown of two continuous columns or more.
    assert (ROWS in found) == (kind not in ONE_COLUMN_AT_A_TIME)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_every_element_is_closed(page_of, kind):
    page = page_of(kind)
    assert page.faults == []
    assert page.open == []
    assert page.source.startswith("<!doctype html>")
    attributes = {each["name"]: each["attributes"] for each in page.elements}
    assert attributes["html"]["lang"] == "en"
    assert any(
        each["attributes"].get("name") == "viewport"
        for each in page.elements
        if each["name"] == "meta"
    )
    assert page.texts("title")[0].startswith(page.texts("h1")[0])


def test_probabilities_over_k_are_shown_where_they_exist(variational, faithful, tmp_path, undrawn):
    page = Page(variational.report(tmp_path / "report.html", faithful))
    series = variational.k_probabilities_
    assert f"by evidence alone: {series.idxmax()} ({series.max():.2f})" in page.text
    assert "the same prior probability for each" in page.text
    bars = [
        float(re.search(r"width:([\d.]+)%", each["attributes"]["style"])[1])
        for each in page.elements
        if each["attributes"].get("class") == "bar"
    ]
    of_clusters = [p for p in variational.answer_.probabilities.values() if p >= 0.005]
    expected = [*of_clusters, *series]
    assert bars == pytest.approx(100 * np.array(expected), abs=0.051)


@pytest.mark.slow
def test_a_likelihood_has_no_probabilities_over_k(page_of):
    assert "number of components by the evidence" not in page_of("em").text.lower()


@pytest.mark.slow
def test_what_other_criteria_would_choose_is_in_a_table(page_of, made):
    search, _ = made("em")
    page = page_of("em")
    for name, said in (("icl", "ICL"), ("aic", "AIC")):
        place = search.results_[name].idxmin()
        row = search.results_.loc[place]
        n = row["n_components"]
        choice = f"{n} component{'s' if n > 1 else ''}, {row['covariance_type']} covariance"
        assert any(row.startswith(said + choice) for row in page.texts("tr"))


# Figures


DRAWN = ("one column", "pruned", "select", "weights", "pca", "bernoulli", "poisson")


def when_drawn(kind):
    """The marks of a kind: figures of one kind are quick, those of similar kinds nightly."""
    nightly = () if kind in DRAWN else (pytest.mark.nightly,)
    return () if kind == "em" else (pytest.mark.slow, *nightly)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=when_drawn(kind)) for kind in KINDS])
def test_figures_are_in_the_file_with_words_for_those_who_do_not_see_them(made, tmp_path, kind):
    search, X = made(kind)
    page = Page(write_report(search, tmp_path / "report.html", X))
    images = [each["attributes"] for each in page.elements if each["name"] == "img"]
    narrow = [each["attributes"] for each in page.elements if each["name"] == "source"]
    assert images
    assert all(len(image["alt"]) > 20 for image in images)
    addresses = [image["src"] for image in images] + [each["srcset"] for each in narrow]
    assert len(narrow) == len(images)
    for address in addresses:
        kind, _, data = address.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")


def test_what_has_no_picture_says_so(page_of):
    assert "probabilities of levels" in page_of("bernoulli").text
    assert "No picture" not in page_of("poisson").text


def test_counts_are_drawn_over_the_column_in_which_components_differ_most(page_of):
    assert "the column in which components differ most, x0" in page_of("poisson").text


@pytest.mark.slow
def test_without_rows_the_density_stands_alone(search, tmp_path, undrawn):
    page = Page(search.report(tmp_path / "report.html"))
    assert "with the data" not in page.text
    assert len(page.texts("figcaption")) >= 4


# Tables


def test_every_candidate_is_a_row_and_the_chosen_one_is_marked(search, faithful, tmp_path, undrawn):
    page = Page(search.report(tmp_path / "report.html", faithful))
    marked = [each["text"] for each in page.elements if each["attributes"].get("class") == "chosen"]
    best = f"{search.best_score_:,.2f}".replace("-", "−")
    assert any(row.startswith(f"3tied{best}0.00") for row in marked)
    for value in search.results_["bic"]:
        assert f"{value:,.2f}".replace("-", "−") in page.text


def test_many_candidates_are_folded_away_but_for_the_first(faithful, tmp_path, undrawn):
    search = bm.select(faithful[::4], n_components=range(1, 5), n_jobs=1)
    page = Page(search.report(tmp_path / "report.html"))
    assert page.texts("summary") == ["All 16 candidates"]
    folded = page.texts("details")[0]
    for name in ("elbo_prior", "bic"):
        assert all(f"{value:,.2f}".replace("-", "−") in folded for value in search.results_[name])


def test_a_candidate_without_a_value_has_its_reason(tmp_path, undrawn):
    rng = np.random.default_rng(0)
    X = np.vstack([np.repeat([[5.0, 5.0]], 6, axis=0), rng.normal(0, 1, (30, 2))])
    search = bm.MixtureSearch(n_components=(1, 2, 30), random_state=0).fit(X)
    without = search.results_[search.results_["bic"].isna()]
    assert len(without)
    page = Page(search.report(tmp_path / "report.html", X))
    assert f"{len(without)} candidate" in page.text
    assert "cannot be chosen" in page.text
    for note in without["note"]:
        assert note in page.texts("ul")[-1]


def test_columns_of_a_pipeline_keep_their_names_where_they_have_any(page_of):
    table = page_of("pipeline").texts("table")[-3]
    assert "eruptions" in table
    assert "pca0" in page_of("pca").texts("table")[-3]


# Warnings


def test_a_report_says_first_who_the_clusters_are(tmp_path, search, faithful):
    page = Page(search.report(tmp_path / "report.html", faithful))
    text = page.text.replace("\u00a0", " ")
    sentence = search.describe(faithful).sentences[0]
    waiting = np.asarray(faithful)[:, 1]
    row = f"{waiting.mean():.1f} ({waiting.std(ddof=1):.1f})"
    places = [text.index(each) for each in ("by BIC", "Observations by their", sentence, row)]
    assert places == sorted(places)


def test_a_report_of_a_fit_says_who_its_clusters_are(tmp_path, faithful, undrawn):
    model = bm.GaussianMixture(3, random_state=0).fit(faithful)
    page = tmp_path / "fit.html"
    write_fit_report(model, page, faithful, n_jobs=1)
    described = model.describe(faithful, by="clusters")
    sentences = described.sentences
    assert len(sentences) == bm.merge_components(model, faithful).n_clusters == 2
    text = page.read_text("utf-8").replace("\u00a0", " ")
    assert all(sentence in unescape(text) for sentence in sentences)
    of_classes = model.describe(faithful)
    assert (described.noun, of_classes.noun, len(of_classes.table)) == ("cluster", "class", 3)
    with pytest.raises(InvalidInputError, match="by"):
        model.describe(faithful, by="groups")


def test_the_automatic_limit_of_k_is_a_warning(tmp_path, undrawn):
    page = Page(bm.select(SIX_VALUES).report(tmp_path / "report.html"))
    assert "K reached the automatic limit of 3" in page.texts("ul")[-1]


def test_warnings_of_fits_stand_with_their_candidates(faithful, tmp_path, undrawn):
    X = faithful.assign(constant=1.0).to_numpy()
    search = bm.MixtureSearch(n_components=(1, 2, 3), random_state=0).fit(X)
    heard = set(search.results_["warnings"]) - {""}
    assert heard
    warnings = Page(search.report(tmp_path / "report.html", X)).texts("ul")[-1]
    assert all(text in warnings for text in heard)
    assert "1 component" in warnings


def test_an_interrupted_search_says_so(faithful, tmp_path, monkeypatch, undrawn):
    from bayesmix.selection.tasks import Task

    fit, seen = Task.__call__, []

    def interrupted(task, *candidate):
        seen.append(candidate)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return fit(task, *candidate)

    monkeypatch.setattr(Task, "__call__", interrupted)
    search = bm.MixtureSearch(n_components=(1, 2, 3, 4), random_state=0)
    with pytest.warns(bm.errors.BayesmixWarning, match="interrupted"):
        search.fit(faithful)
    page = Page(search.report(tmp_path / "report.html", faithful))
    assert "The search was interrupted" in page.texts("ul")[-1]
    assert "2 candidates" in page.text


# Assumptions


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("em", "272 rows, assumed independent"),
        ("em", "None: maximum likelihood"),
        ("em", "assumes a regular model"),
        ("weights", "Between AIC and BIC."),
        ("variational", "Dirichlet(1, ..., 1)"),
        ("variational", "β0 = "),
        ("variational", "(mean of the learned scale that components share)"),
        ("variational", "Its standard deviations are therefore too small"),
        ("pruned", "stick-breaking, concentration 0.5"),
        ("cv_1se", "2, shuffled by the seed, the same for every candidate."),
        ("cv_1se", "The one-standard-error rule chooses the fewest parameters"),
        ("weights", "weights that sum to 544"),
        ("pipeline", "output of StandardScaler"),
        ("poisson", "Rates ~ Gamma(shape 1, rate ("),
        ("bernoulli", "Probabilities ~ Beta(1, 1)."),
    ],
)
def test_what_was_assumed(page_of, kind, said):
    assert said in page_of(kind).texts("dl")[0]


def test_priors_are_those_of_the_fit(page_of, made):
    search, _ = made("variational")
    best = search.best_estimator_
    text = page_of("variational").texts("dl")[0]
    assert f"β0 = {best.mean_precision_prior_:.3g} (learned)" in text
    assert f"ν0 = {best.degrees_of_freedom_prior_:g}" in text
    diagonal = ", ".join(f"{value:.4g}" for value in np.diag(best.covariance_prior_))
    assert f"diagonal of W0⁻¹ = ({diagonal})" in text


def test_a_prior_of_coefficients_of_covariates_is_named(tmp_path, undrawn):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 1)) + np.repeat([[0.0], [5.0]], 30, axis=0)
    model = bm.Mixture(inference=bm.MaximumAPosteriori(), random_state=0)
    search = bm.MixtureSearch(model, (1, 2), criterion="bic")
    path = search.fit(X, covariates=rng.normal(size=(60, 1))).report(tmp_path / "report.html")
    assert "Weights by logistic regression on covariates" in Page(path).texts("dl")[0]


# Doing it again


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_python_on_the_page_does_the_search_again(page_of, made, kind):
    search, X = made(kind)
    given = {"X": X, "sample_weight": np.full(len(X), 2.0), "half_way": half_way}
    script = page_of(kind).code()[0]
    kept = [
        line
        for line in script.splitlines()
        if not re.match(r"(\w+ = \.\.\.  #|print|search\.report)", line)
    ]
    exec("\n".join(kept), given)
    again = given["search"]
    assert again.best_params_ == search.best_params_
    assert again.best_score_ == search.best_score_


def test_a_search_without_a_seed_is_done_again_with_the_one_it_drew(faithful, tmp_path, undrawn):
    search = bm.MixtureSearch(n_components=(1, 2), criterion="cv", cv=2).fit(faithful)
    script = Page(search.report(tmp_path / "report.html")).code()[0]
    seed = int(re.search(r"random_state=(\d+)", script)[1])
    again = bm.MixtureSearch(n_components=(1, 2), criterion="cv", cv=2, random_state=seed)
    assert again.fit(faithful).best_score_ == search.best_score_


def test_parameters_are_written_as_python():
    needed = set()
    assert code(bm.GaussianMixture(2, init_params=np.zeros((1, 2))), needed) == (
        "bm.GaussianMixture(n_components=2, init_params=np.array([[0.0, 0.0]]))"
    )
    assert code(make_pipeline(StandardScaler(with_mean=False)), needed).startswith(
        'Pipeline(steps=[("standardscaler", StandardScaler(with_mean=False))]'
    )
    assert needed == {
        "import numpy as np",
        "from sklearn.pipeline import Pipeline",
        "from sklearn.preprocessing import StandardScaler",
    }
    assert code({"a": ("x",), "b": (1, 2, 3, 4), "c": np.float64(2)}, set()) == (
        '{"a": ("x",), "b": range(1, 5), "c": 2.0}'
    )


# One file


@pytest.mark.parametrize("kind", ["em", "variational", "poisson"])
def test_nothing_is_loaded_and_only_the_pages_own_script_runs(page_of, kind):
    page = page_of(kind)
    (script,) = (text for text in page.texts("script") if not text.startswith("{"))
    assert script == (Path(bm.__file__).parent / "report" / "page.js").read_text("utf-8")
    for each in page.elements:
        assert each["name"] not in ("link", "iframe", "object", "embed", "base")
        for name, value in each["attributes"].items():
            assert not name.startswith("on")
            if name in LOADS:
                assert value.startswith("data:image/svg+xml;base64,")
    style = page.texts("style")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", page.source).replace("http-equiv", "")
    policy = next(
        each["attributes"]["content"]
        for each in page.elements
        if each["attributes"].get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )


def rows_of(page):
    """The rows that stand in a page, None where there are none."""
    found = [text for text in page.texts("script") if text.startswith("{")]
    return json.loads(found[0]) if found else None


@pytest.mark.slow
def test_rows_stand_in_the_page_with_their_probabilities(faithful, tmp_path, undrawn):
    X = faithful.set_axis([f"e{n}" for n in range(len(faithful))])
    search = bm.MixtureSearch(n_components=(2, 3), random_state=0).fit(X)
    rows = rows_of(Page(search.report(tmp_path / "report.html", X)))
    assert rows["columns"] == list(X.columns)
    assert rows["rows"] == list(X.index)
    np.testing.assert_allclose(rows["values"], X, rtol=1e-4)
    percent = np.zeros((len(X), search.best_estimator_.n_components_))
    for n, shares in enumerate(rows["shares"]):
        for k, share in shares:
            percent[n, k] = share
    np.testing.assert_allclose(percent, 100 * search.predict_proba(X), atol=1.0)
    estimator = search.best_estimator_
    np.testing.assert_allclose(rows["means"], estimator.means_)
    full = estimator.result_.plug_in.components.unframed(estimator.result_.mixture.frame)
    np.testing.assert_allclose(rows["covariances"], full.covariances)
    assert rows_of(Page(search.report(tmp_path / "static.html", X, interactive=False))) is None
    assert rows_of(Page(search.report(tmp_path / "alone.html"))) is None


@pytest.mark.slow
def test_of_many_rows_and_columns_some_stand_in_the_page(tmp_path, undrawn):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_500, 10)) + 6.0 * (np.arange(2_500)[:, None] % 2) * (np.arange(10) > 1)
    search = bm.MixtureSearch(n_components=(2,), random_state=0, criterion="bic").fit(X)
    page = Page(search.report(tmp_path / "report.html", X))
    rows = rows_of(page)
    assert np.shape(rows["values"]) == (1_000, 8)
    assert rows["columns"] == [f"x{d}" for d in range(2, 10)]
    assert (rows["rows"][0], rows["rows"][-1]) == ("0", "2499")
    assert "1,000 of the 2,500 rows" in page.source


@pytest.mark.slow
def test_names_and_titles_are_text_whatever_they_hold(faithful, tmp_path):
    X = faithful.set_axis([NASTY, "a\nimport os"], axis=1)
    search = bm.MixtureSearch(
        n_components=(1, 2), param_grid={"init_params": ["kmeans"]}, random_state=0
    ).fit(X)
    page = Page(search.report(tmp_path / "report.html", X, title=NASTY))
    assert page.source.count("<script") == 2
    assert NASTY in rows_of(page)["columns"]
    assert NASTY in page.texts("header")[0]
    assert NASTY in page.texts("table")[-3]
    assert page.faults == []
    assert not any(line.strip() == "import os" for line in page.code()[0].splitlines())


def test_minus_signs_stand_before_numbers_only():
    assert typeset("BIC is -1.5, one-standard-error, 1e-05, x-2, (-3)") == (
        "BIC is −1.5, one-standard-error, 1e-05, x-2, (−3)"
    )


@pytest.mark.slow
def test_rows_of_noise_and_with_gaps_stand_among_the_rows(tmp_path, undrawn):
    rng = np.random.default_rng(1)
    clusters = [rng.normal([0, 0], 1.0, (60, 2)), rng.normal([7, 2], 1.0, (50, 2))]
    X = np.vstack([*clusters, rng.uniform(-12, 18, (10, 2))])
    search = bm.MixtureSearch(bm.GaussianMixture(noise="uniform", random_state=0), [2]).fit(X)
    page = search.report(tmp_path / "noise.html", X).read_text("utf-8")
    content = json.loads(re.search(r'id="rows-data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    assert content["names"] == ["1", "2", "noise"]
    assert len(content["means"]) == len(content["covariances"]) == 2
    assert len(content["colours"]) == len(content["markers"]) == len(content["weights"]) == 3
    largest = [max(row, key=lambda pair: pair[1])[0] for row in content["shares"]]
    assert largest == [2 if label < 0 else label for label in search.predict(X)]
    assert re.search(r"2 components and noise of weight 0\.\d{3},", page)
    X[::4, 1] = np.nan
    gaps = bm.MixtureSearch(bm.GaussianMixture(missing="use", random_state=0), [2]).fit(X)
    page = gaps.report(tmp_path / "gaps.html", X).read_text("utf-8")
    content = json.loads(re.search(r'id="rows-data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    assert [row[1] is None for row in content["values"]] == np.isnan(X[:, 1]).tolist()


@pytest.mark.slow
def test_the_same_search_gives_the_same_bytes(search, faithful, tmp_path):
    pages = [search.report(tmp_path / name, faithful) for name in ("a.html", "b.html")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


@pytest.mark.slow
def test_a_source_shows_its_rows_with_their_weights(search, faithful, tmp_path, undrawn):
    source = ArraySource(faithful.to_numpy(), columns=tuple(faithful.columns))
    assert "with the data" in Page(search.report(tmp_path / "report.html", source)).text


# What goes wrong


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (".", "path must name a file, but .* is a folder"),
        ("nowhere/report.html", "nowhere does not exist: create it first"),
        (None, "path must be the path of"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(search, tmp_path, path, said):
    with pytest.raises(InvalidInputError, match=said):
        search.report(path if path is None else tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_fitted_search_is_refused(faithful, tmp_path, undrawn):
    with pytest.raises(InvalidInputError, match=r"got GaussianMixture$"):
        write_report(bm.GaussianMixture(2), tmp_path / "report.html")
    with pytest.raises(InvalidInputError, match="call fit first"):
        bm.MixtureSearch().report(tmp_path / "report.html")
    kept = bm.MixtureSearch(n_components=2, refit=False, random_state=0).fit(faithful)
    with pytest.raises(UndefinedError, match="set refit=True"):
        kept.report(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_rows_that_do_not_fit_leave_the_file_that_was_there(search, faithful, tmp_path):
    place = tmp_path / "report.html"
    place.write_text("before")
    with pytest.raises(ValueError, match="columns of the fit"):
        search.report(place, faithful[["waiting"]])
    assert place.read_text() == "before"
    assert list(tmp_path.iterdir()) == [place]


@pytest.fixture
def without_matplotlib(monkeypatch):
    load = builtins.__import__

    def refused(name, *others, **options):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return load(name, *others, **options)

    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refused)


def test_without_matplotlib_it_says_what_to_install(search, tmp_path, without_matplotlib):
    with pytest.raises(MissingExtraError, match=r"pip install 'bayesmix\[plot\]'"):
        search.report(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


# At the shell


@pytest.mark.slow
def test_select_writes_the_report_beside_its_files(faithful, tmp_path, monkeypatch, undrawn):
    monkeypatch.chdir(tmp_path)
    faithful.to_csv("my rows.csv", index=False)
    words = ["select", "my rows.csv", "--components", "1,2", "--covariance", "full", "--report"]
    runner = CliRunner()
    done = runner.invoke(app, [*words, "--out", "found"], prog_name="bayesmix")
    assert done.exit_code == 0, done.output
    assert "report.html" in done.stdout
    files = json.loads(Path("found/result.json").read_text())["files"]
    assert str(Path("found") / "report.html") in files
    page = Page("found/report.html")
    assert "my rows.csv" in page.texts("header")[0]
    assert "with the data" in page.text
    shown = shlex.split(page.code()[1].replace("\\\n", " "))
    assert shown[0] == "bayesmix"
    assert sorted(shown[1:]) == sorted([*words, "--out", "found"])
    done = runner.invoke(app, words, prog_name="bayesmix")
    assert done.exit_code == 0, done.output
    assert Path("report.html").is_file()
    assert "Wrote report.html" in done.stdout


def test_without_the_option_there_is_no_report(faithful, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faithful.to_csv("data.csv", index=False)
    words = ["select", "data.csv", "--components", "1,2", "--covariance", "full", "--out", "found"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert not list(tmp_path.rglob("report.html"))


def test_the_report_needs_matplotlib_before_anything_is_fitted(
    faithful, tmp_path, monkeypatch, without_matplotlib
):
    monkeypatch.chdir(tmp_path)
    faithful.to_csv("data.csv", index=False)
    done = CliRunner().invoke(app, ["select", "data.csv", "--report"], prog_name="bayesmix")
    assert done.exit_code == 2
    assert "pip install 'bayesmix[plot]'" in done.stderr
    assert "By BIC" not in done.stdout


@pytest.mark.parametrize("inference", [bm.VariationalBayes(), bm.MaximumAPosteriori()])
@pytest.mark.parametrize(
    ("family", "told"),
    [
        (bm.LogNormal(), "Logarithms: μ | Λ ~ N(m0"),
        (bm.StudentT(degrees_of_freedom=4.0), "Degrees of freedom: 4."),
        (bm.StudentT(), "as probable."),
        (bm.Product({0: bm.LogNormal(), 1: bm.Gaussian()}), "1: μ | Λ ~ N(m0"),
    ],
)
def test_priors_are_said_in_words(family, told, inference):
    rows = np.exp(np.random.default_rng(0).normal(size=(40, 2)))
    result = bm.Mixture(1, family=family, inference=inference).fit(rows).result_
    words = prior_in_words(result.prior, result.unframed, result.variational)
    assert told in words
    assert "NormalWishart(" not in words


@pytest.mark.slow
def test_the_report_of_states_has_effects_of_covariates_on_transitions(tmp_path):
    rng = np.random.default_rng(1)
    z = rng.normal(size=300)
    states = [0]
    for value in z[1:]:
        states.append(int(rng.random() < 1 / (1 + np.exp(1.5 - 3 * states[-1] - 1.5 * value))))
    X = pd.DataFrame({"mood": rng.normal(6.0 * np.array(states))})
    hmm = bm.HiddenMarkovModel(
        covariate_effects="transitions", n_init=1, search="short", covariance_type="diag"
    ).set_params(inference=bm.MaximumLikelihood())
    search = bm.MixtureSearch(hmm, [2], criterion="bic", random_state=0)
    search.fit(X, lengths=[150, 150], covariates=pd.DataFrame({"stress": z}))
    for data in (None, X):
        write_report(search, tmp_path / "report.html", data)
        text = (tmp_path / "report.html").read_text()
        assert "Log odds of transitions by stress" in text
        assert ("with 95 % intervals" in text) == (data is not None)
        assert "Transition probabilities where a covariate is at its mean" in text
    at = search.best_estimator_.transition_matrix([[z.mean() + z.std()]])[0, 0, 1]
    assert f"{at:.4g}" in text
