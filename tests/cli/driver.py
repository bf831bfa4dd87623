#!/usr/bin/env python3
"""What the command says of a driver that lacks a part, over the stand-in of NVIDIA's driver
(tests/standin) out of which libraries are taken.

    driver.py RGPU STANDIN_FOLDER
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

RGPU = ""
STANDIN = pathlib.Path()
LIMIT = 120
LINE_MAX = 240          # of a warning or a note: three lines of a terminal
SESSIONS_LINE_MAX = 200
CUVID, ENCODE = "libnvcuvid.so.1", "libnvidia-encode.so.1"
NAME = "NVIDIA GeForce RTX 4070 Ti SUPER"
ENCODERS = "h264:8:4096x4096:32x32,hevc:8/10:8192x8192:32x32"


def is_of_the_system(library):
    env = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    load = [sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])", library]
    return subprocess.run(load, env=env, capture_output=True, timeout=LIMIT).returncode == 0


class Driver(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.film = cls.folder / "film.mkv"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i",
                        "testsrc2=size=320x180:rate=25:duration=8", "-c:v", "libx264", "-preset",
                        "veryfast", "-g", "25", cls.film], check=True, timeout=LIMIT)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def without(self, *missing):
        """A folder with the stand-in but for some libraries."""
        for name in missing:
            if is_of_the_system(name):
                self.skipTest(f"this machine has a {name} of its own")
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        for path in STANDIN.glob("lib*.so*"):
            if path.is_file() and path.name not in missing:
                (folder / path.name).symlink_to(path)
        return folder

    def rgpu(self, folder, *args, **settings):
        env = {**os.environ, "LD_LIBRARY_PATH": str(folder), "STANDIN_NAME": NAME,
               "STANDIN_ENCODERS": ENCODERS,
               **{f"STANDIN_{name}": str(value) for name, value in settings.items()}}
        done = subprocess.run([RGPU, *map(str, args)], capture_output=True, text=True, timeout=LIMIT,
                              env=env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def transcode(self, folder, *options, **settings):
        """The warnings."""
        done = self.rgpu(folder, "transcode", self.film, self.folder / "o-{}.mkv", "-y", "--quiet",
                         "--json", "--speed", "p1", "--device", "cuda:0", *options, **settings)
        return json.loads(done.stdout.splitlines()[-1])["warnings"]

    def devices(self, folder, **settings):
        """What is said of the GPU: as text, and as JSON."""
        text = self.rgpu(folder, "devices", **settings).stdout.split("\ncpu ")[0]
        info = json.loads(self.rgpu(folder, "devices", "--json", **settings).stdout)["devices"][0]
        self.assertEqual(info["name"], "cuda:0")
        return text.splitlines(), info

    def readable(self, line, *words, most=LINE_MAX):
        self.assertNotIn("\n", line)
        self.assertLessEqual(len(line), most, line)
        for word in words:
            self.assertIn(word, line)

    def test_whole(self):
        lines, info = self.devices(STANDIN)
        self.assertNotIn("remark", info)
        self.assertFalse([line for line in lines if " note " in line])
        self.assertEqual(self.transcode(STANDIN, "--size", "160x90"), [])

    def test_no_decoding_library(self):
        folder = self.without(CUVID)
        words = "the CPU ", CUVID, "install libnvcuvid1", "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility"
        lines, info = self.devices(folder)
        self.assertIn("         decodes  -", lines)
        self.assertEqual((info["decoders"], info["encoders"]), ([], ["h264", "hevc"]))
        notes = [line for line in lines if line.startswith("         note     ")]
        self.assertEqual(len(notes), 1)
        self.readable(notes[0], *words)
        self.readable(info["remark"], *words)
        warnings = self.transcode(folder, "--size", "160x90")
        self.assertEqual(len(warnings), 1)
        self.readable(warnings[0], *words)

    def test_neither_library(self):
        folder = self.without(CUVID, ENCODE)
        lines, info = self.devices(folder)
        notes = [line for line in lines if line.startswith("         note     ")]
        warnings = self.transcode(folder, "--size", "160x90")
        for said in notes, info["remark"].split("\n"), warnings:
            self.assertEqual(len(said), 2, said)
            for library in CUVID, ENCODE:
                of_it = [line for line in said if library in line]
                self.assertEqual(len(of_it), 1, said)
                self.readable(of_it[0], "the CPU ", f"install {library[:-5]}1")

    def test_a_library_that_does_not_load(self):
        """The loader's own words, then: they are what helps."""
        folder = self.without()
        (folder / CUVID).unlink()
        (folder / CUVID).write_text("no library\n")
        _, info = self.devices(folder)
        self.readable(info["remark"].replace(str(folder), ""), "file too short", "install libnvcuvid1")

    def test_figures_that_the_driver_does_not_say(self):
        """They are left out, and no reason not to work on the device."""
        fail = "cuDeviceGetAttribute:1+:999,cuDeviceGetName:1+:999"
        lines, info = self.devices(STANDIN, FAIL=fail)
        self.assertNotIn("0.0", "\n".join(lines))
        self.assertIn("h264", info["decoders"])
        self.assertEqual(info["description"], "NVIDIA GPU")
        self.assertNotIn("remark", info)

    def test_no_gpu(self):
        """The CPU's note says why, where somebody looks for one."""
        env = {**os.environ, "LD_LIBRARY_PATH": str(STANDIN), "STANDIN_DEVICES": "0"}
        done = subprocess.run([RGPU, "devices", "--json"], capture_output=True, text=True,
                              timeout=LIMIT, env=env)
        (cpu,) = json.loads(done.stdout)["devices"]
        self.assertEqual(cpu["name"], "cpu")
        self.assertRegex(cpu["remark"], r"\Ano GPU: [^\n]*nvidia-smi[^\n]*--gpus all")

    def test_too_few_encoders(self):
        """Of another process, or for all that is asked."""
        words = "all its encoder sessions are taken", "--jobs", "NV_ENC_ERR_OUT_OF_MEMORY"
        ladder = "--ladder", "240p,360p", "--upscale", "--segment", "1", "--jobs"
        for jobs, sessions in ((1, 1), (4, 2)):
            with self.subTest(jobs=jobs):
                warnings = self.transcode(STANDIN, *ladder, jobs, ENCODE_SESSIONS_MAX=sessions)
                self.assertEqual(len(warnings), 1, warnings)
                self.readable(warnings[0], *words, most=SESSIONS_LINE_MAX)


if __name__ == "__main__":
    RGPU = os.path.abspath(sys.argv[1])
    STANDIN = pathlib.Path(sys.argv[2]).resolve()
    if not shutil.which("ffmpeg"):
        print("ffmpeg is not here")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
