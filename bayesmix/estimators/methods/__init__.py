"""What fitted estimators do for their users beside ``fit`` and ``predict``."""
