"""Tables of rows in files, as sources."""
