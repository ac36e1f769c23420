"""Level 7: scikit-learn's interface; strings become objects here and nowhere below."""

# scikit-learn loads it from deep within its imports. CPython reallocates its stack wherever calls
# cross the edge of a piece, which shallow imports do less often, so loading it first is faster.
import scipy.stats  # noqa: F401
