"""The night's report: one HTML page that opens offline from disk. Drawing only; no table is read here."""

from dagster_project.reports.content import ReportContent
from dagster_project.reports.page import render_report, write_plotly_js

__all__ = ["ReportContent", "render_report", "write_plotly_js"]
