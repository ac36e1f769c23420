"""How good a fitted mixture or a choice is: goodness of fit, nested cross-validation, stability."""
