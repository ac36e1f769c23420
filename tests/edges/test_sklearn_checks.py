"""scikit-learn's own checks of an estimator, over estimators, structures and searches."""

import inspect

import pytest
from sklearn.utils.estimator_checks import (
    check_n_features_in_after_fitting,
    parametrize_with_checks,
)

from bayesmix import (
    BayesianGaussianMixture,
    Gaussian,
    GaussianMixture,
    HiddenMarkovModel,
    Mixture,
    MixtureClassifier,
    RegressionMixture,
)

# The checks fit a handful of rows of noise, many of them repeated. That components collapse there,
# that columns depend on one another where rows are fewer, and that some of these fits need more
# than the default iterations, is what the warnings are for; here they are not the subject.
pytestmark = [
    pytest.mark.filterwarnings("ignore::bayesmix.errors.DegenerateComponentWarning"),
    pytest.mark.filterwarnings("ignore::bayesmix.errors.FlatDirectionWarning"),
    pytest.mark.filterwarnings("ignore:partial_fit begins anew"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# Older versions of this check have ten rows where later ones have fifteen.
OLD = "n_samples = 10\n" in inspect.getsource(check_n_features_in_after_fitting)

# Each class with its defaults and with three components, and a fit with a prior.
QUICK = [
    GaussianMixture(),
    GaussianMixture(3, search=None),
    GaussianMixture(prior="auto", search=None),
    BayesianGaussianMixture(),
    BayesianGaussianMixture(3, covariance_type="diag", search=None),
    Mixture(3, family=Gaussian("tied"), search=None),
]
# Other covariance structures, priors of the weights and searches. On twenty rows of noise a
# variational search takes two thousand passes to empty components that hold next to nothing; the
# checks are not about where it ends.
SLOW = [
    GaussianMixture(3, covariance_type="tied", prior="auto"),
    BayesianGaussianMixture(3, max_passes=200),
    BayesianGaussianMixture(
        3, covariance_type="tied", weight_concentration_prior_type="type2_ml", search=None
    ),
    BayesianGaussianMixture(
        3,
        covariance_type="spherical",
        weight_concentration_prior_type="dirichlet_distribution",
        search=None,
    ),
]


def expected_to_fail(estimator):
    """Return the checks of older versions that an estimator fails, with the reason."""
    if OLD and estimator.n_components == 3:
        return {
            "check_n_features_in_after_fitting": "a stream of three components begins with 15 rows"
        }
    return {}


@parametrize_with_checks(QUICK, expected_failed_checks=expected_to_fail)
def test_scikit_learns_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(SLOW, expected_failed_checks=expected_to_fail)
def test_scikit_learns_check_of_more_models(estimator, check):
    check(estimator)


def expected_of_classifiers(_):
    """Return the check on weights: on 15 samples folds choose a structure, and know no weights."""
    return {"check_sample_weight_equivalence_on_dense_data": "folds know no weights"}


@parametrize_with_checks([MixtureClassifier(covariance_type="full")])
def test_scikit_learns_check_of_a_classifier(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([MixtureClassifier()], expected_failed_checks=expected_of_classifiers)
def test_scikit_learns_check_of_a_classifier_that_chooses(estimator, check):
    check(estimator)


# Without columns there is an intercept: a mixture of distributions of the response.
OF_INTERCEPTS = {"check_estimators_empty_data_messages": "X may have no columns"}
COLLINEAR = {
    "check_sample_weight_equivalence_on_dense_data": "its ten columns depend on each other, and "
    "coefficients of collinear columns are refused"
}
# Probabilities of components and densities are those of a response, which the checks leave out.
GIVEN_THE_RESPONSE = dict.fromkeys(
    (
        "check_dict_unchanged",
        "check_estimators_dtypes",
        "check_estimators_pickle",
        "check_estimators_unfitted",
        "check_fit2d_predict1d",
        "check_fit_idempotent",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_n_features_in_after_fitting",
        "check_regressors_no_decision_function",
    ),
    "predict_proba(X, y) and score_samples(X, y) need the response",
)


class WithoutResponse(RegressionMixture):
    """A mixture of regressions without the two methods that need a response."""

    @property
    def predict_proba(self):
        raise AttributeError

    score_samples = predict_proba


def expected_of_regressions(estimator):
    """Return the checks that do not apply to regressions, with the reasons."""
    if isinstance(estimator, WithoutResponse):
        return OF_INTERCEPTS | COLLINEAR
    return OF_INTERCEPTS | COLLINEAR | GIVEN_THE_RESPONSE


@pytest.mark.filterwarnings("ignore:a component fits its observations exactly")
@pytest.mark.filterwarnings("ignore:the response")
@parametrize_with_checks(
    [RegressionMixture(), WithoutResponse()], expected_failed_checks=expected_of_regressions
)
def test_scikit_learns_check_of_regressions(estimator, check):
    check(estimator)


def expected_of_sequences(_):
    """Return the checks that weight the samples of a sequence differently."""
    return dict.fromkeys(
        ("check_sample_weights_not_overwritten", "check_sample_weight_equivalence_on_dense_data"),
        "a sequence has one weight",
    )


@parametrize_with_checks([HiddenMarkovModel()], expected_failed_checks=expected_of_sequences)
def test_scikit_learns_check_of_states(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [HiddenMarkovModel(2, n_init=2, search="short")], expected_failed_checks=expected_of_sequences
)
def test_scikit_learns_check_of_two_states(estimator, check):
    check(estimator)
