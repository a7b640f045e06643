"""Passwords that come from files, as container platforms give them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from nodewise.core.settings import Settings, without_password


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("a/b@c:d\n")
    return file


def test_the_password_of_a_file_is_put_into_the_address(password: Path) -> None:
    settings = Settings(
        database_url="postgresql://me@db:5433/jobs?sslmode=require",
        redis_url="rediss://broker:6379/1",
        database_password_file=password,
        redis_password_file=password,
    )
    assert settings.database_url == "postgresql://me:a%2Fb%40c%3Ad@db:5433/jobs?sslmode=require"
    assert settings.redis_url == "rediss://:a%2Fb%40c%3Ad@broker:6379/1"


def test_a_password_in_the_address_wins(password: Path) -> None:
    settings = Settings(redis_url="redis://:own@broker/0", redis_password_file=password)
    assert settings.redis_url == "redis://:own@broker/0"


def test_without_a_file_addresses_stay_as_they_are() -> None:
    assert Settings(redis_url="redis://broker/0").redis_url == "redis://broker/0"


@pytest.mark.parametrize("content", [None, "\n"])
def test_a_file_that_is_missing_or_empty_is_refused_by_name(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "nothing"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValidationError, match=str(file)):
        Settings(redis_url="redis://broker/0", redis_password_file=file)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@h:6379/0", "redis://h:6379/0"),
        ("redis://h/0?password=secret", "redis://h/0"),
        ("postgresql://me:se%40cret@[::1]:5432/db?sslpassword=secret", "postgresql://me@[::1]:5432/db"),
        ("postgresql+psycopg://me@db/jobs", "postgresql+psycopg://me@db/jobs"),
        ("postgresql:///jobs?host=/run/postgresql", "postgresql:///jobs"),
        ("file:///var/lib/nodewise store", "file:///var/lib/nodewise store"),
        ("s3://key:secret@bucket/folder", "s3://key@bucket/folder"),
        ("memory://x", "memory://x"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
