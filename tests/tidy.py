"""clang-tidy over the rooms, only where something changed since it was last green. usage: tests/tidy.py BUILD

Most of clang-tidy's time goes into reading ATen, so the files of a room are read together, as one that includes them
all. What it finds there may come from reading them together, two files that use one name for different things: so such
files are read again, half of them at a time, and only what is found in a file alone counts.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1]).resolve()
ROOMS = ("parallel", "model", "runtime", "launch")
FOLDER = BUILD / "tidy"
GREEN = FOLDER / "green"  # a key a line, of what was checked and found clean
AT_MOST = 12  # files read together
GCCS = ("-fpch-preprocess", "-fopenmp")  # flags that mean files which clang does not have
# clang-analyzer leaves a function after so many steps; of its own after 225000, which takes far longer.
STEPS = ("-Xclang", "-analyzer-config", "-Xclang", "max-nodes=40000")


def sources_of(compiled):
    """What a file that the compiler is given is made of: of those that CMake writes, what they include."""
    if "Unity" not in compiled.parts:
        return [compiled]
    return [pathlib.Path(name) for name in re.findall(r'^#include "([^"]+)"', compiled.read_text(), re.MULTILINE)]


def in_a_room(file):
    return file.suffix == ".cc" and file.is_relative_to(SOURCE) and file.relative_to(SOURCE).parts[0] in ROOMS


def compiled_files():
    """The rooms' source files with the flags they are compiled with, but for those of a precompiled header."""
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        files = [file for file in sources_of(pathlib.Path(entry["file"])) if in_a_room(file)]
        if not files:
            continue
        words = shlex.split(entry["command"])
        while "-include" in words:
            at = words.index("-include")
            del words[at : at + 2]
        # Warnings are the compiler's business.
        flags = [word for word in words[1 : words.index("-o")] if word not in GCCS and word[:2] != "-W"]
        for file in files:
            yield file, [*flags, "-Wno-everything", *STEPS]


def groups():
    """Files of one room with the same flags, a few at a time: [(files, flags)]."""
    together = {}
    for file, flags in sorted(compiled_files()):
        together.setdefault((file.relative_to(SOURCE).parts[0], tuple(flags)), []).append(file)
    for (_, flags), files in together.items():
        count = -(-len(files) // AT_MOST)
        for first in range(count):
            yield files[first::count], flags


def with_own_headers(files):
    """The files and every header of ours that they include, wherever it is included."""
    found, open_files = set(), list(files)
    while open_files:
        file = open_files.pop()
        if file in found or not file.exists():
            continue
        found.add(file)
        for name in re.findall(r'^ *# *include "([^"]+)"', file.read_text(), re.MULTILINE):
            open_files += [SOURCE / name, BUILD / "generated" / name, BUILD / name]
    return sorted(found)


def key_of(files, flags, checker):
    key = hashlib.sha256(repr((checker, flags)).encode())
    for file in with_own_headers(files):
        key.update(f"{file}\0".encode() + file.read_bytes())
    return key.hexdigest()


def tidy(file, flags):
    """What clang-tidy finds in one file; nothing when it is clean."""
    result = subprocess.run(
        ["clang-tidy", "--quiet", f"--config-file={SOURCE}/.clang-tidy", file, "--", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return "" if result.returncode == 0 else result.stdout + result.stderr


def check(files, flags):
    if len(files) == 1:
        return tidy(files[0], flags)
    # clang-analyzer follows paths through included files only where UnifiedSource is in the name of what includes them.
    together = FOLDER / f"UnifiedSource_{'_'.join(files[0].relative_to(SOURCE).with_suffix('').parts)}_and_others.cc"
    together.write_text("".join(f'#include "{file}"  // NOLINT(bugprone-suspicious-include)\n' for file in files))
    if not tidy(together, flags):
        return ""
    half = len(files) // 2
    return check(files[:half], flags) + check(files[half:], flags)


def main():
    FOLDER.mkdir(exist_ok=True)
    checker = subprocess.run(["clang-tidy", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    checker += (SOURCE / ".clang-tidy").read_text() + pathlib.Path(__file__).read_text()
    known = set(GREEN.read_text().split()) if GREEN.exists() else set()
    keys = {key_of(files, flags, checker): (files, flags) for files, flags in groups()}
    open_keys = [key for key in keys if key not in known]
    green = known & keys.keys()
    failed = False
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for key, found in zip(open_keys, pool.map(lambda key: check(*keys[key]), open_keys), strict=True):
            print(found, end="", flush=True)
            failed |= bool(found)
            if not found:
                green.add(key)
                GREEN.write_text("".join(f"{line}\n" for line in sorted(green)))
    files = sum(len(keys[key][0]) for key in open_keys)
    print(f"clang-tidy: {files} files in {len(open_keys)} groups, the others were clean before")
    return failed


if __name__ == "__main__":
    sys.exit(main())
