"""The page of trame_app.py: its bars, what is written over the slice views, and the strip of quality. Of the engine it
knows nothing; what is pressed goes to the application."""

import numpy as np
import slicer
from Mem3DLib.QualityBars import BACKGROUND
from trame.widgets import html
from trame_slicer.app.ui import create_vertical_slice_view_gutter_ui
from trame_vuetify.ui.vuetify3 import SinglePageLayout
from trame_vuetify.widgets.vuetify3 import VBtn, VBtnToggle, VProgressLinear, VRangeSlider, VSelect, VSpacer

# Window and level in Hounsfield units; None: as the volume's values are.
WINDOWS = {"soft tissue": (400, 40), "lung": (1500, -600), "bone": (1800, 400), "brain": (80, 40), "automatic": None}
LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
# A direction is named by each axis of the patient with this share of it or more.
LEAST_SHARE = 0.35
MARK = "position:absolute;color:#e8e8e8;font:600 14px sans-serif;text-shadow:0 0 3px #000;pointer-events:none;"
CORNERS = {
    "left": "left:44px;top:50%;",
    "right": "right:8px;top:50%;",
    "top": "left:50%;top:6px;",
    "bottom": "left:50%;bottom:34px;",
    "slice": "right:8px;top:6px;",
}
SHORT = "Number((%s).toPrecision(4))"
WINDOW, LEVEL = SHORT % "shades[1] - shades[0]", SHORT % "(shades[0] + shades[1]) / 2"
WINDOW_LEVEL = "W {{ %s }} L {{ %s }}" % (WINDOW, LEVEL)
STRIP = "height:44px;width:100%%;display:flex;align-items:flex-end;background:rgb%s;cursor:pointer;" % (BACKGROUND,)
BAR = "flex:1 1 0;margin-right:1px;height:100%;display:flex;align-items:flex-end;"


def letters(direction):
    """Where a direction in RAS leads: "L", or "LA" when it leads there as well."""
    direction = np.asarray(direction, dtype=np.float64)
    found = ""
    for axis in np.argsort(-np.abs(direction)):
        if not found or abs(direction[axis]) >= LEAST_SHARE:
            found += LETTERS[axis][int(direction[axis] > 0)]
    return found


def marks(sliceNode, grid):
    """What is written over a slice view: the patient's directions at its sides, and the slice's number."""
    plane = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())
    right, up = plane[:3, 0], plane[:3, 1]
    axis = grid.axisOfPlane(plane)
    number = int(np.floor(grid.rasToIndex([plane[:3, 3]])[0][axis] + 0.5))
    return {
        "left": letters(-right),
        "right": letters(right),
        "top": letters(up),
        "bottom": letters(-up),
        "slice": "slice %d (0 to %d)" % (number, grid.shape[axis] - 1),
    }


def overSliceView(server, viewID, view):
    """The marks of one slice view, over its picture and trame-slicer's own slider."""
    create_vertical_slice_view_gutter_ui(server, viewID, view)
    for name, place in CORNERS.items():
        text = "{{ marks['%s'] ? marks['%s'].%s : '' }}" % (viewID, viewID, name)
        html.Div(text, style=MARK + place, classes="mem3d-mark-" + name)


def build(server, layout, app):
    """The page. `app`: what is called when something is pressed; the page's state is set there."""
    idle = ("busy",)
    with SinglePageLayout(server) as page:
        page.icon.hide()
        page.title.set_text("mem3d")
        page.title.style = "flex:0 0 auto;margin-right:16px;"
        with page.toolbar:
            page.toolbar.density = "compact"
            with VBtnToggle(v_model=("side", "inside"), mandatory=True, density="compact", divided=True):
                VBtn("Inside", value="inside", classes="mem3d-inside", size="small")
                VBtn("Outside", value="outside", classes="mem3d-outside", size="small")
            _button("Propagate", app.propagate, "propagate", idle)
            _button("Next slice to correct", app.nextSlice, "next", ("busy || !suggested",))
            _button("Apply", app.apply, "apply", ("busy || !pending",))
            _button("Undo", app.undo, "undo", idle)
            _button("Redo", app.redo, "redo", idle)
            save = server.controller.trigger_name(app.saved)
            _button(
                "Save",
                "utils.download('segmentation.seg.nrrd', trigger('%s'), 'application/octet-stream')" % save,
                "save",
                idle,
            )
            VSpacer()
            VSelect(
                v_model=("windowName", "soft tissue"),
                items=("windowNames", list(WINDOWS)),
                label="Window",
                density="compact",
                hide_details=True,
                variant="outlined",
                classes="mem3d-window",
                style="max-width:150px;",
            )
            VRangeSlider(
                v_model=("shades", [0, 1]),
                min=("darkest", 0),
                max=("brightest", 1),
                step=("shadeStep", 1),
                hide_details=True,
                density="compact",
                classes="mem3d-shades mx-4",
                style="max-width:160px;",
            )
            html.Div(WINDOW_LEVEL, classes="mem3d-window-level", style="width:110px;font-size:13px;")
            VProgressLinear(indeterminate=True, active=idle, absolute=True, location="bottom")
        with page.content:
            layout.initialize_layout_grid(page)
        with page.footer:
            page.footer.clear()
            page.footer.style = "display:block;padding:2px 8px;"
            with html.Div(style=STRIP, classes="mem3d-strip"):
                with html.Div(
                    v_for="(bar, number) in strip", key="number", style=BAR, click=(app.showSlice, "[number]")
                ):
                    html.Div(style=("{width: '100%', height: bar.height + '%', background: bar.color}",))
            with html.Div(style="display:flex;justify-content:space-between;"):
                html.Div("{{ status }}", classes="mem3d-status")
                html.Div("{{ quality }}", classes="mem3d-quality")
                html.Div("Not a medical device.", style="color:#707070;")
    return page


def _button(text, click, name, disabled):
    VBtn(text, click=click, disabled=disabled, classes="mem3d-%s ml-1" % name, size="small", variant="tonal")
