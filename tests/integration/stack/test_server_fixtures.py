"""The fixtures that all integration tests stand on."""

import redis
from sqlalchemy import Engine, inspect, text


def test_database_has_the_schema_and_is_ours_alone(engine: Engine) -> None:
    with engine.connect() as connection:
        assert {"runs", "tasks", "attempts"} <= set(inspect(connection).get_table_names())
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar() == 0
        assert connection.execute(text("SHOW server_encoding")).scalar() == "UTF8"


def test_each_test_gets_another_database(database_url: str, empty_database_url: str) -> None:
    assert database_url != empty_database_url


def test_redis_starts_empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "over")


def test_redis_starts_empty_again(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
