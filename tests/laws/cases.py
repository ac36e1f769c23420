"""One small adapter a family: it feeds the table of laws, so a new family is tested by them all.

A case knows how to draw rows, parameters and priors of its family, and what SciPy and the slow
reference (`tests/reference`) say of them. A prior is a dictionary of *letters*, as the reference
writes it; `prior` and `choice` turn it into the package's objects. Strategies for hypothesis stand
at the end.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise, product

import numpy as np
from hypothesis import strategies as st
from reference import exact, prior_from_covariance, slow_vb
from scipy import integrate, special, stats

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import FreeWeights
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.core.rows import Frame
from bayesmix.families import categorical, rates, successes
from bayesmix.families.categorical import Levels
from bayesmix.families.gaussian.covariance.models import STRUCTURES
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.gaussian.prior import FixedScale, NormalWishart
from bayesmix.families.monotone import function_of
from bayesmix.families.rates import Poissons
from bayesmix.families.successes import Bernoullis
from bayesmix.families.transformed import TransformedComponents, TransformedPrior

COVARIANCES = ("full", "tied", "diag", "spherical")
# Variances that all components share: what they are of one component, and the shape of covariances.
ONE_COMPONENT = {"EII": "spherical", "EEI": "diag"}
POOLED = {"EII": lambda dimension: (), "EEI": lambda dimension: (dimension,)}


def generator(*key):
    """A stream of its own for every test and every draw of hypothesis."""
    return np.random.default_rng([int(part) for part in key])


def soft_assignments(rng, n, n_components):
    """Responsibilities (n, K) with nothing special about them."""
    return rng.dirichlet(np.ones(n_components), size=n)


def arrays_of(record):
    """The arrays of a frozen record by name: how statistics and components are compared."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def assert_same(left, right, rtol, atol=0.0):
    """Two records hold the same arrays."""
    left, right = arrays_of(left), arrays_of(right)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=rtol, atol=atol, err_msg=name)


def positive_definite(rng, dimension, n=None):
    """Matrices with eigenvalues of order one."""
    shape = (dimension, dimension) if n is None else (n, dimension, dimension)
    root = rng.normal(size=shape)
    return root @ np.swapaxes(root, -1, -2) / dimension + 0.3 * np.eye(dimension)


@dataclass(frozen=True)
class GaussianCase:
    """A covariance structure."""

    covariance: str
    continuous = True

    @property
    def name(self):
        return self.covariance

    @property
    def family(self):
        return bm.Gaussian(self.covariance)

    @property
    def structure(self):
        return STRUCTURES[self.covariance]

    def shifted(self, rows, by):
        """The rows of another group, which lies elsewhere."""
        return rows + by

    def rows(self, rng, n, dimension):
        return rng.normal(size=(n, dimension)) * rng.uniform(0.5, 2.0, dimension) + rng.normal(
            size=dimension
        )

    # A point

    def covariances(self, rng, n_components, dimension):
        """Covariances in scikit-learn's shape."""
        if self.covariance == "full":
            return positive_definite(rng, dimension, n_components)
        if self.covariance == "tied":
            return positive_definite(rng, dimension)
        if self.covariance in POOLED:
            return rng.uniform(0.3, 3.0, size=POOLED[self.covariance](dimension))
        shape = (n_components, dimension) if self.covariance == "diag" else (n_components,)
        return rng.uniform(0.3, 3.0, size=shape)

    def dense(self, covariances, n_components, dimension):
        """Covariances of scikit-learn's shape as matrices (K, D, D)."""
        if self.covariance in ("full", "tied"):
            return np.broadcast_to(covariances, (n_components, dimension, dimension))
        if self.covariance in POOLED:
            return np.array(
                [np.broadcast_to(covariances, dimension) * np.eye(dimension)] * n_components
            )
        return np.array([np.broadcast_to(c, dimension) * np.eye(dimension) for c in covariances])

    def point(self, rng, n_components, dimension):
        blocks = self.structure.blocks.from_covariances(
            self.covariances(rng, n_components, dimension)
        )
        return Gaussians(self.structure, rng.normal(size=(n_components, dimension)), blocks)

    def log_density_by_scipy(self, point, rows):
        dense = self.dense(self.structure.blocks.as_covariances(point.blocks), *point.means.shape)
        densities = map(stats.multivariate_normal, point.means, dense)
        return np.column_stack([np.atleast_1d(one.logpdf(rows)) for one in densities])

    def nudged(self, point, rng, size):
        """A point of the same structure, ``size`` away along a direction that ``rng`` chooses."""
        means = point.means + size * rng.normal(size=point.means.shape)
        if point.blocks.ndim == 2:
            return replace(
                point,
                means=means,
                blocks=point.blocks * np.exp(size * rng.normal(size=point.blocks.shape)),
            )
        factors = np.eye(means.shape[1]) + size * rng.normal(size=point.blocks.shape)
        blocks = factors @ point.blocks @ factors.transpose(0, 2, 1)
        return replace(point, means=means, blocks=blocks)

    # A prior and its posterior

    def letters(self, rng, dimension):
        scale_inverse = {
            "full": positive_definite(rng, dimension),
            "tied": positive_definite(rng, dimension),
            "diag": rng.uniform(0.5, 2.0, dimension),
            "spherical": 0.8,
        }[ONE_COMPONENT.get(self.covariance, self.covariance)]
        return prior_from_covariance(
            ONE_COMPONENT.get(self.covariance, self.covariance),
            covariance_prior=scale_inverse,
            nu0=dimension + 1.7,
            beta0=0.4,
            m0=rng.normal(size=dimension),
            alpha0=1.3,
        )

    def covariance_prior(self, letters):
        """W0⁻¹ in scikit-learn's shape."""
        scale = np.asarray(letters["W0"])
        return np.linalg.inv(scale) if scale.ndim == 2 else 1.0 / scale

    def prior(self, letters):
        block = np.asarray(self.covariance_prior(letters))
        block = block[None] if block.ndim == 2 else block.reshape(1, -1)
        scale = FixedScale(self.structure.algebra, block)
        return NormalWishart(self.structure, letters["m0"], letters["beta0"], letters["nu0"], scale)

    def choice(self, letters):
        covariance = self.covariance_prior(letters)
        return bm.GaussianPrior(letters["m0"], letters["beta0"], letters["nu0"], covariance)

    def in_letters(self, posterior):
        """The package's q(μ, Λ) as the slow reference writes it, with free weights."""
        nu, inverse = posterior.precisions.degrees_of_freedom, posterior.precisions.scale_inverse
        q = {"kind": self.covariance, "weights": "ml", "beta": posterior.mean_precision}
        q["m"], q["pi"] = posterior.means, np.ones(len(posterior.means))
        q["nu"] = nu[:, 0] if nu.ndim == 2 else nu
        q["W"] = np.linalg.inv(inverse) if inverse.ndim == 3 else 1.0 / inverse
        if self.covariance == "tied":
            q["nu"], q["W"] = nu[0], q["W"][0]
        if self.covariance == "spherical":
            q["W"] = q["W"][:, 0]
        return q

    def expected_log_density_by_hand(self, posterior, rows):
        return slow_vb.expected_log_density(rows, self.in_letters(posterior))

    def predictive_by_hand(self, posterior, rows):
        q = self.in_letters(posterior)
        n_components = len(posterior.means)
        columns = [slow_vb.log_component_predictive(rows, q, k) for k in range(n_components)]
        return np.column_stack(columns)

    def kl_by_hand(self, posterior, letters):
        q = self.in_letters(posterior)
        return (
            slow_vb.expected_log_q_means(q)
            + slow_vb.expected_log_q_precisions(q)
            - slow_vb.expected_log_p_means(q, letters)
            - slow_vb.expected_log_p_precisions(q, letters)
        )

    # Exact evidence

    def log_evidence(self, rows, letters, row_weights=None):
        return exact.gaussian_log_evidence(rows, self.covariance, letters, row_weights)

    def exact_family(self, letters, n_components):
        return exact.gaussian_family(self.covariance, letters, n_components)


@dataclass(frozen=True)
class CountsCase:
    """What families of independent columns of whole numbers share."""

    continuous = False

    def shifted(self, rows, by):
        """The rows: counts are the same in all groups, positive numbers are of another scale."""
        return rows

    def prior(self, letters):
        return self.choice(letters)

    def values_of(self, point):
        """Parameters (K, D)."""
        return point.rates

    def drawn_values(self, draws):
        """Parameters (S, K, D) of draws."""
        return np.exp(draws.log_rates)

    def predictive_means(self, posterior):
        return posterior.means

    def exact_family(self, letters, n_components):
        def log_evidence(rows):
            return self.log_evidence(rows, letters)

        return exact.independent_family(log_evidence, n_components)

    def expected_log_density_by_hand(self, posterior, rows):
        """Quadrature for every column and component."""
        expected = np.zeros((len(rows), posterior.n_components))
        for k, d in np.ndindex(posterior.means.shape):
            for value in np.unique(rows[:, d]):
                one = self.average(posterior, k, d, lambda t, x=value: self.log_density(x, t))
                expected[rows[:, d] == value, k] += one
        return expected

    def kl_by_hand(self, posterior, letters):
        total = 0.0
        for k, d in np.ndindex(posterior.means.shape):
            q, p = self.marginal(posterior, k, d), self.marginal_prior(letters, d)
            total += self.average(posterior, k, d, lambda t, q=q, p=p: q.logpdf(t) - p.logpdf(t))
        return total

    def average(self, posterior, k, d, function):
        """E[function(θ_kd)] under q, by quadrature in the quantiles' tails too."""
        q = self.marginal(posterior, k, d)
        breaks = q.ppf([1e-300, 1e-9, 0.01, 0.5, 0.99, 1.0 - 1e-9])
        breaks = np.append(np.maximum(breaks, q.support()[0]), min(q.support()[1], breaks[-1] * 10))
        return sum(
            integrate.quad(
                lambda t: q.pdf(t) * function(t), low, high, epsabs=1e-13, epsrel=1e-12, limit=200
            )[0]
            for low, high in pairwise(breaks)
            if high > low
        )


@dataclass(frozen=True)
class BernoulliCase(CountsCase):
    """Zeros and ones."""

    name = "bernoulli"

    @property
    def family(self):
        return bm.Bernoulli()

    def rows(self, rng, n, dimension):
        return (rng.random((n, dimension)) < rng.uniform(0.2, 0.8, dimension)).astype(float)

    def values_of(self, point):
        return point.probabilities

    def drawn_values(self, draws):
        return np.exp(draws.log_successes)

    def point(self, rng, n_components, dimension):
        return Bernoullis(rng.uniform(0.1, 0.9, size=(n_components, dimension)))

    def log_density_by_scipy(self, point, rows):
        logs = stats.bernoulli.logpmf(rows[:, None, :], point.probabilities)
        return logs.sum(axis=2)

    def nudged(self, point, rng, size):
        odds = special.logit(point.probabilities)
        return Bernoullis(special.expit(odds + size * rng.normal(size=odds.shape)))

    def letters(self, rng, dimension):
        return {"a": 1.7, "b": 1.3, "alpha0": 1.3}

    def choice(self, letters):
        return bm.BetaPrior(letters["a"], letters["b"])

    def log_density(self, x, probability):
        return x * np.log(probability) + (1.0 - x) * np.log1p(-probability)

    def marginal(self, posterior, k, d):
        return stats.beta(posterior.successes[k, d], posterior.failures[k, d])

    def marginal_prior(self, letters, d):
        return stats.beta(letters["a"], letters["b"])

    def predictive_by_hand(self, posterior, rows):
        means = posterior.successes / (posterior.successes + posterior.failures)
        return stats.bernoulli.logpmf(rows[:, None, :], means).sum(axis=2)

    def support(self, posterior):
        """Every row there is."""
        return np.array(list(product([0.0, 1.0], repeat=posterior.means.shape[1])))

    def log_evidence(self, rows, letters, row_weights=None):
        return exact.bernoulli_log_evidence(rows, letters["a"], letters["b"], row_weights)


@dataclass(frozen=True)
class PoissonCase(CountsCase):
    """Counts."""

    name = "poisson"

    @property
    def family(self):
        return bm.Poisson()

    def rows(self, rng, n, dimension):
        return rng.poisson(rng.uniform(0.5, 6.0, dimension), size=(n, dimension)).astype(float)

    def point(self, rng, n_components, dimension):
        return Poissons(rng.uniform(0.3, 6.0, size=(n_components, dimension)))

    def log_density_by_scipy(self, point, rows):
        return stats.poisson.logpmf(rows[:, None, :], point.rates).sum(axis=2)

    def nudged(self, point, rng, size):
        return Poissons(point.rates * np.exp(size * rng.normal(size=point.rates.shape)))

    def letters(self, rng, dimension):
        return {"shape": 1.4, "rate": rng.uniform(0.3, 1.2, dimension), "alpha0": 1.3}

    def choice(self, letters):
        return bm.GammaPrior(letters["shape"], letters["rate"])

    def log_density(self, x, rate):
        return x * np.log(rate) - rate - special.gammaln(x + 1.0)

    def marginal(self, posterior, k, d):
        return stats.gamma(posterior.shape[k, d], scale=1.0 / posterior.rate[k, d])

    def marginal_prior(self, letters, d):
        return stats.gamma(letters["shape"], scale=1.0 / letters["rate"][d])

    def predictive_by_hand(self, posterior, rows):
        chance = posterior.rate / (posterior.rate + 1.0)
        return stats.nbinom.logpmf(rows[:, None, :], posterior.shape, chance).sum(axis=2)

    def support(self, posterior):
        """Every row that is not out of the question: beyond, the tail is under 1e-14."""
        assert posterior.means.shape[1] == 1
        chance = posterior.rate / (posterior.rate + 1.0)
        most = stats.nbinom.isf(1e-15, posterior.shape, chance).max()
        return np.arange(most + 1.0)[:, None]

    def log_evidence(self, rows, letters, row_weights=None):
        return exact.poisson_log_evidence(rows, letters["shape"], letters["rate"], row_weights)


@dataclass(frozen=True)
class ExponentialCase(CountsCase):
    """Positive numbers."""

    name = "exponential"

    @property
    def family(self):
        return bm.Exponential()

    def rows(self, rng, n, dimension):
        return rng.exponential(rng.uniform(0.5, 6.0, dimension), size=(n, dimension))

    def grouped(self, rng, shares):
        return rng.exponential(8.0 * shares**2, (len(shares), 2))

    def point(self, rng, n_components, dimension):
        return rates.Exponentials(rng.uniform(0.3, 6.0, size=(n_components, dimension)))

    def log_density_by_scipy(self, point, rows):
        return stats.expon.logpdf(rows[:, None, :], scale=1.0 / point.rates).sum(axis=2)

    def nudged(self, point, rng, size):
        factors = np.exp(size * rng.normal(size=point.rates.shape))
        return rates.Exponentials(point.rates * factors)

    def letters(self, rng, dimension):
        return {"shape": 1.4, "rate": rng.uniform(0.3, 1.2, dimension), "alpha0": 1.3}

    def choice(self, letters):
        return bm.GammaPrior(letters["shape"], letters["rate"])

    def prior(self, letters):
        return rates.ExponentialPrior(letters["shape"], letters["rate"])

    def log_density(self, x, rate):
        return np.log(rate) - rate * x

    def marginal(self, posterior, k, d):
        return stats.gamma(posterior.shape[k, d], scale=1.0 / posterior.rate[k, d])

    def marginal_prior(self, letters, d):
        return stats.gamma(letters["shape"], scale=1.0 / letters["rate"][d])

    def predictive_by_hand(self, posterior, rows):
        logs = stats.lomax.logpdf(rows[:, None, :], posterior.shape, scale=posterior.rate)
        return logs.sum(axis=2)

    def predictive_means(self, posterior):
        return posterior.rate / (posterior.shape - 1.0)

    def log_evidence(self, rows, letters, row_weights=None):
        return exact.exponential_log_evidence(rows, letters["shape"], letters["rate"], row_weights)


@dataclass(frozen=True)
class CategoricalCase(CountsCase):
    """Codes of three levels in each of two columns: a family knows how many it has."""

    name = "categorical"
    reading = Levels((3, 3))

    @property
    def family(self):
        return bm.Categorical([range(3)] * 2)

    def of(self, dimension):
        return self.reading.subset(range(dimension))

    def rows(self, rng, n, dimension):
        return rng.choice(3, p=[0.5, 0.2, 0.3], size=(n, dimension)).astype(float)

    def point(self, rng, n_components, dimension):
        shares = rng.dirichlet([2.0, 2.0, 2.0], size=(n_components, dimension))
        return categorical.Categoricals(shares.reshape(n_components, -1), self.of(dimension))

    def log_density_by_scipy(self, point, rows):
        shares = point.probabilities.reshape(point.n_components, -1, 3)
        out = np.zeros((len(rows), len(shares)))
        for (k, d), place in product(np.ndindex(*shares.shape[:2]), range(len(rows))):
            seen = np.arange(3) == rows[place, d]
            out[place, k] += stats.multinomial.logpmf(seen, 1, shares[k, d])
        return out

    def letters(self, rng, dimension):
        return {"mass": 4.2, "dimension": dimension, "alpha0": 1.3}

    def choice(self, letters):
        return bm.CategoricalPrior(letters["mass"])

    def prior(self, letters):
        return categorical.CategoricalPrior(letters["mass"], 0.0, self.of(letters["dimension"]))

    def grouped(self, rng, shares):
        return rng.binomial(2, shares**2, (len(shares), 2))

    def predictive_by_hand(self, posterior, rows):
        mean = posterior.concentration.reshape(posterior.n_components, -1, 3)
        mean = mean / mean.sum(axis=2, keepdims=True)
        point = categorical.Categoricals(mean.reshape(len(mean), -1), posterior.reading)
        return self.log_density_by_scipy(point, rows)

    def log_evidence(self, rows, letters, row_weights=None):
        weights = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights)
        alpha = np.full(3, letters["mass"] / 3)
        total = 0.0
        for column in np.asarray(rows).T:
            counts = np.bincount(column.astype(int), weights, 3)
            total += special.gammaln(alpha + counts).sum() - special.gammaln(alpha).sum()
            total += special.gammaln(alpha.sum()) - special.gammaln((alpha + counts).sum())
        return total


@dataclass(frozen=True)
class TransformedCase:
    """A Gaussian case over a transform of every column: the same, with the Jacobian."""

    normal: GaussianCase
    transform: object
    origin: float = 0.0  # of g(x), far enough inside the range of g that no mass is lost
    continuous = True

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.normal, name)

    @property
    def name(self):
        return f"{self.transform} {self.normal.name}"

    @property
    def family(self):
        return bm.Transformed(self.normal.family, self.transform)

    @property
    def function(self):
        return function_of(self.transform)

    def moved(self, rows):
        """g(x) by SciPy, and the log Jacobian of every sample."""
        if self.transform == "log":
            return np.log(rows), -np.log(rows).sum(axis=1)
        if self.transform == "logit":
            slopes = -np.log(rows) - np.log1p(-rows)
            return special.logit(rows), slopes.sum(axis=1)
        if self.transform == "sqrt":
            return np.sqrt(rows), -np.log(2.0 * np.sqrt(rows)).sum(axis=1)
        return special.boxcox(rows, self.transform), (
            (self.transform - 1.0) * np.log(rows).sum(axis=1)
        )

    def shifted(self, rows, by):
        return self.function.inverse(self.moved(rows)[0] + by)

    def rows(self, rng, n, dimension):
        normal = self.normal.rows(rng, n, dimension)
        return self.function.inverse(self.origin + normal)

    def point(self, rng, n_components, dimension):
        return self.over(self.normal.point(rng, n_components, dimension))

    def over(self, normals):
        if isinstance(normals, Gaussians):
            normals = replace(normals, means=normals.means + self.origin)
        return TransformedComponents(self.function, normals)

    def nudged(self, point, rng, size):
        return replace(point, normals=self.normal.nudged(point.normals, rng, size))

    def log_density_by_scipy(self, point, rows):
        moved, jacobian = self.moved(rows)
        return self.normal.log_density_by_scipy(point.normals, moved) + jacobian[:, None]

    def letters(self, rng, dimension):
        letters = self.normal.letters(rng, dimension)
        return letters | {"m0": letters["m0"] + self.origin}

    def prior(self, letters):
        return TransformedPrior(self.function, self.normal.prior(letters))

    def expected_log_density_by_hand(self, posterior, rows):
        moved, jacobian = self.moved(rows)
        expected = self.normal.expected_log_density_by_hand(posterior.normals, moved)
        return expected + jacobian[:, None]

    def predictive_by_hand(self, posterior, rows):
        moved, jacobian = self.moved(rows)
        return self.normal.predictive_by_hand(posterior.normals, moved) + jacobian[:, None]

    def kl_by_hand(self, posterior, letters):
        return self.normal.kl_by_hand(posterior.normals, letters)

    def log_evidence(self, rows, letters, row_weights=None):
        moved, jacobian = self.moved(rows)
        weights = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights)
        return self.normal.log_evidence(moved, letters, row_weights) + weights @ jacobian

    def exact_family(self, letters, n_components):
        normal = self.normal.exact_family(letters, n_components)

        def given_rows(rows):
            moved, jacobian = self.moved(rows)
            log_likelihood = normal(moved)
            return lambda assignment: log_likelihood(assignment) + jacobian.sum()

        return given_rows


GAUSSIAN_CASES = tuple(GaussianCase(covariance) for covariance in COVARIANCES)
# Not among all cases, whose laws the references write for four structures.
POOLED_CASES = tuple(GaussianCase(covariance) for covariance in POOLED)
COUNT_CASES = (BernoulliCase(), PoissonCase())
CASES = GAUSSIAN_CASES + COUNT_CASES


# Families of independent columns, and all families: for laws that take no time.
@dataclass(frozen=True)
class BinomialCase(CountsCase):
    """Successes among three and five trials: a family knows its two columns."""

    name = "binomial"
    trials = (3, 5)

    @property
    def family(self):
        return bm.Binomial(self.trials)

    def rows(self, rng, n, dimension):
        return rng.binomial(self.trials, rng.uniform(0.2, 0.8, 2), (n, 2)).astype(float)

    def point(self, rng, n_components, dimension):
        shares = rng.uniform(0.1, 0.9, size=(n_components, 2))
        return successes.Binomials(shares, successes.Choices(self.trials))

    def log_density_by_scipy(self, point, rows):
        logs = stats.binom.logpmf(rows[:, None, :], self.trials, point.probabilities)
        return logs.sum(axis=2)

    def letters(self, rng, dimension):
        return {"a": 1.7, "b": 1.3, "alpha0": 1.3}

    def choice(self, letters):
        return bm.BetaPrior(letters["a"], letters["b"])

    def prior(self, letters):
        return successes.BinomialPrior(letters["a"], letters["b"], successes.Choices(self.trials))

    def grouped(self, rng, shares):
        return rng.binomial(self.trials, shares, (len(shares), 2))

    def predictive_by_hand(self, posterior, rows):
        a, b = posterior.successes, posterior.failures
        return stats.betabinom.logpmf(rows[:, None, :], self.trials, a, b).sum(axis=2)

    def log_evidence(self, rows, letters, row_weights=None):
        weights = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights)
        yes, n = weights @ rows, weights.sum() * np.array(self.trials)
        a, b = letters["a"], letters["b"]
        coefficients = weights @ np.log(special.comb(self.trials, rows)).sum(axis=1)
        return coefficients + (special.betaln(a + yes, b + n - yes) - special.betaln(a, b)).sum()


COLUMN_CASES = (*COUNT_CASES, ExponentialCase())
TRANSFORMED_CASES = (
    TransformedCase(GaussianCase("full"), "log"),
    TransformedCase(GaussianCase("diag"), "log"),
    TransformedCase(GaussianCase("tied"), "logit"),
    TransformedCase(GaussianCase("spherical"), "sqrt", 30.0),
    TransformedCase(GaussianCase("full"), 0.3, 30.0),
)
EVERY_CASE = GAUSSIAN_CASES + TRANSFORMED_CASES + COLUMN_CASES
LEVEL_CASE = CategoricalCase()
BINOMIAL_CASE = BinomialCase()


def identity(case):
    """For ``ids`` of parametrize."""
    return case.name


# How weights are treated, by the words of the estimators

WEIGHT_PRIORS = {
    "dirichlet_distribution": DirichletPrior,
    "dirichlet_process": StickBreakingPrior,
    "type2_ml": lambda concentration: FreeWeights(),
}
WEIGHT_KINDS = tuple(WEIGHT_PRIORS)

# As given: no search, no pruning, no extrapolation.
PLAIN = {"search": None, "acceleration": None, "random_state": 0, "n_jobs": 1}


def estimator(case, n_components, inference, **options):
    """A mixture of the case's family that goes exactly as given, unless told otherwise."""
    options = PLAIN | {"prune": False} | options
    return bm.Mixture(n_components, family=case.family, inference=inference, **options)


def posterior_of(case, rng, n_components, dimension, n=30):
    """q of some rows under some responsibilities, the prior and the prior's letters."""
    letters = case.letters(rng, dimension)
    rows = case.rows(rng, n, dimension)
    responsibilities = soft_assignments(rng, n, n_components)
    prior = case.prior(letters)
    posterior = prior.posterior(case.family.statistics(rows, responsibilities))
    return posterior, prior, letters


# Strategies

seeds = st.integers(0, 2**32 - 1)
row_counts = st.integers(1, 40)
component_counts = st.integers(1, 4)
dimensions = st.integers(1, 4)
identity_frame = Frame.identity


@dataclass(frozen=True)
class Drawn:
    """A problem of the monotonicity law: what to fit, to which rows, and how."""

    method: str
    case: object
    prior: str
    n_components: int
    n_rows: int
    dimension: int
    weights: str
    duplicates: float
    exponents: tuple
    offset: float
    separation: float
    search: bool
    accelerate: bool
    prune: bool
    start: str
    seed: int

    @cached_property
    def values(self):
        """Rows of a few clusters, some of them repeated, in odd units, away from the origin."""
        rng = generator(self.seed)
        n, dimension = self.n_rows, self.dimension
        n_distinct = max(2, round(n * (1.0 - self.duplicates)))
        labels = rng.integers(0, self.n_components, n_distinct)
        if self.case.name == "bernoulli":
            p = rng.uniform(0.05, 0.95, (self.n_components, dimension))
            distinct = (rng.random((n_distinct, dimension)) < p[labels]).astype(float)
        elif self.case.name == "poisson":
            rates = np.exp(rng.normal(1.0, 1.0, (self.n_components, dimension)))
            distinct = rng.poisson(rates[labels]).astype(float)
        else:
            centres = self.separation * rng.normal(size=(self.n_components, dimension))
            spread = np.exp(0.5 * rng.normal(size=(self.n_components, dimension)))
            noise = rng.normal(size=(n_distinct, dimension))
            mixing = np.eye(dimension) + 0.4 * rng.normal(size=(dimension, dimension))
            distinct = (centres[labels] + noise * spread[labels]) @ mixing
            distinct = (distinct + self.offset) * 10.0 ** np.array(self.exponents)
        extra = rng.integers(0, n_distinct, n - n_distinct)
        return rng.permutation(np.vstack([distinct, distinct[extra]]))

    @cached_property
    def row_weights(self):
        rng = generator(self.seed, 1)
        if self.weights == "none":
            return None
        if self.weights == "counts":
            return rng.integers(1, 4, self.n_rows).astype(float)
        return rng.uniform(0.2, 2.0, self.n_rows)

    @cached_property
    def init(self):
        """Where the run begins: responsibilities, labels or a name."""
        rng = generator(self.seed, 2)
        if self.start == "responsibilities":
            return soft_assignments(rng, self.n_rows, self.n_components)
        if self.start == "labels":
            return rng.integers(0, self.n_components, self.n_rows)
        return self.start


# Methods with their priors.
METHODS = (
    ("ml", "reference"),
    *product(("map", "vb dirichlet", "vb sticks", "vb free"), ("fixed", "reference")),
)


@st.composite
def problems(draw):
    """Random problems over methods, structures, sizes, weights, duplicates and scales.

    Sizes leave every component rows enough for the maximum likelihood fit to be defined. The first
    of each list comes somewhat more often than the others.
    """
    case = draw(st.sampled_from(CASES))
    method, prior = draw(st.sampled_from(METHODS))
    dimension = draw(st.integers(1, 4))
    n_components = draw(st.integers(1, 4))
    needed = 4 * n_components * (dimension + 1)
    n_rows = draw(st.integers(needed, needed + 60))
    one_factor = case.name == "spherical"
    exponent = st.integers(-8, 8)
    exponents = draw(st.lists(exponent, min_size=dimension, max_size=dimension))
    return Drawn(
        method=method,
        case=case,
        prior=prior,
        n_components=n_components,
        n_rows=n_rows,
        dimension=dimension,
        weights=draw(st.sampled_from(["real", "counts", "none"])),
        duplicates=draw(st.sampled_from([0.1, 0.0, 0.5])),
        exponents=tuple([exponents[0]] * dimension if one_factor else exponents),
        offset=draw(st.sampled_from([0.0, 1.0, 1e3, 1e6])),
        separation=draw(st.sampled_from([0.0, 1.0, 4.0, 100.0, 1e4])),
        search=draw(st.integers(0, 9)) == 0,
        accelerate=draw(st.booleans()),
        prune=draw(st.booleans()),
        start=draw(st.sampled_from(["responsibilities", "labels", "kmeans", "random"])),
        seed=draw(seeds),
    )


def elpd_of(estimate) -> float:
    """Expected log predictive density in what ``arviz.loo`` returns; ArviZ 1 renamed it."""
    return float(estimate.elpd if hasattr(estimate, "elpd") else estimate.elpd_loo)
