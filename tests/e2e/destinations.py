#!/usr/bin/env python3
"""Where results may go, and where they may not: names, links, folders, the input itself.

    destinations.py RGPU
"""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from attempt import frames_of  # noqa: E402
import films  # noqa: E402
from tools import report, run, timeout  # noqa: E402

USAGE, OUTPUT = 2, 4
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def listing(folder):
    """Every path below and what is there: bytes, the target of a link, or None for a folder."""
    return {str(path.relative_to(folder)):
            os.readlink(path) if path.is_symlink() else
            path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


class Destinations:
    def __init__(self, rgpu, base):
        self.rgpu, self.base, self.problems = rgpu, base, []
        self.film, self.folder, self.frames = films.path("tiny"), None, frames_of(films.path("tiny"))

    def fresh(self, name):
        self.folder = self.base / name
        self.folder.mkdir()

    def run(self, what, code, source, out, *options, before=(), stdin=subprocess.DEVNULL):
        """Runs it in the folder; must end with `code`, with one line of error if that is not 0."""
        done = run([*before, self.rgpu, "transcode", "--speed", "p1", "--quiet", *options,
                    "--", source, out], check=False, cwd=self.folder, stdin=stdin)
        said = done.stderr.decode(errors="replace")
        print(f"{what}: {done.returncode} {said.strip()}", flush=True)
        if done.returncode != code:
            self.fail(what, f"ended with {done.returncode}, not {code}: {said}")
        if bool(code) != (len(said.splitlines()) == 1):
            self.fail(what, f"said {said!r}")
        return said

    def refused(self, what, code, source, out, *options, says=(), **more):
        """Must be refused, with those words, before anything is touched."""
        before = listing(self.folder)
        said = self.run(what, code, source, out, *options, **more)
        for word in says:
            if word not in said:
                self.fail(what, f"does not say {word!r}: {said!r}")
        if listing(self.folder) != before:
            self.fail(what, "something was touched")

    def fail(self, what, text):
        self.problems.append(f"{what}: {text}")

    def expect(self, what, *paths):
        """Exactly these files are there (links count, folders do not); films are whole."""
        found = sorted(path for path, data in listing(self.folder).items() if data is not None)
        if found != sorted(paths):
            self.fail(what, f"there is {found}, not {sorted(paths)}")
        for path in paths:
            if path.endswith((".mp4", ".mkv")) and not path.endswith("init.mp4") and \
                    frames_of(self.folder / path) != self.frames:
                self.fail(what, f"{path} is not whole")

    def braces(self):
        self.fresh("braces")
        ladder = ["--ladder", "source,240p"]
        self.refused("{} and no folder", OUTPUT, self.film, "{}/film-{}.mp4", *ladder,
                     says=["folder source/", "source/film-source.mp4"])
        for name in ("source", "240p"):
            (self.folder / name).mkdir()
        self.run("{} twice", 0, self.film, "{}/film-{}.mp4", *ladder)
        self.expect("{} twice", "source/film-source.mp4", "240p/film-240p.mp4")
        self.refused("no folder for HLS", OUTPUT, self.film, "none/hls/", says=["folder none/"])

    def dashes(self):
        self.fresh("dashes")
        (self.folder / "-in.mp4").write_bytes(self.film.read_bytes())
        self.run("names with a dash", 0, "-in.mp4", "-y.mp4")
        self.expect("names with a dash", "-in.mp4", "-y.mp4")

    def links(self):
        self.fresh("links")
        (self.folder / "real").mkdir()
        (self.folder / "out.mp4").symlink_to("real/film.mp4")
        (self.folder / "hls").symlink_to("real/hls")
        (self.folder / "lost.mp4").symlink_to("none/film.mp4")
        self.run("dangling link", 0, self.film, "out.mp4")
        self.run("dangling link to a folder", 0, self.film, "hls/")
        found = set(listing(self.folder))
        if not {"real/film.mp4", "real/hls/master.m3u8"} <= found or \
                not (self.folder / "out.mp4").is_symlink() or \
                not (self.folder / "hls").is_symlink():
            self.fail("dangling link", f"there is {sorted(found)}")
        self.refused("link to a missing folder", OUTPUT, self.film, "lost.mp4",
                     says=["lost.mp4", "none/film.mp4"])
        self.refused("link without -y", OUTPUT, self.film, "out.mp4", says=["-y", "real/film.mp4"])
        self.run("link with -y", 0, self.film, "out.mp4", "-y")
        if set(listing(self.folder)) != found:
            self.fail("link with -y", f"there is {sorted(listing(self.folder))}")

    def input_itself(self):
        self.fresh("input")
        film = self.folder / "film.mp4"
        film.write_bytes(self.film.read_bytes())
        os.link(film, self.folder / "hard.mp4")
        (self.folder / "soft.mp4").symlink_to("film.mp4")
        (self.folder / "sub").mkdir()
        self.run("making HLS", 0, self.film, "hls/", "--audio", "none")
        rendition = min(self.folder.glob("hls/*/index.m3u8")).relative_to(self.folder)
        for source, out in (("film.mp4", "film.mp4"), ("film.mp4", "sub/../film.mp4"),
                            (film, "film.mp4"), ("film.mp4", "hard.mp4"), ("hard.mp4", "film.mp4"),
                            ("film.mp4", "soft.mp4"), ("soft.mp4", "film.mp4"),
                            ("hls/master.m3u8", "hls/"), ("hls/master.m3u8", "hls/master.m3u8"),
                            (rendition, "hls/"), (rendition, "hls/master.m3u8")):
            for options in ([], ["-y"]):
                self.refused(f"{source} to {out} {options}", USAGE, source, out, *options,
                             says=["input"])
        with open(film, "rb") as stdin:
            self.refused("standard input to itself", USAGE, "-", "film.mp4", "-y", stdin=stdin,
                         says=["input"])

    def not_writable(self):
        self.fresh("closed")
        before = []
        if os.geteuid() == 0:
            if run([*NOBODY, "test", "-x", self.rgpu, "-a", "-r", self.film],
                   check=False).returncode:
                print("not writable: cannot drop rights here, left out")
                return
            before = NOBODY
        self.base.chmod(0o755)
        (self.folder / "old.mp4").write_bytes(b"old")
        self.folder.chmod(0o555)
        for out in ("out.mp4", "out.mkv", "out/", "out.m3u8", "old.mp4"):
            self.refused(f"{out} in a folder that is not writable", OUTPUT, self.film, out, "-y",
                         before=before, says=[out, "Permission denied"])
        self.folder.chmod(0o755)

    def playlist_over_folder(self):
        """X/master.m3u8 over X/: the old renditions go, what is not ours stays."""
        self.fresh("playlist")
        self.run("X/", 0, self.film, "X/")
        (self.folder / "X/notes.txt").write_text("precious")
        old = [path for path, data in listing(self.folder).items()
               if data is not None and "/" in path[2:]]
        before = listing(self.folder)
        self.refused("X/master.m3u8 without -y", OUTPUT, self.film, "X/master.m3u8", says=["-y"])
        self.run("X/master.m3u8", 0, self.film, "X/master.m3u8", "-y")
        now = listing(self.folder)
        expected = {path.replace("X/", "X/master/", 1) for path in old}
        files = {path for path, data in now.items() if data is not None}
        if files != expected | {"X/master.m3u8", "X/notes.txt"}:
            self.fail("X/master.m3u8 over X/", f"there is {sorted(files)}")
        folders = {path for path, data in now.items() if data is None}
        if folders & {path for path, data in before.items() if data is None} != {"X"}:
            self.fail("X/master.m3u8 over X/", f"there are the folders {sorted(folders)}")
        if frames_of(self.folder / "X/master.m3u8") != self.frames:
            self.fail("X/master.m3u8 over X/", "the result is not whole")

    def cut_pipe(self):
        """Standard input that ends early: what came is kept, and the damage is said."""
        self.fresh("pipe")
        for name, share in (("open_gop", 0.5), ("tiny_ts", 0.6)):
            data = films.path(name).read_bytes()
            part = data[:int(len(data) * share)]
            cut = self.base / f"cut-{name}{films.path(name).suffix}"
            cut.write_bytes(part)
            out = f"{name}.mkv"
            child = subprocess.Popen([self.rgpu, "transcode", "-", out, "--speed", "p1"],
                                     cwd=self.folder, stdin=subprocess.PIPE,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            said = child.communicate(part, timeout=timeout(60))[1].decode(errors="replace")
            print(f"cut pipe {name}: {child.returncode} {said.strip()[-200:]}", flush=True)
            shown, possible = frames_of(self.folder / out), frames_of(cut)
            if child.returncode != 0:
                self.fail(f"cut pipe {name}", f"ended with {child.returncode}")
            elif shown < possible - 1 or not 0 < shown < frames_of(films.path(name)):
                self.fail(f"cut pipe {name}", f"{shown} frames, ffmpeg shows {possible}")
            # A transport stream has no length: one that ends between two frames looks whole.
            if name != "tiny_ts" and "damaged" not in said:
                self.fail(f"cut pipe {name}", f"the damage is not said: {said!r}")
        child = subprocess.Popen([self.rgpu, "transcode", "-", "none.mkv", "--quiet"],
                                 cwd=self.folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        said = child.communicate(self.film.read_bytes()[:40], timeout=timeout(60))[1].decode()
        if child.returncode != 3 or "standard input" not in said:
            self.fail("pipe with nothing to decode", f"{child.returncode} {said!r}")
        if sorted(listing(self.folder)) != ["open_gop.mkv", "tiny_ts.mkv"]:
            self.fail("cut pipe", f"there is {sorted(listing(self.folder))}")


def main(rgpu):
    with tempfile.TemporaryDirectory(prefix="places-") as base:
        d = Destinations(pathlib.Path(rgpu).resolve(), pathlib.Path(base))
        d.braces()
        d.dashes()
        d.links()
        d.input_itself()
        d.not_writable()
        d.playlist_over_folder()
        d.cut_pipe()
    report(d.problems, "destinations")


if __name__ == "__main__":
    main(sys.argv[1])
