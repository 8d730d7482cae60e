"""Changing what runs in production so that nobody notices."""
