<#
Makes this checkout ready to build on Windows: a virtual environment with cmake and ninja, and libtorch 2.11.

    powershell -ExecutionPolicy Bypass -File tools\setup.ps1 [-Package]

    -Package         also installs what the wheel and the archives need (hatchling, twine)

    LIBTORCH=DIR     use this libtorch 2.11 (an unpacked archive, or the torch folder of a PyTorch) instead of another;
                     the whole path
    PYTHON=PROGRAM   make the environment with this Python instead of the first suitable one

Leaves .venv, the junction .libtorch, which .cargo\config.toml names, and where that leads in .cargo\libtorch, so that
cargo notices a change of it. Changes nothing else, and needs no administrator. A second run redoes nothing; one that
was interrupted goes on where it was.

The steps are those of tools/setup.sh, in its order; --python-tests and --lint have no counterpart, since the Python
tests and linters run on Linux and macOS. Never run: the tests parse it with a grammar of PowerShell
(tests/python/test_setup.py) and compare its steps and constants with those of tools/setup.sh; the job "windows" of
.github\workflows\ci.yml runs it. Written for Windows PowerShell 5.1 and PowerShell 7.
#>
param([switch]$Package)
$ErrorActionPreference = "Stop"
$CalledIn = (Get-Location).Path
Set-Location (Split-Path $PSScriptRoot -Parent)

$TorchVersion = "2.11.0"
$TorchSeries = "2.11."
$DiskMB = 4096

function Step($Text) { Write-Output "`n== $Text" }

# Output of a function is its result in PowerShell; notes are not.
function Note($Text) { Write-Host "   $Text" }

function Fail($Text, $Remedy) {
    [Console]::Error.WriteLine("`ntools\setup.ps1: $Text")
    foreach ($Line in $Remedy) { [Console]::Error.WriteLine("   $Line") }
    exit 1
}

# What a program prints; nothing when it fails or is missing. Its messages are dropped: as errors they would end
# Windows PowerShell's script.
function Ask($Program, $Words) {
    $ErrorActionPreference = "Continue"
    if (-not (Get-Command $Program -ErrorAction SilentlyContinue)) { return }
    $Printed = & $Program $Words 2>$null
    if ($LASTEXITCODE -eq 0) { $Printed }
}

# --- the tools that must be there ---

function Check-Platform {
    # The machine's, also in a 32-bit PowerShell.
    $Machine = $env:PROCESSOR_ARCHITEW6432
    if (-not $Machine) { $Machine = $env:PROCESSOR_ARCHITECTURE }
    if ($Machine -ne "AMD64" -and -not $env:LIBTORCH) {
        Fail "this script does not know Windows on $Machine" `
            "Set LIBTORCH to a folder of libtorch $TorchVersion for it; see docs\building.md."
    }
}

function Check-Rust {
    foreach ($Tool in "cargo", "rustc") {
        if (-not (Get-Command $Tool -ErrorAction SilentlyContinue)) {
            Fail "no Rust toolchain was found" `
                "Install the stable one: https://rustup.rs (no administrator needed), then open a new terminal."
        }
    }
    $Want = (Select-String -Path Cargo.toml -Pattern '^rust-version *= *"(.*)"').Matches[0].Groups[1].Value
    $Have = (Ask "rustc" "--version") -replace '^rustc ([0-9.]*).*', '$1'
    if (-not $Have) { Fail "rustc --version failed" "Run: rustup default stable" }
    if ([version]$Have -lt [version]$Want) {
        Fail "Rust $Have is too old; mem3d needs $Want or newer" "Run: rustup update stable"
    }
    if (-not (Ask "rustc" "-vV" | Select-String "^host:.*-msvc")) {
        Fail "this Rust is not the one for MSVC, which libtorch is built with" "Run: rustup default stable-msvc"
    }
    Note "Rust $Have"
}

function Check-Compiler {
    $VsWhere = Join-Path ${env:ProgramFiles(x86)} "Microsoft Visual Studio\Installer\vswhere.exe"
    $Words = "-latest", "-products", "*", "-requires", "Microsoft.VisualStudio.Component.VC.Tools.x86.x64",
        "-property", "installationPath"
    $Found = Ask $VsWhere $Words | Select-Object -First 1
    if (-not $Found) {
        Fail "no C++17 compiler was found" `
            "Install the Build Tools for Visual Studio with `"Desktop development with C++`":",
            "https://visualstudio.microsoft.com/downloads"
    }
    Note "C++17 compiler of $Found"
}

# The Python that makes the environment; the Store's placeholder python.exe answers nothing.
function Find-Python {
    $Candidates = "python", "py", "python3"
    if ($env:PYTHON) { $Candidates = @($env:PYTHON) }
    foreach ($Candidate in $Candidates) {
        $Has = Ask $Candidate @("-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])")
        if ($Has -and [version]$Has -ge [version]"3.10") {
            Note "Python $Has ($Candidate)"
            return $Candidate
        }
    }
    Fail "no Python 3.10 or newer with venv and ensurepip was found" `
        "Install one from https://python.org, or set PYTHON to one."
}

function Check-Disk {
    $Free = (Get-Item .).PSDrive.Free # nothing for a folder of another computer
    $FreeMB = [math]::Floor($Free / 1mb)
    if ($null -ne $Free -and $FreeMB -lt $DiskMB) {
        Fail "only $FreeMB MB are free here; libtorch and the build need $DiskMB MB" `
            "Free some space, or move this folder to a larger disk."
    }
}

# --- the virtual environment ---

$VenvPython = ".venv\Scripts\python.exe"

function Pip-Install($Words) {
    & $VenvPython -m pip install --disable-pip-version-check --no-input $Words | Out-Host
    if ($LASTEXITCODE -ne 0) {
        Fail "pip could not install: $Words" `
            "Its messages stand above. Without a network or behind a proxy: docs\building.md, `"Without a network`".",
            "Run the same command again to go on; what is already installed stays."
    }
}

function Make-Venv {
    if (Ask $VenvPython @("-m", "pip", "--version")) { return }
    $Python = Find-Python
    Note "making .venv"
    # --clear: an environment whose making was interrupted is made anew.
    & $Python -m venv --clear .venv | Out-Host
    if ($LASTEXITCODE -ne 0) { Fail "$Python -m venv .venv failed" "Its messages stand above." }
}

# Installs the requirements in a file unless this very list is installed.
function Install-Once($Name, $File) {
    $Stamp = ".venv\mem3d-$Name.installed"
    if ((Test-Path $Stamp) -and (Get-FileHash $Stamp).Hash -eq (Get-FileHash $File).Hash) {
        Note "${Name}: nothing to do"
        return
    }
    Note "${Name}: installing"
    Pip-Install @("-r", $File)
    Copy-Item $File $Stamp
}

# --- libtorch ---

# Version of the libtorch in a folder; nothing when it has none.
function Get-LibtorchVersion($Folder) {
    if (Test-Path "$Folder\build-version") {
        Get-Content "$Folder\build-version" -First 1
    } elseif (Test-Path "$Folder\version.py") {
        $Line = Select-String -Path "$Folder\version.py" -Pattern "^__version__ *= *['`"]([^'`"]*)['`"]"
        if ($Line) { $Line.Matches[0].Groups[1].Value }
    }
}

# Why a folder cannot be used as libtorch; nothing when it can.
function Get-LibtorchFault($Folder) {
    $Version = Get-LibtorchVersion $Folder
    if (-not $Folder -or -not (Test-Path $Folder -PathType Container)) {
        "there is no such folder"
    } elseif (-not (Test-Path "$Folder\lib\torch_cpu.lib") -or -not (Test-Path "$Folder\lib\torch_cpu.dll")) {
        "it has no lib\torch_cpu.lib and .dll"
    } elseif (-not (Test-Path "$Folder\include\ATen\ATen.h")) {
        "it has no include\ATen\ATen.h"
    } elseif (-not $Version) {
        "its version is unknown"
    } elseif (-not $Version.StartsWith($TorchSeries)) {
        "its version is $Version"
    }
}

# Prints the torch folder of a Python's PyTorch, found without importing it. Double quotes would not reach Python.
$TorchFolder = "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"

# The torch folder of the user's own PyTorch.
function Get-UserPyTorch {
    $Candidates = "python", "py"
    if ($env:PYTHON) { $Candidates = @($env:PYTHON) }
    foreach ($Candidate in $Candidates) {
        $Folder = Ask $Candidate @("-c", $TorchFolder)
        if ($Folder) { return $Folder }
    }
}

function Install-PyTorch {
    $Unfinished = ".venv\mem3d-torch.unfinished"
    # pip takes a package whose copying was interrupted for installed.
    $Again = @()
    if (Test-Path $Unfinished) { $Again = @("--force-reinstall") }
    New-Item -ItemType File -Force $Unfinished | Out-Null
    Note "downloading PyTorch $TorchVersion from the package index (about 115 MB)"
    Pip-Install (@("--no-deps") + $Again + @("torch==$TorchVersion"))
    Remove-Item $Unfinished
}

# Notes where .libtorch leads: build.rs watches that file, since cargo sees a change of a file only.
function Stamp-Libtorch {
    $Stamp = ".cargo\libtorch"
    $Link = Get-Item .libtorch -Force
    $Target = @($Link.Target)[0]
    if (-not $Target) { $Target = $Link.FullName } # a folder, no link
    if (-not (Test-Path $Stamp) -or (Get-Content $Stamp -First 1) -ne $Target) { Set-Content $Stamp $Target }
}

function Link-Libtorch {
    $Link = Get-Item .libtorch -Force -ErrorAction SilentlyContinue
    if ($env:LIBTORCH) {
        if (-not [IO.Path]::IsPathRooted($env:LIBTORCH)) {
            Fail "LIBTORCH is $env:LIBTORCH, which is not the whole path; cargo builds in several folders" `
                "Run: `$env:LIBTORCH = `"$(Join-Path $CalledIn $env:LIBTORCH)`""
        }
        $Fault = Get-LibtorchFault $env:LIBTORCH
        if ($Fault) {
            Fail "LIBTORCH is $env:LIBTORCH, but $Fault; mem3d needs libtorch ${TorchSeries}x" `
                "Set LIBTORCH to a folder of that version, or unset it to have one installed here."
        }
        $Folder = (Resolve-Path $env:LIBTORCH).Path
        Note "libtorch $(Get-LibtorchVersion $Folder) of LIBTORCH: $Folder"
    } elseif ($Link -and -not (Get-LibtorchFault ".libtorch") -and -not (Test-Path ".venv\mem3d-torch.unfinished")) {
        Note "libtorch $(Get-LibtorchVersion ".libtorch"): nothing to do"
        Stamp-Libtorch
        return
    } else {
        $Folder = Get-UserPyTorch
        if ($Folder -and -not (Get-LibtorchFault $Folder)) {
            Note "libtorch $(Get-LibtorchVersion $Folder) of your PyTorch: $Folder"
        } else {
            if ($Folder) { Note "your PyTorch $(Get-LibtorchVersion $Folder) is not ${TorchSeries}x: not used" }
            Check-Disk
            Install-PyTorch
            $Folder = Ask $VenvPython @("-c", $TorchFolder)
            $Fault = Get-LibtorchFault $Folder
            if ($Fault) {
                Fail "PyTorch was installed in $Folder, but $Fault" "Remove the folder .venv and try again."
            }
        }
    }
    if ($Link) {
        if (-not $Link.LinkType) { Fail ".libtorch is not a link" "Move it away and try again." }
        $Link.Delete() # of the junction, not of what it points to
    }
    New-Item -ItemType Junction -Path .libtorch -Target $Folder | Out-Null
    Stamp-Libtorch
}

Step "Checking Rust, the C++ compiler and Python"
Check-Platform
Check-Rust
Check-Compiler
Make-Venv

Step "Installing the build tools into .venv"
Install-Once "build" "tools\requirements.txt"
if ($Package) { Install-Once "package" "tools\requirements-package.txt" }

Step "Looking for libtorch $TorchVersion"
Link-Libtorch

Write-Output "`nReady. Programs find libtorch's DLLs beside themselves or on PATH; in this terminal:"
Write-Output "    `$env:PATH = `"$((Resolve-Path .libtorch).Path)\lib;`$env:PATH`""
Write-Output "    cargo build --release --locked"
