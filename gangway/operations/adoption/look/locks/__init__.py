"""The locks of an app's libraries."""
