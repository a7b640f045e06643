"""Keys at the command line."""

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from tests.support.fake_api import FakeApi

Cli = Callable[..., Result]
MADE = "2030-01-31T12:00:00Z"


def listed(*names: str) -> dict[str, object]:
    keys = [
        {
            "id": f"{number}0b8d5a0-6a1f-4c1e-9d53-2f6f6f1c7a11", "name": name, "role": "submitter", "team": "vision",
            "created_at": MADE, "expires_at": None, "revoked_at": None, "last_used_at": None,
        }
        for number, name in enumerate(names, start=1)
    ]  # fmt: skip
    return {"items": keys, "next_cursor": None}


def test_a_new_key_goes_to_stdout_alone(cli: Cli, api: FakeApi) -> None:
    api.answers["keys"] = {**listed("ci")["items"][0], "key": "nw_1_secret"}  # type: ignore[index]

    made = cli("keys", "create", "ci", "--role", "submitter", "--team", "vision", "--expires", "90d")

    assert made.stdout == "nw_1_secret\n"
    assert "it is not shown again" in made.stderr
    sent = json.loads(api.requests[-1].content)
    assert sent == {"name": "ci", "role": "submitter", "team": "vision", "expires_in_seconds": 90 * 86400}


@pytest.mark.parametrize("wrong", [("--role", "root"), ("--expires", "soon")])
def test_what_makes_no_key_is_refused_before_anything_is_sent(
    cli: Cli, api: FakeApi, wrong: tuple[str, str]
) -> None:
    assert cli("keys", "create", "ci", *wrong).exit_code == 2
    assert api.requests == []


def test_keys_are_listed(cli: Cli, api: FakeApi) -> None:
    api.answers["keys"] = listed("ci", "laptop")

    lines = cli("keys", "list").stdout.splitlines()

    assert [line.split()[:4] for line in lines[-2:]] == [
        ["10b8d5a0", "ci", "submitter", "vision"],
        ["20b8d5a0", "laptop", "submitter", "vision"],
    ]


def test_a_key_is_revoked_by_name_or_by_the_beginning_of_its_id(cli: Cli, api: FakeApi) -> None:
    api.answers["keys"] = listed("ci", "laptop")

    for ref in ("laptop", "20b8"):
        said = cli("keys", "revoke", ref)
        assert said.stdout.endswith("laptop  revoked\n"), said.stderr
        assert api.requests[-1].method == "DELETE"
        assert api.requests[-1].url.path == "/v1/keys/20b8d5a0-6a1f-4c1e-9d53-2f6f6f1c7a11"


def test_a_key_that_is_not_there_is_named(cli: Cli, api: FakeApi) -> None:
    api.answers["keys"] = listed("ci")

    refused = cli("keys", "revoke", "other")

    assert refused.exit_code == 1
    assert "other" in refused.stderr


def test_quotas_are_shown_with_their_use(cli: Cli, api: FakeApi) -> None:
    api.answers["quotas"] = {
        "items": [
            {
                "team": "vision", "cores": 8.0, "used_cores": 7.5, "gpus": None, "used_gpus": 1, "queued_runs": 100,
                "used_queued_runs": 12,
            }
        ]
    }  # fmt: skip

    shown = cli("quota").stdout.splitlines()[-1]

    assert shown.split() == ["vision", "7.5", "of", "8", "1", "12", "of", "100"]
