"""The command `mem3d`: starts the program of the package with libtorch on its search path."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

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
        [str(PROGRAM), "--quiet", *arguments], env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"mem3d ended with status {done.returncode}")
    return done.stdout


def _dicom_outputs(arguments: list[str]) -> dict[int, str]:
    """The outputs (-o, --out) that are DICOM SEG, by the place of the word that names them."""
    found = {}
    for place, word in enumerate(arguments):
        path = word[len("--out=") :] if word.startswith("--out=") else word
        named = path != word or (place > 0 and arguments[place - 1] in ("-o", "--out"))
        if named and path.endswith(".dcm"):
            found[place] = path
    return found


def _segment_to_dicom(arguments: list[str], outputs: dict[int, str], variables: dict[str, str]) -> int:
    """`mem3d segment SERIES ... --out x.dcm`: segments into a temporary file, and converts that."""
    from . import dicom

    series = next((a for a in arguments if os.path.isdir(a)), None)
    if series is None:
        print("error: DICOM SEG (.dcm) needs the folder of a DICOM series as the volume", file=sys.stderr)
        return 2
    # Everything that can fail is tried before the long work.
    images = dicom.read_dicom(series).source
    dicom.check()
    for path in outputs.values():
        if os.path.exists(path) and any(os.path.samefile(path, image.filename) for image in images):
            raise InvalidArgumentError(f"{path} is an image of the series; it is never overwritten, name another file")
        if os.path.exists(path) and not {"-f", "--force"} & set(arguments):
            raise FileError(f"{path} exists; name another file, or use --force to replace it")
        folder = os.path.dirname(path) or "."
        if not os.access(folder, os.W_OK):
            raise FileError(f"{path}: cannot write into the folder {folder}")
    with tempfile.TemporaryDirectory(prefix="mem3d-") as folder:
        words, temporary = list(arguments), {}
        for place, path in outputs.items():
            temporary[os.path.join(folder, f"{place}.seg.nrrd")] = path
            words[place] = ("--out=" if words[place] != path else "") + os.path.join(folder, f"{place}.seg.nrrd")
        done = subprocess.run([str(PROGRAM), *words], env=variables, stdout=subprocess.PIPE, text=True, check=False)
        for file in temporary if done.returncode == 0 else ():
            dicom.convert(series, file, temporary[file])
        for line in done.stdout.splitlines():
            print(temporary.get(line, line))
    return done.returncode


def _batch_to_dicom(arguments: list[str], variables: dict[str, str]) -> int:
    """`mem3d batch ... --format dicom-seg`: a DICOM SEG beside every .seg.nrrd of a series.

    With `--shard` for the cases of the shard, with `--merge` for all.
    """
    from . import dicom

    dicom.check()
    words = [word for a in arguments for word in (a.split("=", 1) if a.startswith("--") else [a])]
    words[words.index("dicom-seg")] = "seg-nrrd"
    if "--results" in words[:-1] and words[words.index("--results") + 1] in ("-", "/dev/stdout"):
        print("error: DICOM SEG needs the results in a file: name one with --results", file=sys.stderr)
        return 2
    last = ""
    with subprocess.Popen([str(PROGRAM), *words], env=variables, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            last = line.rstrip("\n")
    # The last line names the table of results, if there is one.
    if not os.path.isfile(last):
        return running.returncode
    failed = dicom.convert_batch(last)
    for text in failed:
        print(f"error: {text}", file=sys.stderr)
    return running.returncode or int(bool(failed))


def main() -> None:
    """The entry point: becomes the program, where the system can do that."""
    arguments = sys.argv[1:]
    try:
        variables = environment()
        outputs = _dicom_outputs(arguments)
        if arguments[:1] == ["segment"] and outputs:
            sys.exit(_segment_to_dicom(arguments, outputs, variables))
        if arguments[:1] == ["batch"] and any(a.rpartition("=")[2] == "dicom-seg" for a in arguments):
            sys.exit(_batch_to_dicom(arguments, variables))
    except Error as error:
        sys.exit(f"error: {error}")
    if sys.platform == "win32":
        sys.exit(subprocess.run([str(PROGRAM), *arguments], env=variables, check=False).returncode)
    os.execve(PROGRAM, ["mem3d", *arguments], variables)
