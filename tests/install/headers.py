#!/usr/bin/env python3
"""Each public header compiles alone, as C17 and as C++11, without a warning; so does a program that
uses the open macros, as C17 and as C++20, which has designated initializers.

    headers.py INCLUDE_DIR COMPILERS...
"""
import pathlib
import subprocess
import sys
import tempfile

import compilers

include, found = pathlib.Path(sys.argv[1]), compilers.parse(sys.argv[2:])
failed = compiled = 0
headers = sorted((include / "rgpu").glob("*.h"))
program = pathlib.Path(__file__).resolve().parent / "version.c"


def check(compiler, standard, what, source):
    """Compiles; counts and tells what went wrong."""
    global failed, compiled
    done = subprocess.run([*compiler, f"-std={standard}", "-pedantic", "-Wall", "-Wextra", "-Werror",
                           "-fsyntax-only", f"-I{include}", *source], capture_output=True, text=True)
    compiled += done.returncode == 0
    if done.returncode != 0:
        failed += 1
        print(f"{what} as {standard}:\n{done.stderr}")


languages = [(found["cc"], "c17", ".c")] + ([(found["cxx"], "c++11", ".cc")] if found["cxx"] else [])
with tempfile.TemporaryDirectory() as folder:
    for compiler, standard, suffix in languages:
        for header in headers:
            source = pathlib.Path(folder, "alone" + suffix)
            # Twice: the guard works. A definition behind it: extern "C" is closed again.
            line = f"#include <rgpu/{header.name}>\n"
            source.write_text(line + line + "int alone;\n")
            check(compiler, standard, header.name, [str(source)])
check(found["cc"], "c17", program.name, [str(program)])
if found["cxx"]:
    # Fields that are left out are what the macros are for; in C++ -Wextra tells of them.
    check(found["cxx"], "c++2a", program.name,
          ["-Wno-missing-field-initializers", "-x", "c++", str(program)])
print(f"{compiled} compiled, {failed} failed")
sys.exit(1 if failed or not headers else 0)
