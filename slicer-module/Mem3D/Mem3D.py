"""The module "Mem3D": registers the Segment Editor effect, the sample data and the tests, and says where things are."""

import os

import qt
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
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        label = qt.QLabel("Mem3D is an effect of the Segment Editor. Its settings are at the end of the effect's panel.")
        label.setWordWrap(True)
        button = qt.QPushButton("Open the Segment Editor")
        button.clicked.connect(lambda *_: slicer.util.selectModule("SegmentEditor"))
        self.layout.addWidget(label)
        self.layout.addWidget(button)
        self.layout.addStretch(1)


class Mem3DLogic(ScriptedLoadableModuleLogic):
    """For scripts: Mem3DLogic.open(volumeNode, segmentationNode) gives a Mem3DLib.SessionLogic.SessionLogic."""

    @staticmethod
    def open(volumeNode, segmentationNode, segmentID=None, settings=None):
        from Mem3DLib.Editors import LogicEditor
        from Mem3DLib.SessionLogic import SessionLogic
        from Mem3DLib.Settings import Settings

        editor = LogicEditor.create(volumeNode, segmentationNode, segmentID)
        return SessionLogic(editor, settings or Settings.load(slicer.app.userSettings()))


class Mem3DTest(ScriptedLoadableModuleTest):
    """Reload and Test: the test cases in Testing/Python."""

    def runTest(self):
        folder = os.path.join(os.path.dirname(__file__), "Testing", "Python")
        for name in ("Mem3DSegmentsTestCase.py", "Mem3DSessionTestCase.py"):
            slicer.util.delayDisplay("Running " + name)
            slicer.testing.runUnitTest([folder], os.path.splitext(name)[0])
