"""What is tried side by side counts as if it had been tried one after the other."""

import threading
import time

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.em.model import Model, Settings, resolve
from bayesmix.em.run import Aitken, Monitor
from bayesmix.search.optimum import Attempts
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.responsibilities import Given, begun


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(at, 1.0, (150, 2)) for at in (0.0, 2.0, 5.0)])
    return resolve(
        Model(3, bm.Gaussian(), bm.MaximumLikelihood()), ArraySource(values), Settings(Aitken())
    )


def tried(problem):
    """A piece of work that takes longer for the first items: so many passes from random shares."""

    def work(attempts, item):
        time.sleep(0.002 * (7 - item))
        shares = np.random.default_rng(item).dirichlet(np.ones(3), 450)
        state = attempts.run(problem, begun(problem, Given(shares), 3), 3 + item)
        attempts.note("trial", str(item), state, 0.0, False)
        return state.objective

    return work


def told_until(problem, n_threads, last):
    """What is known once the item ``last`` was taken, and nothing after it."""
    attempts = Attempts(problem, Monitor())
    found = []
    for item, value in attempts.in_order(tried(problem), range(7), n_threads):
        found.append((item, value))
        if item == last:
            break
    return found, attempts.records, attempts.monitor.passes, attempts.best.objective


@pytest.mark.parametrize("last", [0, 3, 6])
def test_threads_that_work_ahead_change_nothing(problem, last):
    one, two, three = (told_until(problem, n_threads, last) for n_threads in (1, 2, 3))
    assert [item for item, _ in one[0]] == list(range(last + 1))
    assert one[2] >= sum(3 + item for item in range(last + 1))
    assert one == two == three


def test_threads_are_used_unless_passes_are_limited_or_read(problem):
    for monitor in (Monitor(), Monitor(max_passes=50), Monitor(reports_passes=True)):
        used, both = set(), threading.Barrier(2)

        def work(attempts, item, used=used, both=both, waits=monitor.countable):
            used.add(threading.current_thread().name)
            if waits:  # until the other thread has an item too
                both.wait()

        assert len(list(Attempts(problem, monitor).in_order(work, range(6), 2))) == 6
        assert (len(used) > 1) == monitor.countable


def test_an_interrupt_ends_what_runs_beside(problem):
    attempts = Attempts(problem, Monitor())
    both = threading.Barrier(2)

    def work(apart, item):
        shares = np.random.default_rng(item).dirichlet(np.ones(3), 450)
        state = apart.run(problem, begun(problem, Given(shares), 3), 2)
        both.wait()
        if item == 0:
            apart.monitor.interrupt()
        both.wait()
        return apart.run(problem, state, 100).status

    statuses = dict(attempts.in_order(work, range(2), 2))
    assert set(statuses.values()) == {"interrupted"}
    assert attempts.monitor.stopped == "interrupted"
    assert attempts.monitor.passes < 10


def test_passes_made_in_threads_are_shown(problem):
    shown = []
    monitor = Monitor(on_pass=lambda *what: shown.append(what), stage="run 1 of 2")
    attempts = Attempts(problem, monitor)
    for _ in attempts.in_order(tried(problem), range(4), 2):
        pass
    assert [(stage, iteration) for stage, iteration, _, _ in shown] == [
        ("run 1 of 2", 3 + item) for item in range(4)
    ]
