#!/usr/bin/env bash
# Segments the bundled CT through the C interface and leaves a segmentation and a picture in out/demo.
# `make demo` calls this after setting up; see examples/demo/demo.cpp for what happens.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=out/demo
data=examples/demo/data
weights=models/compact.safetensors
target="${CARGO_TARGET_DIR:-target}/release"
mem3d="$target/mem3d"
program=build/demo/mem3d-demo

printf '\n== Building mem3d (the first time takes several minutes)\n'
cargo build --release --locked

mkdir -p "$out" build/demo
abi="$(sed -n 's/^#define MEM3D_ABI_VERSION \([0-9]*\).*/\1/p' include/mem3d.h)"
case "$(uname -s)" in
  Darwin) library=libmem3d.dylib remembered="libmem3d.$abi.dylib" ;;
  *) library=libmem3d.so remembered="libmem3d.so.$abi" ;;
esac
# Programs look for the library under the name that carries its interface's number; cargo does not make that link.
ln -sfn "$(cd "$target" && pwd)/$library" "build/demo/$remembered"
if [ "$program" -ot examples/demo/demo.cpp ] || [ "$program" -ot examples/demo/nrrd.hpp ] ||
  [ "$program" -ot include/mem3d.hpp ] || [ "$program" -ot include/mem3d.h ]; then
  printf '\n== Building the demo program against %s/%s\n' "$target" "$library"
  "${CXX:-c++}" -std=c++17 -O2 -Wall -Wextra -Iinclude examples/demo/demo.cpp -o "$program" \
    "$target/$library" "-Wl,-rpath,$PWD/build/demo"
fi

printf '\n== Segmenting a CT of a soft-tissue sarcoma (source: %s/SOURCE.md)\n' "$data"
"$mem3d" --quiet volume "$data/sts_ct_012.nii.gz" "$out/volume.nrrd"
"$mem3d" --quiet volume "$data/sts_ct_012_label.nii.gz" "$out/reference.nrrd"
rm -f "$out"/round-*.nrrd
# Axis, slice, kind and points of the recorded interaction, as arguments.
drawn="$(.venv/bin/python - "$data/prompts.json" <<'EOF'
import json, sys
drawn = json.load(open(sys.argv[1]))["interactions"][0]
print(drawn["axis"], drawn["slice"], drawn["kind"], *(",".join(map(str, point)) for point in drawn["points"]))
EOF
)"
# shellcheck disable=SC2086 # words on purpose
"$program" "$out/volume.nrrd" "$out/reference.nrrd" "$out" "$weights" $drawn

printf '\n== Writing the segmentation and the picture\n'
rounds=("$out"/round-*.nrrd)
last="${rounds[${#rounds[@]} - 1]}"
"$mem3d" --quiet volume "$last" "$out/sts_ct_012.seg.nrrd"
"$mem3d" --quiet volume "$last" "$out/sts_ct_012.nii.gz"
"$mem3d" --quiet overview "$out/volume.nrrd" "$last" --reference "$out/reference.nrrd" \
  --quality "$out/session.json" --window -160,240 --title "Soft-tissue sarcoma, CT" --out "$out/overview.png" >/dev/null

printf '\n'
printf 'Segmentation for 3D Slicer   %s\n' "$out/sts_ct_012.seg.nrrd"
printf 'Segmentation as NIfTI        %s\n' "$out/sts_ct_012.nii.gz"
printf 'Picture                      %s\n' "$out/overview.png"
printf 'Mask after a round           %s\n' "${rounds[@]}"
printf 'Qualities and timings        %s\n' "$out/session.json"
