"""L6: the HTML report of a search, one file that loads nothing."""

from bayesmix.report.figures import require_matplotlib
from bayesmix.report.write import write_report

__all__ = ["require_matplotlib", "write_report"]
