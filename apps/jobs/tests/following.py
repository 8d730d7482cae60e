"""What tests of streams share."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def read(stream: AsyncIterator[bytes], until: int = 1000) -> list[str]:
    """Return what a stream sends, to its end or up to so many parts."""
    parts: list[str] = []
    async with aclosing(stream) as source:  # type: ignore[type-var]
        async for part in source:
            parts.append(part.decode())
            if len(parts) == until:
                break
    return parts
