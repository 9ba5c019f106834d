"""Runs the module's test cases in Slicer, from the source tree, and exits with 0 when all passed:

    Slicer --testing --no-splash --additional-module-paths slicer-module/Mem3D --python-script run.py [NAME ...]

NAME: some test cases only (Mem3DEffectTestCase, say), as unittest names them.
"""

import os
import sys
import traceback
import unittest

import slicer

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(here), os.path.join(here, "Python")]
CASES = ("Mem3DSegmentsTestCase", "Mem3DSessionTestCase", "Mem3DUndoTestCase", "Mem3DEffectTestCase")

passed = False
try:
    suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:] or CASES)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    passed = result.wasSuccessful() and result.testsRun > 0
except Exception:  # noqa: BLE001 - Slicer would stay open, waiting for a user
    traceback.print_exc()
slicer.util.exit(0 if passed else 1)
