#!/usr/bin/env python3
"""Installs into an empty folder, and builds and runs programs against what is there, as a user who
has never seen the source tree would.

    outside.py MESON PKG_CONFIG BUILD_ROOT SOURCE_ROOT COMPILERS...
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import compilers

MESON, PKG_CONFIG, BUILD, SOURCE = sys.argv[1:5]
FOUND = compilers.parse(sys.argv[5:])


def output(*args, **more):
    done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{args[0]}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def one(root, pattern):
    paths = sorted(root.rglob(pattern))
    if len(paths) != 1:
        sys.exit(f"{pattern}: {len(paths)} files were installed, not one")
    return paths[0]


def build(compiler, source, target, *flags):
    output(*compiler, source, "-o", target, *FOUND["flags"], *flags)
    return target


def check(root, work):
    pc, library = one(root, "rgpu.pc"), one(root, "librgpu.so.0.1")
    env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(root),
           "PKG_CONFIG_PATH": f"{pc.parent}:{os.environ.get('PKG_CONFIG_PATH', '')}"}
    flags = output(PKG_CONFIG, "--cflags", "--libs", "rgpu", env=env).split()
    version = output(PKG_CONFIG, "--modversion", "rgpu", env=env)
    linked = {**os.environ, "LD_LIBRARY_PATH": str(library.parent)}

    source = work / "version.c"
    source.write_text(pathlib.Path(SOURCE, "tests/install/version.c").read_text())
    programs = [build(FOUND["cc"], source, work / "c", *flags)]
    if FOUND["cxx"]:
        programs.append(build([*FOUND["cxx"], "-std=c++2a", "-x", "c++"], source, work / "cxx",
                              *flags))
    # Our library static, what it needs shared: --static would want all of FFmpeg's own needs too.
    needed = output(PKG_CONFIG, "--print-requires-private", "rgpu", env=env).splitlines()
    needed = output(PKG_CONFIG, "--libs", *[line.split()[0] for line in needed]).split()
    programs.append(build(FOUND["cc"], source, work / "static", flags[0], one(root, "librgpu.a"),
                          *needed, "-lm", "-lpthread"))
    for program in programs:
        got = output(program, env=linked)
        if got != version:
            sys.exit(f"{program.name}: {got!r} is not {version!r}")
    if "librgpu" in output("ldd", work / "static"):
        sys.exit("the static program wants the shared library")
    for example in ("transcode", "stream"):
        build(FOUND["cc"], pathlib.Path(SOURCE, f"examples/{example}.c"), work / example, *flags)
    command = output(one(root, "bin/rgpu"), "--version", env=linked)
    if command != f"rgpu {version}":
        sys.exit(f"the command says {command!r}")
    for pattern in ("man1/rgpu.1", "bash-completion/completions/rgpu"):
        one(root, pattern)


with tempfile.TemporaryDirectory() as folder:
    root, work = pathlib.Path(folder, "root"), pathlib.Path(folder, "work")
    work.mkdir()
    output(MESON, "install", "-C", BUILD, "--no-rebuild", "--destdir", root)
    check(root, work)
print("installed, built and run")
