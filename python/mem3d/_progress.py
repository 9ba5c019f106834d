"""Progress of a propagation, and Ctrl-C during one."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, Callable, Union

# True shows a bar (tqdm where it is installed); a function gets (done, total) and stops the work by returning False.
Progress = Union[bool, Callable[[int, int], object]]


class _Line:
    """One line on standard error, where tqdm is not installed."""

    def __init__(self) -> None:
        self.shown = False

    def update(self, done: int, total: int) -> None:
        self.shown = True
        print(f"\rpropagating: {done} of {total} slices", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.shown:
            print(file=sys.stderr)


class _Bar:
    """A bar of tqdm."""

    def __init__(self, tqdm: Any) -> None:
        self.bar = tqdm(desc="propagating", unit="slice")

    def update(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        self.bar.close()


@contextlib.contextmanager
def shown(progress: Progress) -> Iterator[Callable[[Any], bool]]:
    """The function that the library calls after every slice."""
    if callable(progress):
        function = progress
        yield lambda now: function(now.done, now.total) is not False
        return
    if not progress:
        yield lambda now: True
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        bar: _Line | _Bar = _Line()
    else:
        bar = _Bar(tqdm)
    try:
        yield lambda now: bar.update(now.done, now.total) is None
    finally:
        bar.close()


class Interrupt:
    """Whether Ctrl-C came during :func:`interruptible`."""

    came = False


@contextlib.contextmanager
def interruptible(cancel: Callable[[], None]) -> Iterator[Interrupt]:
    """Lets Ctrl-C cancel a call of the library, which ends between two slices, instead of raising inside of it.

    Only on the main thread, and where nobody else handles the signal; elsewhere nothing changes.
    """
    state = Interrupt()
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield state
        return

    def stop(_number: int, _frame: object) -> None:
        state.came = True
        cancel()

    signal.signal(signal.SIGINT, stop)
    try:
        yield state
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
