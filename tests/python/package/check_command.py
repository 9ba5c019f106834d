"""The command of the package around the program: what words mean, signals, and texts that are not ASCII."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from mem3d._arguments import FLAGS, SHORT, parse, replaced

COMMAND = Path(sys.executable).parent / "mem3d"


def meant(*words):
    return [(argument.name, argument.value) for argument in parse(list(words))]


def test_words_mean_what_they_mean_to_the_program():
    volume = [("", "segment"), ("", "ct"), ("", "p.json")]
    for out in (["--out", "a.dcm"], ["--out=a.dcm"], ["-o", "a.dcm"], ["-oa.dcm"], ["-o=a.dcm"]):
        assert meant("segment", "ct", "p.json", *out) == [*volume, ("out", "a.dcm")]
    assert meant("-q", "segment", "-fvo", "a.dcm") == [
        ("quiet", ""), ("", "segment"), ("force", ""), ("verbose", ""), ("out", "a.dcm")
    ]
    assert meant("--window", "-160,240", "--", "-o", "--out") == [("window", "-160,240"), ("", "-o"), ("", "--out")]
    assert meant("segment", "-", "--out") == [("", "segment"), ("", "-")] and meant("-o") == []


def test_a_value_is_replaced_where_it_stands():
    words = ["batch", "dicom-seg", "--out", "dicom-seg", "--format", "dicom-seg", "-odicom-seg", "--format=dicom-seg"]
    given = [argument for argument in parse(words) if argument.name == "format"]
    assert replaced(words, dict.fromkeys(given, "x")) == [
        "batch", "dicom-seg", "--out", "dicom-seg", "--format", "x", "-odicom-seg", "--format=x"
    ]


@pytest.mark.parametrize("subcommand", ["segment", "batch"])
def test_the_options_without_a_value_are_those_of_the_program(subcommand):
    text = subprocess.run([COMMAND, subcommand, "--help"], capture_output=True, text=True, check=True).stdout
    options = re.findall(r"^ +(?:-(\w), )?--([\w-]+)(\.\.\.)?( <)?", text, re.MULTILINE)
    assert len(options) > 15
    for short, name, _, value in options:
        assert (name in FLAGS) == (not value) and (not short or SHORT[short] == name), name


@pytest.fixture
def program(tmp_path):
    """Starts `mem3d`, or other code with its module `c`, with Python code in place of its program."""

    def start(code, *words, main="c.main()", **variables):
        (tmp_path / "code.py").write_text(f"import os, signal, sys, time\n{textwrap.dedent(code)}", encoding="utf-8")
        # The line of a script that names its program takes no blank.
        script = tmp_path / "program"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/code.py" "$@"\n')
        script.chmod(0o755)
        main = f"import mem3d._command as c, pathlib; c.PROGRAM = pathlib.Path({str(script)!r}); {main}"
        return subprocess.Popen(
            [sys.executable, "-c", main, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **variables}, start_new_session=True,
        )

    return start


WAITS = """
    def stop(number, _):
        with open("signals", "a") as file:
            print(signal.Signals(number).name, file=file)
        time.sleep(0.5)  # for a second signal
        open("ended cleanly", "w").close()
        print("table.csv", flush=True)
        sys.exit({status})

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    print("started", flush=True)
    time.sleep(60)
    open("not stopped", "w").close()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("group", [False, True])
def test_what_stops_the_command_stops_its_program_once(program, tmp_path, name, group):
    (tmp_path / "table.csv").write_text("no table")  # nothing of a stopped batch is converted
    running = program(WAITS.format(status=3), "batch", "cases.csv", "--format", "dicom-seg")
    assert running.stdout.readline() == b"started\n"
    # Ctrl-C in a terminal, and `timeout`, send a signal to the whole group.
    (os.killpg if group else os.kill)(running.pid, signal.Signals[name])
    # Both pipes end when the program has ended, too.
    _, errors = running.communicate(timeout=50)
    assert running.returncode == 3 and b"Traceback" not in errors, errors
    assert (tmp_path / "signals").read_text() == f"{name}\n" and (tmp_path / "ended cleanly").exists()
    assert not (tmp_path / "not stopped").exists()


def test_a_program_that_is_done_when_it_is_stopped_is_a_stop(program, tmp_path):
    running = program(WAITS.format(status=0), "batch", "cases.csv", "--format", "dicom-seg")
    assert running.stdout.readline() == b"started\n"
    running.send_signal(signal.SIGTERM)
    assert running.wait(50) == 1


def test_a_program_that_is_killed_is_told_by_the_status(program):
    running = program("os.kill(os.getpid(), signal.SIGKILL)", "batch", "cases.csv", "--format=dicom-seg")
    assert running.wait(50) == 128 + signal.SIGKILL


def test_a_stopped_command_goes_on(program, tmp_path):
    code = "print(os.getpid(), flush=True); time.sleep(3)"
    running = program(code, "batch", "cases.csv", "--format", "dicom-seg")
    child = int(running.stdout.readline())
    state = Path(f"/proc/{child}/stat")
    if not state.exists():
        pytest.skip("this system has no /proc")
    running.send_signal(signal.SIGTSTP)
    os.waitpid(running.pid, os.WUNTRACED)
    end = time.monotonic() + 20
    while state.read_text().split()[2] != "T":
        assert time.monotonic() < end, "the program is not paused"
        time.sleep(0.05)
    running.send_signal(signal.SIGCONT)
    running.communicate(timeout=50)


# As on Windows, whose own encoding is not the program's.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def test_the_table_is_found_whatever_its_name(program, tmp_path):
    table = tmp_path / "größe.csv"
    table.write_text("volume,output,status\nnowhere,a.seg.nrrd,done\n")
    code = "sys.stdout.buffer.write('größe.csv\\n'.encode())"
    running = program(code, "batch", "cases.csv", "--format", "dicom-seg", **ASCII)
    output, errors = running.communicate(timeout=50)
    assert output.decode() == "größe.csv\n"
    assert running.returncode == 1 and b"a.dcm: the series nowhere is not there" in errors, errors


def test_a_batch_without_its_table_is_an_error(program):
    running = program("print('gone.csv')", "batch", "cases.csv", "--format", "dicom-seg")
    _, errors = running.communicate(timeout=50)
    assert running.returncode == 1 and b'no table of results "gone.csv"' in errors, errors


def test_what_is_printed_for_python_is_utf8(program):
    running = program("sys.stdout.buffer.write('größe'.encode())", main="print(ascii(c.run([])))", **ASCII)
    output, errors = running.communicate(timeout=50)
    assert output.decode().strip() == ascii("größe"), errors
