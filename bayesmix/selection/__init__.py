"""Selection of K, covariance structure and family: criteria, cross-validation, candidates."""
