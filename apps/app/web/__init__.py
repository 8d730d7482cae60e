"""The habit tracker's pages."""
