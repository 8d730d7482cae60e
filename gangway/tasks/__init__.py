"""What `invoke --list` shows; nothing below imports Invoke."""
