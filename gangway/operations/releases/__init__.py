"""Releases: made, listed, shipped, kept and removed."""
