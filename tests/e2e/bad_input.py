#!/usr/bin/env python3
"""Inputs that are no films, or not whole.

    bad_input.py RGPU
"""
import os
import pathlib
import random
import signal
import stat
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from attempt import Attempt, frames_of  # noqa: E402
import films  # noqa: E402
from tools import report, run, thinned  # noqa: E402

SEED = 20
USAGE, INPUT, UNSUPPORTED = 2, 3, 5


class Bad:
    def __init__(self, rgpu, folder):
        self.rgpu, self.folder, self.problems = rgpu, folder, []
        self.random = random.Random(SEED)

    def attempt(self, what, source, codes, **more):
        """Must end with one of `codes`; gives the attempt."""
        done = Attempt(self.rgpu, source, self.folder / "out", **more)
        if done.code not in codes:
            done.problems.append(f"ended with {done.code}, not with {codes}: {done.error.strip()}")
        print(f"{what}: {done.code} {done.error.strip()[:160]}", flush=True)
        self.problems += [f"{what}: {line}" for line in done.problems]
        return done

    def file(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def names_it(self, what, done, name):
        if name not in done.error:
            self.problems.append(f"{what}: the error does not name {name}: {done.error!r}")

    def no_films(self):
        noise = self.random.randbytes(100_000)
        film = films.path("tiny").read_bytes()
        for name, data in (("empty.mp4", b""), ("one.mp4", b"\0"), ("noise.mp4", noise),
                           ("noise.ts", noise), ("noise", noise), ("zeros.mkv", bytes(100_000)),
                           ("text.mp4", b"This is a text, not a film.\n" * 500),
                           ("page.mp4", b"<!DOCTYPE html><title>404 Not Found</title>"),
                           ("list.m3u8", b"#EXTM3U\n#EXT-X-VERSION:3\nnothing.ts\n"),
                           ("header.mp4", film[:48]), ("ff.ts", b"\xff" * 50_000),
                           ("sync.ts", (b"\x47" + bytes(187)) * 200)):
            done = self.attempt(name, self.file(name, data), [INPUT])
            self.names_it(name, done, name)
        sound = self.folder / "sound.m4a"
        run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", "-y", sound])
        self.attempt("no video", sound, [INPUT, UNSUPPORTED])
        picture = self.folder / "text.srt"
        picture.write_text(films.SRT)
        self.attempt("subtitles only", picture, [INPUT, UNSUPPORTED])

    def no_files(self):
        done = self.attempt("missing", self.folder / "missing.mp4", [INPUT])
        self.names_it("missing", done, "missing.mp4")
        done = self.attempt("directory", self.folder, [INPUT, UNSUPPORTED])
        self.names_it("directory", done, self.folder.name)
        for device in ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty"):
            if os.path.exists(device) and stat.S_ISCHR(os.stat(device).st_mode):
                done = self.attempt(device, device, [INPUT, UNSUPPORTED], seconds=30)
                self.names_it(device, done, device)
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        # Somebody who opens it, writes nothing and goes away.
        writer = os.fork()
        if writer == 0:
            os.close(os.open(fifo, os.O_WRONLY))
            os._exit(0)
        self.attempt("empty pipe", fifo, [INPUT])
        os.kill(writer, 9)
        os.waitpid(writer, 0)
        for name in ("", "-y", "no/such/folder/film.mp4", "a" * 300, "http://127.0.0.1:9/film.mp4",
                     "concat:a|b", "film\n.mp4"):
            self.attempt(f"name {name[:30]!r}", name, [INPUT, USAGE])

    def piped(self):
        """An MP4 through a pipe, whatever pieces it comes in: all of it, or a refusal with a reason
        where its index comes last."""
        source = films.path("tiny")
        whole = frames_of(source)
        copy = ["ffmpeg", "-v", "error", "-i", source, "-map", "0", "-c", "copy"]
        first, pieces = self.folder / "first.mp4", self.folder / "pieces.mp4"
        run([*copy, "-movflags", "+faststart", "-y", first])
        run([*copy, "-movflags", "+frag_keyframe+empty_moov", "-y", pieces])
        # The last box may go on to the end of the file (ISO/IEC 14496-12, 4.2).
        endless = bytearray(first.read_bytes())
        at = endless.rindex(b"mdat") - 4
        endless[at:at + 4] = bytes(4)
        for name, data, codes in (("index last", source.read_bytes(), [INPUT]),
                                  ("index first", first.read_bytes(), [0]),
                                  ("fragments", pieces.read_bytes(), [0]),
                                  ("endless mdat", endless, [0])):
            for size in (7, 500, 30_000, len(data)):
                what = f"{name} through a pipe, {size} bytes at a time"
                done = self.through_pipe(what, data, size, codes)
                if codes == [INPUT]:
                    self.names_it(what, done, "faststart")
                elif done.code == 0 and frames_of(done.out) != whole:
                    self.problems.append(f"{what}: {frames_of(done.out)} of {whole} frames")
                elif done.code == 0 and done.told():
                    self.problems.append(f"{what}: called damaged: {done.summary}")

    def through_pipe(self, what, data, size, codes):
        fifo = self.folder / "film"
        if not fifo.exists():
            os.mkfifo(fifo)
        writer = os.fork()
        if writer == 0:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            end = os.open(fifo, os.O_WRONLY)
            for at in range(0, len(data), size):
                os.write(end, data[at:at + size])
            os._exit(0)
        done = self.attempt(what, fifo, codes)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        return done

    def late_tracks(self):
        """Sound that begins after the tracks were counted is left out with a word."""
        silent, both = self.folder / "silent.ts", self.folder / "both.ts"
        source = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=8"]
        coding = ["-c:v", "libx264", "-preset", "ultrafast", "-y"]
        run([*source, *coding, silent])
        run([*source, "-f", "lavfi", "-i", "sine=d=8", *coding, both])
        data = silent.read_bytes() * 16 + both.read_bytes()
        done = self.through_pipe("late sound", data, 30_000, [0])
        warnings = done.summary.get("warnings", [])
        if not any("turns up" in line for line in warnings):
            self.problems.append(f"late sound: not named in {warnings}")

    def unreadable(self):
        """As a user who may not read the file: root may read everything, so rights are dropped."""
        path = self.file("secret.mp4", films.path("tiny").read_bytes())
        path.chmod(0)
        before = []
        if os.geteuid() == 0:
            before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            if run([*before, "true"], check=False).returncode or \
                    run([*before, "test", "-x", self.rgpu], check=False).returncode:
                print("unreadable: cannot drop rights here, left out")
                return
            self.folder.chmod(0o777)
        done = self.attempt("unreadable", path, [INPUT], before=before)
        self.names_it("unreadable", done, "secret.mp4")

    def truncated(self, film, points):
        data = films.path(film).read_bytes()
        whole = frames_of(films.path(film))
        ends = sorted({max(1, len(data) * i // points - self.random.randrange(3))
                       for i in range(1, points)})
        kept = 0
        for end in thinned(ends, 4):
            what = f"{film} cut at {end} of {len(data)}"
            path = self.file(f"cut{films.path(film).suffix}", data[:end])
            done = self.attempt(what, path, [0, INPUT, UNSUPPORTED])
            if done.code != 0:
                # What ffmpeg can show of it, the command must show too.
                if frames_of(path) > 2:
                    self.problems.append(f"{what}: ffmpeg shows {frames_of(path)} frames of it")
                continue
            kept += 1
            shown, possible = frames_of(done.out), frames_of(path)
            if shown < possible - 1:
                self.problems.append(f"{what}: {shown} frames, ffmpeg shows {possible}")
            if film != "tiny_ts" and shown < whole - 1 and not done.told():
                self.problems.append(f"{what}: {shown} of {whole} frames, and not a word")
        if film != "tiny" and kept == 0:
            self.problems.append(f"{film}: nothing was kept of a cut film")

    def holes(self):
        """Zeros in the middle: what lies around is kept, and the damage is said."""
        for film in ("tiny_ts", "open_gop"):
            data = bytearray(films.path(film).read_bytes())
            at = len(data) // 3 // 188 * 188
            data[at:at + 188 * 20] = bytes(188 * 20)
            done = self.attempt(f"hole in {film}",
                                self.file(f"hole{films.path(film).suffix}", bytes(data)), [0])
            if done.code == 0 and not done.told():
                self.problems.append(f"hole in {film}: not a word")
            if done.code == 0 and frames_of(done.out) < frames_of(films.path(film)) // 3:
                self.problems.append(f"hole in {film}: only {frames_of(done.out)} frames")


def main(rgpu):
    print(f"seed {SEED}")
    with tempfile.TemporaryDirectory(prefix="bad-") as folder:
        bad = Bad(rgpu, pathlib.Path(folder))
        bad.no_films()
        bad.no_files()
        bad.piped()
        bad.late_tracks()
        bad.unreadable()
        for film in ("tiny", "tiny_ts", "tiny_mkv"):
            bad.truncated(film, 25)
        bad.holes()
    report(bad.problems, "bad input")


if __name__ == "__main__":
    main(sys.argv[1])
