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
from golden import line_up_problems  # noqa: E402
from tools import report, run  # noqa: E402

LOSSLESS = ["-c:v:0", "libx264", "-qp", "0", "-preset", "ultrafast", "-bf", "2", "-c:a", "copy",
            "-c:s", "copy", "-enc_time_base", "-1", "-fps_mode", "passthrough",
            "-avoid_negative_ts", "disabled"]

TS = ["-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", "1"]
TO_420 = "zscale=f=bicubic,format=yuv420p"

# name, film, container, arguments behind the input, what must be found (None: nothing)
CASES = [
    ("right", "open_gop", "mkv", [], None),
    ("right", "closed_gop", "mp4", [], None),
    ("right", "closed_gop", "ts", TS, None),
    ("right", "two_audio", "mkv", [], None),
    ("right", "subtitles", "mkv", ["-disposition:s:0", "0"], None),
    ("right", "chapters", "mkv", [], None),
    ("right", "vfr", "mp4", ["-video_track_timescale", "90000"], None),
    ("right", "vfr", "mkv", [], None),
    ("right", "yuv444", "mkv", ["-vf", TO_420], None),
    ("right", "yuv422", "mkv", ["-vf", "zscale=f=spline36,format=yuv420p"], None),
    ("right", "prores", "mkv", ["-vf", "zscale=f=lanczos,format=yuv420p10le"], None),
    ("right", "two_videos", "mkv", ["-c:v:1", "copy"], None),
    ("right", "subtitles_overlap", "mkv", ["-disposition:s:0", "0"], None),
    ("right", "late_start", "mkv", [], None),
    ("right", "audio_late", "mkv", [], None),
    ("frame dropped", "open_gop", "mkv", ["-vf", "select='not(eq(n,17))'"], "frames instead of"),
    ("last frame dropped", "closed_gop", "mp4", ["-vf", "select='lt(n,99)'"], "frames instead of"),
    ("one pts shifted", "closed_gop", "mp4", ["-vf", "setpts='PTS+eq(N,20)*3'"], "frame 20 at"),
    ("one pts shifted by a tick", "closed_gop", "mp4", ["-vf", "setpts='PTS+eq(N,20)'"],
     "frame 20 at"),
    ("all video 2 ms late", "closed_gop", "mp4", ["-vf", "setpts='PTS+0.002/TB'"], "frame 0 at"),
    ("video 2 ms late in TS", "closed_gop", "ts",
     [*TS, "-vf", "setpts='PTS+0.002/TB'"], "frame 0 at"),
    ("all 0.1 s late in TS", "closed_gop", "ts", [*TS[:-1], "1.1"], "frame 0 at"),
    ("all 0.02 s late in FLV", "closed_gop", "flv", ["-output_ts_offset", "1.02"], "frame 0 at"),
    ("times cut off to milliseconds", "vfr", "mkv",
     ["-vf", "setpts='floor(PTS*TB*1000)/1000/TB'"], " at "),
    ("audio 1 ms late", "flv", "mp4", ["-bsf:a", "setts=ts=TS+1"], "off against"),
    ("chroma swapped", "yuv444", "mkv", ["-vf", TO_420 + ",shuffleplanes=0:2:1"], "PSNR of u"),
    ("chroma a sample off", "yuv422", "mkv", ["-vf", TO_420 + ",chromashift=cbh=1"], "PSNR of u"),
    ("chroma half a sample off", "prores", "mkv",
     ["-vf", "zscale=f=bicubic:c=center,format=yuv420p10le"], "PSNR of v"),
    ("chroma of the wrong place", "yuv444", "mkv", ["-vf", "scale,format=yuv420p"], "PSNR of v"),
    ("chroma of an odd size swapped", "odd_size", "mkv",
     ["-vf", "format=yuv444p,zscale=320:178,format=yuv420p,shuffleplanes=0:2:1"], "PSNR of u"),
    ("second video lost", "two_videos", "mkv", ["-map", "-0:2"], "video track 1 lost"),
    ("second video the first", "two_videos", "mkv", ["-map", "-0:2", "-map", "0:0"],
     "video track 1: other pictures"),
    ("texts that overlap as MP4 cannot have them", "subtitles_overlap", "mp4", ["-c:s", "mov_text"],
     "it shows"),
    ("texts 2 ms late", "subtitles", "mkv", ["-bsf:s", "setts=ts=TS+2"], "other times"),
    ("texts too short", "subtitles", "mkv", ["-bsf:s", "setts=duration=DURATION/2"], "it shows"),
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
    ("rotation lost", "rotated", "mkv",
     ["-map_metadata", "-1", "-metadata:s:v", "rotate=0", "-vf",
      "sidedata=mode=delete:type=DISPLAYMATRIX"], "rotation"),
    ("aspect lost", "anamorphic", "mp4", ["-vf", "setsar=1"], "sample aspect ratio"),
]


def result(folder, film, container, more):
    out = folder / f"result.{container}"
    source = films.path(film)
    run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-noautorotate", "-copyts", "-i", source,
         "-map", "0", *LOSSLESS, *more, out])
    return out


def judge(name, found, wanted):
    print(f"{name}: {found or 'right'}")
    right = any(wanted in line for line in found) if wanted else not found
    return [] if right else [f"{name}: found {found}, expected {wanted or 'nothing'}"]


def joined(folder):
    """A film whose clock jumps back, and what is behind the join moved to where it can be."""
    problems, film = [], films.FILMS["joined_half"]
    source = compare.Source(films.path(film.name))
    times = [packet[0] for packet in source.audio[0]]
    join = next(i for i in range(1, len(times)) if times[i] < times[i - 1])
    moved = "setpts='PTS+gte(N,50)*0.6/TB'"
    packets = 0.6 * 48000 / 1024  # whichever time base this ffmpeg gives to the filter
    for name, more, wanted in (
            ("right", moved, None),
            ("what overlaps left out", moved + ",select='not(between(n,50,61))'", None),
            ("half of a part lost", moved + ",select='lt(n,70)'", "lie double"),
            ("pictures swapped", moved + ",shuffleframes=1 0", "does not have there"),
            ("not moved enough", "setpts='PTS+gte(N,50)*0.3/TB'", "do not rise"),
            ("video late behind the join", "setpts='PTS+gte(N,50)*0.7/TB'", "in step")):
        out = folder / "joined.mkv"
        run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-copyts", "-i", source.path, *LOSSLESS,
             "-vf", more, "-bsf:a", f"setts=ts=TS+gte(N\\,{join})*{packets}*DURATION", out])
        problems += judge(f"joined, {name}", compare.compare_joined(source, out, film.overlap),
                          wanted)
    return problems


def playlists(folder):
    """HLS with audio apart, whole and with faults in the audio's playlist."""
    out = folder / "hls"
    out.mkdir()
    run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", films.path("closed_gop"), "-map", "0:v",
         "-map", "0:a", "-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod",
         "-hls_segment_type", "fmp4", "-master_pl_name", "master.m3u8", "-var_stream_map",
         "v:0,agroup:a,name:video a:0,agroup:a,name:audio", "-hls_fmp4_init_filename", "init.mp4",
         "-hls_segment_filename", out / "%v_%d.m4s", out / "%v.m3u8"])
    audio = out / "audio.m3u8"
    whole = audio.read_text()
    problems = judge("playlists, right", line_up_problems(out), None)
    names = [line for line in whole.splitlines() if line.endswith(".m4s")]
    for name, text, wanted in (
            ("another target", whole.replace("DURATION:2", "DURATION:3"), "different targets"),
            ("segments swapped", whole.replace(names[0], "?").replace(names[1], names[0])
             .replace("?", names[1]), "holds packets of")):
        audio.write_text(text)
        problems += judge(f"playlists, {name}", line_up_problems(out), wanted)
    return problems


def main():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, film, container, more, wanted in CASES:
            source = compare.Source(films.path(film), films.FILMS[film].compare)
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

        for function in (joined, playlists):
            problems += function(folder)
    report(problems, f"{len(CASES) + 11} cases")


if __name__ == "__main__":
    main()
