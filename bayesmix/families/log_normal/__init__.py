"""Log-normal columns: positive numbers whose logarithms are normal."""
