#!/usr/bin/env python3
"""Shows that the golden tests would notice: right results pass, and one fault each is found.

The results are made with the ffmpeg program, without the command under test.
"""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402
import films  # noqa: E402
from tools import report, run  # noqa: E402

LOSSLESS = ["-c:v:0", "libx264", "-qp", "0", "-preset", "ultrafast", "-bf", "2", "-c:a", "copy",
            "-c:s", "copy", "-enc_time_base", "-1", "-fps_mode", "passthrough",
            "-avoid_negative_ts", "disabled"]

# name, film, container, arguments behind the input, what must be found (None: nothing)
CASES = [
    ("right", "open_gop", "mkv", [], None),
    ("right", "closed_gop", "mp4", [], None),
    ("right", "closed_gop", "ts", ["-avoid_negative_ts", "auto"], None),
    ("right", "two_audio", "mkv", [], None),
    ("right", "subtitles", "mkv", ["-disposition:s:0", "0"], None),
    ("right", "chapters", "mkv", [], None),
    ("right", "vfr", "mp4", ["-video_track_timescale", "90000"], None),
    ("right", "late_start", "mkv", [], None),
    ("right", "audio_late", "mkv", [], None),
    ("frame dropped", "open_gop", "mkv", ["-vf", "select='not(eq(n,17))'"], "frames instead of"),
    ("last frame dropped", "closed_gop", "mp4", ["-vf", "select='lt(n,99)'"], "frames instead of"),
    ("one pts shifted", "closed_gop", "mp4", ["-vf", "setpts='PTS+eq(N,20)*3'"], "frame 20 at"),
    ("one pts shifted by a tick", "closed_gop", "mp4", ["-vf", "setpts='PTS+eq(N,20)'"],
     "frame 20 at"),
    ("all video 2 ms late", "closed_gop", "mp4", ["-vf", "setpts='PTS+0.002/TB'"], "frame 0 at"),
    ("video 2 ms late in TS", "closed_gop", "ts",
     ["-avoid_negative_ts", "auto", "-vf", "setpts='PTS+0.002/TB'"],
     "ms off against video"),
    ("one picture other", "open_gop", "mkv",
     ["-vf", "drawbox=x=4:y=4:w=2:h=2:color=red:enable='eq(n,33)'"], "frame 33 at"),
    ("two pictures swapped", "open_gop", "mkv",
     ["-vf", "shuffleframes=1 0"], "shows another picture"),
    ("audio cut", "closed_gop", "mp4", ["-t", "2"], "frames instead of"),
    ("audio encoded anew", "open_gop", "mkv", ["-c:a", "aac"], "packets differ"),
    ("audio track lost", "two_audio", "mkv", ["-map", "-0:a:1"], "audio tracks instead of"),
    ("language lost", "two_audio", "mkv", ["-metadata:s:a:1", "language="], "language"),
    ("disposition lost", "two_audio", "mkv", ["-disposition:a:1", "0"], "disposition default"),
    ("subtitles lost", "subtitles", "mkv", ["-map", "-0:s:0"], "subtitle tracks lost"),
    ("chapters lost", "chapters", "mkv", ["-map_chapters", "-1"], "chapters instead of"),
    ("tag changed", "chapters", "mkv", ["-metadata", "title=Another"], "tag title"),
    ("rotation lost", "rotated", "mkv", ["-map_metadata", "-1", "-metadata:s:v", "rotate=0"],
     "rotation"),
    ("aspect lost", "anamorphic", "mp4", ["-vf", "setsar=1"], "sample aspect ratio"),
]


def result(folder, film, container, more):
    out = folder / f"result.{container}"
    source = films.path(film)
    run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-noautorotate", "-copyts", "-i", source,
         "-map", "0", *LOSSLESS, *more, out])
    return out


def main():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, film, container, more, wanted in CASES:
            source = compare.Source(films.path(film))
            found = compare.compare(source, result(folder, film, container, more), container)
            print(f"{name} ({film}, {container}): {found or 'right'}")
            if wanted is None and found:
                problems.append(f"{name}, {film}: a right result is refused: {found}")
            if wanted is not None and not any(wanted in line for line in found):
                problems.append(f"{name}, {film}: the fault was not found ({found})")

        # Audio alone late or early: through a second input with an offset.
        source = compare.Source(films.path("open_gop"))
        for shift, wanted in (("0.0002", False), ("0.002", True), ("-0.002", True)):
            out = folder / "shifted.mkv"
            film = films.path("open_gop")
            run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-copyts", "-i", film, "-copyts",
                 "-itsoffset", shift, "-i", film, "-map", "0:v", "-map", "1:a", *LOSSLESS, out])
            found = compare.compare(source, out, "mkv")
            print(f"audio shifted {shift} s: {found or 'right'}")
            if wanted != any("off against video" in line for line in found) or \
                    (found and not wanted):
                problems.append(f"audio shifted {shift} s: {found}")
    report(problems, f"{len(CASES) + 3} cases")


if __name__ == "__main__":
    main()
