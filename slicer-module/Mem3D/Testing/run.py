"""Runs the module's test cases in Slicer, from the source tree, and exits with 0 when all passed:

    Slicer --testing --no-splash --no-main-window --python-script run.py
"""

import os
import sys
import unittest

import slicer

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(here), os.path.join(here, "Python")]

import Mem3DSegmentsTestCase
import Mem3DSessionTestCase

suite = unittest.TestSuite()
for module in (Mem3DSegmentsTestCase, Mem3DSessionTestCase):
    suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
result = unittest.TextTestRunner(verbosity=2).run(suite)
slicer.util.exit(0 if result.wasSuccessful() else 1)
