"""The search for the best optimum: starts, moves and how they are compared."""
