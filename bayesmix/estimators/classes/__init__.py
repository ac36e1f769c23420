"""Classifiers by mixtures and the enumeration of classes."""
