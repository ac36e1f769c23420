"""Examples from independent sources: books, other programs."""
