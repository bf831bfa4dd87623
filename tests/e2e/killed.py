#!/usr/bin/env python3
"""SIGKILL in front of any call that touches files or reads a packet, and the run after it.

    killed.py RGPU_FAULTY

The output is the old result or the new one, or absent if there was none; the next run leaves
nothing but the output. While anything is still read, as in --verify, the output is the old one. The
calls around the end, where results are verified and put in place, are all tried; of those before, a
seeded choice.
"""
import hashlib
import os
import pathlib
import random
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "films"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "run"))
import films  # noqa: E402
from tools import report, run, scaled, thinned  # noqa: E402

SEED = 11
LAST, BEFORE = 60, 12

# Output, the old result's output (None: there is none), plain file system, further options.
RUNS = [
    ("out.mp4", "out.mp4", False, ["--verify"]),
    ("out.mp4", None, False, []),
    ("out.mp4", "out.mp4", True, ["--verify"]),
    ("out.ts", None, True, []),
    ("hls/", "hls/", False, ["--verify"]),
    ("hls/", None, False, []),
    ("hls/", "hls/", True, ["--verify"]),
    ("x.m3u8", "x.m3u8", False, ["--verify"]),
    ("x.m3u8", None, False, []),
    ("master.m3u8", "./", False, ["--verify"]),
    ("master.m3u8", "./", True, []),
    ("{}/film-{}.mp4", "{}/film-{}.mp4", False, ["--ladder", "source,240p", "--verify"]),
]


def tree(folder):
    """Digest of each file below, by its path."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}


def hidden(path):
    return any(part.startswith(".") for part in pathlib.PurePath(path).parts)


class Case:
    def __init__(self, faulty, base, output, old, plain, options):
        self.faulty, self.output, self.old, self.options = faulty, output, old, options
        self.plain, self.folder, self.template = plain, base / "out", base / "old"
        self.what = f"{output}{f' over {old}' if old else ''}{', plain' if plain else ''}"
        self.problems, self.mixed, self.reading = [], 0, 0
        self.environment = {**os.environ, **({"RGPU_FAULT_PLAIN": "1"} if plain else {})}
        self.template.mkdir()
        for name in ("source", "240p") if "{}/" in output else ():
            (self.template / name).mkdir()
        if old:
            self.run(0, self.template, old, "--bitrate", "60")
        (self.template / "notes.txt").write_text("precious")
        self.old_tree = tree(self.template)
        self.fresh()
        self.calls = int(self.run(0, self.folder, output).stdout)
        self.new_tree = tree(self.folder)
        self.fresh()
        self.run(0, self.folder, output)
        if tree(self.folder) != self.new_tree or self.new_tree == self.old_tree:
            self.problems.append(f"{self.what}: results cannot be told apart")

    def fresh(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.template, self.folder, symlinks=True)

    def run(self, nth, folder, output, *more, check=True, overwrite=True):
        return run([self.faulty, "kill", nth, "transcode", films.path("tiny"), f"{folder}/{output}",
                    "--quiet", "--speed", "p1", "--segment", "0.3", "--jobs", "1", "--threads", "1",
                    *self.options, *(["-y"] if overwrite else []), *more], check=check,
                   env=self.environment)

    def fail(self, nth, text):
        self.problems.append(f"{self.what}, killed at {nth} of {self.calls}: {text}")

    def kill(self, nth):
        self.fresh()
        done = self.run(nth, self.folder, self.output, check=False)
        if done.returncode == 0:
            return False
        if done.returncode != -9:
            self.fail(nth, f"ended with {done.returncode}: {done.stderr.decode()}")
        found = {path: digest for path, digest in tree(self.folder).items() if not hidden(path)}
        self.judge(nth, found)
        if b"killed at read" in done.stderr:
            self.reading += 1
            if found != self.old_tree:
                self.fail(nth, f"something changed before all was read: {sorted(found)}")
        self.run(0, self.folder, self.output)
        left = sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*")
                      if path.is_dir() and not any(path.iterdir()))
        if tree(self.folder) != self.new_tree or left:
            self.fail(nth, f"the next run left {sorted(tree(self.folder))} and the folders {left}")
        return True

    def judge(self, nth, found):
        """What is seen after the kill."""
        for name, whole in self.results().items():
            old, new = whole(self.old_tree), whole(self.new_tree)
            now = whole(found)
            if now not in (old, new):
                if self.output.endswith("m3u8") and all(
                        found.get(path) in (self.old_tree.get(path), self.new_tree.get(path))
                        for path in found):
                    # The playlist and its folder are two names, and renditions of another layout
                    # go one by one; the new playlist may only be there with all that it names.
                    self.mixed += 1
                    if found.get(self.output) == self.new_tree[self.output] and \
                            not self.new_tree.items() <= found.items():
                        self.fail(nth, f"the new playlist without its folder: {sorted(found)}")
                elif not now and self.plain and self.output.endswith("/"):
                    self.restored(nth)
                else:
                    self.fail(nth, f"{name} is neither old nor new: {sorted(found)}")

    def restored(self, nth):
        """A folder on a plain file system: it was away, but not lost."""
        again = self.run(0, self.folder, self.output, check=False, overwrite=False)
        if again.returncode != 4 or tree(self.folder).get("hls/master.m3u8") != \
                self.old_tree["hls/master.m3u8"]:
            self.fail(nth, f"the old folder did not come back: {again.stderr.decode()}")

    def results(self):
        """Name of each result, and what of a tree belongs to it."""
        if "{}" in self.output:
            names = [self.output.replace("{}", name) for name in ("source", "240p")]
            return {name: lambda t, name=name: {p: d for p, d in t.items() if p == name}
                    for name in names}
        return {self.output: lambda t: {p: d for p, d in t.items() if p != "notes.txt"}}

    def moments(self, source):
        first = max(1, self.calls - LAST)
        before = sorted(source.sample(range(1, first), min(BEFORE, first - 1))) if first > 1 else []
        return before[:scaled(BEFORE, 3)] + thinned(range(first, self.calls + 1), 12)


def main(faulty):
    print(f"seed {SEED}")
    source, problems = random.Random(SEED), []
    for output, old, plain, options in RUNS:
        with tempfile.TemporaryDirectory(prefix="killed-") as base:
            case = Case(faulty, pathlib.Path(base), output, old, plain, options)
            kills = sum(case.kill(nth) for nth in case.moments(source))
            print(f"{case.what}: {case.calls} calls, {kills} runs killed, {case.reading} while "
                  f"reading, {case.mixed} between two names, {len(case.problems)} problems",
                  flush=True)
            if kills < 5 or (case.reading < 2 and "--verify" in options):
                case.problems.append(f"{case.what}: too few runs were killed")
            problems += case.problems
    report(problems, "killed")


if __name__ == "__main__":
    main(sys.argv[1])
