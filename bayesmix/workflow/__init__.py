"""L4: what to fit and how: models, starts, search, fits and their results."""
