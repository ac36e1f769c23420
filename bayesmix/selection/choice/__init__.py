"""The choice among candidates: rule, ranking, probabilities, and the words for it."""
