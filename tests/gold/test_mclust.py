"""mclust 6.0.0 on Old Faithful and iris, K = 1..9: its likelihoods are reached, its choice is ours.

The four structures that both have: EEE tied, VVV full, VVI diagonal, VII spherical. A cell is
compared unless mclust's fit is degenerate as DESIGN section 4 defines it. The files record no
parameters of mclust's fits; `gold.mclust_fits` makes them again from mclust's own start, and where
it comes to mclust's likelihood (all 36 cells of iris) degeneracy is judged on those parameters.
Elsewhere it is read from bayesmix's own `result_.degenerate`. A likelihood that bayesmix only keeps
finite at the floor is no value, and so does not count as reached.
"""

import warnings

import pytest

import bayesmix as bm
from bayesmix.errors import DegenerateComponentWarning
from gold.data import read_csv, read_json
from gold.mclust_fits import expectation_maximisation, is_degenerate, partitions

NAMES = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
COLUMNS = {"faithful": 2, "iris": 4}
CELLS = [(covariance, k) for covariance in NAMES for k in range(1, 10)]
MOST_LEFT_OUT = 4  # of 36

every_data_set = pytest.mark.parametrize("data", COLUMNS)


def mclust(data, tolerance="tight_tol"):
    return read_json(f"mclust_bic_{data}.json")[tolerance]


def value(table, cell):
    """A figure of mclust's, or None where its fit failed."""
    covariance, n_components = cell
    return table[NAMES[covariance]][str(n_components)]


def fitted(rows, cell):
    """The default fit. Its warning of a degenerate component is read from the result below."""
    covariance, n_components = cell
    model = bm.GaussianMixture(
        n_components, covariance_type=covariance, random_state=0, max_iter=5000, spurious="allow"
    )  # as mclust does
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateComponentWarning)
        return model.fit(rows)


def degenerate_at_mclust(rows, tight, default, fits):
    """Cells where mclust's fit is degenerate; see the docstring of the file."""
    starts, found = partitions(rows, 9), set()
    for cell, model in fits.items():
        covariance, n_components = cell
        reached, matrices, labels = expectation_maximisation(rows, starts[n_components], covariance)
        known = [value(table["loglik"], cell) for table in (tight, default)]
        if any(k is not None and abs(reached - k) < 1e-4 for k in known):
            degenerate = is_degenerate(rows, matrices, labels)
        else:
            degenerate = model.result_.degenerate is not None
        if degenerate:
            found.add(cell)
    return found


@pytest.mark.slow
def test_mclusts_fits_to_iris_are_made_again_in_every_cell():
    rows, table = read_csv("iris.csv", usecols=range(4)), mclust("iris")["loglik"]
    starts = partitions(rows, 9)
    for covariance, n_components in CELLS:
        reached, _, _ = expectation_maximisation(rows, starts[n_components], covariance)
        theirs = value(table, (covariance, n_components))
        assert reached == pytest.approx(theirs, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["iris", pytest.param("faithful", marks=pytest.mark.nightly)])
def test_likelihoods_are_at_least_mclusts_and_bic_chooses_the_same(data):
    """All 36 cells are fitted once, here."""
    rows = read_csv(f"{data}.csv", usecols=range(COLUMNS[data]))
    tight, default = mclust(data), mclust(data, "default_tol")
    fits = {cell: fitted(rows, cell) for cell in CELLS}
    assert all(model.converged_ for model in fits.values())
    left_out = degenerate_at_mclust(rows, tight, default, fits)
    assert len(left_out) <= MOST_LEFT_OUT

    behind, same = [], 0
    for cell, model in fits.items():
        theirs = [value(table["loglik"], cell) for table in (tight, default)]
        theirs = [log_likelihood for log_likelihood in theirs if log_likelihood is not None]
        if cell not in left_out and theirs:
            lead = model.log_likelihood_ - max(theirs)
            if model.result_.degenerate or lead < -1e-4:
                behind.append((cell, lead, "degenerate" if model.result_.degenerate else ""))
        if theirs and abs(model.log_likelihood_ - theirs[0]) < 1e-4:
            same += 1
            assert model.bic() == pytest.approx(-value(tight["bic"], cell), abs=1e-3)
            # Labels are less converged than likelihoods, there more than here.
            assert model.icl() == pytest.approx(-value(tight["icl"], cell), abs=0.1)
    assert same >= 4  # K = 1 at least

    sound = {cell: model for cell, model in fits.items() if not model.result_.degenerate}
    ours = {cell: model.bic() for cell, model in sound.items()}
    theirs = {cell: bic for cell in CELLS if (bic := value(tight["bic"], cell)) is not None}
    assert min(ours, key=ours.get) == max(theirs, key=theirs.get)
    assert behind == []


@every_data_set
@pytest.mark.parametrize("covariance", NAMES)
def test_parameters_are_counted_as_mclust_does(data, covariance):
    family, table = bm.Gaussian(covariance), mclust(data)["df"]
    for n_components in range(1, 10):
        ours = n_components - 1 + family.n_parameters(n_components, COLUMNS[data])
        assert ours == value(table, (covariance, n_components))


@pytest.mark.slow
@every_data_set
@pytest.mark.parametrize("criterion", ["bic", "icl"])
def test_select_chooses_mclusts_number_and_structure(data, criterion):
    rows = read_csv(f"{data}.csv", usecols=range(COLUMNS[data]))
    table = mclust(data)[criterion]
    theirs = {cell: v for cell in CELLS if (v := value(table, cell)) is not None}
    search = bm.select(rows, range(1, 10), criterion=criterion)
    chosen = search.best_params_["covariance_type"], search.best_params_["n_components"]
    assert chosen == max(theirs, key=theirs.get)
    assert search.best_score_ == pytest.approx(-max(theirs.values()), abs=0.1)
