#!/usr/bin/env python3
"""Tests and benchmarks on a CUDA machine that has no Rust toolchain, from a build made elsewhere.

    tools/cuda.py pack out/cuda          where mem3d is built: builds it and its CUDA tests, and gathers all in a folder
    out/cuda/cuda.py run result.json     on the CUDA machine, which has PyTorch 2.11 with CUDA: one JSON with everything

`run --device cpu` tries the same on the CPU: tests that need CUDA are then skipped. Needs Python alone.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

TESTS = ["cuda", "cuda_lost", "engine_memory", "engine_networks"]
MODEL = "models/compact.safetensors"


def pack(folder: Path) -> int:
    root = Path(__file__).resolve().parent.parent
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=root, check=True)
    command = ["cargo", "test", "--release", "--locked", "--no-run", "--message-format", "json"]
    for test in TESTS:
        command += ["--test", test]
    built = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    folder.mkdir(parents=True, exist_ok=True)
    found = set()
    for line in built.splitlines():
        artifact = json.loads(line)
        name = artifact.get("target", {}).get("name")
        if artifact.get("executable") and name in TESTS:
            shutil.copy2(artifact["executable"], folder / f"test_{name}")
            found.add(name)
    if found != set(TESTS):
        print(f"cuda.py: cargo did not build {sorted(set(TESTS) - found)}", file=sys.stderr)
        return 1
    shutil.copy2(root / "target/release/mem3d", folder / "mem3d")
    if shutil.which("strip"):
        # Without symbols all fits into 25 MB instead of 470.
        programs = ["mem3d", *(f"test_{test}" for test in TESTS)]
        subprocess.run(["strip", *(folder / name for name in programs)], check=True)
    (folder / "models").mkdir(exist_ok=True)
    shutil.copy2(root / MODEL, folder / MODEL)
    shutil.copy2(__file__, folder / "cuda.py")
    print(f"{folder}: copy this folder to the CUDA machine and run cuda.py run result.json there")
    return 0


def libraries(libtorch: "Path | None") -> str:
    """Folders of libtorch and of the CUDA libraries beside it, for LD_LIBRARY_PATH."""
    if libtorch is None:
        code = "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
        command = [sys.executable, "-c", code]
        found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if found.returncode != 0:
            raise SystemExit("cuda.py: this Python has no PyTorch; name libtorch's folder with --libtorch")
        libtorch = Path(found.stdout.strip())
    folders = [libtorch / "lib", *sorted(libtorch.parent.glob("nvidia/*/lib"))]
    if not (libtorch / "lib/libtorch_cpu.so").exists():
        raise SystemExit(f"cuda.py: there is no libtorch in {libtorch}")
    return os.pathsep.join(map(str, folders))


def run(result: Path, device: str, libtorch: "Path | None", seconds: int) -> int:
    here = Path(__file__).resolve().parent
    paths = [libraries(libtorch), os.environ.get("LD_LIBRARY_PATH", "")]
    env = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths)), "RUST_BACKTRACE": "0"}
    on_cuda = device.startswith("cuda")

    def call(command: "list[str]") -> dict:
        start = time.monotonic()
        try:
            done = subprocess.run(command, cwd=here, env=env, timeout=seconds, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace")
            code, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as e:
            code, output = None, (e.stdout or b"").decode(errors="replace")
        print(f"{'passed' if code == 0 else 'FAILED'}  {' '.join(command)}", flush=True)
        took = round(time.monotonic() - start, 2)
        return {"command": command, "exit": code, "seconds": took, "output": output[-8000:]}

    def nvidia_smi() -> str:
        if not shutil.which("nvidia-smi"):
            return "nvidia-smi is not installed"
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,memory.used", "--format=csv"]
        return subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    report = {"device": device, "machine": platform.platform(), "gpu": nvidia_smi(), "steps": [], "bench": None}

    def write() -> None:
        result.write_text(json.dumps(report, indent=2))

    flags = ["--include-ignored"] if on_cuda else []
    for test in TESTS:
        report["steps"].append(call([f"./test_{test}", "--test-threads", "1", *flags]))
        write()
    bench_json = result.resolve().with_suffix(".bench.json")
    size = ["--slices", "100,400", "--segments", "1,5", "--presets", "compact,paper"] if on_cuda else \
        ["--slices", "10", "--presets", "compact", "--size", "128"]
    bench = ["./mem3d", "bench", "--model", MODEL, "--device", device, "--json", str(bench_json), *size]
    report["steps"].append(call(bench))
    if bench_json.exists():
        report["bench"] = json.loads(bench_json.read_text())
        bench_json.unlink()
    report["passed"] = all(step["exit"] == 0 for step in report["steps"])
    write()
    print(f"{result}: {'everything passed' if report['passed'] else 'something failed'}")
    return 0 if report["passed"] else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("pack", help="build and gather everything in a folder")
    verb.add_argument("folder", type=Path)
    verb = verbs.add_parser("run", help="run everything on this machine")
    verb.add_argument("result", type=Path, help="JSON file to write")
    verb.add_argument("--device", default="cuda:0")
    verb.add_argument("--libtorch", type=Path, help="folder of libtorch; PyTorch's own by default")
    verb.add_argument("--seconds", type=int, default=900, help="most time of one step")
    args = parser.parse_args()
    if args.verb == "pack":
        return pack(args.folder)
    return run(args.result, args.device, args.libtorch, args.seconds)


if __name__ == "__main__":
    sys.exit(main())
