"""Traits of persons from item response mixtures: posterior means and standard deviations (EAP).

Bock & Mislevy 1982; over classes, mean and variance of the mixture of the posteriors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.core.nouns import part_names
from bayesmix.errors import UnsupportedError
from bayesmix.families.item_response import Items
from bayesmix.posterior.subject import rows_of_fit


def trait_scores(model: Any, X: Any) -> pd.DataFrame:
    """Return the expected trait of each person, and its standard error.

    Parameters
    ----------
    model : fitted estimator or search
        With ``family=Rasch()`` or ``TwoParameterLogistic()``, without sequences.
    X : array or frame (n, D)
        Answers, of which some may be missing. A person without any has the mean and standard
        deviation of the trait.

    Returns
    -------
    DataFrame
        ``trait`` and ``standard_error`` over all classes, then the traits in each class. The unit
        is that of the difficulties; the mean of the trait is 0 in each class.

    Raises
    ------
    ValueError
        For another family, or wrong data.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> log_odds = 2.0 * rng.normal(size=(500, 1)) - np.linspace(-2, 2, 6)
    >>> X = (rng.logistic(size=log_odds.shape) < log_odds).astype(int)
    >>> m = bm.Mixture(1, family=bm.Rasch()).fit(X)
    >>> scores = bm.trait_scores(m, X)
    >>> bool(np.corrcoef(scores["trait"], X.sum(axis=1))[0, 1] > 0.95)
    True
    """
    estimator, X = fitted_mixture(model, X)
    result = estimator.result_
    components: Any = result.unframed
    if not isinstance(components, Items) or result.side.ordered:
        raise UnsupportedError(
            "trait_scores needs a mixture with family=Rasch() or TwoParameterLogistic(), without "
            f"sequences, got {result.family.title}"
        )
    source: Any = rows_of_fit(estimator, X, None, gaps=True).in_memory()
    means, deviations = components.traits(np.asarray(source.rows.values, dtype=float))
    shares = estimator.predict_proba(X)
    trait = (shares * means).sum(axis=1)
    spread = (shares * (deviations**2 + (means - trait[:, None]) ** 2)).sum(axis=1)
    table = pd.DataFrame(means, columns=part_names(result.class_noun, result.n_components))
    table.insert(0, "trait", trait)
    table.insert(1, "standard_error", np.sqrt(spread))
    return table
