"""L5: draws from fitted posteriors, and what importance weights say of evidence and prediction."""
