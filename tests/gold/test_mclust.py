"""mclust 6.0.0 on Old Faithful and iris, K = 1..9: its likelihoods are reached, its choice is ours.

The four structures that both have: EEE tied, VVV full, VVI diagonal, VII spherical. A cell is
compared unless mclust's fit is degenerate as DESIGN section 4 defines it. The files record no
parameters of mclust's fits, so degeneracy is read from bayesmix's own `result_.degenerate`: a cell
is left out where the fit from bayesmix's default start ends held at the floor, and its likelihood
is no value. (A fit of mclust's that is degenerate where bayesmix's is not only makes the comparison
harder to pass.)
"""

import warnings

import pytest

import bayesmix as bm
from bayesmix.errors import DegenerateComponentWarning
from gold.data import read_csv, read_json

NAMES = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
COLUMNS = {"faithful": 2, "iris": 4}
CELLS = [(covariance, k) for covariance in NAMES for k in range(1, 10)]
COMPARED_AT_LEAST = 32  # of 36

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
        n_components, covariance_type=covariance, random_state=0, max_iter=5000
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateComponentWarning)
        return model.fit(rows)


@every_data_set
def test_likelihoods_are_at_least_mclusts_and_bic_chooses_the_same(data):
    """All 36 cells are fitted once, here."""
    rows = read_csv(f"{data}.csv", usecols=range(COLUMNS[data]))
    tight, default = mclust(data), mclust(data, "default_tol")
    fits = {cell: fitted(rows, cell) for cell in CELLS}
    assert all(model.converged_ for model in fits.values())
    sound = {cell: model for cell, model in fits.items() if not model.result_.degenerate}
    assert len(sound) >= COMPARED_AT_LEAST

    behind, same = [], 0
    for cell, model in sound.items():
        theirs = [value(table["loglik"], cell) for table in (tight, default)]
        theirs = [log_likelihood for log_likelihood in theirs if log_likelihood is not None]
        if theirs and model.log_likelihood_ < max(theirs) - 1e-4:
            behind.append((cell, model.log_likelihood_ - max(theirs)))
        if theirs and abs(model.log_likelihood_ - theirs[0]) < 1e-4:
            same += 1
            assert model.bic() == pytest.approx(-value(tight["bic"], cell), abs=1e-3)
            # Labels are less converged than likelihoods, there more than here.
            assert model.icl() == pytest.approx(-value(tight["icl"], cell), abs=0.1)
    assert behind == []
    assert same >= 4  # K = 1 at least

    ours = {cell: model.bic() for cell, model in sound.items()}
    theirs = {cell: bic for cell in CELLS if (bic := value(tight["bic"], cell)) is not None}
    assert min(ours, key=ours.get) == max(theirs, key=theirs.get)


@every_data_set
@pytest.mark.parametrize("covariance", NAMES)
def test_parameters_are_counted_as_mclust_does(data, covariance):
    family, table = bm.Gaussian(covariance), mclust(data)["df"]
    for n_components in range(1, 10):
        ours = n_components - 1 + family.n_parameters(n_components, COLUMNS[data])
        assert ours == value(table, (covariance, n_components))
