#!/usr/bin/env python3
"""Lets each call of one kind fail in turn: faults.py RGPU_FAULTY KIND OUTPUT

The program does it (fault/driver.c); this makes the film and chooses the options. As
`faults.py check FILM OUTPUT` it says whether an output shows the film's frames at their times.
"""
import os
import pathlib
import shlex
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "golden"))
import compare  # noqa: E402
import films  # noqa: E402
from golden import master_of  # noqa: E402
from tools import scale, timeout  # noqa: E402

# Output: film and options.
RUNS = {
    "out.mp4": ("tiny", ["--verify"]),
    "out.ts": ("tiny", ["--audio", "aac"]),
    "hls/": ("tiny", ["--audio", "copy"]),
    "out-{}.mkv": ("tiny_mkv", ["--ladder", "source,240p"]),
}


def main(faulty, kind, output):
    # Many calls are alike; where everything is slow, a spread-out part of them must do.
    step = max(1, round(1 / scale())) if kind in ("memory", "library") else 1
    os.environ.setdefault("RGPU_FAULT_SECONDS", str(int(timeout(30))))
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":allocator_may_return_null=1"
    name, options = RUNS[output]
    film = films.path(name)
    os.environ["RGPU_FAULT_CHECK"] = shlex.join([sys.executable, "-B", __file__, "check",
                                                 str(film)])
    command = [faulty, kind, output, str(step), "transcode", film, "OUT", "--quiet",
               "--speed", "p1", "--segment", "0.3", "--jobs", "2", "--threads", "1", *options]
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL).returncode


def check(film, output):
    output = pathlib.Path(output.replace("{}", "240p"))
    if output.is_dir():
        output = master_of(output)
    want, have = compare.Source(film).frames, compare.frames(output, hashed=False)[0]
    problems = [] if len(want) == len(have) else [f"{len(have)} frames instead of {len(want)}"]
    # Transport streams and HLS may count from elsewhere; the steps are the same.
    for a, b in zip(want, have):
        if abs((a[0] - want[0][0]) - (b[0] - have[0][0])) > compare.MS:
            problems.append(f"a frame at {b[0]} instead of {a[0]}")
            break
    print("".join(f"{output}: {line}\n" for line in problems), end="")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(check(*sys.argv[2:]) if sys.argv[1] == "check" else main(*sys.argv[1:]))
