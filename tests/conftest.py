"""What all tests share: they run as in a terminal, wherever they were started."""

import signal


def pytest_configure() -> None:
    """Let Ctrl-C through: a shell starts what it puts into the background without it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
