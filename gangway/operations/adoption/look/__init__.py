"""What somebody's repository holds, found by reading it."""

from gangway.operations.adoption.look.looking import look

__all__ = ["look"]
