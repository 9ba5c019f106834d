"""Stand-ins for what a build on another system leaves: programs whose imports can be read, tools that note their
calls."""

import struct


def dll(*imports):
    """The bytes of a DLL for x86-64 Windows that imports these DLLs, and holds nothing else."""
    place, table = 0x1000, b""  # where the section lies in memory
    names = place + 20 * (len(imports) + 1)
    texts = b"".join(name.encode() + b"\0" for name in imports)
    thunk = names + len(texts)
    for name in imports:
        table += struct.pack("<IIIII", thunk, 0, 0, names, thunk)
        names += len(name) + 1
    section = (table + bytes(20) + texts + bytes(16)).ljust(0x400, b"\0")
    coff = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x2022)
    optional = struct.pack("<HBBIIIIIQII", 0x20B, 14, 0, 0, len(section), 0, 0, place, 0x180000000, 0x1000, 0x200)
    optional += struct.pack("<HHHHHHIIIIHHQQQQII", 6, 0, 0, 0, 6, 0, 0, 0x2000, 0x200, 0, 3, 0, 1 << 20, 4096, 1 << 20,
                            4096, 0, 16)
    directories = [(0, 0), (place, 20 * (len(imports) + 1))] + [(0, 0)] * 14
    optional += b"".join(struct.pack("<II", *entry) for entry in directories)
    header = struct.pack("<8sIIIIIIHHI", b".idata", len(section), place, len(section), 0x200, 0, 0, 0, 0, 0xC0000040)
    start = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    return (start + b"PE\0\0" + coff + optional + header).ljust(0x200, b"\0") + section


def tool(folder, name, prints=""):
    """A program in `folder` that appends its name and its arguments to `folder`/calls, and prints a text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(prints)
    program = folder / name
    program.write_text(f'#!/bin/sh\necho {name} "$@" >> "{folder}/calls"\ncat "{folder}/{name}.txt"\n')
    program.chmod(0o755)
