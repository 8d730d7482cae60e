"""What `docker compose` does for containers, done for services that are local processes."""
