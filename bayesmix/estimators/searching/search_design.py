"""What a search reads and compares: its data and criteria, its candidates, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bayesmix.core import validation
from bayesmix.core.procedures import last_step
from bayesmix.estimators.searching import search_checks
from bayesmix.estimators.searching.powers import proposed_powers
from bayesmix.estimators.searching.scatter import ProposedScatter, proposed_scatter
from bayesmix.estimators.searching.search_results import SearchFindings
from bayesmix.selection import criteria
from bayesmix.selection.clusters import ClusterNumbers, cluster_numbers, sizes_of
from bayesmix.selection.sweep import Sweep
from bayesmix.selection.tasks import Task
from bayesmix.selection.tree_search import TreeSearch, search_by_tree

if TYPE_CHECKING:
    from bayesmix.core.protocols import Parameters
    from bayesmix.estimators.search import MixtureSearch
    from bayesmix.estimators.searching.search_subjects import SubjectOfSamples
    from bayesmix.numerics.arrays import Integers
    from bayesmix.selection.candidates import Candidate
    from bayesmix.selection.scores import Fold, ScoreFunction
    from bayesmix.selection.summary_text import DataChecks


@dataclass(frozen=True)
class SearchCriteria:
    """The criterion that ranks candidates, and all that are computed."""

    name: str
    wanted: set[str]
    functions: Mapping[str, ScoreFunction]

    @classmethod
    def of(cls, search: Any) -> SearchCriteria:
        """Return the criteria that a search is asked for; raise an error for unknown ones."""
        name, wanted, functions = search_checks.criteria_of(search.criterion, search.also)
        return cls(name, wanted, functions | search_checks.functions_of(wanted))

    @property
    def folded(self) -> bool:
        """Whether some need folds."""
        return any(criteria.record(name).folds for name in self.wanted)

    @property
    def by_fits(self) -> bool:
        """Whether candidates are compared by single fits, without folds or held-out densities."""
        return not self.folded and self.name != "loo"

    @property
    def is_rule(self) -> bool:
        """Whether the number of clusters decides, as in ``select``."""
        return self.name == criteria.RULE


@dataclass(frozen=True)
class SearchDesign:
    """The candidates of a search in chains over K, and how they are compared.

    ``prior`` has the prior probability of each K. ``folds`` are those of some criteria.
    """

    search: MixtureSearch
    subject: SubjectOfSamples
    criteria: SearchCriteria
    chains: list[list[Parameters]]
    checks: DataChecks
    prior: dict[int, float]
    task: Task
    seed: int

    @property
    def folds(self) -> tuple[Fold, ...]:
        return self.task.splits

    @property
    def sample(self) -> Integers | None:
        """The samples on which candidates are compared (m,); None: all."""
        most = validation.optional_integer("most_samples", self.search.most_samples, 1)
        if most is None or not self.criteria.by_fits:
            return None
        return self.subject.random_sample(most, self.seed)

    def begun(self) -> Sweep | TreeSearch:
        """Return the search of the candidates, before its first fit.

        It begins at trees where K is open, where candidates are compared on a sample or on cells,
        and where powers or noise may be proposed. Other lists, and folds, are fitted one by one.
        """
        search, subject, by_tree = self.search, self.subject, is_by_tree(self.search, self.criteria)
        propose = (proposed_powers, proposed_scatter) if self.criteria.by_fits else ()
        name, chains = self.criteria.name, self.chains
        found = [proposed(search, subject, chains, name) for proposed in propose]
        proposals = [proposal for proposal in found if proposal is not None]
        sample = self.sample
        if not (by_tree or proposals) and sample is None:
            return Sweep(self.task, chains)
        prior = self.prior if self.criteria.is_rule else {}
        quick = getattr(last_step(subject.estimator), "search", None) == "short"
        reach = (search.polish or 0.0) if search.refit and quick else None
        return search_by_tree(self.task, sample, chains, prior, not by_tree, reach, proposals)

    def findings(
        self,
        sweep: Sweep | TreeSearch,
        candidates: list[Candidate],
        folds: list[tuple[int, int, Candidate]],
        interrupted: bool,
    ) -> SearchFindings:
        """Return what was found, with what can be told of it once a candidate is chosen."""
        subject = self.subject
        every = subject.given or subject
        return SearchFindings(
            candidates=candidates,
            criterion=self.criteria.name,
            n=subject.source.total_weight,
            checks=self.checks,
            folds=folds,
            clusters=None if interrupted else self._clusters,
            sizes=partial(sizes_of, every.fitter, every.at_hand[1]),
            noise=self._note_on_noise(sweep),
            unordered=None if interrupted else subject.unordered(self.search, self.folds),
            compared_on=sweep.compared_on,
        )

    @property
    def _counted(self) -> SubjectOfSamples | None:
        """The samples whose clusters are counted; None where held-out densities are of others."""
        seen, _ = self.subject.at_hand
        return None if self.criteria.folded and seen is not self.subject else seen

    @property
    def _clusters(self) -> Callable[..., ClusterNumbers] | None:
        """How clusters are counted, if they are."""
        seen = self._counted
        if seen is None:
            return None
        own = seen is self.subject
        distinct, places = self.checks.duplicates.distinct if own else None, seen.places
        numbered = places if distinct is None else distinct
        return partial(
            cluster_numbers,
            self.task if own else replace(self.task, fitter=seen.fitter),
            weights=self.subject.at_hand[1],
            splits=lambda: self.folds or seen.folds(self.search.cv, 0, numbered),
            rounded=self.checks.rounded,
            counted=self.search.clusters,
            places=places,
        )

    def _note_on_noise(self, sweep: Sweep | TreeSearch) -> Callable[[Candidate], str] | None:
        """What is told of uniform noise; None where it was tried, or clusters are not counted."""
        followed: Sequence[Any] = sweep.followed if isinstance(sweep, TreeSearch) else []
        tried = any(isinstance(proposal, ProposedScatter) for proposal in followed)
        seen = self._counted
        if tried or seen is None or not self.subject.independent:
            return None
        if self.search._selected is not None:
            return None
        return partial(search_checks.note_on_noise, self.search.cv, seen.source)


def is_by_tree(search: Any, asked: SearchCriteria) -> bool:
    """Whether K grows by itself, from the tops of trees."""
    return search.n_components is None and asked.by_fits
