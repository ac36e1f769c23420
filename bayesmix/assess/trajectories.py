"""Units of a fit with random effects: predicted effects, and how well classes are separated.

Average posterior probabilities by assigned class and odds of correct classification: Nagin 2005,
section 5.5. A skewed distribution of effects is fitted by several classes (Bauer & Curran 2003).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from scipy.special import entr
from sklearn.utils.validation import check_is_fitted

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

# p-value of the skewness of predicted effects below which they are not normal; one test per effect.
NOT_NORMAL = 0.001
# Fewest units of a test of skewness (D'Agostino 1970).
FEWEST_UNITS = 20


def fitted_units(model: Any) -> tuple[Any, Array]:
    """Return the regression mixture of a fit by units, and P(component | y_i) (U, K) of units."""
    import pandas as pd

    model = getattr(model, "best_estimator_", model)
    if getattr(model, "noun", "") != "regression":
        raise UnsupportedError(f"a RegressionMixture is needed, got {type(model).__name__}")
    check_is_fitted(model, "log_likelihood_")
    data = model._data
    if data.units is None:
        raise UnsupportedError("trajectories need units: fit with groups=")
    joint = data.posterior(model._mixture, data.values, data.covariates, data.units)[0]
    firsts = ~pd.Series(data.units).duplicated().to_numpy()
    return model, joint[firsts]


def random_effects(model: Any) -> pd.DataFrame:
    """Return the most probable component, probabilities and predicted effects of each unit.

    Effects are deviations from the mean curve, averaged over components (best linear unbiased
    predictions), in units of the data.
    """
    import pandas as pd

    model, joint = fitted_units(model)
    data = model._data
    table = pd.DataFrame({"component": joint.argmax(axis=1)}, index=pd.Index(data.labels))
    for k, column in enumerate(joint.T):
        table[f"p_{k}"] = column
    effects = data.predicted_effects(model._mixture)
    for name, column in zip(data.random.names, (joint[:, :, None] * effects).sum(1).T, strict=True):
        table[name] = column
    return table


def classification(model: Any) -> pd.DataFrame:
    """Return how certainly units are assigned to each class.

    Columns are ``weight``, ``units`` (assigned to the class), ``share`` of these units,
    ``mean_probability`` (average posterior probability of the class among them, 0.7 or more by
    convention) and ``odds_of_correct_classification`` (5 or more; Nagin 2005). ``attrs`` has the
    relative entropy.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> unit, time = np.repeat(np.arange(60), 5), np.tile(np.arange(5.0), 60)
    >>> y = np.where(unit < 30, time, 4.0 - time) + rng.normal(0, 0.5, 300)
    >>> from bayesmix.assess.trajectories import classification
    >>> model = bm.RegressionMixture(2, random=("intercept",), random_state=0)
    >>> table = classification(model.fit(time[:, None], y, groups=unit))
    >>> table["units"].tolist()
    [30, 30]
    """
    import pandas as pd

    model, joint = fitted_units(model)
    K, labels = joint.shape[1], joint.argmax(axis=1)
    counts = np.bincount(labels, minlength=K)
    mean = np.array([joint[labels == k, k].mean() if counts[k] else np.nan for k in range(K)])
    weights = joint.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = (mean / (1.0 - mean)) / (weights / (1.0 - weights))
    table = pd.DataFrame(
        {
            "weight": weights,
            "units": counts,
            "share": counts / len(joint),
            "mean_probability": mean,
            "odds_of_correct_classification": odds,
        },
        index=pd.RangeIndex(K, name="component"),
    )
    largest = len(joint) * np.log(K)
    table.attrs["relative_entropy"] = 1.0 - entr(joint).sum() / largest if K > 1 else 1.0
    return table


def skewed_effects(joint: Array, effects: Array, names: tuple[str, ...]) -> list[str]:
    """Return a sentence for each random effect whose predictions are not normal in a component."""
    texts = []
    labels = joint.argmax(axis=1)
    for k in range(joint.shape[1]):
        own = effects[labels == k, k]
        if len(own) < FEWEST_UNITS:
            continue
        for name, column in zip(names, own.T, strict=True):
            if column.std() <= 1e-12 * np.abs(column).max():
                continue
            p_value = stats.skewtest(column).pvalue
            if p_value < NOT_NORMAL / (joint.shape[1] * len(names)):
                texts.append(
                    f"component {k}: predicted effects of {name!r} are not normal (skewness "
                    f"{stats.skew(column):.1f}, p = {p_value:.1g}), so several classes may "
                    "describe one skewed class: transform the response, or compare fits without "
                    "this random effect"
                )
    return texts
