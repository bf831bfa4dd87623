#!/usr/bin/env python3
"""Lets each call of one kind fail in turn: faults.py RGPU_FAULTY KIND OUTPUT

The program does it (fault/driver.c); this makes the film and chooses the options. As
`faults.py check FILM OUTPUT` it says whether an output has the film's frames at their times, and
all of its audio and subtitles: one that differs from an undisturbed run's must still be whole.
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
    step = max(1, round(1 / scale())) if kind in ("memory", "open", "library") else 1
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
    source, problems = compare.Source(film), []
    for name in ("source", "240p") if "{}" in output else ("",):
        path = pathlib.Path(output.replace("{}", name))
        container = "hls" if path.is_dir() else path.suffix[1:]
        problems += whole(source, master_of(path) if path.is_dir() else path, container)
    print("".join(f"{output}: {line}\n" for line in problems), end="")
    return 1 if problems else 0


def whole(source, path, container):
    """All frames at their times, all sound and all subtitles; pictures may be of another size."""
    have, base = compare.frames(path, hashed=False)
    problems = []
    if len(source.frames) != len(have):
        return [f"{len(have)} frames instead of {len(source.frames)}"]
    offset = compare.constant_of(have[0][0] - source.frames[0][0], container, "own", source.base)
    for (want, _), (time, _) in zip(source.frames, have):
        if abs(time - want - offset) > base / 2:
            problems.append(f"a frame at {float(time)} s instead of {float(want + offset)} s")
            break
    problems += compare.compare_audio(source, path, offset, container, anew=container == "ts")
    want, have = source.of_kind("subtitle"), [stream for stream in compare.tracks(path)["streams"]
                                              if stream["codec_type"] == "subtitle"]
    if len(want) != len(have):
        return problems + [f"{len(have)} subtitle tracks instead of {len(want)}"]
    return problems + compare.compare_subtitles(source, path, want, have, offset)


if __name__ == "__main__":
    sys.exit(check(*sys.argv[2:]) if sys.argv[1] == "check" else main(*sys.argv[1:]))
