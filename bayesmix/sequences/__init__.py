"""Hidden Markov models of sequences: estimator, data in order, search, tables, figures."""
