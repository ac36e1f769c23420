"""L6: the HTML report of a search, one file that loads nothing."""

from bayesmix.report.page import report_place, write_report

__all__ = ["report_place", "write_report"]
