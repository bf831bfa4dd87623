#!/usr/bin/env python3
"""HLS of films whose tracks begin and end at different times, of each codec, of copied video with
open groups, of tracks with odd names and of none: checked by hls_rules.py and played by ffmpeg.

    hls_lines.py RGPU
"""
import pathlib
import sys
import tempfile
from fractions import Fraction

for room in ("golden", "films", "run"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / room))
import hls_rules  # noqa: E402
from films import AAC, CLOSED, OPEN, picture, tone, x264, x265  # noqa: E402
from tools import Failed, report, run  # noqa: E402

SMALL = "160x90"
RATE = 25
AV1 = ["-c:v", "libaom-av1", "-cpu-used", "8", "-b:v", "100k", "-g", "25", "-threads", "1"]


def video(seconds):
    return picture(seconds, str(RATE), SMALL)


def late(seconds, made):
    return ["-itsoffset", str(seconds), *made]


def maps(count):
    return [word for i in range(count) for word in ("-map", str(i))]


# name: (how it is made, its extension, options, seconds of video, seconds of the first audio track)
FILMS = {
    "audio 0.3 s late": ([*video(6), *late(0.3, tone(5)), *x264(CLOSED), *AAC], "mkv", [], 6, 5),
    "audio 2.2 s late": ([*video(8), *late(2.2, tone(5)), *x264(CLOSED), *AAC], "mkv", [], 8, 5),
    "audio 4 s late": ([*video(10), *late(4, tone(6)), *x264(CLOSED), *AAC], "mkv", [], 10, 6),
    "audio 9 s late": ([*video(12), *late(9, tone(3)), *x264(CLOSED), *AAC], "mp4", [], 12, 3),
    "video 0.7 s late": ([*late(0.7, video(6)), *tone(6), *x264(CLOSED), *AAC], "ts", [], 6, 6),
    "video 7 s late": ([*late(7, video(5)), *tone(12), *x264(OPEN), *AAC], "mkv", [], 5, 12),
    "audio ends early": ([*video(9), *tone(4), *x264(OPEN), *AAC], "mkv", [], 9, 4),
    "audio ends late": ([*video(4), *tone(15), *x264(OPEN), *AAC], "mkv", [], 4, 15),
    "two audios, one late": (
        [*video(9), *tone(9), *late(5, tone(4, 800)), *maps(3), *x264(OPEN), *AAC],
        "mkv", [], 9, 9),
    "copied, open": ([*video(7), *tone(7), *x264(OPEN, keyint=23), *AAC], "mkv",
                     ["--ladder", "source,240p"], 7, 7),
    "copied, closed": ([*video(7), *tone(7), *x264(CLOSED), *AAC], "mp4",
                       ["--ladder", "source,240p"], 7, 7),
    "copied HEVC, open": (
        [*video(5), *tone(5), *x265("open-gop=1:bframes=4:b-adapt=0", keyint=20), *AAC], "mkv",
        ["--ladder", "source"], 5, 5),
    "copied AV1": ([*video(4), *tone(4), *AV1, "-c:a", "libopus"], "mkv",
                   ["--ladder", "source"], 4, 4),
    "HEVC of two sizes": ([*picture(4, "25", "640x360"), *tone(4), *x264(OPEN), *AAC], "mp4",
                          ["--ladder", "360p,240p", "--codec", "hevc"], 4, 4),
    "PQ": ([*video(4), *x265("open-gop=0:colorprim=9:transfer=16:colormatrix=9", "yuv420p10le"),
            "-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"],
           "mp4", ["--ladder", "source"], 4, None),
    "each audio codec": (
        [*video(4), *tone(4, 300), *tone(4, 400), *tone(4, 500), *tone(4, 600), *tone(4, 700),
         *tone(4, 800), *maps(7), *x264(OPEN), "-c:a:0", "aac", "-c:a:1", "libopus", "-c:a:2",
         "ac3", "-c:a:3", "libmp3lame", "-c:a:4", "flac", "-c:a:5", "eac3"], "mkv", [], 4, 4),
    "no packets of a track": (
        [*video(4), *tone(4), *tone(4, 500), *maps(3), *x264(CLOSED), "-c:a:0", "aac", "-c:a:1",
         "ac3", "-bsf:a:1", "noise=drop=1", "-metadata:s:a:1", "language=fra"], "mkv", [], 4, 4),
    "the same names": (
        [*video(3), *tone(3), *tone(3, 500), *tone(3, 600), *tone(3, 700), *tone(3, 800), *maps(6),
         *x264(CLOSED), *AAC, "-metadata:s:a:0", "title=A \"quoted\", name=x\nof two lines",
         "-metadata:s:a:1", "title=A 'quoted', name=x of two lines", "-metadata:s:a:0",
         "language=eng", "-metadata:s:a:1", "language=eng", "-metadata:s:a:3", "title= \n ",
         "-metadata:s:a:4", "title=\ufeffÄ\u0085"], "mkv", [], 3, 3),
}


def played(path, which, kind):
    """Frames or samples that ffmpeg gets from a playlist, and when the first is shown."""
    said = run(["ffprobe", "-v", "error", "-select_streams", which, "-show_entries",
                "packet=pts_time" if kind == "packet" else "frame=pts_time,nb_samples", "-of",
                "csv=p=0", path], 120)
    if said.stderr.strip():
        raise Failed(f"{path}: {said.stderr.decode()[:400]}")
    return [line.split(",") for line in said.stdout.decode().split()]


def check_playing(master, seconds, audio):
    found = []
    said = run(["ffmpeg", "-v", "error", "-nostdin", "-i", master.path, "-map", "0", "-f", "null",
                "-"], 240).stderr.decode()
    if said.strip():
        found.append(f"ffmpeg says {said[:300]}")
    for i in range(len(master.variants)):
        count = len(played(master.path, f"v:{i}", "frame"))
        if count != seconds * RATE:
            found.append(f"variant {i} plays {count} frames, not {seconds * RATE}")
    if audio is not None:
        samples = sum(int(line[1]) for line in played(master.path, "a:0", "frame"))
        rate = Fraction(samples, 48000)
        if abs(rate - audio) > Fraction(1, 10):
            found.append(f"audio plays for {float(rate)} s, not {audio} s")
    return found


def check_sync(source, master):
    """The first audio track begins as far from the first picture as in the source."""
    starts = []
    for path in (source, master.path):
        times = [min(float(line[0]) for line in played(path, which, "packet") if line[0] != "N/A")
                 for which in ("v:0", "a:0")]
        starts.append(times[1] - times[0])
    if abs(starts[0] - starts[1]) > 0.03:
        return [f"audio is {starts[1]} s behind the picture, in the source {starts[0]} s"]
    return []


def check(rgpu, folder, name):
    made, ext, options, seconds, audio = FILMS[name]
    source, out = folder / f"film.{ext}", folder / "hls"
    run(["ffmpeg", "-v", "error", "-nostdin", "-y", *made, source], 120)
    if not options or "source" not in options[1]:
        options = [*options, "--gop", "1", "--speed", "p1"]
    run([rgpu, "transcode", source, f"{out}/", "-y", "--quiet", "--segment", "3", *options], 240)
    try:
        master = hls_rules.Master(out / "master.m3u8")
        found = master.check() + check_playing(master, seconds, audio)
        if audio is not None:
            found += check_sync(source, master)
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        found = [f"{type(error).__name__}: {error}"]
    lengths = [length for media in master.media.values() for length, _, _ in media.segments]
    if max(lengths) > 6:
        found.append(f"a segment lasts {float(max(lengths))} s")
    return [f"{name}: {line}" for line in found]


def main(rgpu, *names):
    found = []
    for name in names or FILMS:
        with tempfile.TemporaryDirectory(prefix="lines-") as folder:
            new = check(rgpu, pathlib.Path(folder), name)
        print(f"{name}: {'right' if not new else new}", flush=True)
        found += new
    report(found, "hls_lines")


if __name__ == "__main__":
    main(*sys.argv[1:])
