"""The command `mem3d`: starts the program of the package with libtorch on its search path."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ._libtorch import LibtorchError, find

PROGRAM = Path(__file__).parent / "bin" / ("mem3d.exe" if sys.platform == "win32" else "mem3d")
_SEARCH = {"win32": "PATH", "darwin": "DYLD_LIBRARY_PATH"}.get(sys.platform, "LD_LIBRARY_PATH")


def environment() -> dict[str, str]:
    """The variables with which the program finds libtorch.

    Raises
    ------
    LibtorchError
        libtorch 2.11 is not there.
    """
    paths = [str(find() / "lib"), *filter(None, [os.environ.get(_SEARCH)])]
    return {**os.environ, _SEARCH: os.pathsep.join(paths)}


def run(arguments: list[str]) -> str:
    """Runs the command quietly; returns what it prints.

    Raises
    ------
    RuntimeError
        The command fails; the text is its error.
    """
    done = subprocess.run(
        [str(PROGRAM), "--quiet", *arguments], env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"mem3d ended with status {done.returncode}")
    return done.stdout


def _segment_to_dicom(arguments: list[str], variables: dict[str, str]) -> int:
    """`mem3d segment SERIES ... --out x.dcm`: segments into a temporary file, and converts that."""
    from . import dicom
    from ._native.NativeErrors import Error

    series = next((a for a in arguments if os.path.isdir(a)), None)
    if series is None:
        print("error: DICOM SEG (.dcm) needs the folder of a DICOM series as the volume", file=sys.stderr)
        return 2
    there = [a for a in _dicom_outputs(arguments) if os.path.exists(a)]
    if there and not {"-f", "--force"} & set(arguments):
        print(f"error: {there[0]} exists; name another file, or use --force to replace it", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="mem3d-") as folder:
        kept, files = [], {}
        for argument in arguments:
            option, equals, path = argument.rpartition("=")
            if path.endswith(".dcm"):
                files[path] = os.path.join(folder, f"{len(files)}.seg.nrrd")
                argument = option + equals + files[path]
            kept.append(argument)
        status = subprocess.run([str(PROGRAM), *kept], env=variables, check=False).returncode
        try:
            for path, temporary in files.items() if status == 0 else ():
                dicom.convert(series, temporary, path)
                print(path)
        except Error as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return status


def _dicom_outputs(arguments: list[str]) -> list[str]:
    return [path for path in (a.rpartition("=")[2] for a in arguments) if path.endswith(".dcm")]


def _batch_to_dicom(arguments: list[str], variables: dict[str, str]) -> int:
    """`mem3d batch ... --format dicom-seg`: a DICOM SEG beside every .seg.nrrd of a series."""
    from . import dicom
    from ._native.NativeErrors import Error

    # The table of results has a name of its own unless one is given, to know where it is.
    words = [word for a in arguments for word in (a.split("=", 1) if a.startswith("--") else [a])]
    words[words.index("dicom-seg")] = "seg-nrrd"
    if "--results" in words:
        results = words[words.index("--results") + 1]
    else:
        cases = next(a for a in words[1:] if os.path.exists(a))
        folder = next((words[n + 1] for n, a in enumerate(words) if a in ("-o", "--out")), None)
        if os.path.isdir(cases):
            results = os.path.join(folder or os.path.join(cases, "segmentations"), "results.csv")
        else:
            results = os.path.splitext(cases)[0] + ".results.csv"
    status = subprocess.run([str(PROGRAM), *words], env=variables, check=False).returncode
    if not os.path.exists(results):
        return status or 1
    try:
        failed = dicom.convert_batch(results)
    except Error as error:
        failed = [str(error)]
    for text in failed:
        print(f"error: {text}", file=sys.stderr)
    return status or int(bool(failed))


def main() -> None:
    """The entry point: becomes the program, where the system can do that."""
    try:
        variables = environment()
    except LibtorchError as error:
        sys.exit(f"error: {error}")
    arguments = sys.argv[1:]
    if arguments[:1] == ["segment"] and _dicom_outputs(arguments):
        sys.exit(_segment_to_dicom(arguments, variables))
    if arguments[:1] == ["batch"] and any(a.rpartition("=")[2] == "dicom-seg" for a in arguments):
        sys.exit(_batch_to_dicom(arguments, variables))
    if sys.platform == "win32":
        sys.exit(subprocess.run([str(PROGRAM), *arguments], env=variables, check=False).returncode)
    os.execve(PROGRAM, ["mem3d", *arguments], variables)
