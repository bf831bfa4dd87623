#!/usr/bin/env python3
"""Lets each call of one kind fail in turn: faults.py RGPU_FAULTY KIND OUTPUT

The program does it (fault/driver.c); this makes the film and chooses the options.
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "run"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "films"))
import films  # noqa: E402
from tools import scale, timeout  # noqa: E402

RUNGS = {"out.mp4": [], "out.ts": ["--audio", "aac"], "hls/": ["--audio", "copy"]}


def main(faulty, kind, output):
    # Many calls are alike; where everything is slow, a spread-out part of them must do.
    step = max(1, round(1 / scale())) if kind in ("memory", "library") else 1
    os.environ.setdefault("RGPU_FAULT_SECONDS", str(int(timeout(30))))
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":allocator_may_return_null=1"
    command = [faulty, kind, output, str(step), "transcode", films.path("tiny"), "OUT", "--quiet",
               "--speed", "p1", "--segment", "0.3", "--jobs", "2", "--threads", "1", *RUNGS[output]]
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
