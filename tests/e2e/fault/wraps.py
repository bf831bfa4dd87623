"""Prints the linker arguments for every call that fault.c wraps: wraps.py fault.c"""
import pathlib
import re
import sys

# The names under which the C library has these for 64-bit file offsets.
LARGE = {"open", "openat", "fopen", "pwrite", "ftruncate", "posix_fallocate", "mkostemp", "fstat"}

text = pathlib.Path(sys.argv[1]).read_text()
names = re.findall(r"^WRAP\(\w+, [^;]*?(\w+)[,]\s*\(", text, re.M)
names += [name for name in re.findall(r" __wrap_(\w+)\([^)]*\)\n\{", text) if name not in names]
for name in names:
    print(f"-Wl,--wrap={name}")
    if name in LARGE:
        print(f"-Wl,--wrap={name}64")
        print(f"-Wl,--defsym=__wrap_{name}64=__wrap_{name}")
