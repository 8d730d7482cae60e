"""The habit tracker's clock."""
