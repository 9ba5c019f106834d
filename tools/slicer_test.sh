#!/usr/bin/env bash
# Runs the Slicer module's test cases in a real 3D Slicer, which is not part of this repository.
#
#   tools/slicer_test.sh PATH/TO/Slicer [NAME ...]
#
# NAME: some test cases only (Mem3DEffectTestCase, say). Needs the built library (make build). Without a display it runs
# under xvfb-run (Debian: xvfb).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

slicer="${1:?give the path of the Slicer program}"
shift
[ -x "$slicer" ] || { echo "tools/slicer_test.sh: $slicer is no program" >&2; exit 2; }
suffix=so
[ "$(uname -s)" = Darwin ] && suffix=dylib
export MEM3D_LIBRARY="${MEM3D_LIBRARY:-$PWD/target/release/libmem3d.$suffix}"
[ -f "$MEM3D_LIBRARY" ] || { echo "tools/slicer_test.sh: no library at $MEM3D_LIBRARY; run: make build" >&2; exit 2; }

run=()
if [ "$suffix" = so ] && [ -z "${DISPLAY:-}" ]; then
  command -v xvfb-run >/dev/null || { echo "tools/slicer_test.sh: no display; install xvfb" >&2; exit 2; }
  run=(xvfb-run --auto-servernum --server-args="-screen 0 1280x1024x24")
fi
# With its main window: the effect is used in the slice views.
${run[@]+"${run[@]}"} "$slicer" --testing --no-splash --additional-module-paths "$PWD/slicer-module/Mem3D" \
  --python-script "$PWD/slicer-module/Mem3D/Testing/run.py" "$@"
