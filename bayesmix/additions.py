"""Where parts of the package find what stands above them, by kind and key.

The programme never imports an addition, such as hidden Markov models or the report: it looks up
what it needs here, by ``bayesmix.core.entries``. Values are modules of the package with a name in
them.
"""

from __future__ import annotations

HOMES = {
    # Estimators that can be saved, by the name in files.
    ("estimator", "BayesianGaussianMixture"): "estimators.bayesian:BayesianGaussianMixture",
    ("estimator", "GaussianMixture"): "estimators.gaussian:GaussianMixture",
    ("estimator", "HiddenMarkovModel"): "sequences.hidden_markov_model:HiddenMarkovModel",
    ("estimator", "Mixture"): "estimators.mixture:Mixture",
    ("estimator", "MixtureClassifier"): "classification.classifier:MixtureClassifier",
    ("estimator", "MixtureSearch"): "estimators.search:MixtureSearch",
    ("estimator", "RegressionMixture"): "regressions.regression_mixture:RegressionMixture",
    # What a search is about, by what a component of the model is called.
    ("subject", "regression"): "regressions.search_of_regressions:subject_of_regressions",
    ("subject", "state"): "sequences.search_of_sequences:subject_of_sequences",
    # Effects of covariates that ``select`` compares.
    ("effects", "state"): "sequences.search_of_sequences:effects_compared",
    # Reports of searches, and pages of those over other models than mixtures of samples.
    ("report", "search"): "report.page:write_report",
    ("page", "regression"): "regressions.trajectory_report:trajectory_page",
}
