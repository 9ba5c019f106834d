"""The Slicer module's own test cases (slicer-module/Mem3D/Testing/Python), run on slicer-core's real MRML, segmentation
and Segment Editor logics instead of in Slicer's application."""

import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)

import headless

headless.start()

from Mem3DSegmentsTestCase import Mem3DSegmentsTestCase  # noqa: F401
from Mem3DSessionTestCase import Mem3DHelperSessionTestCase, Mem3DSessionTestCase  # noqa: F401
from Mem3DUndoTestCase import Mem3DHelperUndoTestCase, Mem3DUndoTestCase  # noqa: F401
