"""Names of segments and their numbers."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

import numpy as np

from ._drawn import Drawn
from ._native.NativeErrors import FileError, InvalidArgumentError

# A segment by its name or its number.
Segment = Union[str, int]
LAST = 65535


class SegmentNames:
    """The names of a session's segments; those without one are called by their number, "Segment 3"."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self._numbers: dict[str, int] = {}

    def name(self, number: int) -> str:
        """The name of a number."""
        return next((name for name, n in self._numbers.items() if n == number), f"Segment {number}")

    def number(self, segment: Segment) -> int:
        """The number of a name or number. A new name gets the lowest free one."""
        if isinstance(segment, (int, np.integer)) and not isinstance(segment, bool) and 1 <= segment <= LAST:
            return int(segment)
        if not isinstance(segment, str) or not segment:
            raise InvalidArgumentError(f"segment is {segment!r}; give a name, or a number from 1 to {LAST}")
        if segment in self._numbers:
            return self._numbers[segment]
        for number in self._native.segments():
            if self.name(number) == segment:
                return int(number)
        used = {*self._numbers.values(), *self._native.segments()}
        number = next(n for n in range(1, LAST + 2) if n not in used)
        if number > LAST:
            raise InvalidArgumentError(f"segment {segment!r} cannot be added: there are {LAST} segments")
        self._numbers[segment] = number
        return number

    def give(self, number: Any, name: Any) -> None:
        """Names the segment of a number."""
        if not isinstance(name, str) or not name:
            raise InvalidArgumentError(f"the name of segment {number!r} is {name!r}; give a text")
        if isinstance(number, str):
            raise InvalidArgumentError(f"the number of segment {name!r} is {number!r}; give a number from 1 to {LAST}")
        number = self.number(number)
        if self._numbers.get(name, number) != number:
            raise InvalidArgumentError(f"two segments are named {name!r}; give each a name of its own")
        self._numbers = {other: n for other, n in self._numbers.items() if n != number}
        self._numbers[name] = number

    def there(self, segment: Segment) -> int:
        """The number of a segment that was drawn for or named."""
        there = [self.name(number) for number in self._native.segments()]
        if isinstance(segment, str) and segment not in self._numbers and segment not in there:
            raise InvalidArgumentError(f"there is no segment {segment!r}; there is {', '.join(there) or 'none yet'}")
        return self.number(segment)

    @contextlib.contextmanager
    def drawn(self, segment: Segment) -> Iterator[int]:
        """The number of a segment that is being drawn. A new name is forgotten when the drawing fails."""
        before = dict(self._numbers)
        try:
            yield self.number(segment)
        except BaseException:
            self._numbers = before
            raise

    def save(self, session: str, drawn: Drawn) -> None:
        """Writes the names, and what was drawn on, beside a saved session, which holds numbers only."""
        path = Path(session + ".names.json")
        try:
            new = path.with_name(path.name + ".new")
            text = json.dumps({"names": self._numbers, "drawn": drawn.saved()}, ensure_ascii=False)
            new.write_text(text, encoding="utf-8")
            os.replace(new, path)
        except OSError as error:
            raise FileError(f"the session is saved, but not the names of its segments: {error}") from error

    def load(self, session: str, drawn: Drawn) -> None:
        """Reads what is beside a saved session, where there is anything; a file of earlier programs has names alone."""
        path = Path(session + ".names.json")
        if not path.exists():
            return
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            whole = isinstance(read.get("names"), dict)
            numbers = {str(name): int(number) for name, number in (read["names"] if whole else read).items()}
            if whole:
                drawn.restore(read["drawn"])
            self._numbers = numbers
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise FileError(f"{path}: the names of segments cannot be read ({error}); remove the file") from error
