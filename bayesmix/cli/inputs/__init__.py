"""What is said on the command line: options, their values, rows."""
