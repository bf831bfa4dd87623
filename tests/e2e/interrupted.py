#!/usr/bin/env python3
"""Ends that come too early, and two runs on one output.

    interrupted.py RGPU

SIGKILL at any moment: the output is the old file or absent, and the next run clears up (killed.py
has the moments of the end). SIGINT and SIGTERM: exit code 128 plus
the signal's number, nothing left. The same while a result is verified.
"""
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from attempt import frames_of  # noqa: E402
import films  # noqa: E402
from tools import report, run, scaled, timeout  # noqa: E402

SEED = 7
OLD = b"what was there before\n"


SLOW, VERIFIED = ["--speed", "p7"], ["--preset", "source", "--verify"]


def start(rgpu, film, out, *options, how=SLOW):
    return subprocess.Popen([rgpu, "transcode", film, out, "--quiet", *how, *options],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def come_to_verifying(child, film):
    """Waits until the film is read a second time; False: it has ended before."""
    while child.poll() is None:
        opened = 0
        for entry in pathlib.Path(f"/proc/{child.pid}/fd").iterdir():
            try:
                opened += os.readlink(entry) == str(film)
            except OSError:
                continue
        if opened > 1:
            return True
        time.sleep(0.002)
    return False


def come_to(child, film, wait):
    """`wait`: seconds; or None: until the result is verified."""
    if wait is None:
        return come_to_verifying(child, film)
    time.sleep(wait)
    return child.poll() is None


def moment(wait):
    return "while verifying" if wait is None else f"after {wait:.2f} s"


def has_named_temporaries(folder):
    """Whether files without a name cannot be made there."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
        return False
    except OSError:
        return True


def killed(rgpu, film, folder, name, wait, with_old):
    out = folder / name.rstrip("/")
    if with_old:
        out.write_bytes(OLD)
    child = start(rgpu, film, f"{folder}/{name}", *(["-y"] if with_old else []),
                  how=SLOW if wait else VERIFIED)
    early = come_to(child, film, wait)
    child.kill()
    child.communicate()
    what = f"SIGKILL {moment(wait)}, {name}{', old file' if with_old else ''}"
    print(f"{what}: {'in the middle' if early else 'it was done'}", flush=True)
    problems = []
    if early:
        if wait is None and (out.read_bytes() != OLD if with_old else out.exists()):
            problems.append(f"{what}: what was there is replaced by what is not verified")
        elif with_old and out.read_bytes() != OLD:
            # Killed between the rename and the end: then the new file must be whole.
            if frames_of(out) != frames_of(film):
                problems.append(f"{what}: the old file is gone, the new one is not whole")
        elif not with_old and out.is_file() and frames_of(out) != frames_of(film):
            problems.append(f"{what}: half of an output")
        elif not with_old and out.is_dir() and not list(out.rglob("*.m3u8")):
            problems.append(f"{what}: half of an output folder")
        stray = [entry.name for entry in folder.iterdir() if entry != out]
        if stray and name[-1] != "/" and not has_named_temporaries(folder):
            problems.append(f"{what}: left {stray}")
        # The next run, of a shorter film.
        done = run([rgpu, "transcode", films.path("tiny"), f"{folder}/{name}", "-y", "--quiet"],
                   check=False)
        left = sorted(entry.name for entry in folder.iterdir())
        if done.returncode != 0 or left != [out.name]:
            problems.append(f"{what}: the next run ended with {done.returncode} and left {left}: "
                            f"{done.stderr.decode()}")
    clean(folder)
    return problems, early


def killed_beside_another(rgpu, film, folder):
    """A run clears up after a dead one, and leaves what a living one is writing."""
    problems = []
    dead = start(rgpu, film, f"{folder}/hls/", "-y")
    living = start(rgpu, film, f"{folder}/hls/", "-y")
    deadline = time.monotonic() + timeout(30)
    while len(list(folder.glob(".hls.rgpu-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    dead.kill()
    dead.communicate()
    before = set(folder.glob(".hls.rgpu-*"))
    done = run([rgpu, "transcode", films.path("tiny"), f"{folder}/hls/", "--quiet"], check=False)
    after = set(folder.glob(".hls.rgpu-*"))
    if done.returncode != 0 or len(before) != 2 or len(after) != 1 or living.poll() is not None:
        problems.append(f"beside another: {done.returncode}, {before} before, {after} after, "
                        f"{living.poll()}")
    said = living.communicate(timeout=timeout(120))[1].decode()
    left = sorted(entry.name for entry in folder.iterdir())
    print(f"beside another: {living.returncode} {said}")
    if living.returncode != 0 or left != ["hls"]:
        problems.append(f"beside another: the other ended with {living.returncode} and left {left}: "
                        f"{said}")
    elif frames_of(folder / "hls/master.m3u8") != frames_of(film):
        problems.append("beside another: the other's result is not whole")
    clean(folder)
    return problems


def clean(folder):
    run(["find", folder, "-mindepth", "1", "-delete"])


def asked_to_stop(rgpu, film, folder, name, number, wait, twice=False):
    child = start(rgpu, film, f"{folder}/{name}", how=SLOW if wait else VERIFIED)
    if not come_to(child, film, wait):
        child.communicate()
        clean(folder)
        return [], False
    child.send_signal(number)
    if twice:
        time.sleep(0.6)     # sooner it would be taken for the same one
        child.send_signal(number)
    what = f"signal {number} {moment(wait)}, {name}"
    try:
        said = child.communicate(timeout=timeout(30))[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        clean(folder)
        return [f"{what}: it goes on"], True
    left = sorted(entry.name for entry in folder.iterdir())
    print(f"{what}: {child.returncode} {said.strip()}", flush=True)
    problems = []
    if child.returncode == 0:
        clean(folder)
        return problems, False
    if child.returncode != 128 + number and not (twice and child.returncode == -number):
        problems.append(f"{what}: ended with {child.returncode}: {said}")
    if left and not twice:
        problems.append(f"{what}: left {left}")
    if len(said.splitlines()) > 1:
        problems.append(f"{what}: {said!r}")
    clean(folder)
    return problems, True


def twice_on_one(rgpu, folder):
    """Two runs at once on the same name: never a mixture."""
    film, problems = films.path("open_gop_mp4"), []
    whole = frames_of(film)
    for options, allowed in (([], ([0, 4],)), (["-y"], ([0, 0],))):
        children = [start(rgpu, film, folder / "same.mkv", *options) for _ in range(2)]
        said = [child.communicate(timeout=timeout(120))[1].decode() for child in children]
        codes = sorted(child.returncode for child in children)
        print(f"two at once {options}: {codes} {said}")
        if codes not in allowed:
            problems.append(f"two at once {options} ended with {codes}: {said}")
        if frames_of(folder / "same.mkv") != whole:
            problems.append(f"two at once {options}: the result is not whole")
        left = sorted(entry.name for entry in folder.iterdir())
        if left != ["same.mkv"]:
            problems.append(f"two at once {options}: left {left}")
        clean(folder)
    return problems


def onto_itself(rgpu, folder):
    """The source as the output is refused, and an output that exists needs -y."""
    film, problems = films.path("tiny"), []
    copy = folder / "film.mp4"
    copy.write_bytes(film.read_bytes())
    for options in ([], ["-y"]):
        done = run([rgpu, "transcode", copy, copy, *options], check=False)
        print(f"onto itself {options}: {done.returncode} {done.stderr.decode().strip()}")
        if copy.read_bytes() != film.read_bytes() and frames_of(copy) != frames_of(film):
            problems.append(f"onto itself {options}: the source is damaged")
        if not options and done.returncode == 0:
            problems.append("onto itself without -y: the source was replaced")
    other = folder / "other.mp4"
    other.write_bytes(OLD)
    done = run([rgpu, "transcode", film, other], check=False)
    if done.returncode != 4 or other.read_bytes() != OLD:
        problems.append(f"an output that exists: {done.returncode}")
    clean(folder)
    return problems


def main(rgpu):
    print(f"seed {SEED}")
    source, film, problems, early = random.Random(SEED), films.path("slow"), [], [0] * 4
    with tempfile.TemporaryDirectory(prefix="ends-") as folder:
        folder = pathlib.Path(folder)
        for i in range(scaled(12, 4)):
            name = ("out.mp4", "out.mkv", "out/", "out.ts")[i % 4]
            found, was = killed(rgpu, film, folder, name, source.uniform(0.05, 1.5),
                                i % 2 == 0 and name[-1] != "/")
            problems += found
            early[0] += was
        for i in range(scaled(9, 3)):
            name = ("out.mp4", "out/", "out-{}.mkv")[i % 3]
            number = signal.SIGTERM if i % 3 == 2 else signal.SIGINT
            # Later than the program needs to set its handlers.
            found, was = asked_to_stop(rgpu, film, folder, name, number,
                                       source.uniform(0.5, 1.5) * timeout(1), i == 8)
            problems += found
            early[1] += was
        for name in ("out.mp4", "out.mkv", "out.ts", "out/"):
            for with_old in ([False, True] if name[-1] != "/" else [False]):
                found, was = killed(rgpu, film, folder, name, None, with_old)
                problems += found
                early[2] += was
            found, was = asked_to_stop(rgpu, film, folder, name, signal.SIGINT, None)
            problems += found
            early[3] += was
        problems += killed_beside_another(rgpu, film, folder)
        problems += twice_on_one(rgpu, folder)
        problems += onto_itself(rgpu, folder)
    if 0 in early:
        problems.append("no end came in the middle of a run")
    report(problems, "interrupted")


if __name__ == "__main__":
    main(sys.argv[1])
