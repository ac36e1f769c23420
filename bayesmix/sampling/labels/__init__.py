"""Labels of draws: their order, and how sure the assignment of a row is."""
