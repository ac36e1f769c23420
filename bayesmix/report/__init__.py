"""Level 8: the HTML report of a search or a fit."""

from bayesmix.report.page import report_place, write_report

__all__ = ["report_place", "write_report"]
