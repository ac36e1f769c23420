"""L5: choosing K, covariance and family: criteria, folds, sweeps and what they found."""
