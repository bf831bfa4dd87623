#!/usr/bin/env python3
"""Each public header compiles alone, as C17 and as C++11, without a warning.

    headers.py INCLUDE_DIR COMPILERS...
"""
import pathlib
import subprocess
import sys
import tempfile

import compilers

include, found = pathlib.Path(sys.argv[1]), compilers.parse(sys.argv[2:])
failed = 0
headers = sorted((include / "rgpu").glob("*.h"))
languages = [(found["cc"], "c17", ".c")] + ([(found["cxx"], "c++11", ".cc")] if found["cxx"] else [])
with tempfile.TemporaryDirectory() as folder:
    for compiler, standard, suffix in languages:
        for header in headers:
            source = pathlib.Path(folder, "alone" + suffix)
            # Twice: the guard works. A definition behind it: extern "C" is closed again.
            line = f"#include <rgpu/{header.name}>\n"
            source.write_text(line + line + "int alone;\n")
            done = subprocess.run([*compiler, f"-std={standard}", "-pedantic", "-Wall", "-Wextra",
                                   "-Werror", "-fsyntax-only", f"-I{include}", str(source)],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                failed += 1
                print(f"{header.name} as {standard}:\n{done.stderr}")
print(f"{len(headers) * len(languages) - failed} compiled, {failed} failed")
sys.exit(1 if failed or not headers else 0)
