"""links

Revision ID: 8c1f0d6f2b7a
Revises:
Create Date: 2025-07-11 09:02:44

"""
from alembic import op

revision = "8c1f0d6f2b7a"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE links (name text PRIMARY KEY, url text NOT NULL)")


def downgrade():
    op.execute("DROP TABLE links")
