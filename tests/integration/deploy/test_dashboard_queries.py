"""The SQL of the dashboard means something in the real schema."""

import pytest
from sqlalchemy import Engine, text

from tests.support.dashboards import as_sql, queries


def test_every_sql_query_of_the_dashboard_is_understood_by_the_schema(engine: Engine) -> None:
    asked = list(queries("rawSql"))
    assert len(asked) > 5
    with engine.connect() as connection:
        for title, query in asked:
            try:
                connection.execute(text(f"EXPLAIN {as_sql(query)}"))
            except Exception as error:
                pytest.fail(f"{title}: {error}")
