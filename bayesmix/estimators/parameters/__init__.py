"""What a user's words for a mixture mean."""
