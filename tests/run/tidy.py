#!/usr/bin/env python3
"""clang-tidy over all sources of a build folder: tidy.py CLANG_TIDY BUILD_DIR JOBS"""
import concurrent.futures
import json
import pathlib
import subprocess
import sys


def main(tool, build, jobs):
    root = pathlib.Path.cwd()
    commands = json.loads((pathlib.Path(build) / "compile_commands.json").read_text())
    files = sorted({(pathlib.Path(c["directory"]) / c["file"]).resolve() for c in commands})
    files = [f for f in files if root in f.parents and f.suffix == ".c"]

    def one(path):
        done = subprocess.run([tool, "-p", build, "--quiet", "--warnings-as-errors=*", str(path)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return path, done.returncode, done.stdout + (done.stderr if not done.stdout else "")

    bad = 0
    with concurrent.futures.ThreadPoolExecutor(int(jobs)) as pool:
        for path, code, text in pool.map(one, files):
            if code:
                bad += 1
                print(f"FAILED {path.relative_to(root)}\n{text}", flush=True)
    print(f"clang-tidy: {len(files)} files, {bad} with findings")
    return 1 if bad or not files else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
