"""Slow textbook references for the tests, written without reading the package.

They share nothing with the package, so an agreement between the two is evidence.

A Gaussian prior is a dictionary in Bishop's letters, one set for each covariance structure:

========  =====================================================================================
alpha0    symmetric Dirichlet parameter, or the concentration of the stick breaking
beta0     mean precision: mu | Lambda ~ N(m0, (beta0 Lambda)^-1)
m0        prior mean ``(D,)``
nu0       prior degrees of freedom
W0        full, tied: scale matrix ``(D, D)`` of Lambda ~ Wishart(W0, nu0), E[Lambda] = nu0 W0
          diag: ``(D,)``, lambda_d ~ Gamma(shape nu0 / 2, rate 1 / (2 W0_d))
          spherical: a number, lambda ~ Gamma(shape nu0 / 2, rate 1 / (2 W0))
========  =====================================================================================

The package's ``covariance_prior`` is the inverse of ``W0``: `prior_from_covariance` converts.
Row weights are repetition counts everywhere; ``None`` is one for every row.
"""

import numpy as np

COVARIANCE_KINDS = ("full", "tied", "diag", "spherical")


def prior_from_covariance(kind, *, covariance_prior, nu0, beta0, m0, alpha0=1.0):
    """Prior dictionary from the inverse scale, the package's ``covariance_prior``.

    Full and tied take a matrix ``(D, D)``, diag a vector ``(D,)``, spherical a number.
    """
    if kind in ("full", "tied"):
        scale = np.linalg.inv(np.asarray(covariance_prior, dtype=float))
    elif kind == "diag":
        scale = 1.0 / np.asarray(covariance_prior, dtype=float)
    else:
        scale = 1.0 / float(covariance_prior)
    return {"alpha0": alpha0, "beta0": beta0, "m0": np.asarray(m0), "W0": scale, "nu0": nu0}
