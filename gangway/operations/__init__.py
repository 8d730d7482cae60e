"""What the tasks do, in plain functions."""
