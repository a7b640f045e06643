"""What is said about API keys, by clients and to them."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from nodewise.api.requests import TEAM_PATTERN
from nodewise.api.schemas import example
from nodewise.core.model.role import Role

KEY_ID = "0c6f5ff0-9a5b-4d8e-8d0a-3f1f4ecf3f55"
LONGEST_LIFE_SECONDS = 10 * 366 * 24 * 3600
_KEY = {
    "id": KEY_ID,
    "name": "ci",
    "role": "submitter",
    "team": "vision",
    "created_at": "2030-01-31T12:00:00Z",
    "expires_at": "2030-05-01T12:00:00Z",
    "revoked_at": None,
    "last_used_at": None,
}


class KeyRequest(BaseModel):
    """A key that is to be made."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {"name": "ci", "role": "submitter", "team": "vision", "expires_in_seconds": 7_776_000}
        },
    )

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@ -]{0,98}$")] = Field(
        description="What it is for, or whose it is. Unique among those that were not revoked."
    )
    role: Role = Field(strict=False, description="What its holder may do.")
    team: Annotated[str, Field(pattern=TEAM_PATTERN)] = Field(
        default="default", description="Whose runs its holder sees and makes; operators and admins see all."
    )
    expires_in_seconds: int | None = Field(
        default=None, ge=1, le=LONGEST_LIFE_SECONDS, description="Default: it does not expire."
    )


class KeyQuery(BaseModel):
    """Which page of which keys."""

    model_config = ConfigDict(extra="forbid")

    revoked: bool = Field(default=False, description="Only keys that were revoked; by default only others.")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(
        default=None, max_length=300, description="The next_cursor of the page before."
    )


class Key(BaseModel):
    model_config = example(**_KEY)

    id: str = Field(description="The part of the key that is no secret: its 32 digits, as a UUID.")
    name: str
    role: Role
    team: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To about ten minutes.")


class NewKey(Key):
    model_config = example(**_KEY, key="nw_0c6f5ff09a5b4d8e8d0a3f1f4ecf3f55_(43 characters)")

    key: str = Field(description="The key itself. It is shown now and never again.")


class KeyPage(BaseModel):
    items: list[Key]
    next_cursor: str | None = Field(description="Hand it back as `cursor` for the next page; null: the last.")


class WhoAmI(BaseModel):
    model_config = example(name="ci", role="submitter", team="vision", sees_all_teams=False)

    name: str = Field(description="Of the key.")
    role: Role
    team: str
    sees_all_teams: bool
