"""scikit-learn's own checks of an estimator, over every estimator, structure, size and search."""

from itertools import product

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from bayesmix import BayesianGaussianMixture, Gaussian, GaussianMixture, Mixture

STRUCTURES = ("full", "tied", "diag", "spherical")
WEIGHTS = ("dirichlet_process", "dirichlet_distribution", "type2_ml")

# The checks fit a handful of rows of noise, many of them repeated. That components collapse there,
# that columns depend on one another where rows are fewer, and that some of these fits need more
# than the default iterations, is what the warnings are for; here they are not the subject.
pytestmark = [
    pytest.mark.filterwarnings("ignore::bayesmix.errors.DegenerateComponentWarning"),
    pytest.mark.filterwarnings("ignore::bayesmix.errors.FlatDirectionWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

# DESIGN, section 4: maximum likelihood of full covariances is refused where the distinct rows are
# fewer than K (D + 1), with the largest possible K: there the likelihood has no maximum, and
# whatever came back would be an artefact. scikit-learn fits spikes there. These checks want such a
# fit; `test_scikit_learns_check_with_a_prior` runs the same checks where it is defined.
TOO_FEW_ROWS = "full-covariance maximum likelihood is refused below K (D + 1) distinct rows: "
REFUSED = {
    "check_sample_weight_equivalence_on_dense_data": TOO_FEW_ROWS + "9 distinct rows of 30 columns",
}
REFUSED_AT_THREE = REFUSED | {
    "check_sample_weights_shape": TOO_FEW_ROWS + "4 distinct rows of 2 columns",
    "check_sample_weights_not_overwritten": TOO_FEW_ROWS + "4 distinct rows of 2 columns",
    "check_estimators_nan_inf": TOO_FEW_ROWS + "10 rows of 3 columns",
}


def instances():
    for structure, n_components, search in product(STRUCTURES, (1, 3), (None, "auto")):
        yield GaussianMixture(n_components, covariance_type=structure, search=search)
        yield Mixture(n_components, family=Gaussian(structure), search=search)
        for weights in WEIGHTS:
            yield BayesianGaussianMixture(
                n_components,
                covariance_type=structure,
                weight_concentration_prior_type=weights,
                search=search,
                # On twenty rows of noise a search takes two thousand passes to empty components
                # that hold next to nothing; the checks are not about where it ends.
                max_passes=200 if search else None,
            )


def refused(estimator):
    """The checks that this estimator must fail, with the reasons."""
    if isinstance(estimator, BayesianGaussianMixture):
        return {}
    structure = (
        estimator.family.covariance if isinstance(estimator, Mixture) else estimator.covariance_type
    )
    if structure != "full":
        return {}
    return REFUSED if estimator.n_components == 1 else REFUSED_AT_THREE


@parametrize_with_checks(list(instances()), expected_failed_checks=refused)
def test_scikit_learns_check(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [
        GaussianMixture(n_components, prior="auto", search=search)
        for n_components, search in product((1, 3), (None, "auto"))
    ]
)
def test_scikit_learns_check_with_a_prior(estimator, check):
    """Under a prior nothing is singular: the checks refused above hold as well."""
    check(estimator)
