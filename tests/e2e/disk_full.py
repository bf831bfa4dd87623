#!/usr/bin/env python3
"""A disk that fills up: a clear error, nothing left, what was there untouched.

    disk_full.py RGPU

Needs a small tmpfs in a mount namespace of its own; skipped where that is not allowed.
"""
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from attempt import frames_of  # noqa: E402
import films  # noqa: E402
from tools import report, run, skip  # noqa: E402

INSIDE = "RGPU_TEST_IN_NAMESPACE"
OUTPUT = 4


def enter():
    """Starts this program again in a mount namespace."""
    how = ["unshare", "--mount"] if os.geteuid() == 0 else \
        ["unshare", "--user", "--map-root-user", "--mount"]
    trial = run([*how, "sh", "-c", "d=$(mktemp -d) && mount -t tmpfs -o size=64k none $d && umount "
                 "$d && rmdir $d"], check=False)
    if trial.returncode != 0:
        skip("no tmpfs can be mounted here: " + trial.stderr.decode().strip())
    os.environ[INSIDE] = "1"
    os.execvp(how[0], [*how, sys.executable, "-B", *sys.argv])


def main(rgpu):
    if INSIDE not in os.environ:
        enter()
    problems = []
    film = films.path("open_gop_mp4")
    with tempfile.TemporaryDirectory(prefix="full-") as folder:
        run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", folder])
        try:
            for name in ("out.mp4", "out.mkv", "out.ts", "out/", "out-{}.mkv"):
                problems += full(rgpu, film, pathlib.Path(folder), name)
            for name in ("out.mp4", "out.mkv", "hls/", "x.m3u8", "out-{}.mkv"):
                problems += old_kept(rgpu, film, pathlib.Path(folder), name)
            problems += fits(rgpu, pathlib.Path(folder))
        finally:
            run(["umount", folder])
    problems += dev_full(rgpu)
    report(problems, "disk full")


def transcode(rgpu, film, out, *options):
    return run([rgpu, "transcode", film, out, "--quality", "0", "--speed", "p1", "--quiet",
                *options], check=False)


def judge(what, done):
    said = done.stderr.decode(errors="replace")
    print(f"{what}: {done.returncode} {said.strip()}")
    problems = []
    if done.returncode != OUTPUT:
        problems.append(f"{what}: ended with {done.returncode}: {said}")
    if "space" not in said or len(said.splitlines()) != 1:
        problems.append(f"{what}: not one line that says so: {said!r}")
    return problems


def full(rgpu, film, folder, name):
    done = transcode(rgpu, film, f"{folder}/{name}", *(["--ladder", "240p"] if "{" in name else []))
    problems = judge(name, done)
    left = sorted(entry.name for entry in folder.rglob("*"))
    if left:
        problems.append(f"{name}: left {left}")
        run(["find", folder, "-mindepth", "1", "-delete"])
    used = os.statvfs(folder)
    if used.f_bfree != used.f_blocks and used.f_blocks - used.f_bfree > 2:
        problems.append(f"{name}: {used.f_blocks - used.f_bfree} blocks are still in use")
    return problems


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None
            for path in folder.rglob("*")}


def old_kept(rgpu, film, folder, name):
    """An older result stays as it is, to the byte, when there is no room for the new one."""
    options = ["--ladder", "source"] if "{" in name else ["--speed", "p1"]
    done = run([rgpu, "transcode", films.path("tiny"), f"{folder}/{name}", "--quiet", *options],
               check=False)
    before = tree(folder)
    if done.returncode != 0 or not before:
        return [f"replacing {name}: the old result: {done.returncode} {done.stderr.decode()}"]
    problems = judge(f"replacing {name}",
                     transcode(rgpu, film, f"{folder}/{name}", "-y",
                               *(["--ladder", "240p,source"] if "{" in name else [])))
    if tree(folder) != before:
        problems.append(f"replacing {name}: something else is there: {sorted(tree(folder))}")
    run(["find", folder, "-mindepth", "1", "-delete"])
    return problems


def fits(rgpu, folder):
    """The same place takes what is small enough, so the failures above were for want of space."""
    done = transcode(rgpu, films.path("tiny"), folder / "out.mp4")
    if done.returncode != 0 or frames_of(folder / "out.mp4") == 0:
        return [f"a small film does not fit: {done.stderr.decode()}"]
    (folder / "out.mp4").unlink()
    return []


def dev_full(rgpu):
    with tempfile.TemporaryDirectory(prefix="full-") as folder:
        link = pathlib.Path(folder) / "out.mkv"
        link.symlink_to("/dev/full")
        done = transcode(rgpu, films.path("tiny"), link, "-y")
        print(f"/dev/full: {done.returncode} {done.stderr.decode().strip()}")
        if not pathlib.Path("/dev/full").is_char_device():
            return ["/dev/full is no device any more"]
        # Either refused, or the link (not the device) was replaced.
        if done.returncode == 0 and link.is_symlink():
            return ["success was said of /dev/full"]
    return []


if __name__ == "__main__":
    main(sys.argv[1])
