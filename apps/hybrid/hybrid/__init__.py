"""The habit tracker in Django, beside the same in FastAPI (apps/api)."""
