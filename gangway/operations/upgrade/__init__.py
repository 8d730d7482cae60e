"""The way to a newer PostgreSQL, and the way back."""
