"""The module "Mem3D": registers the Segment Editor effect, the sample data and the tests, and knows their places."""

import os

import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

HELP = (
    "Segments structures of a volume from a few strokes: draw on one slice, propagate through the volume, correct the "
    'slice that needs it most. Open the <b>Segment Editor</b> and choose the effect <b>Mem3D</b>. Tutorial: %s. '
    "Everything runs on this computer. Not a medical device."
)


class Mem3D(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        from Mem3DLib.Registration import registerEffect, registerSampleData, tutorial

        parent.title = "Mem3D"
        parent.categories = ["Segmentation"]
        parent.dependencies = ["SegmentEditor"]
        parent.contributors = ["the mem3d contributors"]
        parent.helpText = HELP % tutorial()
        parent.acknowledgementText = (
            "The method: Zhou et al., Quality-Aware Memory Network for Interactive Volumetric Image Segmentation, "
            "MICCAI 2021."
        )
        slicer.app.connect("startupCompleted()", registerEffect)
        slicer.app.connect("startupCompleted()", registerSampleData)


class Mem3DWidget(ScriptedLoadableModuleWidget):
    panel = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from Mem3DLib.Widget import Widget

        self.panel = Widget(self.layout, slicer.app.userSettings())

    def enter(self):
        if self.panel:
            self.panel.enter()

    def cleanup(self):
        if self.panel:
            self.panel.close()


class Mem3DLogic(ScriptedLoadableModuleLogic):
    """For scripts: Mem3DLogic.open(volumeNode, segmentationNode) gives a Mem3DLib.SessionLogic.SessionLogic."""

    @staticmethod
    def open(volumeNode, segmentationNode, segmentID=None, settings=None):
        """On the first segment unless `segmentID` is given. `settings`: by default Settings.forScripts(). Close it, or
        use it in a `with`."""
        from Mem3DLib.Editors import openEditor
        from Mem3DLib.SessionLogic import SessionLogic

        return SessionLogic(openEditor(volumeNode, segmentationNode, segmentID), settings, ownsEditor=True)


class Mem3DTest(ScriptedLoadableModuleTest):
    """Reload and Test: the test cases in Testing/Python."""

    def runTest(self, **kwargs):
        import slicer.testing

        folder = os.path.join(os.path.dirname(__file__), "Testing", "Python")
        for name in ("Mem3DSegmentsTestCase", "Mem3DSessionTestCase", "Mem3DUndoTestCase", "Mem3DEffectTestCase"):
            slicer.util.delayDisplay("Running " + name)
            slicer.testing.runUnitTest([folder], name)
