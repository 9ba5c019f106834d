"""The extension's CMakeLists.txt, configured and installed with a stand-in for Slicer's own macros (they come with a
built Slicer): every file of the module is packed, and the Extensions Index finds what it asks for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "slicer-module" / "Mem3D"
SLICER = """
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR lib/qt-scripted-modules)
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/Use.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/Generate.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Describe.cmake")
"""
USE = """
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(GIVEN "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(file ${GIVEN_SCRIPTS} ${GIVEN_RESOURCES})
    get_filename_component(folder ${file} DIRECTORY)
    install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/${file} DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}/${folder})
  endforeach()
endmacro()
function(slicer_add_python_unittest)
  cmake_parse_arguments(GIVEN "" "SCRIPT" "" ${ARGN})
  file(APPEND "${CMAKE_BINARY_DIR}/tests.txt" "${CMAKE_CURRENT_SOURCE_DIR}/${GIVEN_SCRIPT}\\n")
endfunction()
"""
DESCRIBE = """
foreach(name NAME HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS LICENSE_FILE README_FILE)
  file(APPEND "${CMAKE_BINARY_DIR}/extension.txt" "${name}=${EXTENSION_${name}}\\n")
endforeach()
"""


@pytest.fixture
def cmake():
    beside = Path(sys.executable).with_name("cmake")
    found = str(beside) if beside.exists() else shutil.which("cmake")
    if found is None:
        pytest.skip("there is no cmake")
    return found


@pytest.mark.parametrize("source", [ROOT, ROOT / "slicer-module"], ids=["root", "slicer-module"])
def test_the_extension_is_packed(cmake, tmp_path, source):
    slicer, build, prefix, engine = (tmp_path / name for name in ("slicer", "build", "installed", "engine"))
    slicer.mkdir()
    engine.mkdir()
    (engine / "libmem3d.so").write_text("the built library")
    for name, text in (("SlicerConfig", SLICER), ("Use", USE), ("Generate", ""), ("Describe", DESCRIBE)):
        (slicer / (name + ".cmake")).write_text(text)
    configure = ["-S", source, "-B", build, "-DBUILD_TESTING=ON"]
    configure += ["-DSlicer_DIR=%s" % slicer, "-DMEM3D_LIBRARY_DIR=%s" % engine]
    # Without the address that it is published at there is a warning; with it, all addresses begin with it.
    published = "https://code.example.net/mem3d"
    for command, warned in (
        (configure, True),
        ([*configure, "-DEXTENSION_HOMEPAGE=" + published], False),
        (["--install", build, "--prefix", prefix], False),
    ):
        if "-S" in command:
            for written in ("extension.txt", "tests.txt"):
                (build / written).unlink(missing_ok=True)
        done = subprocess.run([cmake, *map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("EXTENSION_HOMEPAGE is" in done.stderr) == warned, done.stderr
    metadata = dict(line.split("=", 1) for line in (build / "extension.txt").read_text().splitlines())
    assert metadata["HOMEPAGE"] == published and metadata["ICONURL"].startswith(published)
    screenshots = metadata["SCREENSHOTURLS"].split(" ")
    assert len(screenshots) == 3 and all(url.startswith(published) for url in screenshots)
    for url in (metadata["ICONURL"], *screenshots):
        assert (ROOT / url.split("/raw/main/")[1]).is_file(), url
    assert metadata["CATEGORY"] == "Segmentation" and metadata["DESCRIPTION"] and metadata["CONTRIBUTORS"]
    for name in ("LICENSE_FILE", "README_FILE"):
        assert Path(metadata[name]).is_file()
    installed = prefix / "lib" / "qt-scripted-modules"
    found = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    wanted = {"Mem3D.py", "lib/libmem3d.so", "Resources/Shipped/slicer.md", "Resources/Shipped/sts_ct_012.nii.gz"}
    for pattern in ("Mem3DLib/*.py", "Resources/Icons/*.png", "Resources/UI/*.ui"):
        wanted |= {path.relative_to(MODULE).as_posix() for path in MODULE.glob(pattern)}
    wanted.add("Resources/Models/compact.safetensors")
    wanted |= {"Resources/Shipped/images/" + path.name for path in (ROOT / "docs" / "images").glob("slicer-*")}
    assert found == wanted
    tests = {Path(line) for line in (build / "tests.txt").read_text().splitlines()}
    assert tests == set((MODULE / "Testing" / "Python").glob("*TestCase.py"))
