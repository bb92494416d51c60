"""The HTML report of a replay: one file, no network, plots as SVG."""

from perdure.surface.report.page import ReportData, write_report

__all__ = ["ReportData", "write_report"]
