"""A fitted search as its best candidate: what a mixture says of rows."""

from __future__ import annotations

from typing import Any

from bayesmix.selection.criteria.folds import last_step


class OfTheBest:
    """Predictions, densities and draws of ``best_estimator_``; bands of the averaged density."""

    best_estimator_: Any
    averaged_: Any

    def predict(self, X: Any) -> Any:
        """The most probable component of every row, under the best candidate."""
        return self.best_estimator_.predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the components, under the best candidate."""
        return self.best_estimator_.predict_proba(X)

    def score_samples(self, X: Any) -> Any:
        """Log density of every row in nats, under the best candidate."""
        return self.best_estimator_.score_samples(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density in nats, under the best candidate."""
        return float(self.best_estimator_.score(X))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Rows and components drawn from the best candidate."""
        return last_step(self.best_estimator_).sample(n_samples, random_state)

    def density_interval(self, X: Any, level: float = 0.9, **options: Any) -> Any:
        """Credible band (n, 2) of the averaged density: it knows that K was chosen.

        As ``averaged_.density_interval``; with ``data``, the rows of the fit, by Gibbs sampling.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> search = bm.select(X, n_components=(2, 3), covariance_type="tied")
        >>> search.density_interval(X[:1], level=0.9).shape
        (1, 2)
        """
        return self.averaged_.density_interval(X, level, **options)
