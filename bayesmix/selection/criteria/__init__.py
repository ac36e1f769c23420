"""Criteria: one scale in nats, folds, the evidence and what stands for it."""
