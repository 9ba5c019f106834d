"""The Slicer module's own test cases (slicer-module/Mem3D/Testing/Python), run on slicer-core's real MRML, segmentation
and Segment Editor logics instead of in Slicer's application."""

import pytest

pytest.importorskip("slicer", reason="there is no wheel of slicer-core for this platform")

import headless  # noqa: E402

headless.start()

from Mem3DSegmentsTestCase import Mem3DSegmentsTestCase  # noqa: E402, F401
from Mem3DSessionTestCase import Mem3DHelperSessionTestCase, Mem3DSessionTestCase  # noqa: E402, F401
