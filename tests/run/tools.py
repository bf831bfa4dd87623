"""What the test programs share: running programs, reading ffprobe, skipping, scaling.

A test program ends with 0 (passed), 1 (failed) or 77 (skipped). RGPU_TEST_SCALE (default 1) makes
long tests smaller where everything is slow, as under a sanitizer: 0.2 does about a fifth.
"""
import json
import os
import signal
import subprocess
import sys

SKIP = 77


def scale():
    return float(os.environ.get("RGPU_TEST_SCALE", "1"))


def scaled(count, least=1):
    return max(least, int(round(count * scale())))


def thinned(items, least=2):
    """Spread-out part of a list by scale(), with the first and the last item always in it."""
    items = list(items)
    keep = min(len(items), scaled(len(items), least))
    if keep >= len(items):
        return items
    if keep == 1:
        return items[:1]
    return [items[round(i * (len(items) - 1) / (keep - 1))] for i in range(keep)]


def timeout(seconds):
    """Time limit for one program: wide, and wider still where scale() says that it is slow."""
    return seconds / min(1.0, scale()) * float(os.environ.get("RGPU_TEST_PATIENCE", "1"))


def skip(reason):
    print("skipped: " + reason)
    sys.exit(SKIP)


class Failed(Exception):
    pass


def run(command, seconds=120, check=True, **more):
    """Runs a program without standard input; gives the finished process with bytes."""
    more.setdefault("stdin", subprocess.DEVNULL)
    more.setdefault("stdout", subprocess.PIPE)
    more.setdefault("stderr", subprocess.PIPE)
    command = [str(word) for word in command]
    with subprocess.Popen(command, start_new_session=True, **more) as child:
        try:
            out, err = child.communicate(timeout=timeout(seconds))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            raise Failed(f"no end after {timeout(seconds):.0f} s: {' '.join(command)}")
    done = subprocess.CompletedProcess(command, child.returncode, out, err)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)}\nended with {done.returncode}:\n"
                     f"{(err or b'').decode(errors='replace')[-4000:]}")
    return done


def probe(path, *entries):
    """ffprobe's JSON for `entries` such as "-show_streams"."""
    return json.loads(run(["ffprobe", "-v", "error", "-of", "json", *entries, str(path)]).stdout)


def report(problems, what):
    """Ends a test program: prints the problems, if any."""
    for problem in problems:
        print("FAILED " + problem)
    print(f"{what}: {len(problems)} problems" if problems else f"{what}: right")
    sys.exit(1 if problems else 0)
