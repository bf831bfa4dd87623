#!/usr/bin/env python3
"""Several renditions in one run: in one file, in a file each, as HLS; a copied rung; a part.

    ladder.py RGPU
"""
import json
import pathlib
import sys
import tempfile
from fractions import Fraction

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402
import films  # noqa: E402
from golden import Golden, line_up_problems, master_of, playlist_problems  # noqa: E402
from tools import report  # noqa: E402

SIZES = {"360p": (640, 360), "240p": (426, 240)}


class Ladder(Golden):
    def tracks(self, path):
        return [s for s in compare.probe(path, "-show_streams")["streams"]
                if s["codec_type"] == "video"]

    def times(self, path, track, offset=Fraction(0)):
        """Frames at the source's times, key frames apart."""
        shown, base = compare.frames(path, track, hashed=False)
        problems = []
        if len(shown) != len(self.source.frames):
            problems.append(f"track {track}: {len(shown)} frames")
        for (want, _), (have, _) in zip(self.source.frames, shown):
            if abs(have - want - offset) > base / 2:
                problems.append(f"track {track}: a frame at {have}, not {want}")
                break
        return problems

    def same_keys(self, lists):
        if len(lists[0]) < 3:
            return [f"only {len(lists[0])} key frames"]
        return [] if all(keys == lists[0] for keys in lists) else [f"other key frames: {lists}"]

    def in_one_file(self, container):
        out = self.folder / f"ladder.{container}"
        self.transcode(out, "--ladder", "360p,240p", "--quality", "0", "--speed", "p1", "--gop",
                       "0.8", "--segment", "1.5", "--jobs", "2")
        problems = compare.compare(self.source, out, container, "subtitle subrip")
        found = [(s["width"], s["height"]) for s in self.tracks(out)]
        if found != list(SIZES.values()):
            problems.append(f"sizes {found}")
        problems += self.times(out, 1)
        problems += compare.compare_psnr(self.source, out, 1)
        return problems + self.same_keys([compare.key_times(out, n) for n in (0, 1)])

    def in_files(self):
        out = self.folder / "ladder-{}.mkv"
        self.transcode(out, "--ladder", "360p,240p", "--quality", "0", "--speed", "p1", "--gop",
                       "0.8", "--segment", "1.5")
        paths = [self.folder / f"ladder-{name}.mkv" for name in SIZES]
        problems = [] if all(path.exists() for path in paths) else ["a file is missing"]
        problems += compare.compare(self.source, paths[0], "mkv")
        problems += self.times(paths[1], 0)
        problems += compare.compare_psnr(self.source, paths[1], 0)
        problems += compare.compare_audio(self.source, paths[1], 0, "mkv")
        return problems + self.same_keys([compare.key_times(path) for path in paths])

    def as_hls(self):
        out = self.folder / "hls"
        self.transcode(f"{out}/", "--ladder", "360p,240p", "--quality", "0", "--speed", "p1",
                       "--gop", "0.8", "--segment", "1.6")
        problems = playlist_problems(out) + line_up_problems(out)
        master = master_of(out)
        uris = [line for line in master.read_text().splitlines() if line and line[0] != "#"]
        paths = [master.parent / uri for uri in uris]
        if len(paths) != 2:
            return problems + [f"{len(paths)} playlists"]
        lists = [compare.key_times(path) for path in paths]
        offset = compare.constant_of(lists[0][0] - self.source.frames[0][0], "hls", "own", 1)
        for path in paths:
            problems += [f"{path.name}: {line}" for line in self.times(path, 0, offset)]
        problems += compare.compare_psnr(self.source, paths[1], 0)
        starts = [[line for line in path.read_text().splitlines() if line.startswith("#EXTINF")]
                  for path in paths]
        if starts[0] != starts[1]:
            problems.append("the renditions are not cut at the same times")
        return problems + self.same_keys(lists)

    def copied_rung(self):
        out = self.folder / "copied.mkv"
        self.transcode(out, "--ladder", "source,240p", "--quality", "0", "--speed", "p1")
        problems = compare.compare(self.source, out, "mkv")
        want, have = (compare.probe(path, "-show_packets", "-show_data_hash", "md5",
                                    "-select_streams", "V:0")["packets"]
                      for path in (self.path, out))
        if [p["data_hash"] for p in want] != [p["data_hash"] for p in have]:
            problems.append("the source's own packets are not the same")
        return problems + self.times(out, 1) + compare.compare_psnr(self.source, out, 1)

    def part(self, start, duration, container):
        """--start and --duration: exactly the frames of that time, counted from it."""
        out = self.folder / f"part.{container}"
        self.transcode(out, "--quality", "0", "--speed", "p1", "--start", str(start), "--duration",
                       str(duration), "--segment", "0.5")
        begin = self.source.frames[0][0] if container == "ts" else Fraction(0)
        shown, base = compare.frames(out)
        origin = Fraction(self.source.tracks["format"]["start_time"])
        window = [(t, d) for t, d in self.source.frames
                  if origin + start <= t < origin + start + duration]
        problems = []
        if [d for _, d in window] != [d for _, d in shown]:
            problems.append(f"other frames: {len(shown)} instead of {len(window)}")
            return problems
        # A part from the beginning keeps the source's clock, which sound may begin before zero.
        zero = origin + start if start else 0
        if begin == 0 and abs(shown[0][0] - (window[0][0] - zero)) > base:
            problems.append(f"first frame at {float(shown[0][0])} s")
        step = [(b - a) - (d - c) for a, b, c, d in
                ((shown[i][0], shown[i + 1][0], window[i][0], window[i + 1][0])
                 for i in range(len(shown) - 1))]
        if any(abs(s) > base for s in step):
            problems.append("other distances between frames")
        audio, _ = compare.packets(out, "a")
        if not audio or abs(audio[0][0][0] - shown[0][0]) > Fraction(1, 20):
            problems.append(f"audio begins at {float(audio[0][0][0]) if audio else None} s")
        return problems

    def json_lines(self):
        """--json: each line is an object with an event, the last is the summary."""
        out = self.folder / "json.mp4"
        summary, _ = self.transcode(out, "--ladder", "240p", "--verify")
        names = [rung["name"] for rung in summary["rungs"]]
        problems = [] if names == ["240p"] else [f"rungs {names}"]
        if summary["rungs"][0].get("psnr_db", {}).get("y", 0) < 25:
            problems.append(f"no PSNR after --verify: {json.dumps(summary['rungs'])}")
        if summary["frames"] != len(self.source.frames):
            problems.append(f"{summary['frames']} frames in the summary")
        return problems

    def run(self):
        for container in ("mkv", "mp4"):
            self.check(f"one {container}", lambda: self.in_one_file(container))
        self.check("a file each", self.in_files)
        self.check("HLS", self.as_hls)
        self.check("copied rung", self.copied_rung)
        for start, duration in ((Fraction(0), Fraction(1)), (Fraction("0.9"), Fraction("1.3")),
                                (Fraction("1.7"), Fraction(60))):
            self.check(f"part from {float(start)} s",
                       lambda: self.part(float(start), float(duration), "mkv"))
        self.check("json", self.json_lines)


def main(rgpu):
    with tempfile.TemporaryDirectory(prefix="ladder-") as folder:
        ladder = Ladder(rgpu, "ladder", pathlib.Path(folder))
        ladder.run()
    report(ladder.problems, "ladder")


if __name__ == "__main__":
    main(*sys.argv[1:])
