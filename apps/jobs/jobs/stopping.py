"""When a worker has to stop: known to all its processes."""

import mmap
import struct
import time


class Stopping:
    """A moment in memory that is shared with the processes forked later; none at first."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def within(self, seconds: float) -> None:
        """Stop so many seconds from now."""
        struct.pack_into("<d", self._memory, 0, time.monotonic() + seconds)

    @property
    def asked(self) -> bool:
        """Whether there is such a moment."""
        return any(self._memory[:])

    def overdue(self) -> bool:
        """Whether that moment has come."""
        (moment,) = struct.unpack_from("<d", self._memory, 0)
        return bool(0 < moment <= time.monotonic())


STOPPING = Stopping()
