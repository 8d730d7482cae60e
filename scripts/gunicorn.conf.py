"""Gunicorn's settings that have no variable; an app's own gunicorn.conf.py takes their place."""

# A socket in the home directory, which a read-only root or an arbitrary user has none of.
control_socket_disable = True
