#!/usr/bin/env python3
"""Few descriptors: from too few to begin with, up to success.

    descriptors.py RGPU

Each run ends by itself with a documented exit code; one that fails says why in one line and leaves
what was there before, nothing more.
"""
import pathlib
import resource
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from attempt import EXIT_CODES, frames_of  # noqa: E402
import films  # noqa: E402
from tools import report, run, scale  # noqa: E402

# Name, options, what a success leaves at the top.
OUTPUTS = (
    ("out.mp4", (), ["out.mp4"]),
    ("out.mkv", (), ["out.mkv"]),
    ("out.ts", (), ["out.ts"]),
    ("out.flv", ("--audio", "none"), ["out.flv"]),
    ("hls/", (), ["hls"]),
    ("x.m3u8", (), ["x", "x.m3u8"]),
    ("hls/master.m3u8", (), ["hls"]),
    ("out-{}.mkv", ("--ladder", "source,240p"), ["out-240p.mkv", "out-source.mkv"]),
)
MOST = 80
ENOUGH = 3  # successes in a row that end a series


def few(number):
    """What the child does first: few descriptors, whatever the limit was."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def least(rgpu):
    """With fewer the loader does not find the libraries."""
    return next(n for n in range(3, MOST)
                if run([rgpu, "--version"], check=False, preexec_fn=few(n)).returncode == 0)


def listing(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in folder.rglob("*")}


def empty(folder):
    run(["find", folder, "-mindepth", "1", "-delete"])


def transcode(rgpu, film, folder, output, options, number=None):
    (folder / pathlib.Path(output).parent).mkdir(exist_ok=True)
    return run([rgpu, "transcode", film, f"{folder}/{output}", "--quiet", "--speed", "p1", *options],
               check=False, preexec_fn=few(number) if number else None)


def series(rgpu, film, folder, first, output, options, wanted, is_there):
    """Gives the problems, and how many runs failed."""
    problems, failures, successes = [], 0, 0
    if is_there:
        options = (*options, "-y")
    # Where everything is slow, not each number.
    for number in range(first, MOST, max(1, round(1 / scale()))):
        what = f"{output}{' over another' if is_there else ''}, {number} descriptors"
        before = {}
        if is_there:
            done = transcode(rgpu, films.path("open_gop_mp4"), folder, output, options)
            before = listing(folder)
            if done.returncode != 0:
                return [f"{what}: the old one: {done.stderr.decode()}"], 0
        elif "/" in output[:-1]:
            before = {output.split("/")[0]: None}
        done = transcode(rgpu, film, folder, output, options, number)
        said = done.stderr.decode(errors="replace")
        after = listing(folder)
        top = sorted({name.split("/")[0] for name in after})
        if done.returncode not in EXIT_CODES:
            problems.append(f"{what}: ended with {done.returncode}: {said[-2000:]}")
        if done.returncode != 0:
            failures += 1
            if len(said.splitlines()) != 1 or not said.startswith("rgpu: "):
                problems.append(f"{what}: not one line: {said!r}")
            if after != before:
                problems.append(f"{what}: left {sorted(set(after) ^ set(before))}")
        elif top != wanted:
            problems.append(f"{what}: succeeded and left {top}")
        elif any("rgpu-" in name for name in after):
            problems.append(f"{what}: succeeded and left {sorted(after)}")
        elif wanted == [output] and frames_of(folder / output) != frames_of(film):
            problems.append(f"{what}: succeeded without all frames")
        empty(folder)
        successes = successes + 1 if done.returncode == 0 else 0
        if successes == ENOUGH:
            print(f"{what}: {failures} runs failed before", flush=True)
            return problems, failures
    return [*problems, f"{output}: no success with {MOST - 1} descriptors"], failures


def main(rgpu):
    first, problems = least(rgpu), []
    with tempfile.TemporaryDirectory(prefix="few-") as folder:
        folder = pathlib.Path(folder)
        for output, options, wanted in OUTPUTS:
            for is_there in (False, True):
                found, failures = series(rgpu, films.path("tiny"), folder, first, output, options,
                                         wanted, is_there)
                problems += found
                if failures == 0:
                    problems.append(f"{output}: {first} descriptors are enough; nothing was tried")
                empty(folder)
    report(problems, "few descriptors")


if __name__ == "__main__":
    main(sys.argv[1])
