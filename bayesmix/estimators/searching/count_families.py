"""Poisson or negative binomial counts, by held-out density, where no family is named."""

from __future__ import annotations

import warnings
from typing import Any

from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.sources import Source
from bayesmix.errors import BayesmixError, BayesmixWarning, warn
from bayesmix.estimators.mixture import Mixture
from bayesmix.estimators.regression.coded_frames import family_for
from bayesmix.estimators.search import MixtureSearch
from bayesmix.families.names import AUTO
from bayesmix.families.negative_binomial import overdispersed
from bayesmix.search.optimum import FEWEST_ROWS
from bayesmix.sources.memory import coding_of

# Overdispersed counts need several Poisson components, so both families are compared at up to four.
NUMBERS = range(1, 5)
# Nats per observation: far below the standard error of a held-out log density.
TOLERANCE = 1e-4
# Passes over the data of a fit. Overlapping negative binomials converge slowly and fit no better.
PASSES = 100


def overdispersed_counts(
    X: Source, n_components: Any, missing: str, random_state: Any, n_jobs: int | None
) -> Any:
    """Return the product with negative binomial counts, or None if Poisson counts are as good.

    Poisson is kept if one of its fits has a held-out log density within one standard error of the
    best fit, and at most one component more: three would describe overdispersion. Of large data a
    random sample is compared, as large as the smallest of a search.
    """
    coding = coding_of(X)
    if coding is None or not coding.counts:
        return None
    poisson, seed = family_for(AUTO, X), root_seed(random_state)
    search = MixtureSearch(
        Mixture(search="short", missing=missing, tol=TOLERANCE, max_passes=PASSES),
        NUMBERS if n_components is None else n_components,
        param_grid={"family": [poisson, overdispersed(poisson)]},
        criterion="cv",
        patience=1,
        refit=False,
        random_state=seed,
        n_jobs=n_jobs,
    )
    sample = X.sample(FEWEST_ROWS, stream(seed, Purpose.SUBSAMPLE))
    try:
        with warnings.catch_warnings(action="ignore"):
            table = search.fit(sample).results_
    except BayesmixError:  # too few observations for folds, for example
        return None
    table = table.sort_values("cv_behind")
    kept = table[[family == poisson for family in table["family"]]]
    few = kept["n_components"] <= table["n_components"].iloc[0] + 1
    if (few & (kept["cv_behind"] <= kept["cv_behind_se"])).any():
        return None
    gap, error = kept[["cv_behind", "cv_behind_se"]].iloc[0]
    warn(
        f"counts are negative binomial: {', '.join(coding.counts)} (Poisson has a lower held-out "
        f"log density, -{gap:.3g} ± {error:.2g} nats)",
        BayesmixWarning,
    )
    return overdispersed(poisson)
