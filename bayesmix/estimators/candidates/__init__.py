"""The candidates of a search: what is asked for, how they are fitted, what was found."""
