"""Docker Swarm: several machines as one engine."""
