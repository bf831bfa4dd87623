#!/usr/bin/env python3
"""--start and --duration with the source's own packets as a rung, alone and beside an encode.

    part.py RGPU

What players show of the copy is what begins in the part, at the same times as in the encode. MP4
hides what the copy needs beside that; of other containers it is seen, and a warning says so.
"""
import json
import pathlib
import shutil
import sys
import tempfile
from fractions import Fraction

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402
import films  # noqa: E402
from tools import probe, report, run  # noqa: E402

USAGE = 2
X264 = "keyint=12:min-keyint=12:scenecut=0:"
RECIPES = {
    "plain.mkv": X264 + "bframes=0",
    "closed.mp4": X264 + "bframes=3:b-adapt=0:b-pyramid=normal:open-gop=0",
    "open.ts": X264 + "bframes=3:b-adapt=0:b-pyramid=normal:open-gop=1",
}


class Source:
    def __init__(self, folder, name):
        self.name, self.path = name, folder / name
        run(["ffmpeg", "-v", "error", "-y", *films.picture(3, size="160x90"), *films.tone(3),
             "-c:v", "libx264", "-preset", "veryfast", "-x264-params", RECIPES[name], *films.AAC,
             self.path])
        found = probe(self.path, "-show_format", "-show_packets", "-select_streams", "v")
        self.origin = Fraction(found["format"]["start_time"])
        self.frames, _ = compare.frames(self.path)
        keys = [Fraction(p["pts_time"]) - self.origin for p in found["packets"]
                if "K" in p["flags"]]
        key = keys[1]
        frame = min(t - self.origin for t, _ in self.frames if t > self.origin + key +
                    Fraction(1, 10))
        self.starts = {"0": Fraction(0), "key": key, "frame": frame,
                       "between": frame + Fraction(13, 1000)}

    def window(self, start, duration):
        return [(t, digest) for t, digest in self.frames
                if t >= self.origin + start and
                (not duration or t < self.origin + start + duration)]


class Parts:
    def __init__(self, rgpu, folder):
        self.rgpu, self.folder, self.problems = rgpu, folder, []

    def transcode(self, source, name, start, duration, rungs):
        """Gives the summary, or None; and the path and track of each rung."""
        folder = self.folder / "out"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        options = ["--ladder", ",".join(rungs), "--verify", "--json", "--quiet"]
        options += ["--start", f"{float(start):.6f}"] if start else []
        options += ["--duration", f"{float(duration):.6f}"] if duration else []
        if len(rungs) > 1:
            options += ["--upscale", "--speed", "p1"]
        done = run([self.rgpu, "transcode", source.path, f"{folder}/{name}", *options], check=False)
        if done.returncode:
            return done, []
        places = [(folder / name, n) for n in range(len(rungs))]
        if name.endswith("/"):
            places = [(folder / name / rung / "index.m3u8", 0) for rung in rungs]
        elif "{}" in name:
            places = [(folder / name.replace("{}", rung), 0) for rung in rungs]
        return done, places

    def shown(self, window, have, base, exact, warnings):
        """Problems of a copied rung; and its frames of the part."""
        digests = [digest for _, digest in have]
        first = next((i for i, d in enumerate(digests) if d == window[0][1]), None)
        if first is None:
            return ["the first frame is not there"], []
        inside = have[first:first + len(window)]
        after = len(have) - first - len(window)
        if [d for _, d in inside] != [d for _, d in window]:
            return [f"other frames: {len(have)} for {len(window)}"], []
        if exact and (first or after > 0):
            return [f"{first} frames before the part, {after} behind it"], []
        problems = []
        for count, word in ((first, "early"), (after, "late")):
            said = any("copied video" in line and word in line for line in warnings)
            if said != (count > 0):
                problems.append(f"{count} frames {word}, and the warnings are {warnings}")
        steps = {(h - inside[0][0]) - (w - window[0][0])
                 for (h, _), (w, _) in zip(inside, window)}
        if any(abs(step) > base for step in steps):
            problems.append("other distances between frames")
        return problems, inside

    def check(self, source, name, where, duration, rungs):
        start = source.starts[where]
        what = f"{source.name} {name} from {where}, {duration or 'all'}, {'+'.join(rungs)}"
        window = source.window(start, duration)
        done, places = self.transcode(source, name, start, duration, rungs)
        if done.returncode:
            self.problems.append(f"{what}: ended with {done.returncode}: {done.stderr.decode()}")
            return
        summary = json.loads(done.stdout.decode().splitlines()[-1])
        lists = [compare.frames(path, track) for path, track in places]
        problems, inside = self.shown(window, *lists[0], name == "out.mp4",
                                      summary.get("warnings", []))
        if len(rungs) > 1 and inside:
            apart = [abs(a - b) for (a, _), (b, _) in zip(inside, lists[1][0])]
            if len(lists[1][0]) != len(window) or max(apart) > 0:
                problems.append(f"the encode has {len(lists[1][0])} frames, "
                                f"{float(max(apart))} s apart from the copy's")
        if inside and name == "out.mp4":
            offset = source.origin + start if start else Fraction(0)
            if abs(inside[0][0] - (window[0][0] - offset)) > lists[0][1]:
                problems.append(f"the first frame is at {float(inside[0][0])} s")
        for rung, (have, _) in zip(summary["rungs"], lists):
            if rung["frames"] != len(have):
                problems.append(f"{rung['name']}: {rung['frames']} frames said, {len(have)} shown")
        self.problems += [f"{what}: {problem}" for problem in problems]

    def refused(self, source, words, start, duration):
        for rungs in (["source"], ["240p"]):
            done, _ = self.transcode(source, "out.mp4", start, duration, rungs)
            said = done.stderr.decode()
            if done.returncode != USAGE or words not in said:
                self.problems.append(f"nothing from {float(start)} s, {rungs[0]}: ended with "
                                     f"{done.returncode}: {said}")


def main(rgpu):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        parts = Parts(rgpu, folder)
        both, copy, some = ["source", "240p"], ["source"], Fraction(2, 5)
        for source in [Source(folder, name) for name in RECIPES]:
            for where in source.starts:
                for duration in (None, some):
                    if where == "0" and not duration:
                        continue
                    parts.check(source, "out.mp4", where, duration, both)
                    parts.check(source, "out.mp4", where, duration, copy)
            for out in ("out.mkv", "out.ts", "out-{}.flv", "hls/"):
                parts.check(source, out, "key", None, both)
                parts.check(source, out, "between", None, both)
                parts.check(source, out, "between", some, both)
                parts.check(source, out, "frame", some, copy)
        closed = Source(folder, "closed.mp4")
        parts.refused(closed, "no frame starts at or after 2.990 s", Fraction(299, 100), None)
        parts.refused(closed, "no frame starts between 1.001 s and 1.002 s",
                      Fraction(1001, 1000), Fraction(1, 1000))
        report(parts.problems, "parts")


if __name__ == "__main__":
    main(sys.argv[1])
