"""Observers of VTK objects, to be removed together."""


class Observers:
    def __init__(self):
        self._tags = []

    def add(self, observed, event, callback):
        self._tags.append((observed, observed.AddObserver(event, callback)))

    def remove(self):
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags = []
