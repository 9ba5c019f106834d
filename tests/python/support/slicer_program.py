"""A program that takes Slicer's command line and runs a script, on slicer-core's parts and the stand-ins beside this
file:

    python slicer_program.py --testing --no-splash --additional-module-paths FOLDER --python-script SCRIPT [ARGUMENT]

It loads the module Mem3D as Slicer does at its start, when its folder is among the module paths.
"""

import argparse
import os
import runpy
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import checkout  # noqa: F401 - the module on the path
import headless

headless.start()

import slicer
import slicer_editor


def main():
    parser = argparse.ArgumentParser()
    for flag in ("--testing", "--no-splash", "--no-main-window"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--additional-module-paths", type=Path)
    parser.add_argument("--python-script", type=Path, required=True)
    options, rest = parser.parse_known_args()
    Mem3D = slicer_editor.complete()
    if options.additional_module_paths:
        assert Path(Mem3D.__file__).parent == options.additional_module_paths
        Mem3D.Mem3D(slicer_editor.Parent())
        slicer_editor.startUp()

    def leave(code):
        for crash in slicer_editor.crashes:
            print(crash)
        sys.exit(134 if slicer_editor.crashes else code)

    slicer.util.exit = leave
    sys.argv = [str(options.python_script), *rest]
    runpy.run_path(str(options.python_script), run_name="__main__")


if __name__ == "__main__":
    main()
