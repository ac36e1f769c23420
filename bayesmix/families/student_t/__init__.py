"""Student-t components: clusters with heavy tails."""

from bayesmix.families.student_t.components import StudentComponents
from bayesmix.families.student_t.family import StudentT
from bayesmix.families.student_t.weighted_moments import WeightedMoments

__all__ = ["StudentComponents", "StudentT", "WeightedMoments"]
