"""What carries a repository that is not ours: looking at it, writing beside it, updating it."""
