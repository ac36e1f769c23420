"""One case for each family of the registry: a family with samples of two groups.

``EVERY_FAMILY`` is the table of the laws that hold for all of them; a test asserts that none is
missing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import bayesmix as bm


@dataclass(frozen=True)
class FamilyCase:
    """A family, and its samples of groups (n,), with columns that the family can fit."""

    family: object
    drawn: Callable[[np.random.Generator, np.ndarray], np.ndarray]

    def rows(self, n=200, seed=0):
        """Draw samples (n, D) of two groups in runs of ten."""
        group = (np.arange(n) // 10 % 2)[:, None]
        return self.drawn(np.random.default_rng(seed), group)


def normal(rng, group, D=2):
    return rng.normal(2.5 * group, 1.0, (len(group), D)) @ (np.eye(D) + 0.3 * np.eye(D, k=1))


def heavy(rng, group):
    return rng.standard_t(4.0, (len(group), 2)) + 6.0 * group


def positive(rng, group):
    return np.exp(0.5 * normal(rng, group))


def waiting(rng, group):
    return rng.exponential(1.0 + 9.0 * group, (len(group), 2))


def amounts(rng, group):
    drawn = positive(rng, group)
    drawn[rng.random(drawn.shape) < 0.1 + 0.3 * group] = 0.0
    return drawn


def counts(rng, group):
    return rng.poisson(2.0 + 6.0 * group, (len(group), 2)).astype(float)


def shares(rng, group):
    drawn = rng.beta(2.0 + 18.0 * group, 12.0 - 8.0 * group, (len(group), 2))
    drawn[rng.random(drawn.shape) < 0.1 + 0.1 * group] = 0.0
    drawn[rng.random(drawn.shape) < 0.1 + 0.1 * group] = 1.0
    return drawn


def of_wholes(rng, group):
    shares = np.where(group, [0.1, 0.3, 0.6], [0.5, 0.3, 0.2])
    return rng.multinomial(rng.poisson(40.0, len(group)), shares).astype(float)


def overdispersed(rng, group):
    return rng.negative_binomial(3, 0.5 - 0.3 * group, (len(group), 2)).astype(float)


def with_zeros(rng, group):
    return counts(rng, group) * (rng.random((len(group), 2)) < 0.8)


def levels(rng, group):
    return rng.binomial([3, 4, 2, 3], 0.25 + 0.45 * group).astype(float)


def dependent(rng, group):
    drawn = levels(rng, group)
    again = rng.random(len(group)) < 0.4
    drawn[again, 2] = np.minimum(drawn[again, 0], 2)
    return drawn


def answers(rng, group):
    return (rng.random((len(group), 4)) < 0.2 + 0.6 * group).astype(float)


def tests(rng, group):
    trait = 1.2 * rng.normal(size=(len(group), 1))
    log_odds = trait - (2 * group - 1) * np.linspace(-2.5, 2.5, 6)
    return (rng.logistic(size=log_odds.shape) < log_odds).astype(float)


def factors(rng, group):
    scores = rng.normal(size=(len(group), 3)) + 2.0 * group
    return scores @ (np.kron(np.eye(3), [[0.9, 1.1]]) + 0.2) + rng.normal(size=(len(group), 6))


def weekdays(rng, group):
    return np.mod(rng.normal(6.5 + 3.0 * group, 0.7, (len(group), 2)), 7.0)


def directions(rng, group):
    rows = rng.normal(0.0, 0.5, (len(group), 3)) + np.where(group, [0.0, 0.0, 2.0], [0.0, 2.0, 0.0])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def mixed(rng, group):
    parts = [normal(rng, group), counts(rng, group)[:, :1], levels(rng, group)[:, :1]]
    return np.hstack([*parts, positive(rng, group)[:, :1]])


MIXED = bm.Product({
    (0, 1): bm.StudentT(degrees_of_freedom=6.0),
    2: bm.Poisson(),
    3: bm.Categorical([range(4)]),
    4: bm.LogNormal(),
})  # fmt: skip
EVERY_FAMILY = {
    "gaussian": FamilyCase(bm.Gaussian(), normal),
    "student_t": FamilyCase(bm.StudentT(), heavy),
    "factor_analytic": FamilyCase(bm.FactorAnalytic(2), factors),
    "transformed": FamilyCase(bm.Transformed(bm.Gaussian("diag"), "sqrt"), positive),
    "log_normal": FamilyCase(bm.LogNormal(), positive),
    "bernoulli": FamilyCase(bm.Bernoulli(), answers),
    "poisson": FamilyCase(bm.Poisson(), counts),
    "exponential": FamilyCase(bm.Exponential(), waiting),
    "gamma": FamilyCase(bm.Gamma(), positive),
    "weibull": FamilyCase(bm.Weibull(), positive),
    "beta": FamilyCase(bm.Beta(), shares),
    "zero_or": FamilyCase(bm.ZeroOr(bm.Gamma()), amounts),
    "multinomial": FamilyCase(bm.Multinomial(), of_wholes),
    "binomial": FamilyCase(bm.Binomial((30, 30)), counts),
    "categorical": FamilyCase(bm.Categorical(), levels),
    "dependent_categorical": FamilyCase(bm.DependentCategorical([(0, 2)]), dependent),
    "ordinal": FamilyCase(bm.Ordinal(), levels),
    "negative_binomial": FamilyCase(bm.NegativeBinomial(), overdispersed),
    "zero_inflated_poisson": FamilyCase(bm.ZeroInflatedPoisson(), with_zeros),
    "von_mises": FamilyCase(bm.VonMises(7.0), weekdays),
    "von_mises_fisher": FamilyCase(bm.VonMisesFisher(), directions),
    "rasch": FamilyCase(bm.Rasch(), tests),
    "two_parameter_logistic": FamilyCase(bm.TwoParameterLogistic(), tests),
    "product": FamilyCase(MIXED, mixed),
}
