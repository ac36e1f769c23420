"""A number for every parameter of a mixture, shaped as the fields of a ``PosteriorSample``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, frozen


@dataclass(frozen=True, repr=False)
class ByParameter:
    """Arrays by the names of parameters, whichever of them a family has."""

    weights: Array
    means: Array
    covariances: Array | None = None
    scale: Array | None = None
    probabilities: Array | None = None
    rates: Array | None = None
    log_means: Array | None = None
    log_variances: Array | None = None
    log_covariances: Array | None = None
    transformed_means: Array | None = None
    transformed_variances: Array | None = None
    transformed_covariances: Array | None = None
    shapes: Array | None = None
    scales: Array | None = None
    degrees_of_freedom: Array | None = None

    def __post_init__(self) -> None:
        frozen(self)

    def items(self) -> list[tuple[str, Array]]:
        """Names and values of what this mixture has."""
        pairs = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, value) for name, value in pairs if value is not None]


@dataclass(frozen=True, repr=False)
class OfParameters(ByParameter):
    """A number for every parameter, such as its standard deviation in data units.

    Attributes
    ----------
    weights : array (K,)
    means : array (K, D)
        Of Bernoulli mixtures the probabilities, of Poisson mixtures the rates.
    covariances : array, Gaussian mixtures
        (K, D, D) full, (D, D) tied, (K, D) diag, (K,) spherical.
    scale : array, Gaussian mixtures whose prior learned its scale
        Shaped as ``covariance_prior_``.
    probabilities, rates : array (K, D)
        Of Bernoulli and of Poisson mixtures.
    log_means, log_variances, log_covariances : array
        Of log-normal mixtures, of the logarithms: (K, D), then shaped as ``covariances``.
    transformed_means, transformed_variances, transformed_covariances : array
        The same of other transforms.
    shapes : array, Gamma mixtures
        As ``rates``.
    scales, degrees_of_freedom : array, Student-t mixtures
        Scale matrices shaped as ``covariances``, and one number a component.
    """

    def distinct(self) -> list[tuple[str, Array]]:
        """The same without means that are probabilities or rates, which follow under that name."""
        also_means = self.covariances is None
        return [pair for pair in self.items() if not (also_means and pair[0] == "means")]

    def __repr__(self) -> str:
        inner = ",\n".join(f"  {name}={value!r}" for name, value in self.items())
        return f"OfParameters(\n{inner}\n)"

    def combined_with(
        self, other: OfParameters, combine: Callable[[Array, Array], Array]
    ) -> OfParameters:
        """``combine`` of every parameter's numbers here and there."""
        mine, theirs = dict(self.items()), dict(other.items())
        return of_parameters({name: combine(mine[name], theirs[name]) for name in mine})


def refuse_parts(names: Iterable[str], what: str) -> None:
    """Refuse what has a place for the parameters of one family only, where there are several."""
    if any(": " in name for name in names):
        raise UnsupportedError(
            f"a product of families has no {what} of its parts: to_arviz() and bayesmix.gibbs give "
            "draws of all of them by name, density_interval and assignment_interval bands"
        )


def of_parameters(values: Mapping[str, Array]) -> OfParameters:
    """Values by name; probabilities and rates are means as well."""
    refuse_parts(values, "numbers by parameter")
    of_counts = values.get("probabilities", values.get("rates"))
    return OfParameters(**({} if of_counts is None else {"means": of_counts}) | dict(values))
