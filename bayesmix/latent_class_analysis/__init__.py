"""Latent class analysis as papers report it: enumeration, profiles, predictors, outcomes."""
