<#
Makes this checkout ready to build on Windows: a virtual environment with cmake and ninja, and libtorch 2.11.

    powershell -ExecutionPolicy Bypass -File tools\setup.ps1

LIBTORCH=DIR uses this libtorch 2.11 (an unpacked archive, or the torch folder of a PyTorch) instead of installing one.
Leaves .venv and the junction .libtorch, which .cargo\config.toml names, and changes nothing else. A second run redoes
nothing. Not run on Windows by the project's maintainers yet; the job "windows" of .github\workflows\ci.yml runs it.
#>
$ErrorActionPreference = "Stop"
Set-Location (Split-Path $PSScriptRoot -Parent)
$TorchVersion = "2.11.0"
$TorchSeries = "2.11."

function Fail($Text, $Remedy) {
    [Console]::Error.WriteLine("tools\setup.ps1: $Text`n   $Remedy")
    exit 1
}

function Run($Program) {
    & $Program @args
    if ($LASTEXITCODE -ne 0) { Fail "$Program $args failed" "See its messages above." }
}

# --- the tools that must be there ---

if (-not (Get-Command cargo -ErrorAction SilentlyContinue)) {
    Fail "no Rust toolchain was found" "Install it from https://rustup.rs with the C++ build tools of Visual Studio."
}
$Wanted = [version](Select-String -Path Cargo.toml -Pattern '^rust-version *= *"(.*)"').Matches[0].Groups[1].Value
$Has = [version]((rustc --version) -replace '^rustc ([0-9.]*).*', '$1')
if ($Has -lt $Wanted) { Fail "Rust $Has is too old; mem3d needs $Wanted or newer" "Run: rustup update stable" }
if ((rustc -vV | Select-String "^host:").ToString() -notmatch "msvc") {
    Fail "this Rust is not the one for MSVC, which libtorch is built with" "Run: rustup default stable-msvc"
}
$Python = "python", "py" | Where-Object { Get-Command $_ -ErrorAction SilentlyContinue } | Select-Object -First 1
if (-not $Python) { Fail "Python was not found" "Install Python 3.10 or newer from https://python.org." }

# --- the environment ---

if (-not (Test-Path .venv\Scripts\python.exe)) { Run $Python -m venv .venv }
$Python = ".venv\Scripts\python.exe"
Run $Python -m pip install --quiet --disable-pip-version-check -r tools\requirements.txt

# --- libtorch ---

$Libtorch = $env:LIBTORCH
if (-not $Libtorch -and (Test-Path .libtorch\lib\torch_cpu.lib)) {
    $Libtorch = (Get-Item .libtorch).Target | Select-Object -First 1
}
if (-not $Libtorch) {
    Run $Python -m pip install --quiet --disable-pip-version-check --no-deps "torch==$TorchVersion"
    $Libtorch = & $Python -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
}
if (-not (Test-Path "$Libtorch\lib\torch_cpu.lib")) {
    Fail "$Libtorch has no lib\torch_cpu.lib" "Set LIBTORCH to a folder of libtorch $TorchVersion."
}
$Archive, $Package, $Version = "$Libtorch\build-version", "$Libtorch\version.py", ""
if (Test-Path $Archive) {
    $Version = Get-Content $Archive -First 1
} elseif (Test-Path $Package) {
    $Version = (Select-String -Path $Package -Pattern "^__version__ *= *'(.*)'").Matches[0].Groups[1].Value
}
if ($Version -and -not $Version.StartsWith($TorchSeries)) {
    Fail "$Libtorch is libtorch $Version; mem3d needs $TorchVersion" "Set LIBTORCH to another folder, or unset it."
}
if (Test-Path .libtorch) { (Get-Item .libtorch).Delete() }
New-Item -ItemType Junction -Path .libtorch -Target (Resolve-Path $Libtorch) | Out-Null

Write-Output ""
Write-Output "Ready. Programs find libtorch's DLLs on PATH or beside themselves:"
Write-Output ('    $env:PATH = "' + (Resolve-Path $Libtorch) + '\lib;$env:PATH"')
Write-Output "    cargo build --release --locked"
