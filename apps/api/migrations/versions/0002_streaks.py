"""streaks, and their daily summaries"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# One definition of a streak for the API, which asks about now, and the scheduler, which keeps the
# answer of each day. Days in a row minus their row numbers are the same day: that is a run.
HABIT_STREAKS = """
CREATE FUNCTION habit_streaks(today date)
RETURNS TABLE (habit_id integer, streak integer, longest integer, done_today boolean)
LANGUAGE sql STABLE AS $$
    WITH days AS (
        SELECT c.habit_id, c.day,
               c.day - (row_number() OVER (PARTITION BY c.habit_id ORDER BY c.day))::integer AS run
        FROM checkins c
        WHERE c.day <= today
    ), runs AS (
        SELECT d.habit_id, max(d.day) AS last_day, count(*)::integer AS length
        FROM days d
        GROUP BY d.habit_id, d.run
    )
    SELECT h.id,
           coalesce(max(r.length) FILTER (WHERE r.last_day >= today - 1), 0),
           coalesce(max(r.length), 0),
           coalesce(max(r.last_day) = today, false)
    FROM habits h
    LEFT JOIN runs r ON r.habit_id = h.id
    GROUP BY h.id
$$
"""


def upgrade() -> None:
    op.execute(HABIT_STREAKS)
    op.create_table(
        "summaries",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column(
            "habit_id",
            sa.Integer,
            sa.ForeignKey("habits.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("streak", sa.Integer, nullable=False),
        sa.Column("longest", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("summaries")
    op.execute("DROP FUNCTION habit_streaks(date)")
