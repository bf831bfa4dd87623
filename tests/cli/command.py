#!/usr/bin/env python3
"""The command from outside, on a stand-in for the library (fake.c): exit codes, streams, JSON,
signals, a terminal, completion, and that help, man page and option table say the same.

    command.py RGPU_FAKE SOURCE_ROOT
"""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

RGPU = ""
ROOT = pathlib.Path()
LIMIT = 30


def rgpu(*args, **more):
    more.setdefault("env", {**os.environ, **more.pop("add_env", {})})
    return subprocess.run([RGPU, *args], capture_output=True, timeout=LIMIT, **more)


def params(*args):
    """The parameters that the library was given."""
    with tempfile.NamedTemporaryFile() as log:
        done = rgpu("transcode", *args, add_env={"RGPU_FAKE_LOG": log.name})
        if done.returncode != 0:
            raise AssertionError(done.stderr.decode())
        return dict(line.split("=", 1) for line in log.read().decode().splitlines())


class Params(unittest.TestCase):
    def test_defaults_are_zero(self):
        got = params("fake:", "out.mp4")
        self.assertEqual(got["input"], "fake:")
        self.assertEqual(got["output"], "out.mp4")
        for key in ("jobs", "segment", "gop", "upscale", "overwrite", "verify", "strip", "no_fallback", "threads", "intra_refresh",
                    "deinterlace"):
            self.assertEqual(got[key], "0", key)
        for key in ("device", "audio", "map"):
            self.assertEqual(got[key], "(null)", key)
        self.assertEqual(got["rungs"], "1")
        self.assertEqual(got["rung0"], "(null) 0x0 fps=0.000 kbps=0 q=0 (null) p0 (null) b=0")

    def test_every_option_arrives(self):
        got = params("--ladder", "1080p,source,360p", "--size=640x", "fake:", "--fps", "24000/1001",
                     "out/", "--quality", "0", "--gop=2.5", "--codec", "hevc_nvenc", "--speed=p6",
                     "--profile", "main10", "--bframes", "0", "--upscale", "--audio", "opus:96",
                     "--map", "v,a:0", "--start", "1:00:01.5", "--duration=90", "--device", "cuda:1",
                     "--jobs", "3", "--segment", "4", "--deinterlace", "off", "--strip-dynamic-hdr",
                     "--no-fallback", "--threads", "2", "--intra-refresh", "--overwrite", "--quiet", "--verify")
        rung = "640x0 fps=23.976 kbps=0 q=-1 hevc_nvenc p6 main10 b=-1"
        self.assertEqual(got, {
            "input": "fake:", "output": "out/", "device": "cuda:1", "audio": "opus:96",
            "map": "v,a:0", "jobs": "3", "segment": "4", "gop": "2.5", "start": "3601.500",
            "duration": "90.000", "deinterlace": "1", "upscale": "1", "overwrite": "1",
            "verify": "1", "strip": "1", "no_fallback": "1", "threads": "2", "intra_refresh": "1", "rungs": "3",
            "rung0": "1080p " + rung,
            "rung1": "source 0x0 fps=0.000 kbps=0 q=0 (null) p0 (null) b=0",
            "rung2": "360p " + rung})

    def test_overwrite_has_a_letter(self):
        self.assertEqual(params("fake:", "o", "-y")["overwrite"], "1")

    def test_the_last_one_counts(self):
        self.assertIn("kbps=7 ", params("fake:", "o", "--bitrate", "5", "--bitrate=7")["rung0"])


class Exits(unittest.TestCase):
    def one_line(self, done, status, *texts):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertRegex(done.stderr.decode(), r"\Argpu: [^\n]+\n\Z")
        for text in texts:
            self.assertIn(text, done.stderr.decode())

    def test_library_errors(self):
        expected = {"MEMORY": 1, "PARAM": 2, "NOT_FOUND": 3, "ACCESS": 3, "EXISTS": 4,
                    "NO_SPACE": 4, "IO": 4, "INPUT": 3, "UNSUPPORTED": 5, "DEVICE": 5, "NODE": 7,
                    "LIMIT": 3, "INTERNAL": 1, "-99": 1}
        for name, status in expected.items():
            done = rgpu("transcode", f"fake:error={name}", "out.mp4", "--quiet")
            self.one_line(done, status, "it ended with RGPU_ERROR_")
            self.assertEqual(done.stdout, b"")
            self.one_line(rgpu("transcode", f"fake:open={name}", "out.mp4"), status, "cannot open")
        self.one_line(rgpu("transcode", "fake:error=VERIFY", "o", "--quiet"), 6)

    def test_usage(self):
        self.one_line(rgpu("transcode", "a"), 2, "IN OUT")
        self.one_line(rgpu("transcode", "a", "b", "--prest", "x"), 2, "did you mean '--preset'?")
        self.one_line(rgpu("transcode", "a", "b", "--preset", "721p"), 2, "'721p'", "720p")
        for option, value in (("--quality", "-0"), ("--bframes", "-0"), ("--start", "-0"),
                              ("--start", "-0:30"), ("--start", "-0.0")):
            self.one_line(rgpu("transcode", "a", "b", option, value), 2, option, f"'{value}'")
        self.one_line(rgpu("transcode", "a", "b", "--quality", "-1"), 2, "out of range")
        self.one_line(rgpu("trancode"), 2, "did you mean 'transcode'?")
        self.one_line(rgpu("help", "prob"), 2, "did you mean 'probe'?")
        self.one_line(rgpu("devices", "x"), 2, "too many: rgpu devices [options]")
        self.one_line(rgpu("transcode", "a", "b", "--gpu"), 2, "'--gpu'; see 'rgpu help transcode'")
        self.one_line(rgpu("probe", "nothing"), 3, "nothing: no such file")
        self.one_line(rgpu("bench", "--device", "cuda:7"), 5, "cuda:7")
        none = rgpu()
        self.assertEqual((none.returncode, none.stdout), (2, b""))
        self.assertIn(b"Usage: rgpu VERB", none.stderr)

    def test_unknown_text_stays_on_its_line(self):
        self.one_line(rgpu("transcode", "a", "b", "c\nd\x1b[2J"), 2, "c?d?[2J")

    def test_version_and_help(self):
        self.assertEqual(rgpu("--version").stdout, b"rgpu 0.0.0-fake\n")
        self.assertEqual(rgpu("help").stdout, rgpu("--help").stdout)
        for verb in ("transcode", "probe", "devices", "bench", "help"):
            help_text = rgpu("help", verb).stdout.decode()
            self.assertEqual(rgpu(verb, "--help").stdout.decode(), help_text)
            self.assertIn(f"Usage: rgpu {verb}", help_text)
            self.assertLessEqual(max(map(len, help_text.splitlines())), 80, verb)

    def test_help_has_the_exit_codes(self):
        codes = rgpu("help").stdout.decode().split("Exit codes:\n")[1]
        self.assertEqual(rgpu("help", "transcode").stdout.decode().split("Exit codes:\n")[1], codes)
        self.assertEqual(len(codes.splitlines()), 9)
        self.assertRegex(codes, r"(?m)^    7  .* try again, or --device cpu$")

    def test_standard_output_that_fails(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([RGPU, "help"], stdout=full, stderr=subprocess.PIPE, timeout=LIMIT)
        self.assertEqual(done.returncode, 4)
        self.assertIn(b"No space left", done.stderr)

    def test_reader_that_leaves(self):
        reads, writes = os.pipe()
        os.close(reads)
        done = subprocess.run([RGPU, "transcode", "fake:ms=300", "o", "--json"], stdout=writes,
                              stderr=subprocess.PIPE, timeout=LIMIT)
        os.close(writes)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_closed_streams(self):
        done = subprocess.run(["sh", "-c", '"$0" transcode fake: out <&- >&- 2>&-', RGPU],
                              timeout=LIMIT)
        self.assertEqual(done.returncode, 0)


class Shows(unittest.TestCase):
    def test_table(self):
        done = rgpu("transcode", "fake:warnings=2", "o", "--ladder", "1080p,360p")
        lines = done.stdout.decode().splitlines()
        self.assertEqual(lines[0].split(), "Rendition Picture Size Bit rate Frames Speed File".split())
        self.assertEqual(len(lines), 4)
        self.assertIn("1920x1080    10.0 MB   2.50 Mb/s     1800   4.10x  out-0\"?.mp4", lines[1])
        self.assertRegex(lines[3], r"^1800 frames \(1:00\) in [\d.]+ s on cpu: 123.4 frames/s")
        warnings = [line for line in done.stderr.decode().splitlines() if "warning" in line]
        self.assertEqual(warnings, ['warning: track 3 (hdmv_pgs) is left out: "mp4" cannot?hold it'] * 2)
        self.assertIn("PSNR", rgpu("transcode", "fake:", "o", "--verify").stdout.decode())

    def test_a_short_job_prints_no_progress_into_a_pipe(self):
        self.assertEqual(rgpu("transcode", "fake:ms=300", "o").stderr, b"")

    def test_quiet(self):
        done = rgpu("transcode", "fake:warnings=3,ms=100", "o", "--quiet")
        self.assertEqual((done.stdout, done.stderr), (b"", b""))

    def test_verbose(self):
        done = rgpu("transcode", "fake:", "o", "--verbose")
        self.assertEqual(done.stderr.decode().splitlines(), ["info: a line?of the library"])
        self.assertEqual(rgpu("transcode", "fake:", "o").stderr, b"")

    def test_the_time_before_the_input_is_open(self):
        done = rgpu("transcode", "fake:ms=1500,opening_ms=900", "o", "--json")
        states = [json.loads(line)["state"] for line in done.stdout.decode().splitlines()]
        self.assertEqual(states, ["opening", "running", "done"])

    def test_json(self):
        done = rgpu("transcode", "fake:ms=1500,warnings=1,name=\"\\\xff", "o", "--json", "--verify",
                    "--preset", "720p")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        events = [json.loads(line) for line in done.stdout.decode().splitlines()]
        kinds = [event["event"] for event in events]
        self.assertEqual(kinds.count("summary"), 1)
        self.assertEqual(kinds[-1], "summary")
        self.assertEqual(kinds.count("progress"), 2)    # at 0 and at 1 s
        warning = next(event for event in events if event["event"] == "warning")
        self.assertIn("\"mp4\" cannot\nhold", warning["text"])
        summary = events[-1]
        self.assertEqual(summary["warnings"], [warning["text"]])
        self.assertEqual((summary["ok"], summary["exit_code"], summary["state"]), (True, 0, "done"))
        self.assertEqual(summary["rungs"][0]["psnr_db"]["y"], 41.23)
        self.assertEqual(summary["rungs"][0]["output"], "out-0\"\x01.mp4")

    def test_json_of_a_failure(self):
        done = rgpu("transcode", "fake:error=NO_SPACE", "o", "--json", "--quiet")
        self.assertEqual(done.returncode, 4)
        summary = json.loads(done.stdout)
        self.assertEqual((summary["ok"], summary["exit_code"], summary["error"]),
                         (False, 4, "RGPU_ERROR_NO_SPACE"))
        self.assertEqual(summary["message"], "it ended with RGPU_ERROR_NO_SPACE\nand more")
        self.assertIn(b"rgpu: it ended", done.stderr)

    def test_unknown_figures_are_null(self):
        events = [json.loads(line) for line in rgpu("transcode", "fake:ms=1500,opening_ms=900", "o",
                                                    "--json").stdout.splitlines()]
        for key in "frames_per_second", "speed":
            self.assertIsNone(events[0][key])
            self.assertGreater(events[1][key], 0)
        info = json.loads(rgpu("probe", "fake:size=0", "--json").stdout)
        self.assertIsNone(info["size_bytes"])
        self.assertIsNone(info["tracks"][0]["bitrate_bps"])
        self.assertNotIn(" 0 B", rgpu("probe", "fake:size=0").stdout.decode())
        self.assertEqual(json.loads(rgpu("probe", "fake:", "--json").stdout)["size_bytes"], 1)

    def test_unknown_length(self):
        events = rgpu("transcode", "fake:percent=-1,ms=100", "o", "--json").stdout.splitlines()
        self.assertIsNone(json.loads(events[0])["percent"])

    def test_probe(self):
        text = rgpu("probe", "fake:film", "--points").stdout.decode()
        self.assertIn("#0 video      h264 1920x1080 29.97 fps yuv420p", text)
        self.assertIn("Special: open GOP\n", text)
        self.assertIn("    2.002000 open\n  and 1 more\n", text)
        self.assertIn('"M"ain??", default', text)
        info = json.loads(rgpu("probe", "fake:film", "--json", "--points").stdout)
        self.assertEqual(info["tracks"][1]["title"], "M\"ain\n\ufffd")
        self.assertEqual((info["open_gop"], info["hdr10"]), (True, False))
        self.assertEqual(info["points"][1], {"seconds": 2.002, "open": True})

    def test_devices_and_bench(self):
        self.assertIn("A \"CPU\", 2 processors, 8.0 GB", rgpu("devices").stdout.decode())
        gpu, cpu = json.loads(rgpu("devices", "--json").stdout)["devices"]
        self.assertEqual(cpu["encoders"], ["h264 (libx264)", "hevc (libx265)"])
        self.assertNotIn("temperature_c", cpu)
        self.assertEqual((gpu["compute_percent"], gpu["power_mw"]), (12, 71400))
        self.assertEqual(gpu["remark"], "a remark\nanother")
        self.assertNotIn("encoder_percent", gpu)
        self.assertEqual((gpu["clock_mhz"], gpu["memory_clock_mhz"]), (1980, 2619))
        self.assertEqual(gpu["slowed_by"], ["power cap", "heat"])
        self.assertNotIn("video_clock_mhz", gpu)
        self.assertNotIn("slowed_by", cpu)
        lines = rgpu("devices").stdout.decode().splitlines()
        self.assertIn("         encodes  -", lines)
        self.assertIn("         note     a remark", lines)
        self.assertIn("         note     another", lines)
        self.assertNotIn("processor", lines[0])     # the CPU's are no cores of the GPU
        self.assertIn("         use      cores 12 %, decoder 0 %, memory 1.5 GB, 45 C, 71 W", lines)
        self.assertIn("         clocks   cores 1980 MHz, memory 2619 MHz", lines)
        self.assertIn("         slowed   by power cap, heat", lines)
        self.assertEqual(len([line for line in lines if " use " in line or " clocks " in line]), 2)
        self.assertEqual(len(rgpu("bench").stdout.splitlines()), 4)
        figures = rgpu("bench", "--json", "--seconds", "0.5").stdout.splitlines()
        self.assertEqual(json.loads(figures[2])["frames_per_second"], 0.5)


class Signals(unittest.TestCase):
    def start(self, name, *more):
        # Whoever runs the tests may have been told to ignore a signal (nohup), and the job would too.
        def listen():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)

        job = subprocess.Popen([RGPU, "transcode", name, "o", "--json", *more],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=listen)
        self.addCleanup(job.stderr.close)
        self.addCleanup(job.stdout.close)
        self.assertIn(b"progress", job.stdout.readline())   # it runs
        return job

    def test_one_signal_cancels(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            job = self.start("fake:ms=60000")
            job.send_signal(number)
            out, err = job.communicate(timeout=LIMIT)
            self.assertEqual((job.returncode, err), (128 + number, b"rgpu: stopped\n"))
            summary = json.loads(out.splitlines()[-1])
            self.assertEqual(summary["error"], "RGPU_ERROR_CANCELLED")
            self.assertEqual(summary["exit_code"], 128 + number)

    def test_second_signal_ends_at_once(self):
        job = self.start("fake:ms=60000,deaf=1")
        job.send_signal(signal.SIGINT)
        time.sleep(1)
        self.assertIsNone(job.poll())       # it waits for a job that does not listen
        job.send_signal(signal.SIGTERM)
        self.assertEqual(job.wait(LIMIT), 143)

    def test_a_signal_that_comes_twice_at_once_is_one(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            job = self.start("fake:ms=60000")
            job.send_signal(signal.SIGTERM)
            job.send_signal(second)
            out, err = job.communicate(timeout=LIMIT)
            self.assertEqual(err, b"rgpu: stopped\n")
            self.assertIn(job.returncode, (143, 128 + second))
            self.assertEqual(json.loads(out.splitlines()[-1])["exit_code"], job.returncode)

    def test_under_timeout(self):
        # It signals the child, and then its group, in which the child is.
        for _ in range(3):
            done = subprocess.run(["timeout", "--preserve-status", "1", RGPU, "transcode", "fake:ms=60000",
                                   "o", "--json"], capture_output=True, timeout=LIMIT)
            self.assertEqual((done.returncode, done.stderr), (143, b"rgpu: stopped\n"))
            self.assertEqual(json.loads(done.stdout.splitlines()[-1])["event"], "summary")

    def test_ignored_signal_stays_ignored(self):
        job = subprocess.Popen(["sh", "-c", 'trap "" HUP; exec "$0" transcode fake:ms=1000 o --json',
                                RGPU], stdout=subprocess.PIPE)
        self.addCleanup(job.stdout.close)
        self.assertIn(b"progress", job.stdout.readline())
        job.send_signal(signal.SIGHUP)
        job.communicate(timeout=LIMIT)
        self.assertEqual(job.returncode, 0)

    def test_bench_stops_within_a_figure(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            job = subprocess.Popen([RGPU, "bench", "--seconds", "60"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, bufsize=0)
            self.addCleanup(job.stdout.close)
            self.addCleanup(job.stderr.close)
            self.assertIn(b"Frames/s", job.stdout.readline())
            job.send_signal(number)
            out, err = job.communicate(timeout=LIMIT)
            self.assertEqual((job.returncode, out, err), (128 + number, b"", b"rgpu: stopped\n"))

    def test_probe_stops(self):
        job = subprocess.Popen([RGPU, "probe", "fake:ms=60000"], stderr=subprocess.PIPE)
        self.addCleanup(job.stderr.close)
        time.sleep(0.3)
        job.send_signal(signal.SIGTERM)
        self.assertEqual(job.wait(LIMIT), 143)


class Screen:
    """As much of a terminal as the progress line needs: text, CR, LF, up, clear to the end."""

    def __init__(self, columns):
        self.columns, self.rows, self.x, self.y = columns, [""], 0, 0

    def put(self, char):
        if self.x == self.columns:
            self.x, self.y = 0, self.y + 1
        while len(self.rows) <= self.y:
            self.rows.append("")
        row = self.rows[self.y].ljust(self.x)
        self.rows[self.y] = row[:self.x] + char + row[self.x + 1:]
        self.x += 1

    def feed(self, text):
        for part in re.findall(r"\033\[[0-9]*[A-Z]|.", text, re.S):
            if part == "\r":
                self.x = 0
            elif part == "\n":
                self.y += 1
                if self.y == len(self.rows):
                    self.rows.append("")
            elif part == "\033[A":
                self.y = max(0, self.y - 1)
            elif part == "\033[J":
                self.rows = self.rows[:self.y] + [self.rows[self.y][:self.x]]
            elif part.startswith("\033"):
                raise AssertionError(f"unexpected {part!r}")
            else:
                self.put(part)

    def resize(self, columns):
        """Breaks each row anew, as terminals do; the cursor stays behind the same character."""
        rows = []
        for row in self.rows:
            cut = [row[i:i + columns] for i in range(0, len(row), columns)] or [""]
            rows += cut
        self.rows, self.columns = rows, columns
        self.y, self.x = len(rows) - 1, len(rows[-1])


class Terminal(unittest.TestCase):
    def start(self, columns, *args):
        leader, follower = pty.openpty()
        self.size(leader, columns)
        job = subprocess.Popen([RGPU, *args], stdout=follower, stderr=follower, stdin=follower,
                               env={**os.environ, "TERM": "xterm"}, start_new_session=True)
        os.close(follower)
        self.addCleanup(os.close, leader)
        return leader, job

    def size(self, leader, columns):
        fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self, leader, until=None):
        text, end = "", time.monotonic() + LIMIT
        while time.monotonic() < end and not (until and re.search(until, text)):
            if select.select([leader], [], [], 0.1)[0]:
                try:
                    data = os.read(leader, 4096)
                except OSError:
                    break
                if not data:
                    break
                text += data.decode()
        return text

    def test_one_line_that_goes_away(self):
        leader, job = self.start(100, "transcode", "fake:ms=1500,warnings=1", "o")
        text = self.read(leader)
        self.assertEqual(job.wait(LIMIT), 0)
        self.assertGreater(text.count("\r\033[J["), 3)      # was rewritten
        screen = Screen(100)
        screen.feed(text)
        self.assertTrue(screen.rows[0].startswith("warning: "), screen.rows)
        self.assertTrue(screen.rows[1].startswith("Rendition"), screen.rows)
        self.assertFalse(any(row.startswith("[") for row in screen.rows))

    def test_narrower_in_between(self):
        leader, job = self.start(100, "transcode", "fake:ms=1500", "o")
        screen = Screen(100)
        screen.feed(self.read(leader, until=r"MB|kB"))
        self.size(leader, 30)
        screen.resize(30)
        screen.feed(self.read(leader))
        self.assertEqual(job.wait(LIMIT), 0)
        self.assertFalse(any(row.startswith("[") or " fps " in row for row in screen.rows),
                         screen.rows)

    def test_ctrl_c(self):
        leader, job = self.start(80, "transcode", "fake:ms=60000", "o")
        self.read(leader, until="left")
        job.send_signal(signal.SIGINT)
        text = self.read(leader)
        self.assertEqual(job.wait(LIMIT), 130)
        self.assertIn("stopping; Ctrl-C again ends at once\r\nrgpu: stopped\r\n", text)


class Completion(unittest.TestCase):
    def offers(self, *words):
        return rgpu("__complete", *words).stdout.decode().split()

    def test_words(self):
        self.assertEqual(self.offers("pr"), ["probe"])
        self.assertEqual(self.offers("help", "tr"), ["transcode"])
        self.assertEqual(self.offers("transcode", "--st"), ["--start", "--strip-dynamic-hdr"])
        self.assertEqual(self.offers("devices", "-"), ["--json", "--help", "-h"])
        self.assertEqual(self.offers("devices", "--"), ["--json", "--help"])
        self.assertEqual(self.offers("transcode", "-y"), ["-y"])
        self.assertEqual(self.offers("transcode", "-q"), [])
        self.assertEqual(self.offers("transcode", "-yv"), [])
        self.assertEqual(self.offers("transcode", "--codec", "he"), ["hevc", "hevc_nvenc"])
        self.assertEqual(self.offers("transcode", "--codec", "=", "av1_"), ["av1_nvenc"])
        self.assertEqual(self.offers("transcode", "--codec", "="), self.offers("transcode", "--codec", ""))
        self.assertEqual(self.offers("transcode", "--ladder", "720p,1"), ["720p,1080p"])
        self.assertEqual(self.offers("transcode", "fi"), [])
        self.assertEqual(self.offers("nothing", "--"), [])
        self.assertEqual(self.offers(), [])

    def test_in_bash(self):
        script = f"""
            PATH={pathlib.Path(RGPU).parent}:$PATH
            rgpu() {{ {RGPU} "$@"; }}
            . {ROOT}/packaging/completion/rgpu.bash
            COMP_WORDS=(rgpu transcode in out --cod); COMP_CWORD=4; _rgpu; echo "${{COMPREPLY[@]}}"
            COMP_WORDS=(rgpu transcode --codec = h264_); COMP_CWORD=4; _rgpu; echo "${{COMPREPLY[@]}}"
            COMP_WORDS=(rgpu transcode --map x); COMP_CWORD=2; _rgpu; echo "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=LIMIT)
        self.assertEqual(done.stdout.decode().splitlines(), ["--codec", "h264_nvenc", "--map"])
        self.assertEqual(done.stderr, b"")


class Documents(unittest.TestCase):
    def test_man_page_has_what_the_help_has(self):
        page = (ROOT / "docs/man/rgpu.1").read_text().replace("\\-", "-")
        tagged = set(re.findall(r"^\.(?:B|BR|BI|IP).*?(--[a-z-]+)", page, re.M))
        helped = set()
        for verb in ("transcode", "probe", "devices", "bench"):
            helped |= set(re.findall(r"^  (?:-., )?(--[a-z-]+)", rgpu("help", verb).stdout.decode(), re.M))
        self.assertEqual(helped - tagged, set())
        self.assertEqual(tagged - helped, {"--help", "--version"})
        for line in rgpu("help").stdout.decode().split("Exit codes:\n")[1].splitlines():
            code = line.split()[0]
            self.assertRegex(page, rf"(?m)^\.B {code}$")

    def test_ends_of_names(self):
        """Each end of a name that the library takes is in the help, the man page and the README."""
        table = (ROOT / "src/file/container.c").read_text()
        ends = re.findall(r'\{"(\.[a-z0-9]+)", CONTAINER_', table)
        self.assertGreater(len(ends), 9)
        for name, text in (("help", rgpu("help", "transcode").stdout.decode()),
                           ("man page", (ROOT / "docs/man/rgpu.1").read_text()),
                           ("README", (ROOT / "README.md").read_text()),
                           ("error", (ROOT / "src/file/outputs.c").read_text())):
            for end in ends:
                self.assertRegex(text, re.escape(end) + r"\b", name)

    def test_kinds_of_the_map(self):
        letters = re.search(r'kind_letters\[\] = "([a-z]+)"', (ROOT / "src/api/select.c").read_text())[1]
        page = (ROOT / "docs/man/rgpu.1").read_text()
        for letter in letters:
            self.assertRegex(page, rf"(?m)^\.BR {letter} \\ \(")

    def test_man_page_is_clean(self):
        try:
            done = subprocess.run(["groff", "-man", "-ww", "-z", ROOT / "docs/man/rgpu.1"],
                                  capture_output=True, timeout=LIMIT)
        except FileNotFoundError:
            self.skipTest("no groff")
        self.assertEqual(done.stderr.decode(), "")


if __name__ == "__main__":
    RGPU, ROOT = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1], verbosity=2)
