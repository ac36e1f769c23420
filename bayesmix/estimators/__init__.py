"""L7: scikit-learn's interface over the workflow; strings become objects here and nowhere below."""
