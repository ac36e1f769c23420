"""Fitted attributes, and the answer that ``repr`` and a notebook show."""
