"""Reports and exports: what the record says of waiting, execution, nodes and predictions.

`build_report` reads everything once; the others write it down. Plotting and Parquet are imported when they are used.
"""

from nodewise.recorder.reports.build import Report, Wave, build_report
from nodewise.recorder.reports.console import print_report
from nodewise.recorder.reports.export import export_all
from nodewise.recorder.reports.page import render_html

__all__ = ["Report", "Wave", "build_report", "export_all", "print_report", "render_html"]
