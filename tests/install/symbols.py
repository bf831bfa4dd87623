#!/usr/bin/env python3
"""The libraries show the functions of the public headers, all of them, and nothing else.

    symbols.py HEADERS_DIR LIBRARY.so LIBRARY.a
"""
import pathlib
import re
import subprocess
import sys


def symbols(*args):
    """Names of the defined global symbols; a version's own name (type A) is no symbol."""
    done = subprocess.run(["nm", "--defined-only", "--extern-only", "-P", *args], check=True,
                          capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0].split("@")[0] for row in rows if len(row) >= 2 and row[1] != "A"}


declared = set()
for header in pathlib.Path(sys.argv[1]).glob("*.h"):
    declared |= set(re.findall(r"^RGPU_API\b[^;(]*?\b(rgpu_\w+)\(", header.read_text(), re.M))
bad = not declared
for path, found in ((sys.argv[2], symbols("-D", sys.argv[2])), (sys.argv[3], symbols(sys.argv[3]))):
    for name in sorted(found - declared):
        print(f"{path}: {name} is seen, but in no public header")
    for name in sorted(declared - found):
        print(f"{path}: {name} is in a public header, but missing")
    bad = bad or found != declared
print(f"{len(declared)} functions")
sys.exit(1 if bad else 0)
