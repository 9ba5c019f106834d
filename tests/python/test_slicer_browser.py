"""The example for browsers, used in one: a stroke drawn with the mouse, propagated, applied and saved, all of it seen
on the page.

It needs .venv-browser (another Slicer than the other tests have) and Chromium; `make test-browser` gets both.
"""

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

from Mem3DTesting import addVolume, ball, ijkToRas, voxels

ROOT = Path(__file__).parents[2]
APP = ROOT / "slicer-module" / "examples" / "trame_app.py"
USER = Path(__file__).parent / "support" / "browser_user.py"
PYTHON = ROOT / ".venv-browser" / "bin" / "python"
PICTURES = ROOT / "out" / "browser"

SHAPE, SPACING, RADIUS = (24, 96, 80), (1, 1, 3), 24
# Imports, and first pictures without a graphics card, on a busy computer.
START_SECONDS = 600
AXIAL, IN_3D, CORONAL = 0, 1, 2  # views, as the page lists them


def freePort():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def answers(port):
    with socket.socket() as tried:
        tried.settimeout(5)
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def browser():
    """Runs what the user does on a page; skips without a browser."""
    if not PYTHON.exists():
        pytest.skip("there is no .venv-browser: make test-browser")
    run = [str(PYTHON), str(USER)]
    found = subprocess.run([*run, "--chromium"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip((found.stderr.strip().splitlines() or ["there is no Chromium"])[-1] + ": make test-browser")

    def use(address):
        done = subprocess.run([*run, address, str(PICTURES)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return use


@pytest.fixture
def address(browser, tmp_path):
    """Where the application shows a bright ball."""
    slicer.mrmlScene.Clear()
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(tmp_path / "ball.nrrd"))
    assert storage.WriteData(addVolume(ball(SHAPE, SPACING[::-1], RADIUS), ijkToRas(SPACING)))
    PICTURES.mkdir(parents=True, exist_ok=True)
    port = freePort()
    environment = dict(os.environ, MEM3D_MODEL="random:1", MEM3D_DEVICE="cpu", MEM3D_THREADS="1")
    environment["WSLINK_HEART_BEAT"] = "1200"  # seconds; of 30, the default, a busy computer loses the page
    command = [str(PYTHON), str(APP), storage.GetFileName(), "--port", str(port)]
    with (PICTURES / "application.log").open("w+") as log:
        application = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + START_SECONDS
            while not answers(port):
                assert application.poll() is None and time.monotonic() < end, Path(log.name).read_text()
                time.sleep(0.2)
            yield "http://127.0.0.1:%d" % port
        finally:
            application.terminate()
            try:
                application.wait(20)
            except subprocess.TimeoutExpired:
                application.kill()
                application.wait()


def colourfulness(pixels):
    """0 for grey."""
    pixels = pixels.astype(int)
    return pixels.max(axis=-1) - pixels.min(axis=-1)


def coloured(pixels):
    """Pixels that are not grey."""
    return colourfulness(pixels) > 30


def test_a_stroke_in_a_browser_propagated_applied_and_saved(browser, address):
    browser(address)
    seen = json.loads((PICTURES / "seen.json").read_text())
    pictures = np.load(PICTURES / "pictures.npz")

    def view(step, number):
        x, y, width, height = (round(side) for side in seen["views"][number])
        return pictures[step][y : y + height, x : x + width]

    def underTheStroke(step):
        rows, columns = view(step, AXIAL).shape[:2]
        along = np.arange(-columns // 10, columns // 10)  # the stroke reaches from -1/8 to 1/8
        return view(step, AXIAL)[rows // 2 + along, columns // 2 + along]

    assert int(re.match(r"(\d+) pixels", seen["messages"]["drawn"])[1]) > 0
    assert 0 < int(re.match(r"(\d+) slices were segmented", seen["messages"]["propagated"])[1]) < SHAPE[0]
    # The stroke belongs to the mask even with random weights: it turns from the ball's white to the segment's colour.
    assert underTheStroke("opened").min() > 200 and not coloured(underTheStroke("opened")).any()
    for step in ("drawn", "propagated", "applied"):
        assert coloured(underTheStroke(step)).mean() > 0.9, step
    # Across the slices: one line of the view before the propagation, a surface after it.
    assert not coloured(view("opened", CORONAL)).any()
    heights = {s: int(coloured(view(s, CORONAL)).any(axis=1).sum()) for s in ("drawn", "propagated", "applied")}
    assert heights["propagated"] > 3 * heights["drawn"] > 0
    # Rows of pixels at its ends are half covered, and count or not.
    assert abs(heights["applied"] - heights["propagated"]) <= 2
    # The segment, unlike the preview, is seen in 3D.
    assert not coloured(view("propagated", IN_3D)).any() and coloured(view("applied", IN_3D)).mean() > 0.01
    # What a radiologist expects over the views: axial, coronal, sagittal.
    assert (seen["left"], seen["right"]) == (["R", "R", "A"], ["L", "L", "P"])
    assert (seen["top"], seen["bottom"]) == (["A", "S", "S"], ["P", "I", "I"])
    assert seen["slice"] == ["slice 12 (0 to 23)", "slice 47 (0 to 95)", "slice 40 (0 to 79)"]
    assert seen["bars"] == SHAPE[0] and seen["quality"].startswith("1 of 24 slices drawn on or accepted.")
    assert (seen["soft tissue"], seen["bone"]) == ([0, 240], [0, 300])  # of the window and the volume
    assert seen["window and level"] == "W 300 L 150"
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(PICTURES / "saved.seg.nrrd"))
    read = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(read)
    saved = voxels(read, "segment", slicer.mrmlScene.GetFirstNodeByName("volume"))
    assert saved.any(axis=(1, 2)).sum() > 1 and saved[12, 48, 40]
