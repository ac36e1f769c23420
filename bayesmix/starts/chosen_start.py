"""The start of a run that is given none, by the settings, the model and the data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bayesmix.em.model import Attempt, Settings, is_repaired, rank, side_of, too_many_to_search
from bayesmix.em.start import Begun, Start
from bayesmix.search.events import left_out
from bayesmix.search.optimum import Optimum, search
from bayesmix.starts.given_starts import StartFrom
from bayesmix.starts.labelled_starts import LabelledStart
from bayesmix.starts.named_starts import NamedStart, StartOfMany
from bayesmix.starts.restricted_starts import RestrictedStart


@dataclass(frozen=True)
class SearchedStart:
    """The best optimum that a search of starts and moves reaches."""

    moves: bool  # whether the search may try moves

    def begun(self, attempt: Attempt) -> Begun:
        settings = attempt.settings
        settings = replace(settings, moves=settings.moves and self.moves)
        optimum = search(replace(attempt, settings=settings))
        if settings.spurious == "allow" and is_repaired(attempt.problem.objective):
            beside = _met_beside_sound_ones(attempt, settings)
            optimum = max(optimum, beside, key=lambda each: rank(attempt.problem, each.state))
        state = optimum.state.afresh()
        if optimum.spurious is not None:
            event = left_out(attempt.problem, optimum.spurious, state)
            state = replace(state, events=(*state.events, event))
        return Begun(state, optimum.records)


def _met_beside_sound_ones(attempt: Attempt, settings: Settings) -> Optimum:
    """Return the likeliest optimum that a search met which prefers sound ones.

    What such a search says that it left out is then never likelier than what is returned.
    """
    problem = replace(attempt.problem, refuses_spurious=attempt.problem.frame.rest is None)
    met = search(replace(attempt, problem=problem, settings=settings))
    return Optimum(met.spurious or met.state, met.records)


def chosen_start(attempt: Attempt) -> Start:
    """Return the start of a run."""
    model, settings, source = attempt.model, attempt.settings, attempt.problem.source
    if not isinstance(settings.init, str):
        return StartFrom(settings.init)
    if model.noise is not None:
        return model.noise
    if side_of(source):
        return LabelledStart()
    many = too_many_to_search(source, model.n_components)
    if many and not settings.warm_starts:
        return StartOfMany()
    if attempt.few or not settings.search:
        return NamedStart(settings.init)
    return RestrictedStart() if model.restriction is not None else SearchedStart(moves=not many)
