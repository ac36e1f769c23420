"""Level 8: latent class analysis as papers report it: numbers, profiles, predictors, outcomes."""
