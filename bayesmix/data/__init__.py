"""Tables as coded numbers and back: kinds of columns, levels, marks of missing values, families."""
