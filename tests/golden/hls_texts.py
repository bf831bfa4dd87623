#!/usr/bin/env python3
"""Subtitles in HLS: their texts and times as the source has them, in segments as long as the video's,
for several lengths of segments, also of a part of the film; what the command says of the result.

    hls_texts.py RGPU
"""
import pathlib
import sys
import tempfile
from fractions import Fraction

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402
import hls_cues  # noqa: E402
import hls_rules  # noqa: E402
from golden import Golden, playlist_problems  # noqa: E402
from tools import report, run  # noqa: E402

LANGUAGES = ("en", "de")


class Texts(Golden):
    def hls(self, segment, start=None, duration=None):
        out = self.folder / "hls"
        options = ["--speed", "p1", "--gop", "0.5", "--segment", str(segment)]
        if start is not None:
            options += ["--start", str(float(start)), "--duration", str(float(duration))]
        summary, said = self.transcode(f"{out}/", *options)
        master = out / "master.m3u8"
        problems = playlist_problems(out)
        if "subtitle" in said:
            problems.append(f"warned of subtitles: {said}")
        if summary.get("master") != str(master):
            problems.append(f"the summary's master playlist is {summary.get('master')}")
        lines = master.read_text().splitlines()
        if not all('SUBTITLES="subtitles"' in line for line in lines if "STREAM-INF" in line):
            problems.append("a variant without its subtitles")
        video = master.parent / next(line for line in lines if line and line[0] != "#")
        lengths = [length for length, _ in hls_cues.segments(video)]
        begin = hls_rules.Master(master).origin()
        origin = Fraction(self.source.tracks["format"]["start_time"])
        names = hls_cues.renditions(master)
        if len(names) != len(LANGUAGES):
            return problems + [f"{len(names)} renditions of subtitles"]
        for n, playlist in enumerate(names):
            if f'LANGUAGE="{LANGUAGES[n]}"' not in next(line for line in lines
                                                       if playlist.parent.name in line):
                problems.append(f"rendition {n} is not {LANGUAGES[n]}")
            found = hls_cues.segments(playlist)
            if [length for length, _ in found][:-1] != lengths[:-1] or \
                    abs(found[-1][0] - lengths[-1]) > Fraction(1, 20):
                problems.append(f"rendition {n} lasts {found}, the video {lengths}")
            window = (0, None) if start is None else (origin + start, origin + start + duration)
            have = hls_cues.rendition_texts(playlist, begin)
            # Reading begins at a key frame: a text that began before it may not be read.
            read_from = max((key for key in self.source.keys if key <= window[0]), default=0)
            want = [cue for cue in hls_cues.source_texts(self.path, n)
                    if cue[0] >= read_from or cue[2] in [text for _, _, text in have]]
            problems += hls_cues.problems(want, have, 0, *window)
            problems += self.read_back(found)
        return problems

    def read_back(self, found):
        """ffmpeg reads each segment, and the same hls_cues."""
        for _, path in found:
            text = run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "srt", "-"],
                       60).stdout.decode()
            if text.count(" --> ") != len(hls_cues.cues_of(path)):
                return [f"{path.name} reads as {text!r}"]
        return []

    def run(self):
        for segment in ("0.5", "1.7", "4", "60"):
            self.check(f"--segment {segment}", lambda: self.hls(segment))
        for start, duration in ((Fraction("0.5"), Fraction(3)), (Fraction("1.85"), Fraction("2.3")),
                                (Fraction(5), Fraction(60))):
            self.check(f"from {float(start)} s", lambda: self.hls("1", start, duration))


def main(rgpu):
    with tempfile.TemporaryDirectory(prefix="texts-") as folder:
        golden = Texts(rgpu, "cues", pathlib.Path(folder))
        golden.run()
    report(golden.problems, "cues")


if __name__ == "__main__":
    main(*sys.argv[1:])
