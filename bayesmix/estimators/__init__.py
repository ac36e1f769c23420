"""L7: scikit-learn's interface over the workflow; strings become objects here and nowhere below."""

# scikit-learn loads it from far down its own imports. CPython takes and gives back a piece of its
# stack at every call across the piece's edge, and shallow imports meet few of them: loaded first,
# it comes quicker.
import scipy.stats  # noqa: F401
