"""Level 8: hidden Markov models of sequences: estimator, data in order, search, tables, figures."""
