"""``partial_fit``: rows that go by, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, Self

from bayesmix import validation
from bayesmix.engine.streaming import Stream
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.estimators.rows import incoming
from bayesmix.protocols import Source
from bayesmix.workflow.model import Model
from bayesmix.workflow.result import FitResult


class Arriving:
    """``partial_fit`` of every estimator."""

    result_: FitResult
    n_jobs: int | None
    missing: str
    _model: Callable[[], Model]
    _fit: Callable[..., None]
    _adopt: Callable[[FitResult], None]

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch: str | int | None = None,
        forgetting: float | None = None,
    ) -> Self:
        """Go on with one batch of rows, of which sums are kept and not the rows.

        The first batch is fitted as ``fit`` does; it fixes the scales in which everything is
        computed, the prior where none is given, and how many components there are at most: a
        cluster that comes up later gets none of its own. Every call then takes one E-step on its
        batch and one M-step on the sums of all. A variational fit merges components where that
        raises the bound, unless ``prune=False``.

        ``elbo_`` is a true bound on all rows seen, without having them; of a fit at a point the
        free energy, in ``lower_bound_`` per row, is one on the likelihood or posterior density. It
        falls when rows arrive, and never between. The likelihood itself is not known:
        ``log_likelihood_`` is NaN.

        Parameters
        ----------
        X : array, frame or source (n, D)
            The first batch at least n_components x (D + 1) rows, better some thousands, with
            something of every cluster; later ones any number. After ``fit`` a stream begins anew,
            with a warning: the rows of the fit do not count.
        y : ignored
        sample_weight : array (n,), optional
            How often each row counts.
        batch : str or int, optional
            A name under which these rows may come again, to be looked at with what has been
            learned since: their sums then take the place of those that they had. Without a name a
            batch adds nothing to what is kept; a named one keeps about K D² numbers.
        forgetting : float, optional
            For data that drift: the share of all that was seen before that is forgotten now. The
            bound is then on rows that count less, the longer ago they came: no bound on the rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For rows that cannot be used; the estimator is then as it was.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> vb = bm.BayesianGaussianMixture(n_components=4, random_state=0)
        >>> for lap in range(2):
        ...     for start in (0, 136):
        ...         vb = vb.partial_fit(X[start : start + 136], batch=start)
        >>> vb.n_components_, vb.result_.n_rows
        (2, 272)
        """
        from bayesmix.workflow import stream

        if isinstance(y, (str, Integral)):
            raise InvalidInputError(f"y is ignored, got {y!r}: a batch is named by batch={y!r}")
        name = batch_name(batch)
        if forgetting is not None:
            validation.number("forgetting", forgetting, 0.0, strict=True)
            if not forgetting < 1.0:
                raise InvalidInputError(
                    f"forgetting must be a share, more than 0 and less than 1, got {forgetting!r}"
                )
        if incoming.missing_of(self) != "error":
            raise UnsupportedError(
                f"missing={self.missing!r} is for fit: give partial_fit rows without missing "
                "values, and missing='error'"
            )
        before = dict(self.__dict__)
        model = self._model()
        try:
            fitted: FitResult | None = getattr(self, "result_", None)
            if fitted is not None and fitted.stream is None:
                warn(
                    "partial_fit begins anew: fit kept no sums of its rows, which do not count in "
                    "the stream. Give them as its first batch",
                    BayesmixWarning,
                )
            if fitted is None or fitted.stream is None:
                n_jobs = validation.jobs(self.n_jobs)
                source = incoming.training_rows(self, X, sample_weight, n_jobs)
                stream.check_first(model, source)
                self._fit(lambda _: source)
                result = stream.begun(self.result_, source, name, model.prune)
            else:
                source = self._next_batch(fitted.stream, X, sample_weight, name, forgetting)
                result = stream.arrived(self.result_, source, name, model.prune, forgetting)
        except BaseException:
            # Nothing half-fitted remains.
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self._adopt(result)
        return self

    def _next_batch(
        self,
        stream: Stream,
        X: Any,
        sample_weight: Any,
        name: str | int | None,
        forgetting: float | None,
    ) -> Source:
        """Rows of a stream that has begun."""
        if forgetting is not None and (name is not None or stream.named.names):
            raise InvalidInputError(
                "forgetting must be None in a stream with named batches: one that comes again "
                "would count in full"
            )
        return incoming.next_rows(self, X, sample_weight)


def batch_name(value: Any) -> str | int | None:
    """``batch``, checked."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidInputError(
            "batch must be a string or an integer under which these rows come again, got "
            f"{value!r:.60}"
        )
    return int(value)
