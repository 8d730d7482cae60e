"""The habits as plots."""
