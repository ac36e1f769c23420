"""Run scikit-learn's own mixture tests against bayesmix's classes.

    python tests/edges/run_sklearn_suite.py [test_gaussian_mixture.py ...]

The test files are those of the installed scikit-learn (BSD 3-clause, the scikit-learn developers),
read where they lie and not copied. ``GaussianMixture`` and ``BayesianGaussianMixture`` of
``sklearn.mixture`` are replaced before the files are imported; everything else in them, private
functions of scikit-learn included, stays what it is. Prints a line a test and JSON at the end.
"""

import json
import os
import sys
from pathlib import Path

import pytest


class Outcomes:
    """How every test ended, and the last line of the error where it failed."""

    def __init__(self):
        self.by_test = {}

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("/")[-1]
        if report.when == "call" or report.outcome != "passed":
            self.by_test[name] = (report.outcome, _last_line(report))


def _last_line(report):
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message.splitlines()[0][:200] if crash else ""


def outcomes(files):
    """{test: (outcome, why)} of scikit-learn's mixture tests with bayesmix's estimators."""
    import sklearn.mixture

    import bayesmix

    sklearn.mixture.GaussianMixture = bayesmix.GaussianMixture
    sklearn.mixture.BayesianGaussianMixture = bayesmix.BayesianGaussianMixture
    tests = Path(sklearn.mixture.__file__).parent / "tests"
    heard = Outcomes()
    pytest.main(
        [
            *(
                str(tests / name)
                for name in files or sorted(os.listdir(tests))
                if name[:5] == "test_"
            ),
            *("-q", "--no-header", "--durations=12", "-p", "no:cacheprovider", "-n", "0"),
            *("-c", os.devnull, "--rootdir", str(tests.parents[2])),
            *("--confcutdir", str(tests.parents[1])),
        ],
        plugins=[heard],
    )
    return heard.by_test


if __name__ == "__main__":
    sys.stdout.flush()
    print(json.dumps(outcomes(sys.argv[1:]), indent=1))
