"""What a session is about: the editor's source volume on the segmentation's geometry. Main thread only."""

import slicer
import vtk

from . import Segments
from .Errors import UserError


class Source:
    """The nodes as they are now. `image`: the volume on the segmentation's geometry, not to be kept; `key`: another
    session is needed when it is not equal any more.

    Raises UserError when there is no volume, segmentation or selected segment to work on."""

    def __init__(self, editor):
        volume, segmentation = _nodes(editor)
        parent = volume.GetParentTransformNode()
        _touch(parent)
        _touch(segmentation.GetParentTransformNode())
        self.image = editor.sourceImage()
        if self.image is None:
            raise UserError("The source volume cannot be brought onto the segmentation's geometry. Choose another one.")
        self.lattice = Segments.Lattice(self.image, segmentation)
        moved = (parent.GetID(), parent.GetTransformToWorldMTime()) if parent is not None else None
        voxels = volume.GetID(), volume.GetImageData().GetMTime(), _ijkToRas(volume)
        self.key = self.lattice, segmentation.GetID(), voxels, moved


def _touch(transform):
    # The Segment Editor makes its copy of the volume anew only when the transform node itself has changed.
    if transform is not None and transform.GetTransformToWorldMTime() > transform.GetMTime():
        transform.Modified()


def _ijkToRas(volume):
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix).tolist()


def _nodes(editor):
    volume, segmentation = editor.volumeNode(), editor.segmentationNode()
    if volume is None or volume.GetScene() is None or volume.GetImageData() is None:
        raise UserError("There is no source volume. Choose one in the Segment Editor.")
    if segmentation is None or segmentation.GetScene() is None:
        raise UserError("There is no segmentation. Choose one in the Segment Editor.")
    Segments.segmentOf(segmentation, editor.selectedSegmentID())
    return volume, segmentation
