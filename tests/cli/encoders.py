#!/usr/bin/env python3
"""What --quality, --bitrate, --bframes and --profile promise, with the real encoders.

    encoders.py RGPU
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

RGPU = ""
LIMIT = 120
FRAMES = 50


def run(*args):
    return subprocess.run([str(arg) for arg in args], capture_output=True, text=True, timeout=LIMIT)


def pictures(path):
    done = run("ffmpeg", "-v", "error", "-i", path, "-an", "-f", "framemd5", "-")
    return [line.split(",")[-1].strip() for line in done.stdout.splitlines() if line[0] != "#"], done.stderr


class Encoders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.film = cls.folder / "film.mp4"
        done = run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=2", "-c:v",
                   "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", cls.film)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.source = pictures(cls.film)[0]

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def transcode(self, name, *options):
        return run(RGPU, "transcode", self.film, f"{self.folder}/{name}", "-y", "--speed", "p1", *options)

    def done(self, process):
        self.assertEqual(process.returncode, 0, process.stderr)
        return process

    def refused(self, process, named):
        self.assertNotEqual(process.returncode, 0)
        self.assertRegex(process.stderr, r"\Argpu: [^\n]+\n\Z")
        self.assertIn(named, process.stderr)

    def test_lossless(self):
        self.assertEqual(len(self.source), FRAMES)
        for codec, names in (("h264", ("h264.mkv",)), ("hevc", ("hevc.mp4",)),
                             ("av1", ("av1.mkv", "av1.webm", "av1.mp4", "av1/"))):
            for name in names:
                with self.subTest(name=name):
                    done = self.transcode(name, "--codec", codec, "--quality", "0")
                    if done.returncode and codec == "av1" and "lossless" in done.stderr:
                        continue    # no libaom here: nothing is promised
                    self.done(done)
                    path = self.folder / name
                    path = next(path.glob("*.m3u8")) if path.is_dir() else path
                    self.assertEqual(pictures(path), (self.source, ""))

    def test_small_av1_in_matroska(self):
        self.done(self.transcode("small.mkv", "--codec", "av1", "--size", "32x32"))
        self.assertEqual(len(pictures(self.folder / "small.mkv")[0]), FRAMES)

    def test_bframes(self):
        for codec in "h264", "hevc":
            for number in 0, 6, 16:
                with self.subTest(codec=codec, number=number):
                    self.done(self.transcode("b.mkv", "--codec", codec, "--bframes", number))
                    self.assertEqual(len(pictures(self.folder / "b.mkv")[0]), FRAMES)
        self.refused(self.transcode("b-av1.mkv", "--codec", "av1", "--bframes", "2"), "--bframes")

    def test_bit_rates(self):
        for codec in "h264", "hevc", "av1":
            for kbps in 1, 2, 10, 1000000:
                with self.subTest(codec=codec, kbps=kbps):
                    done = self.transcode(f"rate-{codec}-{kbps}/", "--codec", codec, "--bitrate", kbps,
                                          "--gop", "0.5", "--segment", "0.5")
                    if codec == "av1" and kbps == 1000000:
                        self.refused(done, "lower --bitrate")
                        continue
                    self.done(done)
                    if kbps == 1:
                        self.assertRegex(done.stderr, r"warning: .* bit rate is [0-9.]+ kbit/s instead of 1")
                    self.check_bandwidth(self.folder / f"rate-{codec}-{kbps}")

    def check_bandwidth(self, folder):
        """RFC 8216 4.3.4.2: no run of segments of 0.5 to 1.5 target durations has a higher rate."""
        master = next(folder.glob("*.m3u8")).read_text()
        said = int(re.search(r"[:,]BANDWIDTH=(\d+)", master)[1])
        media = folder / re.search(r"(?m)^[^#\n]+$", master)[0]
        text = media.read_text()
        target = int(re.search(r"TARGETDURATION:(\d+)", text)[1])
        segments = [(float(seconds), 8 * (media.parent / name).stat().st_size)
                    for seconds, name in re.findall(r"#EXTINF:([0-9.]+),\n(\S+)", text)]
        for first in range(len(segments)):
            for last in range(first + 1, len(segments) + 1):
                seconds, bits = map(sum, zip(*segments[first:last]))
                if 0.5 * target <= seconds <= 1.5 * target:
                    self.assertLessEqual(bits / seconds, said + 1)

    def test_profiles(self):
        kept = self.folder / "kept.mkv"
        kept.write_text("a file that was there")
        for options, named in ((("--profile", "bogus"), "--profile one of baseline"),
                               (("--profile", "bogus", "--codec", "hevc"), "--profile one of main"),
                               (("--profile", "high", "--codec", "av1"), "--profile one of main"),
                               (("--profile", "main", "--quality", "0"), "--profile"),
                               (("--profile", "baseline", "--bframes", "2"), "--profile"),
                               (("--profile", "x" * 40), "--profile"),
                               (("--quality", "52",), "1 to 51")):
            with self.subTest(options=options):
                self.refused(self.transcode("kept.mkv", *options), named)
                self.assertEqual(kept.read_text(), "a file that was there")
        self.done(self.transcode("high444.mkv", "--profile", "high444", "--quality", "0"))
        self.done(self.transcode("main10.mkv", "--profile", "main10", "--codec", "hevc"))


if __name__ == "__main__":
    RGPU = os.path.abspath(sys.argv[1])
    if not shutil.which("ffmpeg"):
        print("ffmpeg is not here")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
