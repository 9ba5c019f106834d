"""The user of test_slicer_browser.py: draws, propagates, corrects, applies and saves in
slicer-module/examples/trame_app.py, in a headless Chromium.

    .venv-browser/bin/python tests/python/support/browser_user.py ADDRESS FOLDER
    .venv-browser/bin/python tests/python/support/browser_user.py --chromium

Leaves in FOLDER a picture of the page after each step (STEP.png), the views alone as arrays (pictures.npz), the saved
segmentation, and the page's messages, labels and positions of its views (seen.json). With --chromium:
prints the Chromium to use; fails when there is none.
"""

import io
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

# All is drawn without a graphics card, maybe on a busy computer: a first picture can take a minute.
PATIENCE_SECONDS = 300
POLL_SECONDS = 0.3
# Pictures without a change before all views are taken to be drawn: they come one after the other.
STILL = 4


# What make test-browser downloads stays in .venv-browser.
os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", "0")


def chromium(playwright):
    """The system's Chromium, or the one that `playwright install chromium` brought; None without either."""
    own = playwright.chromium.executable_path
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    return next(found, own if os.path.exists(own) else None)


class User:
    def __init__(self, page, folder):
        self._page = page
        self._folder = folder
        self.pictures = {}
        self.messages = {}

    def box(self, selector):
        """Where the elements are, inside the part of the page with the views: (x, y, width, height) each."""
        left, top = self._boxes(".layout-grid-container")[0][:2]
        return [(x - left, y - top, width, height) for x, y, width, height in self._boxes(selector)]

    def _boxes(self, selector):
        boxes = [element.bounding_box() for element in self._page.locator(selector).all()]
        return [[box[side] for side in ("x", "y", "width", "height")] for box in boxes]

    def waitFor(self, step, pattern):
        """Waits until the page shows a text that matches, and records it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            text = self._page.inner_text(".mem3d-status")
            if re.search(pattern, text):
                self.messages[step] = text
                return
            if time.monotonic() > end:
                self._page.screenshot(path=self._folder / "late.png")
                sys.exit("no %r in %d s; the page shows %r" % (pattern, PATIENCE_SECONDS, text))
            time.sleep(POLL_SECONDS)

    def look(self, step, before):
        """Keeps a picture once it is another one than `before` and moves no more."""
        end = time.monotonic() + PATIENCE_SECONDS
        last, same = before, 0
        while True:
            now = self._views()
            same = same + 1 if np.array_equal(now, last) else 0
            if not np.array_equal(now, before) and same == STILL:
                break
            if time.monotonic() > end:
                self._page.screenshot(path=self._folder / "late.png")
                sys.exit("the picture after %r did not come in %d s" % (step, PATIENCE_SECONDS))
            last = now
            time.sleep(2 * POLL_SECONDS)
        self._page.screenshot(path=self._folder / (step + ".png"))
        self.pictures[step] = now
        return now

    def _views(self):
        # A part of the page, not the element: the page may build that anew meanwhile.
        clip = dict(zip(("x", "y", "width", "height"), self._boxes(".layout-grid-container")[0], strict=True))
        png = self._page.screenshot(clip=clip)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def drag(self, x0, y0, x1, y1):
        mouse = self._page.mouse
        mouse.move(x0, y0)
        mouse.down()
        mouse.move(x1, y1, steps=8)
        mouse.up()

    def dragOverTheMiddle(self):
        """Of the first view, which is the large axial one."""
        x, y, width, height = self._boxes(".remote-controlled-area")[0]
        x, y, reach = x + width / 2, y + height / 2, width / 8
        self.drag(x - reach, y - reach, x + reach, y + reach)

    def press(self, name):
        self._page.click(".mem3d-" + name)

    def texts(self, name):
        """Of all elements of that name, in the page's order."""
        return self._page.locator(".mem3d-" + name).all_inner_texts()

    def shades(self):
        """Of the darkest and the brightest value that differ in the window."""
        thumbs = self._page.locator(".mem3d-shades [role=slider]").all()
        return [float(thumb.get_attribute("aria-valuenow")) for thumb in thumbs]

    def chooseWindow(self, name):
        self._page.click(".mem3d-window .v-field")
        self._page.click(".v-overlay .v-list-item:has-text('%s')" % name)

    def goTo(self, number):
        """Presses a bar of the strip of quality; gives how many there are."""
        bars = self._page.locator(".mem3d-strip > div")
        bars.nth(number).click()
        self._page.wait_for_function(
            "n => document.querySelector('.mem3d-mark-slice').innerText.startsWith('slice ' + n + ' ')", arg=number
        )
        return bars.count()

    def save(self, path):
        with self._page.expect_download() as download:
            self.press("save")
        download.value.save_as(path)


def use(page, address, folder):
    page.set_default_timeout(1e3 * PATIENCE_SECONDS)
    page.goto(address)
    user = User(page, folder)
    user.waitFor("opened", "Drag over")
    # The views are black before their first pictures.
    page.wait_for_function("[...document.querySelectorAll('.image-display-area')].every(i => i.naturalWidth > 0)")
    picture = user.look("opened", np.zeros(0))
    seen = {name: user.texts("mark-" + name) for name in ("left", "right", "top", "bottom", "slice")}
    seen["soft tissue"] = user.shades()
    user.dragOverTheMiddle()
    user.waitFor("drawn", "pixels on the slice")
    picture = user.look("drawn", picture)
    user.press("propagate")
    user.waitFor("propagated", "were segmented")
    picture = user.look("propagated", picture)
    seen["quality"] = user.texts("quality")[0]
    user.press("apply")
    user.waitFor("applied", "Written")
    picture = user.look("applied", picture)
    user.save(folder / "saved.seg.nrrd")
    user.waitFor("saved", "Saved")
    user.press("undo")
    user.waitFor("undone", "Undone")
    user.press("redo")
    user.waitFor("redone", "Redone")
    seen["bars"] = user.goTo(2)
    user.press("outside")
    user.dragOverTheMiddle()
    user.waitFor("outside", "pixels on the slice")
    user.chooseWindow("bone")
    user.look("bone", picture)
    seen["bone"], seen["window and level"] = user.shades(), user.texts("window-level")[0]
    np.savez_compressed(folder / "pictures.npz", **user.pictures)
    seen.update(messages=user.messages, views=user.box(".remote-controlled-area"))
    (folder / "seen.json").write_text(json.dumps(seen, indent=1))


def main(arguments):
    with sync_playwright() as playwright:
        program = chromium(playwright)
        if program is None:
            sys.exit("there is no Chromium")
        if arguments == ["--chromium"]:
            print(program)
            return
        address, folder = arguments
        browser = playwright.chromium.launch(executable_path=program)
        use(browser.new_page(viewport={"width": 1280, "height": 800}), address, Path(folder))
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1:])
