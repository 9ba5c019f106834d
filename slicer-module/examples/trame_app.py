"""mem3d in a browser, on the same logic as in Slicer: draw a stroke in a slice view, propagate, apply.

    python -m venv trame
    trame/bin/pip install "trame-slicer==2.0.0" "slicer-core==5.11.0.6" "slicer-layer-dm==2.0.0"
    trame/bin/python slicer-module/examples/trame_app.py VOLUME.nrrd [--port 8080]

Serves one user on this computer (http://127.0.0.1:8080). Model and device: MEM3D_MODEL, MEM3D_DEVICE. Drag with the
left button: inside of the structure; with Control: outside of it.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import numpy as np
import slicer
from trame.app import TrameApp
from trame.widgets import html
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_vuetify.ui.vuetify3 import SinglePageLayout
from trame_vuetify.widgets.vuetify3 import VBtn, VProgressLinear, VSpacer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Mem3D"))

from Mem3DLib.Editors import openEditor
from Mem3DLib.Errors import UserError
from Mem3DLib.Gesture import Gesture
from Mem3DLib.Native import SCRIBBLE
from Mem3DLib.Preview import Preview
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DLib.Settings import Settings
from Mem3DLib.Worker import Worker

POLL_SECONDS = 0.02
COLOR = (0.95, 0.55, 0.15)  # Slicer would take one at random, maybe a grey, which is hard to see on a CT


class Drawing:
    """Takes the left button's drags in one slice view; `onStroke(points, plane, negative)`."""

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
                plane = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
                self._onStroke(points, plane, bool(interactor.GetControlKey()))
        interactor.GetCommand(self._tags[name]).SetAbortFlag(1)


class Mem3DApp(TrameApp):
    def __init__(self, volumePath, server=None):
        super().__init__(server=server)
        self._slicer = SlicerApp()
        slicer.mrmlScene = self._slicer.scene
        register_rca_factories(self._slicer.view_manager, self._server)
        layout = LayoutManager(self._slicer.scene, self._slicer.view_manager, self._server)
        layout.register_layout_dict(LayoutManager.default_grid_configuration())
        layout.set_layout("Axial Primary")
        self._open(volumePath)
        self.state.status = "Drag over the structure in a slice view."
        self.state.busy = False
        self._build(layout)
        for view in self._slicer.view_manager.get_slice_views():
            Drawing(view, self._stroke)
        self.server.controller.on_server_ready.add_task(self._poll)

    def _open(self, volumePath):
        volume = self._slicer.io_manager.load_volumes([str(volumePath)])[0]
        self._slicer.display_manager.show_volume(volume, do_reset_views=True)
        self.segmentation = self._slicer.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
        self.segmentation.CreateDefaultDisplayNodes()
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        self.segmentation.GetSegmentation().AddEmptySegment("segment", "segment", COLOR)
        self._editor = openEditor(volume, self.segmentation, "segment")
        self.logic = SessionLogic(self._editor, Settings.fromEnvironment(), Worker())
        self.logic.onChanged = self._changed
        self._preview = Preview()

    def _build(self, layout):
        with SinglePageLayout(self._server) as self.ui:
            self.ui.title.set_text("mem3d")
            with self.ui.toolbar:
                VSpacer()
                VBtn("Propagate", click=self._propagate, disabled=("busy",), classes="mem3d-propagate")
                VBtn("Take back", click=self._undo, disabled=("busy",), classes="mem3d-undo")
                VBtn("Apply", click=self._apply, disabled=("busy",), classes="mem3d-apply")
                VProgressLinear(indeterminate=True, active=("busy",), absolute=True, location="bottom")
            with self.ui.content:
                layout.initialize_layout_grid(self.ui)
            with self.ui.footer:
                self.ui.footer.clear()
                html.Div("{{ status }}", classes="mem3d-status")

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
        self._say(str(error))

    def _say(self, text):
        self.state.status = text
        self.state.flush()

    def _stroke(self, points, plane, negative):
        if self.logic.worker.busy:
            return
        self._say("...")

        def done(mask):
            self._say("%d pixels on the slice. Draw again to correct it, or propagate." % np.count_nonzero(mask))

        self._try(self.logic.interact, SCRIBBLE, points, plane, negative=negative, onDone=done)

    def _propagate(self):
        def progress(p):
            self._say("%d of %d slices" % (p.done, p.total))

        def done(count):
            self._say("%d slices were segmented." % count)

        self._try(self.logic.propagate, onDone=done, onProgress=progress)

    def _undo(self):
        self._try(self.logic.undoStep)

    def _apply(self):
        def done(changed):
            self._say("Written into the segment." if changed else "The segment holds that already.")

        self._try(self.logic.apply, onDone=done)

    def _changed(self):
        state = self.logic.state()
        if state is not None and state.pending:
            self._preview.show(self.logic.lattice, state.engineMask, self.segmentation, "segment")
        else:
            self._preview.hide()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("volume", type=Path)
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    sys.argv[1:] = []  # the server reads the command line, too
    Mem3DApp(arguments.volume).server.start(host="127.0.0.1", port=arguments.port, open_browser=False)


if __name__ == "__main__":
    main()
