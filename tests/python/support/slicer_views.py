"""Slice views and 3D views drawn off-screen by Slicer's own displayable managers, into numpy arrays and PNG files."""

import itertools

import slicer
import vtk
from vtk.util import numpy_support

_numbers = itertools.count()


def savePng(image, path):
    """An array as image() gives it."""
    rows, columns = image.shape[:2]
    data = vtk.vtkImageData()
    data.SetDimensions(columns, rows, 1)
    data.GetPointData().SetScalars(numpy_support.numpy_to_vtk(image[::-1].reshape(-1, 3).copy(), deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(data)
    writer.Write()


class _View:
    def __init__(self, size):
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()

    def _addManagers(self, factory, names, viewNode, application):
        factory.SetMRMLApplicationLogic(application)
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self._group = factory.InstantiateDisplayableManagers(self.renderer)
        self._group.SetMRMLDisplayableNode(viewNode)

    def image(self):
        """What is seen: [rows, columns, red green blue], the first row at the top."""
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        output = grab.GetOutput()
        width, height, _ = output.GetDimensions()
        array = numpy_support.vtk_to_numpy(output.GetPointData().GetScalars())
        return array.reshape(height, width, -1)[::-1, :, :3].copy()


class SliceView(_View):
    """One slice view of the scene, with a volume in its background."""

    def __init__(self, application, volume, orientation="Axial", size=(400, 400)):
        super().__init__(size)
        scene = volume.GetScene()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        self.logic.SetMRMLScene(scene)
        # A name of its own: views with the same name share their node, which outlives a cleared scene.
        self.node = self.logic.AddSliceNode("Picture%d" % next(_numbers))
        self.node.SetOrientation(orientation)
        self.node.SetMappedInLayout(True)
        self.node.SetDimensions(size[0], size[1], 1)
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self.logic.FitSliceToAll(size[0], size[1])
        self.logic.UpdatePipeline()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        background = vtk.vtkActor2D()
        background.SetMapper(self._mapper)
        background.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(background)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory()
        self._addManagers(factory, ["vtkMRMLSegmentationsDisplayableManager2D"], self.node, application)


class ThreeDView(_View):
    """One 3D view of the scene, looking at all of it from the front."""

    def __init__(self, application, scene, size=(400, 400)):
        super().__init__(size)
        node = slicer.vtkMRMLViewNode()
        node.SetLayoutName("Picture%d" % next(_numbers))
        self.node = scene.AddNode(node)
        self.renderer.SetBackground(0.75, 0.76, 0.91)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory()
        self._addManagers(factory, ["vtkMRMLSegmentationsDisplayableManager3D"], self.node, application)
        camera = self.renderer.GetActiveCamera()
        camera.SetPosition(0, 1, 0.3)
        camera.SetFocalPoint(0, 0, 0)
        camera.SetViewUp(0, 0, 1)

    def image(self):
        self.renderer.ResetCamera()
        return super().image()
