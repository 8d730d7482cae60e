"""What runs a stack's services: containers, or processes of this machine."""
