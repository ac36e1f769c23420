"""The E-step, the objectives, the run, and one fit: what EM and variational Bayes share."""
