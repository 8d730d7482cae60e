"""What somebody's repository holds, found by reading it."""
