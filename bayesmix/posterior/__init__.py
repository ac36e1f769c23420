"""L5: draws from fitted posteriors, and what importance weights say of evidence and prediction."""

# Rows that stand for a density where no others are given.
DRAWS = 10_000
