"""Candidates: what they are, their fits one after another, where K ends."""
