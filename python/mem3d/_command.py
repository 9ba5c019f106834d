"""The command `mem3d`: starts the program of the package with libtorch on its search path."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import _process
from ._arguments import Argument, parse, replaced
from ._libtorch import find
from ._native.NativeErrors import Error, FileError, InvalidArgumentError

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
        [str(PROGRAM), "--quiet", *arguments], env=environment(), capture_output=True, check=False,
        encoding="utf-8", errors="replace",
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"mem3d ended with status {done.returncode}")
    return done.stdout


def _show(text: bytes) -> None:
    """Prints what the program printed, to the byte: its texts and paths are UTF-8 also where the system's are not."""
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _segment_to_dicom(given: list[Argument], arguments: list[str], variables: dict[str, str]) -> int:
    """`mem3d segment SERIES ... --out x.dcm`: segments into a temporary file, and converts that."""
    from . import dicom

    series = next((argument.value for argument in given[1:] if not argument.name), "")
    if not os.path.isdir(series):
        print("error: DICOM SEG (.dcm) needs the folder of a DICOM series as the volume", file=sys.stderr)
        return 2
    outputs = [argument for argument in given if argument.name == "out" and argument.value.endswith(".dcm")]
    # Everything that can fail is tried before the long work.
    images = dicom.read_dicom(series).source
    dicom.check()
    for path in (output.value for output in outputs):
        if os.path.exists(path) and any(os.path.samefile(path, image.filename) for image in images):
            raise InvalidArgumentError(f"{path} is an image of the series; it is never overwritten, name another file")
        if os.path.exists(path) and not any(argument.name == "force" for argument in given):
            raise FileError(f"{path} exists; name another file, or use --force to replace it")
        folder = os.path.dirname(path) or "."
        if not os.access(folder, os.W_OK):
            raise FileError(f"{path}: cannot write into the folder {folder}")
    with tempfile.TemporaryDirectory(prefix="mem3d-") as folder:
        files = {output: os.path.join(folder, f"{output.place}.seg.nrrd") for output in outputs}
        lines: list[bytes] = []
        status, stopped = _process.run([str(PROGRAM), *replaced(arguments, files)], variables, lines.append)
        if status == 0 and not stopped:
            for output, file in files.items():
                dicom.convert(series, file, output.value)
        names = {os.fsencode(file): os.fsencode(output.value) for output, file in files.items()}
        for line in lines:
            text = line.rstrip(b"\r\n")
            _show(names.get(text, text) + line[len(text) :])
    return status or int(stopped)


def _batch_to_dicom(given: list[Argument], arguments: list[str], variables: dict[str, str]) -> int:
    """`mem3d batch ... --format dicom-seg`: a DICOM SEG beside every .seg.nrrd of a series.

    With `--shard` for the cases of the shard, with `--merge` for all.
    """
    from . import dicom

    dicom.check()
    if any(argument.name == "results" and argument.value in ("-", "/dev/stdout") for argument in given):
        print("error: DICOM SEG needs the results in a file: name one with --results", file=sys.stderr)
        return 2
    last = b""

    def show(line: bytes) -> None:
        nonlocal last
        last = line
        _show(line)

    formats = {argument: "seg-nrrd" for argument in given if _is_dicom_seg(argument)}
    status, stopped = _process.run([str(PROGRAM), *replaced(arguments, formats)], variables, show)
    if stopped:
        return status or 1
    # The last line names the table of results, if there is one.
    table = os.fsdecode(last.rstrip(b"\r\n"))
    if not os.path.isfile(table):
        if status == 0:
            print(f'error: there is no table of results "{table}", so no DICOM SEG is written; name one with --results',
                  file=sys.stderr)
        return status or 1
    # Its paths are those of the list.
    cases = next((argument.value for argument in given[1:] if not argument.name), "")
    failed = dicom.convert_batch(table, cases if os.path.isdir(cases) else os.path.dirname(cases))
    for text in failed:
        print(f"error: {text}", file=sys.stderr)
    return status or int(bool(failed))


def _is_dicom_seg(argument: Argument) -> bool:
    return (argument.name, argument.value) == ("format", "dicom-seg")


def _to_dicom(arguments: list[str], variables: dict[str, str]) -> int | None:
    """Runs a command that writes DICOM SEG; None for any other, which the program does by itself."""
    given = parse(arguments)
    if any(argument.name in ("help", "version") for argument in given):
        return None
    while given and given[0].name:  # -q, -v
        given = given[1:]
    subcommand = given[0].value if given else ""
    if subcommand == "segment" and any(a.name == "out" and a.value.endswith(".dcm") for a in given):
        run_it = _segment_to_dicom
    elif subcommand == "batch" and any(map(_is_dicom_seg, given)):
        run_it = _batch_to_dicom
    else:
        return None
    _process.stops_raise()
    try:
        return run_it(given, arguments, variables)
    except KeyboardInterrupt:
        print("error: stopped", file=sys.stderr)
        return 1


def main() -> None:
    """The entry point: becomes the program, where the system can do that."""
    arguments = sys.argv[1:]
    try:
        variables = environment()
        status = _to_dicom(arguments, variables)
    except Error as error:
        sys.exit(f"error: {error}")
    if status is not None:
        sys.exit(status)
    if sys.platform == "win32":
        sys.exit(_process.run([str(PROGRAM), *arguments], variables)[0])
    os.execve(PROGRAM, ["mem3d", *arguments], variables)
