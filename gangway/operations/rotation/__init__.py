"""A new secret in place of an old one, with both good until everybody has the new one."""
