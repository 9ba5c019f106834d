"""Runs a program below this process, so that what stops this one stops the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import FrameType

_WINDOWS = sys.platform == "win32"
_STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


def stops_raise() -> None:
    """From now on the other signals that end a process raise KeyboardInterrupt, as Ctrl-C does; unfinished files are
    removed on the way."""
    for number in _STOPS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def run(
    words: list[str], variables: Mapping[str, str], line: Callable[[bytes], None] | None = None
) -> tuple[int, bool]:
    """Runs a program; `line` gets each line of its output. Returns its exit status (128 + N where signal N ended it)
    and whether it was to be stopped.

    Signals that end a process go on to the program, which ends cleanly. It has a session of its own: a signal for the
    whole group, as Ctrl-C in a terminal, reaches it once and not twice, which would end it at once. On Windows the
    system tells both.
    """
    running: subprocess.Popen[bytes] | None = None
    stopped = False
    early: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if running is not None and not _WINDOWS:
            running.send_signal(number)
        elif not _WINDOWS:
            early.append(number)

    def pause(number: int, _: FrameType | None) -> None:
        if running is not None:
            running.send_signal(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        if running is not None:
            running.send_signal(signal.SIGCONT)

    handlers: dict[int, Callable[[int, FrameType | None], None]] = dict.fromkeys(_STOPS, forward)
    if not _WINDOWS:
        handlers[signal.SIGTSTP] = pause  # Ctrl-Z
    # nohup ignores a signal; that stays.
    before = {number: signal.getsignal(number) for number in handlers}
    handled = [number for number in handlers if before[number] not in (signal.SIG_IGN, None)]
    for number in handled:
        signal.signal(number, handlers[number])
    try:
        pipe = None if line is None else subprocess.PIPE
        with subprocess.Popen(words, env=variables, stdout=pipe, start_new_session=True) as running:
            while early:
                running.send_signal(early.pop())
            for text in running.stdout or ():
                if line is not None:
                    line(text)
    finally:
        for number in handled:
            signal.signal(number, before[number])
    status = running.returncode
    return (status if status >= 0 else 128 - status), stopped
