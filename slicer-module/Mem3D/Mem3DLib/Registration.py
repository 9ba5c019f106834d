"""Makes the effect known to the Segment Editor, and the sample volume to Sample Data. Done once Slicer has started."""

import os

import slicer

SOFT_TISSUE = (400, 40)  # window and level, Hounsfield units

_MODULE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def tutorial():
    """Where the tutorial is, as a link when it lies on this computer."""
    path = _found("slicer.md", "docs")
    if path is None:
        return "docs/slicer.md of mem3d"
    return '<a href="file:///%s">docs/slicer.md</a>' % path.replace("\\", "/").lstrip("/")


def _found(name, *folders):
    """A file that comes with mem3d: beside the module, or in the source tree. None when it is in neither."""
    root = os.path.dirname(os.path.dirname(_MODULE))
    for folder in (os.path.join(_MODULE, "Resources", "Shipped"), os.path.join(root, *folders)):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    return None


def registerEffect():
    """The effect appears in the Segment Editor's toolbar."""
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    import Mem3DLib

    from . import SegmentEditorMem3D

    # Slicer searches the package that is named like the file's folder, before it reads the file itself.
    Mem3DLib.SegmentEditorMem3DEffect = SegmentEditorMem3D.SegmentEditorMem3DEffect
    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource(SegmentEditorMem3D.__file__.replace("\\", "/"))
    slicer.qSlicerSegmentEditorEffectFactory.instance().registerEffect(effect)


def sampleVolume():
    """The CT that comes with mem3d."""
    return _found("sts_ct_012.nii.gz", "examples", "demo", "data")


def loadSample(source=None):
    """The sample CT as a volume node, seen in the window of soft tissue; `source`: what Sample Data hands over."""
    node = slicer.util.loadVolume(sampleVolume(), {"name": "Mem3D CT"})
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(*SOFT_TISSUE)
    return [node]


def registerSampleData():
    """"Mem3D CT" in Sample Data: read from this computer, nothing is downloaded."""
    path = sampleVolume()
    if path is None:
        return
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="Mem3D",
        sampleName="Mem3DCT",
        thumbnailFileName=os.path.join(_MODULE, "Resources", "Icons", "Mem3D.png"),
        uris="file:///" + path.replace("\\", "/").lstrip("/"),
        fileNames=os.path.basename(path),
        nodeNames="Mem3D CT",
        loadFileType="VolumeFile",
        customDownloader=loadSample,
    )
