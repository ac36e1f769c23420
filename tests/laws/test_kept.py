"""What is computed once and kept: it is what would be computed again, and never that of another."""

import numpy as np

from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import MOST_KEPT, Frame, Rows
from bayesmix.em.expectation import LINEAR, ExpectationStep
from bayesmix.numerics.memo import once
from bayesmix.sources.memory import ArraySource
from laws.cases import CASES, generator

FULL, DIAGONAL = (next(c for c in CASES if c.name == name) for name in ("full", "diag"))


class Counted:
    """How often its value was asked for."""

    def __init__(self):
        self.computed = 0

    @once
    def value(self):
        """A value."""
        self.computed += 1
        return object()


def test_a_property_is_computed_once_for_every_record():
    first, second = Counted(), Counted()
    assert first.value is first.value
    assert first.computed == 1
    assert second.value is not first.value
    assert isinstance(Counted.value, once)
    assert Counted.value.__doc__ == "A value."


def mixture(case, rng, frame):
    return Mixture(PointWeights(np.full(3, 1 / 3)), case.point(rng, 3, 2), frame)


def test_features_are_those_of_the_frame_and_kind_that_are_asked_for():
    rng = generator(1)
    rows = Rows(rng.normal(size=(50, 2)))
    frames = Frame.identity(2), Frame(np.array([1.0, -1.0]), np.array([2.0, 0.5]))
    for case in (FULL, DIAGONAL):
        for frame in (*frames, *frames):
            form = mixture(case, rng, frame).components.linear
            expected = form.features(frame.apply(rows.values))
            np.testing.assert_array_equal(rows.features(form, frame), expected)
            assert rows.features(form, frame) is rows.features(form, frame)


def test_features_of_many_rows_are_not_kept():
    rng, frame = generator(2), Frame.identity(2)
    rows = Rows(rng.normal(size=(MOST_KEPT // 6 + 1, 2)))
    form = mixture(FULL, rng, frame).components.linear
    first = rows.features(form, frame)
    assert first.size > MOST_KEPT
    assert rows.features(form, frame) is not first


def test_a_second_pass_over_a_source_has_the_bits_of_a_pass_over_new_rows():
    rng = generator(3)
    values, weights = rng.normal(size=(80, 2)), rng.uniform(0.5, 2.0, 80)
    source, frame = ArraySource(values, weights), Frame.identity(2)
    for case in (FULL, DIAGONAL, FULL):
        step = ExpectationStep(mixture(case, rng, frame), LINEAR)
        kept, anew = source.reduce(step, 3).finished(), step(Rows(values, weights)).finished()
        assert kept.log_normaliser == anew.log_normaliser
        np.testing.assert_array_equal(kept.statistics.scatter, anew.statistics.scatter)
    fewer = source.subset(slice(40))
    assert fewer.reduce(step, 3).counts.sum() < 0.6 * kept.counts.sum()
