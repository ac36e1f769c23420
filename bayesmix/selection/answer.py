"""The answer of a search: its clusters, their words, sizes and colours, probabilities and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayesmix.core.nouns import capitalized, part_names, plural
from bayesmix.core.palette import colour
from bayesmix.core.printed_numbers import percent
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.selection.clusters import number_of

# Clusters that a summary tells.
MOST_TOLD = 4
# The label of observations in no cluster, in words.
OUTLYING_WORD = "outlying"


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """The clusters that a search found; all texts, tables, figures and files show these.

    Attributes
    ----------
    noun : str
        Name of a group: "cluster", "class" (categories, counts, regressions), "state" (sequences)
        or "component".
    labels : array (K,)
        Cluster of each component of the chosen candidate from 0, the heaviest; -1 if outlying.
    sizes : array (C,)
        Number of observations, or sum of sample weights, with each cluster as their most probable
        one; expected numbers for data in parts and files of older versions.
    outlying : float
        Number of observations in no cluster.
    probabilities : dict
        Probability of each number of clusters; empty if unknown.
    at_least : bool
        Whether the automatic range of K ended before the number was found, so that the headline
        tells the least number.
    headline, text, details : str
        The number of clusters; the summary without the clusters; the same with ``verbose=True``.
    names : tuple of str, optional
        Names given by the user.
    choice : str
        Which candidate was chosen and how, and what the best or the next one would have gained.
    sentences : tuple of str
        What distinguishes each cluster in the data of the fit, as ``describe`` says of them; empty
        if it is not known.
    """

    noun: str
    labels: Integers
    sizes: Array
    outlying: float
    headline: str
    text: str
    details: str
    probabilities: dict[int, float] = field(default_factory=dict)
    at_least: bool = False
    names: tuple[str, ...] | None = None
    sentences: tuple[str, ...] = ()
    choice: str = ""

    def __repr__(self) -> str:
        return f"<Answer: {self.headline}>"

    def summary(self, verbose: bool = False, most: int | None = MOST_TOLD) -> str:
        """Return the headline, the clusters in words, and below them the model and the choice.

        Without ``verbose`` at most ``most`` clusters are told, and the number of the others.
        """
        first, _, rest = (self.details if verbose else self.text).partition("\n")
        # A note, or the headline, has the observations outside the clusters.
        told = self.sentences[: self.number] or self._sizes()
        if most is not None and len(told) > most and not verbose:
            more = plural(self.noun) if (left := len(told) - most + 1) > 1 else self.noun
            told = (*told[: most - 1], f"{left} more {more}: describe(X).")
        return "\n".join([first, *told, *filter(None, [rest])])

    def _sizes(self) -> tuple[str, ...]:
        """Return the size of each cluster, where it is not known what distinguishes it."""
        return tuple(
            f"{capitalized(word)} ({percent(share)}, n = {size:,.0f})."
            for word, share, size in zip(self.words, self.shares, self.sizes, strict=True)
        )

    @property
    def number(self) -> int:
        """Number of clusters, without outlying components."""
        return number_of(self.labels)

    @property
    def words(self) -> tuple[str, ...]:
        """Name of each cluster for people: "cluster 1", or as given by the user."""
        if self.names is not None:
            return self.names
        return tuple(part_names(self.noun, self.number))

    @property
    def shares(self) -> Array:
        """Share of the observations in each cluster (C,)."""
        return self.sizes / (self.sizes.sum() + self.outlying)

    @property
    def colours(self) -> tuple[str, ...]:
        """Colour of each cluster in all figures."""
        return tuple(colour(c) for c in range(self.number))

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """Components of each cluster, from 0."""
        places = range(self.number)
        return tuple(tuple(np.flatnonzero(self.labels == c).tolist()) for c in places)

    @property
    def merged(self) -> bool:
        """Whether a cluster has several components."""
        return any(len(components) > 1 for components in self.members)

    def named(self, names: Sequence[str] | None) -> Answer:
        """Return the answer with these names of the clusters."""
        named = replace(self, names=None if names is None else tuple(map(str, names)))
        of_clusters = [
            text.replace(capitalized(before), capitalized(after), 1)
            for text, before, after in zip(self.sentences, self.words, named.words, strict=False)
        ]
        return replace(named, sentences=(*of_clusters, *self.sentences[self.number :]))

    def in_words(self, labels: Integers) -> Any:
        """Return the word of each label (n,); "outlying" for -1."""
        return np.array([*self.words, OUTLYING_WORD], dtype=object)[labels]
