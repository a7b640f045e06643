"""The report as one page that needs nothing else: style, tables and plots are inside."""

from typing import Final

from nodewise.recorder.reports.build import Report
from nodewise.recorder.reports.tabular import summary, text_tables
from nodewise.recorder.reports.wording import day_and_moment

_MAX_ROWS: Final = 1000


def render_html(report: Report) -> str:
    """The whole page. Plots need about a second."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - only where a page is written
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    from nodewise.recorder.reports.plots import draw_all  # noqa: PLC0415 - only where a page is written

    environment = Environment(
        loader=PackageLoader("nodewise.recorder", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plots = () if report.empty else draw_all(report)
    return environment.get_template("page.html.jinja").render(
        report=report,
        made_at=day_and_moment(report.made_at),
        figures=summary(report),
        # matplotlib escapes the texts that it draws; the page must not escape its drawing again.
        plots=[(plot, Markup(plot.svg)) for plot in plots],  # noqa: S704
        tables=text_tables(report, max_rows=_MAX_ROWS),
    )
