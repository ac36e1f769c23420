"""What the monotonicity law went through, printed after the run (also from xdist's workers)."""

from collections import Counter


def pytest_terminal_summary(terminalreporter):
    total = Counter()
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        total.update(dict(report.user_properties).get("problems", {}))
    if not total:
        return
    terminalreporter.section("random problems of the monotonicity law")
    for name in sorted(total):
        terminalreporter.write_line(f"{name:40s} {total[name]:6d}")
