"""The words of a command line, as the program takes them: options, their values, and what is no option."""

from __future__ import annotations

from typing import NamedTuple

# Options of every subcommand, of `segment` and of `batch` that take no value; every other one takes one.
FLAGS = frozenset(("force", "help", "merge", "quiet", "replace-non-finite", "verbose", "version", "whole-slice"))
SHORT = {"f": "force", "h": "help", "o": "out", "q": "quiet", "v": "verbose", "V": "version"}


class Argument(NamedTuple):
    """An option, or a word that is none."""

    name: str
    """Of the option; empty for other words."""
    value: str
    place: int
    """The word that ends with the value."""
    start: int
    """Where in the word the value starts."""


def parse(words: list[str]) -> list[Argument]:
    """What the words mean: `--out FILE`, `--out=FILE`, `-o FILE`, `-oFILE`, `-qo FILE`; after `--` there are no
    options. An option without its value is left out."""
    found: list[Argument] = []

    def add(name: str, place: int, start: int) -> None:
        if place < len(words):
            found.append(Argument(name, words[place][start:], place, start))

    place, options = 0, True
    while place < len(words):
        word = words[place]
        if not options or word == "-" or not word.startswith("-"):
            add("", place, 0)
        elif word == "--":
            options = False
        elif word.startswith("--"):
            name, equals, _ = word[2:].partition("=")
            if equals or name in FLAGS:
                add(name, place, len(name) + 3)
            else:
                place += 1
                add(name, place, 0)
        else:
            for at, letter in enumerate(word[1:], 2):
                name = SHORT.get(letter, letter)
                if name in FLAGS:
                    add(name, place, len(word))
                    continue
                if word[at:]:
                    add(name, place, at + (word[at] == "="))
                else:
                    place += 1
                    add(name, place, 0)
                break
        place += 1
    return found


def replaced(words: list[str], values: dict[Argument, str]) -> list[str]:
    """The words, with other values of these options."""
    new = list(words)
    for argument, value in values.items():
        new[argument.place] = new[argument.place][: argument.start] + value
    return new
