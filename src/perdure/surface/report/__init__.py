"""The HTML report of deployments after the same traffic: one file, no network, plots as SVG."""

from perdure.surface.report.page import ComparisonData, write_comparison

__all__ = ["ComparisonData", "write_comparison"]
