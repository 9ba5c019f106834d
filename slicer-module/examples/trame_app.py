"""mem3d in a browser, on the same logic as in Slicer: draw a stroke in a slice view, propagate, correct, apply, save.

    python -m venv trame
    trame/bin/pip install -r slicer-module/examples/requirements.txt
    trame/bin/python slicer-module/examples/trame_app.py VOLUME.nrrd [--port 8080]

Serves one user on this computer (http://127.0.0.1:8080). Model and device: MEM3D_MODEL, MEM3D_DEVICE. Drag with the
left button: inside of the structure, or outside of it, as the button above is set; Control turns that round.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import numpy as np
import slicer
from trame.app import TrameApp
from trame.decorators import change
from trame_slicer.core import LayoutManager, SlicerApp, VolumeWindowLevel
from trame_slicer.rca_view import register_rca_factories

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Mem3D"))

import trame_page
from Mem3DLib import QualityBars, SliceViews
from Mem3DLib.Editors import openEditor
from Mem3DLib.Errors import UserError
from Mem3DLib.Gesture import Gesture
from Mem3DLib.Native import SCRIBBLE
from Mem3DLib.Preview import Preview
from Mem3DLib.Segments import Lattice
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DLib.Settings import Settings
from Mem3DLib.Worker import Worker

POLL_SECONDS = 0.005
COLOR = (0.95, 0.55, 0.15)  # Slicer would take one at random, maybe a grey, which is hard to see on a CT
FILL = 0.35  # opacity of the segment in slice views, as the preview's
SEGMENT = "segment"


class Drawing:
    """Takes the left button's drags in one slice view; `onStroke(points, plane, turned)`."""

    def __init__(self, view, onStroke):
        self._view = view
        self._onStroke = onStroke
        self._gesture = Gesture(SCRIBBLE)
        # Before the view's own handling, which then ignores the event.
        self._tags = {
            name: view.interactor().AddObserver(name, self._event, 10.0)
            for name in ("LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonReleaseEvent")
        }

    def _event(self, interactor, name):
        node, xy = slicer.mrmlScene.GetNodeByID(self._view.get_view_node_id()), interactor.GetEventPosition()
        ras = node.GetXYToRAS().MultiplyPoint((xy[0], xy[1], 0.0, 1.0))[:3]
        if name == "LeftButtonPressEvent":
            self._gesture.press(self._view, node.GetMTime(), xy, ras)
        elif not self._gesture.dragging:
            return
        elif name == "MouseMoveEvent":
            self._gesture.move(xy, ras)
        else:
            points = self._gesture.release(xy, ras)
            if points:
                self._onStroke(points, SliceViews.sliceToRas(node), bool(interactor.GetControlKey()))
        interactor.GetCommand(self._tags[name]).SetAbortFlag(1)


class Mem3DApp(TrameApp):
    def __init__(self, volumePath, server=None):
        super().__init__(server=server)
        self._slicer = SlicerApp()
        slicer.mrmlScene = self._slicer.scene
        manager = self._slicer.view_manager
        register_rca_factories(manager, self._server, slice_view_ui_f=trame_page.overSliceView)
        layout = LayoutManager(self._slicer.scene, manager, self._server)
        layout.register_layout_dict(LayoutManager.default_grid_configuration())
        layout.set_layout("Axial Primary")
        self.state.update({"busy": False, "pending": False, "suggested": False, "strip": [], "marks": {}})
        self.state.status = "Drag over the structure in a slice view."
        self._open(volumePath)
        self.ui = trame_page.build(self._server, layout, self)
        self._sliceViews = manager.get_slice_views()
        self._otherViews = [view for view in manager.get_views() if view not in self._sliceViews]
        self._show()
        self.server.controller.on_server_ready.add_task(self._poll)

    def _open(self, volumePath):
        self._volume = self._slicer.io_manager.load_volumes([str(volumePath)])[0]
        # Into the slice views first: what comes later is drawn over it. In the 3D view is the segment alone.
        self._slicer.display_manager.show_volume_in_slice_background(self._volume)
        self.segmentation = self._slicer.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
        self.segmentation.CreateDefaultDisplayNodes()
        self.segmentation.GetDisplayNode().SetOpacity2DFill(FILL)
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self._volume)
        self.segmentation.GetSegmentation().AddEmptySegment(SEGMENT, SEGMENT, COLOR)
        self._editor = openEditor(self._volume, self.segmentation, SEGMENT)
        self._grid = Lattice(self._editor.sourceImage(), self.segmentation).grid
        self.logic = SessionLogic(self._editor, Settings.fromEnvironment(), Worker())
        self.logic.onChanged = self._changed
        self._preview = Preview()
        darkest, brightest = map(float, VolumeWindowLevel.get_volume_scalar_range(self._volume))
        self.state.darkest, self.state.brightest = darkest, brightest
        self.state.shadeStep = 1 if brightest - darkest >= 100 else (brightest - darkest) / 1000
        self._changed()

    def _show(self):
        self._slicer.display_manager.reset_views()
        for view in self._sliceViews:
            Drawing(view, self._stroke)
            node = slicer.mrmlScene.GetNodeByID(view.get_view_node_id())
            node.AddObserver("ModifiedEvent", lambda *_: self._mark())
        self._mark()

    def _mark(self):
        found = {}
        for view in self._sliceViews:
            node = slicer.mrmlScene.GetNodeByID(view.get_view_node_id())
            try:
                found[node.GetSingletonTag()] = trame_page.marks(node, self._grid)
            except UserError:
                pass  # a view that is rotated shows no slice of the volume
        self.state.marks = found
        self._describe()

    # ---- window and level ----

    @change("windowName")
    def _windowChosen(self, windowName, **_):
        chosen = trame_page.WINDOWS[windowName]
        if chosen is None:
            low, high = VolumeWindowLevel.get_volume_auto_min_max_range(self._volume)
        else:
            low, high = VolumeWindowLevel.window_level_to_min_max(*chosen)
        low, high = max(low, self.state.darkest), min(high, self.state.brightest)
        if low >= high:  # a volume without values in this window: an MR
            low, high = VolumeWindowLevel.get_volume_auto_min_max_range(self._volume)
        self.state.shades = [float(low), float(high)]

    @change("shades")
    def _shadesChosen(self, shades, **_):
        VolumeWindowLevel.set_volume_node_display_min_max_range(self._volume, *shades)

    # ---- what is done ----

    async def _poll(self, **_):
        while True:
            try:
                self.logic.worker.poll()
            except Exception as error:  # noqa: BLE001 - shown to the user
                self._failed(error)
            if self.state.busy != self.logic.worker.busy:
                self.state.busy = self.logic.worker.busy
                self.state.flush()
            await asyncio.sleep(POLL_SECONDS)

    def _try(self, action, *arguments, **named):
        try:
            action(*arguments, onError=self._failed, **named)
        except UserError as error:
            self._failed(error)

    def _failed(self, error):
        self._showMessage(str(error))

    def _showMessage(self, text):
        self.state.status = text
        self.state.flush()

    def _stroke(self, points, plane, turned):
        if self.logic.worker.busy:
            return
        self._showMessage("...")

        def done(mask):
            pixels = np.count_nonzero(mask)
            self._showMessage("%d pixels on the slice. Draw again to correct it, or propagate." % pixels)

        negative = (self.state.side == "outside") != turned
        self._try(self.logic.interact, SCRIBBLE, points, plane, negative=negative, onDone=done)

    def propagate(self):
        def progress(p):
            self._showMessage("%d of %d slices" % (p.done, p.total))

        def done(count):
            suggested = self.logic.state().suggestion is not None
            then = "Look at the slice that is suggested, or apply." if suggested else "Look at the preview, then apply."
            self._showMessage("%d slices were segmented. %s" % (count, then))

        self._try(self.logic.propagate, onDone=done, onProgress=progress)

    def nextSlice(self):
        suggestion = self.logic.state().suggestion
        self.showSlice(suggestion.slice, suggestion.axis)
        self._showMessage("Slice %d: correct it if it is wrong." % suggestion.slice)

    def showSlice(self, number, axis=None):
        state = self.logic.state()
        if state is not None:
            axis = state.axis if axis is None else axis
            SliceViews.showPosition(self.logic.sliceCenterRas(axis, number), slicer.mrmlScene)

    def undo(self):
        self._step(self.logic.undoStep, "Undone.", "There is nothing to undo.")

    def redo(self):
        self._step(self.logic.redoStep, "Redone.", "There is nothing to redo.")

    def _step(self, step, done, nothing):
        self._try(step, onDone=lambda some: self._showMessage(done if some else nothing))

    def apply(self):
        def done(changed):
            self._showMessage("Written into the segment." if changed else "The segment holds that already.")
            if changed:
                self._editor.logic.ToggleSegmentationSurfaceRepresentation(True)
                for view in self._otherViews:
                    view.reset_view()

        self._try(self.logic.apply, onDone=done)

    def saved(self):
        """The segment as a file for the browser to keep."""
        storage = slicer.vtkMRMLSegmentationStorageNode()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "segmentation.seg.nrrd"
            storage.SetFileName(str(path))
            if not storage.WriteData(self.segmentation):
                self._showMessage("The file could not be written: is the temporary folder full?")
                return None
            content = path.read_bytes()
        state = self.logic.state()
        pending = state is not None and state.pending
        self._showMessage("Saved, without the preview: apply it, then save again." if pending else "Saved.")
        return self.server.protocol.addAttachment(content)

    # ---- what is seen ----

    def _changed(self):
        state = self.logic.state()
        pending = state is not None and state.pending
        if pending:
            self._preview.show(self.logic.lattice, state.engineMask, self.segmentation, SEGMENT)
        else:
            self._preview.hide()
        strip = QualityBars.stripOf(state)
        self.state.pending, self.state.suggested = pending, state is not None and state.suggestion is not None
        self.state.strip = [
            {"height": max(round(100 * bar.height), 10 * bar.marked), "color": "rgb(%d,%d,%d)" % bar.color}
            for bar in QualityBars.bars(strip)
        ]
        self._describe()

    def _describe(self):
        state = self.logic.state()
        axis = 0 if state is None else state.axis
        shown = SliceViews.shownSlice(self._grid, axis, SliceViews.sliceNodes(slicer.mrmlScene))
        self.state.quality = QualityBars.sentence(QualityBars.stripOf(state), shown)
        self.state.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("volume", type=Path)
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    sys.argv[1:] = []  # the server reads the command line, too
    Mem3DApp(arguments.volume).server.start(host="127.0.0.1", port=arguments.port, open_browser=False)


if __name__ == "__main__":
    main()
