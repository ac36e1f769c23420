"""The search for the optimum: starts, moves, and how they are judged."""
