"""The wheel of this checkout's build, and an environment with nothing of the checkout in it."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from checkout import ROOT, builtCommand, builtLibrary

# Nothing of the source tree, and no other copy of mem3d or libtorch, may help the package.
HIDDEN = ("PYTHONPATH", "MEM3D_LIBRARY", "MEM3D_COMMAND", "MEM3D_MODEL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def build(target, folder, work):
    """Builds the wheel or the source archive ("wheel", "sdist") of what cargo built last."""
    built = work / "built"
    if not built.exists():
        built.mkdir(parents=True)
        for path in map(Path, (builtLibrary(), builtCommand())):
            # As the release profile; the newest build may be one of the dev profile, with debug information.
            if sys.platform == "darwin" or shutil.which("strip") is None:
                shutil.copy2(path, built)
            else:
                subprocess.run(["strip", "-o", built / path.name, path], check=True)
    environment = dict(os.environ, MEM3D_BUILT=str(built), SOURCE_DATE_EPOCH="1600000000")
    arguments = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(arguments, cwd=ROOT, env=environment, check=True, capture_output=True)
    return next(folder.iterdir())


class Environment:
    """A virtual environment with the wheel. numpy and torch are those of this Python, through a .pth file."""

    def __init__(self, folder, wheel, packages=True):
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", "install"]
        subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
        places = {"base": str(folder), "platbase": str(folder)}
        self.site = Path(sysconfig.get_path("purelib", "venv", places))
        if packages:
            (self.site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def environ(self, **more):
        kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
        libtorch = os.environ.get("LIBTORCH") or ROOT / ".libtorch"
        if not (Path(sysconfig.get_path("purelib")) / "torch").exists():
            kept["LIBTORCH"] = str(Path(libtorch).resolve())
        else:
            kept.pop("LIBTORCH", None)
        return {**kept, **more}

    def run(self, *arguments, cwd, **variables):
        """Runs a program of the environment, outside of the source tree."""
        program = [self.folder / "bin" / arguments[0], *arguments[1:]]
        return subprocess.run(
            [str(word) for word in program], cwd=cwd, env=self.environ(**variables), capture_output=True, text=True,
            check=False,
        )
