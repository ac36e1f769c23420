"""An observation of somebody else, written by the guide: yes/no answers that are sometimes misread.

Log likelihood and true values agree with a sum over all true answers.
"""

import itertools
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import bayesmix as bm
from bayesmix.core.measurement import Measurement
from bayesmix.core.random import drawn_labels
from bayesmix.core.rows import SideInformation
from bayesmix.em.expectation import block_sums
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.independent.linear import Sums
from bayesmix.observation.true_values import Measuring
from bayesmix.sources.memory import ArraySource

RIGHT = np.array(
    [[0.95, 0.7, 0.9, 0.8, 0.9], [0.8, 0.9, 0.85, 0.9, 0.9]]
)  # of a true no, and of a true yes


@dataclass(frozen=True)
class Misread(Measurement):
    """P(answer | true no) and P(answer | true yes) (2, n, D)."""

    chances: np.ndarray

    def __getitem__(self, rows):
        return Misread(self.chances[:, rows])

    def joints(self, mixture):
        """P(answer, true value | k) (2, n, K, D)."""
        p = mixture.components.probabilities
        return self.chances[:, :, None] * np.stack([1.0 - p, p])[:, None]

    def yes(self, mixture):
        """P(true yes | answer, k) (n, K, D)."""
        no, yes = self.joints(mixture)
        return yes / (no + yes)

    def log_joint(self, mixture, rows):
        return np.log(self.joints(mixture).sum(axis=0)).sum(axis=2) + mixture.log_weights

    def log_volume(self, mixture, rows):
        return np.zeros(len(rows))

    def check(self, family, columns):
        if family.name != "bernoulli":
            raise InvalidInputError(f"misread answers need Bernoulli(), got {family!r}")

    def moments(self, mixture, rows, shares):
        means = np.einsum("nk,nkd->nd", shares, self.yes(mixture))
        return means, means

    def drawn(self, mixture, rows, generator):
        labels = drawn_labels(mixture.responsibilities(rows)[0], generator)
        yes = self.yes(mixture)[np.arange(len(labels)), labels]
        return (generator.random(yes.shape) < yes).astype(float)

    def least_errors(self, rows):
        return np.zeros(rows.values.shape[1])

    def form(self, family, variational, seed):
        return MisreadAnswers(seed)


def sums_of(mixture, rows):
    seen = rows.side.measurement

    def statistics(shares):
        return Sums(shares.sum(axis=0), np.einsum("nk,nkd->kd", shares, seen.yes(mixture)))

    return block_sums(mixture, seen.log_joint(mixture, rows), rows, statistics)


class MisreadAnswers(Measuring):
    name = "misread answers"

    def step(self, mixture):
        return partial(sums_of, mixture)


def misread(answers):
    chances = np.stack([
        np.where(answers, 1.0 - RIGHT[0], RIGHT[0]),
        np.where(answers, RIGHT[1], 1.0 - RIGHT[1]),
    ])  # fmt: skip
    side = SideInformation(measurement=Misread(chances))
    return ArraySource(answers.astype(float), side=side)


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(0)
    true = rng.random((600, 5)) < np.where(rng.random((600, 1)) < 0.4, 0.85, 0.15)
    answers = np.where(rng.random(true.shape) < RIGHT[true.astype(int), range(5)], true, ~true)
    X = misread(answers)
    return bm.Mixture(2, family=bm.Bernoulli(), random_state=0, n_jobs=1).fit(X), X, answers, true


@dataclass(frozen=True)
class Moved:
    weights_: np.ndarray
    probabilities_: np.ndarray


def of_all_true_answers(model, answers):
    """The log density of each sample, and P(true yes) (n, D), over all true answers."""
    p, patterns = model.probabilities_, np.array(list(itertools.product([0, 1], repeat=5)))
    prior = sum(
        w * np.where(patterns, q, 1.0 - q).prod(axis=1)
        for w, q in zip(model.weights_, p, strict=True)
    )
    right = RIGHT[patterns, range(5)]
    seen = np.where(answers[:, None] == patterns, right, 1.0 - right).prod(axis=2) * prior
    return np.log(seen.sum(axis=1)), seen @ patterns / seen.sum(axis=1, keepdims=True)


def test_its_densities_and_true_values_are_sums_over_all_true_answers(fit):
    model, X, answers, true = fit
    logs, yes = of_all_true_answers(model, answers)
    np.testing.assert_allclose(model.score_samples(X), logs, rtol=1e-10)
    values = model.true_values(X, n_draws=400, random_state=0)
    np.testing.assert_allclose(values.mean, yes, atol=1e-10)
    np.testing.assert_allclose(values.standard_deviation, np.sqrt(yes * (1.0 - yes)), atol=1e-7)
    errors = np.sqrt(yes * (1.0 - yes) / 400)
    assert (np.abs(values.draws.mean(axis=0) - yes) <= 5.0 * errors + 1e-9).all()
    assert roc_auc_score(true[:, 1], yes[:, 1]) > roc_auc_score(true[:, 1], answers[:, 1])


def test_its_fit_is_a_maximum_of_that_likelihood(fit):
    model, _, answers, _ = fit
    best = of_all_true_answers(model, answers)[0].sum()
    for step in 1e-3 * np.vstack([np.eye(10), -np.eye(10)]):
        other = Moved(model.weights_, model.probabilities_ + step.reshape(2, 5))
        assert of_all_true_answers(other, answers)[0].sum() <= best + 1e-7


def test_sequences_refuse_measured_samples_which_they_would_take_for_exact_ones(fit):
    _, X, _, _ = fit
    measured = bm.Measured(np.arange(40.0)[:, None] % 7, error=1.0)
    for model, samples in (
        (bm.HiddenMarkovModel(2, family=bm.Bernoulli()), X),
        (bm.HiddenMarkovModel(2), measured),
        (bm.MixtureSearch(bm.HiddenMarkovModel(), n_components=(1, 2)), measured),
    ):
        with pytest.raises(UnsupportedError, match="a hidden Markov model does not support meas"):
            model.fit(samples, lengths=[len(samples.values)])


def test_true_values_of_numbers_of_trials_are_refused():
    X = np.repeat([1, 4], 20)[:, None]
    model = bm.Mixture(2, family=bm.Binomial(), random_state=0).fit(X, trials=5)
    with pytest.raises(UnsupportedError, match="true_values needs errors, limits or rounding"):
        model.true_values(bm.Measured(X, trials=5))
