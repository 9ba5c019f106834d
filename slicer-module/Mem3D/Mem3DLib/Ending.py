"""What has to end with Slicer. No Slicer, no Qt."""

import logging


def endAll(*steps):
    """Does every step, whatever becomes of the others: when Slicer announces its end, the Qt objects of its panels are
    destroyed already, and to stop a timer that is gone is an error."""
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the rest must still end
            logging.debug("Mem3D, at its end: %s", error)
