"""Of many candidates, the most telling are kept with an attempt, and the others counted."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | Sequence[str] | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COMMENT = "What nodes scored, or why they were out: 50 at most, the chosen one first of all."
_BEFORE = "What every node scored, or why it was out."


def upgrade() -> None:
    op.add_column(
        "attempts",
        sa.Column(
            "more_candidates",
            postgresql.JSONB(),
            nullable=True,
            comment="How many nodes there were beside the candidates, by what kept them out (has_room: nothing); null: none.",
        ),
    )
    op.alter_column("attempts", "candidates", comment=_COMMENT, existing_comment=_BEFORE)


def downgrade() -> None:
    op.alter_column("attempts", "candidates", comment=_BEFORE, existing_comment=_COMMENT)
    op.drop_column("attempts", "more_candidates")
