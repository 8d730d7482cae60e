"""Copies of development's database: snapshots, one for each branch, production's data."""
