"""What brainnet logs, shown in the terminal."""

import logging

__all__ = ["speak"]

_LOG = logging.getLogger("brainnet")


def speak(verbose: int) -> None:
    """Let what brainnet logs be seen: warnings, with -v each step, with -vv all."""
    for handler in [each for each in _LOG.handlers if isinstance(each, _Terminal)]:
        _LOG.removeHandler(handler)
    terminal = _Terminal()
    terminal.setFormatter(logging.Formatter("brainnet: %(message)s"))
    terminal.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    _LOG.addHandler(terminal)
    _LOG.setLevel(terminal.level)


class _Terminal(logging.StreamHandler):
    """What shows the log in the terminal."""
