"""Backups that prove themselves: what runs in the `backup` services.

`python -m backup WORD …` with the settings in the environment (settings.py). It uses PostgreSQL's
own programs and nothing else, but for age (pyrage) and rclone where a key or a target is set.
"""
