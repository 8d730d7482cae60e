"""The habit tracker's API."""
