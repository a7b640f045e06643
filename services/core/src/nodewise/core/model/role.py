"""Who may do what, in words that gateway, tables and clients share."""

from enum import StrEnum


class Role(StrEnum):
    """What the holder of an API key may do. Each may do all that those before it may.

    viewer: read what is the own team's. submitter: submit, too, and manage what is the own team's. operator: the same
    for all teams. admin: manage keys, too.
    """

    VIEWER = "viewer"
    SUBMITTER = "submitter"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, least: "Role") -> bool:
        """Whether this role may do what `least` may."""
        order = tuple(Role)
        return order.index(self) >= order.index(least)

    @property
    def sees_all_teams(self) -> bool:
        return self.includes(Role.OPERATOR)
