"""Which features tell clusters apart: variable selection."""
