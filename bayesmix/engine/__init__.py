"""L3: one E-step, one objective, one loop; knows no concrete family."""
