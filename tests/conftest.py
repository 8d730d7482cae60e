"""What all tests share: they run as in a terminal, wherever they were started."""

import signal


def pytest_configure() -> None:
    """Let the terminal's signals through: `nohup` and a shell's background begin without them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
