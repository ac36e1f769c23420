"""NUTS for the model of a variational fit, in nutpie, started at draws from q.

The model has the same prior and likelihood, with assignments summed out.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, ClassVar, TypeAlias

import numpy as np

from bayesmix.allocation.point import FreeWeights
from bayesmix.core import validation
from bayesmix.core.parallel import resolve_jobs, single_threaded_blas
from bayesmix.core.priors import ComponentsTwin, NamedTensors, Pymc, PymcModel, Tensor, WeightsTwin
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.sources import Source
from bayesmix.em.progress_bar import console_for
from bayesmix.em.result import FitResult
from bayesmix.errors import BayesmixWarning, missing_extra, warn
from bayesmix.families.gaussian_twin import declared_components
from bayesmix.mcmc.along_directions import along_directions
from bayesmix.mcmc.sampled_regressions import regression_model, weak_model
from bayesmix.numerics.arrays import Array, Booleans, frozen
from bayesmix.posterior.arviz_groups import ToArviz, inference_data
from bayesmix.posterior.chains import (
    DrawsInChains,
    Plan,
    blocked_gibbs,
    duplicates_named,
    each_repetition,
)
from bayesmix.posterior.posterior_draws import Draws, log_likelihoods, log_prior
from bayesmix.posterior.subject import (
    fitted_mixture,
    log_volume,
    rows_of_fit,
    variational_fit,
)

# Random stream of starting points; other numbers belong to other posterior methods.
OF_BEGINNINGS = 14


def pymc_model(
    model: Any, X: Any = None, sample_weight: Any = None, *, lengths: Any = None, groups: Any = None
) -> Any:
    """Return the PyMC model of a variational fit, with the same prior and likelihood.

    A ``RegressionMixture`` by maximum likelihood, which has no prior, gets a weak one.

    Assignments are summed out, so all variables are continuous. They use the fit's coordinates
    (features shifted and scaled), and deterministics give data units under the names of
    ``to_arviz``: "weights", "means", "covariances", a learned "scale", "probabilities", "rates".
    Components are not ordered. The paths of a hidden Markov model are summed out by the forward
    recursion; its variables include "startprob" and "transmat", and "weights" is their stationary
    distribution.

    In a common subspace the model is that of the coordinates along the directions, given these.

    The number of components is that requested for the fit, before pruning. A learned scale is a
    variable; β0 and type-II weights stay at their learned values. The initial point is
    approximately a draw from q. Means and Wishart factors enter as potentials, so PyMC cannot
    sample the prior.

    Parameters
    ----------
    model : fitted variational mixture or search
    X : array, frame or source (n, D)
        The data that the model was fitted to; a ``RegressionMixture`` keeps them.
    sample_weight : array (n,), optional
        As in the fit. Weights multiply log densities; non-integers give a weighted likelihood.
    lengths, groups : optional
        Sequences of a hidden Markov model; None: those of the fit. Others raise an error.

    Returns
    -------
    pymc.Model
        With dimensions "component", "feature" and "row".

    Raises
    ------
    InvalidInputError
        If the fit has no posterior, or X is not the data of the fit.
    UnsupportedError
        For Student-t components, and for sequences with missing values.
    MissingExtraError
        If PyMC is not installed.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> model = bm.pymc_model(vb, X)  # doctest: +SKIP
    >>> idata = pm.sample(model=model)  # doctest: +SKIP
    """
    fitted, pm = fitted_mixture(model), _pymc()
    if fitted.noun == "regression":
        return (weak_model if fitted._q is None else regression_model)(pm, fitted)
    estimator, X = along_directions(variational_fit(model), X, sample_weight)
    sequences = {"lengths": lengths, "groups": groups}
    source = rows_of_fit(estimator, X, sample_weight, sequences=sequences)
    pymc_twin = twin(estimator.result_, source)
    start = beginnings(pymc_twin, source, seed=0)(0)
    for variable in pymc_twin.model.free_RVs:
        pymc_twin.model.set_initval(variable, start[variable.name])
    with pymc_twin.model:
        for name, (axes, values) in pymc_twin.named.items():
            pm.Deterministic(name, values, dims=axes)
    return pymc_twin.model


@dataclass(frozen=True)
class Twin:
    """The PyMC model in the fit's coordinates, with the conversion of its draws to ``Draws``."""

    model: Tensor
    result: FitResult
    n_components: int
    weights: WeightsTwin
    components: ComponentsTwin

    @property
    def named(self) -> NamedTensors:
        """Derived weights and parameters in data units, by name."""
        return {**self.weights.named(), **self.components.named(self.result.mixture.frame)}

    @property
    def drawn(self) -> dict[str, Tensor]:
        """Tensors in the fit's coordinates from which ``draws`` are made."""
        return {**self.weights.drawn, **self.components.drawn}

    def draws(self, values: dict[str, Array], n_draws: int) -> Draws:
        """Return S draws from the values (S, ...) of ``drawn``."""
        weights = {name: values[name] for name in self.weights.drawn}
        components = {name: values[name] for name in self.components.drawn}
        return Draws(self.weights.draws(weights, n_draws), self.components.draws(components))

    def point(self, draws: Draws) -> dict[str, Array]:
        """Return the values (S, ...) of the model's variables at draws."""
        return {**self.weights.point(draws.weights), **self.components.point(draws.components)}


def twin(result: FitResult, source: Source) -> Twin:
    """Return the PyMC model of a fit for its data."""
    pm = _pymc()
    mixture, inference = result.posterior, result.bayesian
    # Point weights cover only the components that were not pruned.
    fixed = isinstance(inference.weights_prior, FreeWeights)
    n_components = result.n_components if fixed else result.requested_components
    names = result.columns
    coords = {
        "component": np.arange(n_components),
        "other_component": np.arange(n_components),
        "feature": np.arange(result.n_features) if names is None else list(names),
        "other_feature": np.arange(result.n_features) if names is None else list(names),
        "direction": np.arange(mixture.frame.n_directions),
        "row": np.arange(source.shape[0]),
    }
    with pm.Model(coords=coords) as model:
        weights = inference.weights_prior.pymc_distribution(pm, mixture.weights, n_components)
        components = declared_components(
            inference.parameters_prior, pm, mixture.components, n_components
        )
        rows = source.in_memory().rows
        framed = mixture.frame.apply(rows.values)
        total = weights.log_likelihood(pm, components.log_density(pm, framed), rows)
        pm.Potential("log_likelihood", total - log_volume(result, source))
    return Twin(model, result, n_components, weights, components)


def beginnings(pymc_twin: Twin, source: Source, seed: int) -> Callable[[int], dict[str, Array]]:
    """Return a function from an integer seed to a starting point, approximately a draw from q.

    Draws from the conditional posterior at the expected statistics, pruned components included.
    """
    with single_threaded_blas():
        sampler = blocked_gibbs(pymc_twin.result, source, each_repetition)

    def begin(number: int) -> dict[str, Array]:
        generator = stream(seed, Purpose.DRAW, OF_BEGINNINGS, number)
        with duplicates_named():
            draw = sampler.drawn(sampler.beginning(pymc_twin.n_components, generator), generator)
        return {name: values[0] for name, values in pymc_twin.point(draw).items()}

    return begin


def _pymc() -> Pymc:
    try:
        return import_module("pymc")
    except ImportError:
        raise missing_extra("PyMC", "pymc") from None


# chain or seed number -> values of the model's variables
Beginning: TypeAlias = Callable[[int], dict[str, Array]]


@dataclass(frozen=True)
class Job:
    """A sampling job; ``begin`` maps any integer to a starting point."""

    model: PymcModel
    names: tuple[str, ...]
    begin: Beginning
    plan: Plan
    cores: int
    shown: bool


@dataclass(frozen=True)
class NutsRun:
    """Values (C, S, ...) by name, divergences (C, S), and run times."""

    values: dict[str, Array]
    diverging: Booleans
    compile_seconds: float
    seconds: float


def by_nutpie(job: Job) -> NutsRun:
    """Sample with nutpie; an interrupt returns the draws so far."""
    try:
        import nutpie
    except ImportError:
        raise missing_extra("nutpie", "pymc") from None
    began = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):
        compiled = nutpie.compile_pymc_model(job.model, var_names=job.names)
        unconstrained = _unconstrained(job.model)

        def beginning(seed: Any) -> Array:
            # Chains call this in any order, each with a separate seed.
            number = int.from_bytes(np.asarray(seed).tobytes(), "little")
            return unconstrained(job.begin(number))

        compiled = replace(compiled, initial_point_func=beginning)
    compiled_at = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):
        sampler = nutpie.sample(
            compiled,
            draws=job.plan.n_draws,
            tune=job.plan.n_warm,
            chains=job.plan.n_chains,
            cores=job.cores,
            seed=job.plan.seed,
            save_warmup=False,
            progress_bar=job.shown,
            blocking=False,
        )
        try:
            trace = sampler.wait()
        except KeyboardInterrupt:
            trace = sampler.abort()
        except BaseException:
            sampler.cancel()
            raise
    posterior, statistics = trace["posterior"], trace["sample_stats"]
    values = [np.asarray(posterior[name].values) for name in job.names]
    chains, diverging = [], []
    for *each, divergent in zip(*values, statistics["diverging"].values, strict=True):
        # An interrupt leaves NaN for the rest.
        there = [~np.isnan(value.reshape(len(value), -1)).any(axis=1) for value in each]
        missing = np.flatnonzero(~np.all(there, axis=0))
        length = int(missing[0]) if len(missing) else len(each[0])
        chains.append({name: one[:length] for name, one in zip(job.names, each, strict=True)})
        diverging.append(divergent[:length])
    return arranged(chains, diverging, compiled_at - began, time.perf_counter() - compiled_at)


def arranged(
    chains: list[dict[str, Array]], diverging: list[Any], compile_seconds: float, seconds: float
) -> NutsRun:
    """Return chains of equal length, trimmed after an interrupt to keep the most draws."""
    lengths = np.array([len(chain) for chain in diverging])
    longest_first = np.argsort(-lengths, kind="stable")
    totals = lengths[longest_first] * np.arange(1, len(lengths) + 1)
    n_chains = int(np.argmax(totals)) + 1
    if not totals[n_chains - 1]:
        # Interrupted before the first draw.
        raise KeyboardInterrupt
    numbers = np.sort(longest_first[:n_chains])
    n_draws = int(lengths[numbers].min())
    values = {
        name: np.stack([chains[number][name][:n_draws] for number in numbers]) for name in chains[0]
    }
    divergences = np.stack([diverging[number][:n_draws] for number in numbers]).astype(bool)
    return NutsRun(values, divergences, compile_seconds, seconds)


def _unconstrained(model: Any) -> Callable[[dict[str, Array]], Array]:
    """Return the map from the variables' values to the sampler's unconstrained vector."""
    import pytensor
    from pytensor import tensor as pt

    given, moved = [], []
    for variable in model.free_RVs:
        transform = model.rvs_to_transforms[variable]
        value = variable.type()
        given.append(value)
        free = value if transform is None else transform.forward(value, *variable.owner.inputs)
        moved.append(free.ravel())
    function = pytensor.function(
        given, pt.concatenate(moved), mode="FAST_COMPILE", on_unused_input="ignore"
    )
    names = [variable.name for variable in model.free_RVs]

    def flattened(point: dict[str, Array]) -> Array:
        return np.ascontiguousarray(function(*(point[name] for name in names)))

    return flattened


@dataclass(frozen=True, repr=False, eq=False)
class NutsDraws(DrawsInChains, ToArviz):
    """Draws from p(π, θ | X) by the no-U-turn sampler, assignments summed out; see ``nuts``.

    Arrays begin with (C, S): chains and draws. Component labels may differ between chains.

    Attributes
    ----------
    result : FitResult
        The variational fit that supplies the model and the starting points.
    source : Source
        The data, not copied.
    draws : Draws
        All C S draws in the fit's coordinates, chain after chain.
    log_likelihood : array (C, S)
        log p(X | π, θ) in nats and data units.
    log_joint : array (C, S)
        log_likelihood plus log p(π, θ) in the fit's coordinates; a learned scale is integrated out.
    diverging : array (C, S) of bool
        Divergent draws; more than a few mean that a part of the posterior was missed.
    warmup : int
        Warm-up draws per chain.
    sampler : {"nutpie"}
    status : {"finished", "interrupted"}
    seed : int
    seconds : float
        Sampling time, without ``compile_seconds``.
    compile_seconds : float
    """

    diverging: Booleans
    warmup: int
    status: str
    seed: int
    seconds: float
    compile_seconds: float
    sampler: ClassVar[str] = "nutpie"

    def to_arviz(self) -> Any:
        """Return the draws with observed data and prior as ArviZ groups; needs ArviZ."""
        return inference_data(self, "diverging", f"NUTS ({self.sampler})", "chains")

    def __repr__(self) -> str:
        n_divergent = int(np.count_nonzero(self.diverging))
        return (
            f"<NutsDraws: {self.n_chains} x {self.n_draws} draws by {self.sampler}, "
            f"{n_divergent} divergent>"
        )


def nuts(
    model: Any,
    X: Any,
    n_draws: int = 1000,
    chains: int = 4,
    warmup: int = 1000,
    sample_weight: Any = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
    lengths: Any = None,
    groups: Any = None,
) -> NutsDraws:
    """Draw from the posterior of a variational fit's model with NUTS.

    The model is that of ``pymc_model``. Chains start approximately at draws from q. Ctrl-C stops
    early and returns equally long chains with the draws so far, with a warning. Raises
    ``InvalidInputError`` if the fit has no posterior or X is not the data of the fit,
    ``MissingExtraError`` if PyMC or nutpie is not installed.
    """
    plan = Plan(
        validation.integer("chains", chains, 1),
        validation.integer("warmup", warmup, 0),
        validation.integer("n_draws", n_draws, 1),
        root_seed(random_state),
    )
    estimator = variational_fit(model)
    sequences = {"lengths": lengths, "groups": groups}
    source = rows_of_fit(estimator, X, sample_weight, sequences=sequences)
    return sampled(estimator.result_, source, plan, resolve_jobs(n_jobs), progress)


def sampled(
    result: FitResult,
    source: Source,
    plan: Plan,
    cores: int = 2,
    progress: bool | None = None,
) -> NutsDraws:
    """Return all chains, converted to the fit's coordinates.

    Raises ``InvalidInputError`` if duplicates make the posterior improper under a learned scale.
    """
    pymc_twin = twin(result, source)
    import pymc as pm

    with pymc_twin.model:
        names = tuple(f"drawn_{part}" for part in pymc_twin.drawn)
        for part, tensor in zip(names, pymc_twin.drawn.values(), strict=True):
            pm.Deterministic(part, tensor)
    shown, begin = console_for(progress) is not None, beginnings(pymc_twin, source, plan.seed)
    # nutpie takes 32-bit seeds.
    seed = int(stream(plan.seed, Purpose.DRAW, OF_BEGINNINGS).integers(2**32))
    job = Job(pymc_twin.model, names, begin, replace(plan, seed=seed), cores, shown)
    run = by_nutpie(job)
    n_chains, n_draws = run.diverging.shape
    complete = (n_chains, n_draws) == (plan.n_chains, plan.n_draws)
    if not complete:
        warn(
            f"interrupted: the result has {n_draws} of {plan.n_draws} draws from {n_chains} of "
            f"{plan.n_chains} chains",
            BayesmixWarning,
        )
    values = {
        name.removeprefix("drawn_"): value.reshape(-1, *value.shape[2:])
        for name, value in run.values.items()
    }
    draws = frozen(pymc_twin.draws(values, n_chains * n_draws))
    with single_threaded_blas():
        likelihood = draws.over_batches(lambda batch: log_likelihoods(result, batch, source))
        density = draws.over_batches(lambda batch: log_prior(result.bayesian, batch))
    shape = n_chains, n_draws
    return NutsDraws(
        result=result,
        source=source,
        draws=draws,
        log_likelihood=frozen(likelihood.reshape(shape)),
        log_joint=frozen((likelihood + density).reshape(shape)),
        diverging=frozen(run.diverging),
        warmup=plan.n_warm,
        status="finished" if complete else "interrupted",
        seed=plan.seed,
        seconds=run.seconds,
        compile_seconds=run.compile_seconds,
    )
