#!/usr/bin/env python3
"""The command and the examples with the real library, on a film that ffmpeg makes.

    real.py RGPU EXAMPLE_TRANSCODE EXAMPLE_STREAM
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

RGPU = TRANSCODE = STREAM = ""
LIMIT = 120
FRAMES, SECONDS = 75, 3


def run(*args):
    return subprocess.run([str(arg) for arg in args], capture_output=True, text=True, timeout=LIMIT)


def tracks(path):
    done = run("ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", path)
    return json.loads(done.stdout)["streams"]


class Real(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.film = cls.folder / "film.mkv"
        done = run("ffmpeg", "-v", "error", "-f", "lavfi", "-i",
                   f"testsrc2=size=320x180:rate=25:duration={SECONDS}", "-f", "lavfi", "-i",
                   f"sine=duration={SECONDS}", "-c:v", "libx264", "-preset", "veryfast", "-g", "25",
                   "-c:a", "aac", "-metadata:s:a:0", "language=eng", cls.film)
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def done(self, process, status=0):
        self.assertEqual(process.returncode, status, process.stdout + process.stderr)
        return process

    def test_ladder_with_a_file_each(self):
        out = self.folder / "each-{}.mp4"
        done = self.done(run(RGPU, "transcode", self.film, out, "--ladder", "source,240p", "--verify",
                             "--json", "--upscale", "--speed", "p1"))
        events = [json.loads(line) for line in done.stdout.splitlines()]
        summary = events[-1]
        self.assertEqual((summary["event"], summary["ok"], len(summary["rungs"])), ("summary", True, 2))
        for rung in summary["rungs"]:
            streams = tracks(rung["output"])
            self.assertEqual([s["codec_type"] for s in streams], ["video", "audio"])
            self.assertEqual(int(streams[0]["nb_read_packets"]), FRAMES)
            self.assertEqual(rung["frames"], FRAMES)
            self.assertEqual(rung["height"], streams[0]["height"])
        self.assertEqual(sorted(p.name for p in self.folder.glob("each-*")),
                         ["each-240p.mp4", "each-source.mp4"])

    def test_table_and_existing_output(self):
        out = self.folder / "one.mkv"
        args = (RGPU, "transcode", self.film, out, "--size", "160x90", "--speed", "p1")
        done = self.done(run(*args))
        self.assertIn(f"{FRAMES} frames (0:0{SECONDS})", done.stdout)
        self.assertIn("160x90", done.stdout)
        before = out.read_bytes()
        again = self.done(run(*args), 4)
        self.assertRegex(again.stderr, r"\Argpu: [^\n]*one\.mkv[^\n]*\n\Z")
        self.assertEqual(out.read_bytes(), before)
        self.done(run(*args, "-y", "--quiet"))

    def test_exit_codes(self):
        out = self.folder / "none.mp4"
        text = self.folder / "text.mkv"
        text.write_text("no film\n" * 1000)
        for args, status in (((self.folder / "missing.mkv", out), 3), ((text, out), 3),
                             ((self.folder, out), 3), ((self.film, self.folder / "no/such/o.mp4"), 4),
                             ((self.film, self.folder / "o.xyz"), 2),
                             ((self.film, out, "--device", "cuda:900"), 5)):
            with self.subTest(args=args):
                done = run(RGPU, "transcode", *args)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertRegex(done.stderr, r"\Argpu: [^\n]+\n\Z")
                self.assertEqual(done.stdout, "")
                self.assertFalse(out.exists())
        if os.path.exists("/dev/full"):
            self.assertEqual(run("sh", "-c", f'"{RGPU}" devices > /dev/full').returncode, 4)

    def test_options_are_looked_at_before_the_input(self):
        """Standard input stays open and silent: what is wrong anyway is said without it."""
        out = self.folder / "early.mp4"
        for options, told in ((("--quality", "60"), "quality 60"), (("--preset", "nope"), "nope"),
                              (("--profile", "foo"), "baseline, main"), (("--verify",), "standard input"),
                              (("--map", "x"), "'x'")):
            with self.subTest(options=options), \
                 subprocess.Popen([RGPU, "transcode", "-", out, *options], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
                try:
                    self.assertEqual(job.wait(LIMIT), 2)
                finally:
                    job.kill()
                self.assertRegex(job.stderr.read(), rf"\Argpu: [^\n]*{told}[^\n]*\n\Z")
        done = subprocess.run([RGPU, "transcode", "pipe:0", out, "--verify"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT)
        self.assertIn("twice", self.done(done, 2).stderr)
        self.assertFalse(out.exists())

    def test_errors_name_the_rendition(self):
        done = self.done(run(RGPU, "transcode", self.film, self.folder / "b.mp4", "--preset", "240p",
                             "--profile", "baseline", "--bframes", "2"), 5)
        self.assertIn("rendition 240p (h264 ", done.stderr)

    def test_size_that_is_cut_is_said(self):
        out = self.folder / "cut.mp4"
        done = self.done(run(RGPU, "transcode", self.film, out, "--size", "1920x1080", "--speed", "p1"))
        self.assertRegex(done.stderr, r"(?m)^warning: [^\n]*320x180[^\n]*1920x1080[^\n]*--upscale")
        self.assertEqual(tracks(out)[0]["height"], 180)

    def test_copy_has_no_device(self):
        out = self.folder / "copy.mkv"
        args = (RGPU, "transcode", self.film, out, "--ladder", "source", "-y")
        self.assertRegex(self.done(run(*args)).stdout, rf"(?m)^{FRAMES} frames \(0:0{SECONDS}\) in [0-9.]+ s: ")
        summary = json.loads(self.done(run(*args, "--json")).stdout.splitlines()[-1])
        self.assertIsNone(summary["device"])

    def test_verbose_says_what_is_decided(self):
        done = self.done(run(RGPU, "transcode", self.film, self.folder / "said.mkv", "--size", "160x90", "-v"))
        self.assertRegex(done.stderr, r"(?m)^info: rendition 90p: h264 160x90 p4 quality \d+$")

    def test_part(self):
        out = self.folder / "part.mp4"
        self.done(run(RGPU, "transcode", self.film, out, "--start", "0:00:01.02", "--duration", "1",
                      "--speed", "p1", "--quiet"))
        self.assertEqual(int(tracks(out)[0]["nb_read_packets"]), 25)

    def test_siblings_of_the_containers(self):
        """What other ends of the name mean: each is what players take it for, with all tracks."""
        film = self.folder / "text.mkv"
        (self.folder / "text.srt").write_text("1\n00:00:00,500 --> 00:00:02,000\nGood evening\n")
        self.done(run("ffmpeg", "-v", "error", "-y", "-i", self.film, "-i", self.folder / "text.srt", "-map",
                      "0", "-map", "1", "-c", "copy", film))
        for name, options, kinds, codec in (
                ("o.m4v", (), ["video", "audio", "subtitle"], "aac"),
                ("o.mov", (), ["video", "audio", "subtitle"], "aac"),
                ("o.MOV", ("--codec", "hevc"), ["video", "audio", "subtitle"], "aac"),
                ("o-{}.webm", ("--codec", "av1"), ["video", "audio"], "opus"),
                ("o.mts", (), ["video", "audio"], "aac"), ("o.m2ts", (), ["video", "audio"], "aac")):
            with self.subTest(name=name):
                done = self.done(run(RGPU, "transcode", film, self.folder / name, "--speed", "p1", "--json",
                                     "--size", "160x90", "--verify", *options))
                warnings = json.loads(done.stdout.splitlines()[-1])["warnings"]
                self.assertEqual(len(warnings), "subtitle" not in kinds, warnings)
                out = self.folder / name.replace("{}", "90p")
                streams = tracks(out)
                self.assertEqual([s["codec_type"] for s in streams], kinds)
                self.assertEqual((int(streams[0]["nb_read_packets"]), streams[1]["codec_name"]),
                                 (FRAMES, codec))
                head = out.read_bytes()[:400]
                if name[-3:].lower() == "mov":
                    self.assertEqual(head[4:12], b"ftypqt  ")
                if name[-3:] == "mts" or name[-4:] == "m2ts":
                    self.assertEqual([head[4], head[196], head[388]], [0x47] * 3)
                text = run("ffmpeg", "-v", "error", "-i", out, "-map", "0:s?", "-f", "srt", "-")
                if "subtitle" in kinds:
                    self.assertIn("00:00:00,500 --> 00:00:02,000\nGood evening", text.stdout)

    def test_webm_and_mov_say_what_they_cannot_hold(self):
        for out, options, told in (("h264.webm", (), "--codec av1"),
                                   ("copied.webm", ("--ladder", "source"), "WebM"),
                                   ("aac.webm", ("--codec", "av1", "--audio", "aac"), "opus"),
                                   ("opus.mov", ("--audio", "opus"), "MOV")):
            with self.subTest(out=out):
                done = self.done(run(RGPU, "transcode", self.film, self.folder / out, *options), 2)
                self.assertRegex(done.stderr, r"\Argpu: [^\n]+\n\Z")
                self.assertIn(told, done.stderr)
                self.assertFalse((self.folder / out).exists())

    def test_flv_has_one_sound(self):
        """Two that are both encoded, both copied, or one and one: the second is left out in each case."""
        for codecs, options in ((("aac", "aac"), ("--audio", "aac")), (("ac3", "ac3"), ()),
                                (("aac", "ac3"), ()), (("ac3", "aac"), ()), (("aac", "aac"), ()),
                                (("ac3", "aac"), ("--audio", "copy"))):
            with self.subTest(codecs=codecs, options=options):
                film, out = self.folder / "two.ts", self.folder / "one.flv"
                self.done(run("ffmpeg", "-v", "error", "-y", "-i", self.film, "-map", "0:v", "-map", "0:a",
                              "-map", "0:a", "-c:v", "copy", "-c:a:0", codecs[0], "-c:a:1", codecs[1],
                              film))
                done = self.done(run(RGPU, "transcode", film, out, "-y", "--ladder", "source", *options))
                first_fits = codecs[0] == "aac" or options != ("--audio", "copy")
                told = r"2 \([^\n]* beside another" if first_fits else r"1 \([^\n]* cannot be stored in FLV"
                self.assertRegex(done.stderr, rf"\Awarning: audio track {told} and is left out[^\n]*\n\Z")
                self.assertEqual([s["codec_name"] for s in tracks(out)], ["h264", "aac"])

    def test_too_little_memory_is_no_fault_of_the_film(self):
        out = self.folder / "small.mkv"
        def limited(megabytes, *args):
            return run("sh", "-c", f'ulimit -v {megabytes * 1024} && exec "$@"', "sh", RGPU, *args)
        if limited(2000, "help").returncode != 0:
            self.skipTest("this build needs more addresses than that")
        for megabytes in range(240, 440, 20):
            with self.subTest(megabytes=megabytes):
                done = limited(megabytes, "transcode", self.film, out, "-y", "--quiet", "--speed", "p1")
                self.assertNotEqual(done.returncode, 3, done.stderr)

    def test_ctrl_c_leaves_nothing(self):
        folder = self.folder / "stopped"
        folder.mkdir()
        for number, output in ((signal.SIGINT, "a.mp4"), (signal.SIGTERM, "hls/")):
            with subprocess.Popen([RGPU, "transcode", self.film, f"{folder}/{output}", "--json", "--size",
                                   "3840x2160", "--upscale", "--speed", "p7"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) as job:
                self.assertIn("progress", job.stdout.readline())    # it runs
                job.send_signal(number)
                out, err = job.communicate(timeout=LIMIT)
            self.assertEqual((job.returncode, err), (128 + number, "rgpu: stopped\n"), out)
            self.assertEqual(list(folder.rglob("*")), [])

    def test_ctrl_c_while_the_input_stalls(self):
        out = self.folder / "stalled.mp4"
        for name in "-", "pipe:0":
            with self.subTest(name=name), \
                 subprocess.Popen([RGPU, "transcode", name, out, "--json"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
                try:
                    job.stdin.buffer.write(self.film.read_bytes()[:-1000])
                    job.stdin.flush()
                    self.assertIn("progress", job.stdout.readline())
                    job.send_signal(signal.SIGINT)
                    self.assertEqual(job.wait(20), 130)
                finally:
                    job.kill()
            self.assertFalse(out.exists())

    def test_probe(self):
        info = json.loads(self.done(run(RGPU, "probe", self.film, "--json", "--points")).stdout)
        self.assertEqual((info["frames"], info["points_count"]), (FRAMES, 3))
        first = info["points"][0]["seconds"]
        self.assertEqual([round(p["seconds"] - first, 6) for p in info["points"]], [0, 1, 2])
        self.assertEqual([t["kind"] for t in info["tracks"]], ["video", "audio"])
        self.assertEqual(info["tracks"][1]["language"], "eng")
        self.assertFalse(info["variable_rate"] or info["interlaced"] or info["hdr10"])

    def test_devices_and_help(self):
        names = [d["name"] for d in json.loads(self.done(run(RGPU, "devices", "--json")).stdout)["devices"]]
        self.assertIn("cpu", names)
        presets = self.done(run(RGPU, "help", "transcode")).stdout
        for name in "240p 360p 480p 720p 720p60 1080p 1080p60 1440p 4k 4k60".split():
            self.assertRegex(presets, rf"(?m)^  {name} +\d+x\d+ +at most ")

    def test_example_transcode(self):
        out = self.folder / "hls"
        done = self.done(run(TRANSCODE, self.film, f"{out}/"))
        self.assertIn(f"{FRAMES} frames", done.stdout)
        self.assertTrue(list(out.rglob("*.m3u8")))

    def test_the_library_prints_nothing_by_itself(self):
        """Nor do those under it: not what they say of MP4, and not of a film that is damaged."""
        damaged = self.folder / "damaged.mkv"
        data = bytearray(self.film.read_bytes())
        for at in range(len(data) // 2, len(data), 997):
            data[at] ^= 0x55
        damaged.write_bytes(data)
        for film in self.film, damaged:
            done = run(TRANSCODE, film, self.folder / "silent-{}.mp4")
            self.assertIn(done.returncode, (0,) if film == self.film else (0, 1))
            own = r"(opening the input|[0-9]+% at [0-9.]+ frames/s|warning: [^\n]+)\n"
            self.assertRegex(done.stderr, rf"\A({own})*\Z")
        self.done(run("ffmpeg", "-v", "error", "-xerror", "-i", self.film, "-f", "null", "-"))
        self.assertIn("[", run("ffmpeg", "-v", "error", "-i", damaged, "-f", "null", "-").stderr)

    def test_example_while_the_input_is_opening(self):
        with subprocess.Popen([TRANSCODE, "-", self.folder / "opening-{}.mp4"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
            first = job.stderr.readline()
            job.stdin.close()
            rest = job.stderr.read()
            self.assertEqual(job.wait(LIMIT), 1)
        self.assertEqual(first, "opening the input\n")
        self.assertNotIn("-1%", rest)

    def test_example_stream(self):
        large, small = self.folder / "large.h264", self.folder / "small.h264"
        done = self.done(run(STREAM, large, small))
        self.assertEqual((done.stdout, done.stderr), ("50 and 50 packets\n", ""))
        for path, size in ((large, (320, 180)), (small, (160, 90))):
            stream = tracks(path)[0]
            self.assertEqual((stream["width"], stream["height"]), size)
            decoded = run("ffmpeg", "-v", "error", "-i", path, "-f", "framemd5", "-")
            frames = [line for line in decoded.stdout.splitlines() if not line.startswith("#")]
            self.assertEqual((len(frames), decoded.stderr), (50, ""))


if __name__ == "__main__":
    RGPU, TRANSCODE, STREAM = map(os.path.abspath, sys.argv[1:4])
    if not shutil.which("ffmpeg") or not shutil.which("ffprobe"):
        print("ffmpeg is not here")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
