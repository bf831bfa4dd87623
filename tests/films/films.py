#!/usr/bin/env python3
"""Makes the films that the tests use, each once, in a cache folder.

    films.py list              names of the golden films, one a line
    films.py make [NAME...]    makes them (all without a name) and prints their paths
    films.py check [NAME...]   shows that each film is what its name says

The cache is $RGPU_FILMS, else films/ in the working directory. A film's file name carries a digest
of its recipe and of ffmpeg's version, so a changed recipe makes a new film. Films are made with the
ffmpeg program; what ffmpeg cannot write is patched in bytes afterwards.
"""
import fcntl
import hashlib
import os
import pathlib
import struct
import sys
from fractions import Fraction

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "run"))
from tools import Failed, probe, run  # noqa: E402

SIZE = "192x108"


# ---- sources ------------------------------------------------------------------------------------

def picture(seconds=4, rate="25", size=SIZE, more=""):
    return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}{more}"]


def tone(seconds=4, hertz=440, rate=48000):
    return ["-f", "lavfi", "-i", f"sine=frequency={hertz}:sample_rate={rate}:duration={seconds}"]


def x264(params="", preset="veryfast", pix="yuv420p", keyint=25, crf=30):
    """One thread, so that the same recipe gives the same bytes."""
    all_params = f"keyint={keyint}:min-keyint={keyint}:scenecut=0"
    if params:
        all_params += ":" + params
    return ["-c:v", "libx264", "-preset", preset, "-crf", str(crf), "-pix_fmt", pix, "-threads",
            "1", "-x264-params", all_params]


def x265(params="", pix="yuv420p", keyint=25):
    all_params = (f"keyint={keyint}:min-keyint={keyint}:scenecut=0:log-level=error:pools=none"
                  ":frame-threads=1")
    if params:
        all_params += ":" + params
    return ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "30", "-pix_fmt", pix,
            "-x265-params", all_params]


AAC = ["-c:a", "aac", "-b:a", "48k"]
OPEN = "open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal"
CLOSED = "open-gop=0:bframes=2:b-adapt=0"


# ---- recipes ------------------------------------------------------------------------------------

class Film:
    """One film: how it is made, how a result is compared with it, and what it must be.

    compare: "exact" (the pictures are the same bytes), "luma" (chroma is converted), "near" (the
    size changes). options: for rgpu beside --quality 0. shows: functions (facts) -> bool. clock:
    "own" (the source's), "shifted" (before zero, which MP4 cannot say: one constant for all
    tracks), "order" (no pts at all: video may start up to a reorder delay earlier). cut: it can be.
    overlap: seconds by which its clock jumps back once.
    """

    def __init__(self, name, ext, *steps, compare="exact", options=(), outputs=("mp4", "mkv"),
                 shows=None, patch=None, cut=True, clock="own", golden=True, overlap=None):
        self.name, self.ext, self.steps = name, ext, steps
        self.compare, self.options, self.outputs = compare, list(options), outputs
        self.shows, self.patch, self.cut = shows, patch, cut
        self.clock, self.golden, self.overlap = clock, golden, overlap

    def digest(self):
        text = repr((self.name, self.ext, self.steps,
                     self.patch.__code__.co_code if self.patch else None,
                     self.patch.__code__.co_consts if self.patch else None, ffmpeg_version()))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


FILMS = {}


def film(*words, **more):
    made = Film(*words, **more)
    FILMS[made.name] = made


_version = None


def ffmpeg_version():
    global _version
    if _version is None:
        _version = run(["ffmpeg", "-version"]).stdout.split(b"\n")[0].decode()
    return _version


# Facts about a film for `shows`: "video" and "audio" are packet lists in file order.

def facts(path):
    found = probe(path, "-show_packets", "-show_streams", "-show_format", "-show_chapters")
    kinds = {s["index"]: s["codec_type"] for s in found["streams"]}
    first = next((s["index"] for s in found["streams"] if s["codec_type"] == "video"), None)
    found["video"] = [p for p in found["packets"] if p["stream_index"] == first]
    found["audio"] = [p for p in found["packets"] if kinds[p["stream_index"]] == "audio"]
    found["v"] = found["streams"][first] if first is not None else {}
    return found


def keys(f):
    return [i for i, p in enumerate(f["video"]) if "K" in p["flags"]]


def leading(f):
    """Packets behind a later key packet in decode order that come before it in time."""
    count, key = 0, None
    for packet in f["video"]:
        if "pts" not in packet:
            continue
        if "K" in packet["flags"]:
            key = packet["pts"]
        elif key is not None and packet["pts"] < key:
            count += 1
    return count


def reordered(f):
    pts = [p["pts"] for p in f["video"] if "pts" in p]
    return pts != sorted(pts)


def steps_of_pts(f):
    pts = sorted(p["pts"] for p in f["video"] if "pts" in p)
    return {b - a for a, b in zip(pts, pts[1:])}


def rate_is(value):
    return lambda f: f["v"]["r_frame_rate"] == value


# Patches.

def boxes(data, start, end):
    """(type, start of the body, end) of each MP4 box in a range."""
    while start + 8 <= end:
        size, kind = struct.unpack(">I4s", data[start:start + 8])
        body = start + 8
        if size == 1:
            size = struct.unpack(">Q", data[body:body + 8])[0]
            body += 8
        elif size == 0:
            size = end - start
        yield kind, body, start + size
        start += size


def rotate_quarter(data):
    """Writes a matrix of 90 degrees into the first track's header."""
    data = bytearray(data)
    for kind, body, end in boxes(data, 0, len(data)):
        if kind != b"moov":
            continue
        for kind2, body2, end2 in boxes(data, body, end):
            if kind2 != b"trak":
                continue
            for kind3, body3, _ in boxes(data, body2, end2):
                if kind3 == b"tkhd":
                    at = body3 + (52 if data[body3] == 1 else 40)
                    data[at:at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0,
                                                   108 << 16, 0, 1 << 30)
                    return bytes(data)
    raise Failed("no tkhd box")


def cut_into_gop(data):
    """Drops the first 40 % of a transport stream, on a packet boundary: it then starts inside a
    group of pictures. The tables come again within the stream."""
    at = len(data) * 2 // 5 // 188 * 188
    return data[at:]


METADATA = """;FFMETADATA1
title=A film of tests
artist=Nobody at all
comment=Kept with accents: \u00e9\u00fc\u00df
date=2021
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1400
title=Beginning
[CHAPTER]
TIMEBASE=1/1000
START=1400
END=2600
title=Middle
[CHAPTER]
TIMEBASE=1/1000
START=2600
END=4000
title=End
"""

SRT = "1\n00:00:00,500 --> 00:00:01,500\nfirst line\n\n2\n00:00:02,000 --> 00:00:03,250\n" \
      "second line\nwith two rows\n\n"

ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 192
PlayResY: 108

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment
Style: Default,Sans,12,&H00FFFFFF,2

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.40,0:00:01.20,Default,,0,0,0,,{\\i1}slanted{\\i0}
Dialogue: 0,0:00:02.10,0:00:03.90,Default,,0,0,0,,upright
"""

# Two begin together, one lies within another, two follow each other without a gap.
OVERLAPPING = "".join(
    f"{i + 1}\n00:00:0{start} --> 00:00:0{end}\n{text}\n\n" for i, (start, end, text) in enumerate((
        ("0,400", "1,200", "left"), ("0,400", "1,600", "right"), ("1,800", "3,400", "around"),
        ("2,200", "2,700", "within"), ("3,400", "3,800", "behind"))))

# What WebVTT must escape, markup, texts at the same time, over the cuts of segments and past the end.
CUES_SRT = "".join(
    f"{n}\n{begin} --> {end}\n{text}\n\n" for n, (begin, end, text) in enumerate((
        ("00:00:00,080", "00:00:00,990", "Q & A: 1 < 2 > 0"),
        ("00:00:01,000", "00:00:02,000", "<i>slanted</i>, <b>bold <u>and</u> more</b>"),
        ("00:00:01,700", "00:00:06,300", "over several\nsegments"),
        ("00:00:02,000", "00:00:02,040", "short"),
        ("00:00:03,999", "00:00:04,001", "at a cut"),
        ("00:00:09,120", "00:00:11,500", "past the end \u00e9\u4e2d")), 1))

CUES_ASS = ASS[:ASS.index("Dialogue")] + \
    "Dialogue: 0,0:00:00.50,0:00:03.25,Default,,0,0,0,,{\\an8\\fs20}up there{\\fs}, {\\b1}bold{\\b0}\n" \
    "Dialogue: 0,0:00:03.00,0:00:05.00,Default,,0,0,0,,one\\Nof & two\n" \
    "Dialogue: 1,0:00:03.00,0:00:05.00,Default,,0,0,0,,one\\Nof & two\n"

TEXTS = {"meta.txt": METADATA, "a.srt": SRT, "a.ass": ASS, "overlapping.srt": OVERLAPPING,
         "cues.srt": CUES_SRT, "cues.ass": CUES_ASS,
         "font.ttf": "\x00\x01\x00\x00" + "not really a font, but attached as one " * 40}

# Steps are ffmpeg's arguments, or "cat", what is joined, and the result; OUT is the film, TMPn what
# an earlier step made, TEXT:name one of TEXTS.

film("closed_gop", "mp4",
     [*picture(), *tone(), *x264(CLOSED), *AAC, "OUT"], outputs=("mp4", "mkv", "ts", "hls", "flv"),
     shows=lambda f: len(keys(f)) == 4 and leading(f) == 0 and reordered(f))
film("open_gop", "mkv",
     [*picture(), *tone(), *x264(OPEN, keyint=24), *AAC, "OUT"],
     outputs=("mp4", "mkv", "ts", "hls"),
     shows=lambda f: len(keys(f)) >= 4 and leading(f) >= 3)
film("open_gop_mp4", "mp4",
     [*picture(5), *tone(5), *x264(OPEN, keyint=16), *AAC, "OUT"],
     shows=lambda f: len(keys(f)) >= 7 and leading(f) >= 6)
film("b_pyramid", "mp4",
     [*picture(), *x264("open-gop=0:bframes=7:b-adapt=0:b-pyramid=normal:ref=4", keyint=32), "OUT"],
     shows=lambda f: f["v"]["has_b_frames"] == 2 and len(keys(f)) >= 3)
film("recovery_points", "ts",
     [*picture(), *tone(), *x264(OPEN + ":keyint=20:min-keyint=20"), *AAC, "OUT"],
     outputs=("mp4", "ts"), shows=lambda f: len(keys(f)) >= 4 and leading(f) >= 3)
film("no_idr", "ts",
     [*picture(6), *x264(OPEN, keyint=20), "-f", "mpegts", "TMP0"],
     ["-ss", "1.9", "-i", "TMP0", "-c", "copy", "-copyts", "OUT"],
     shows=lambda f: "K" in f["video"][0]["flags"] and leading(f) >= 3)
film("intra_refresh", "mkv",
     [*picture(), *x264("intra-refresh=1:bframes=0:ref=1", keyint=20), "OUT"],
     cut=False, shows=lambda f: not reordered(f) and len(keys(f)) >= 4)
film("vfr", "mp4",
     [*picture(5), *tone(5), "-vf", "select='not(eq(mod(n,7),3))*not(between(n,40,55))',"
      "settb=1/90000,setpts='PTS+trunc(700*sin(N))'", "-fps_mode", "passthrough", "-enc_time_base",
      "1/90000", *x264(OPEN, keyint=12), *AAC, "-video_track_timescale", "90000", "OUT"],
     shows=lambda f: len(steps_of_pts(f)) > 20 and leading(f) > 0)
film("vfr_mkv", "mkv",
     [*picture(4, "60"), "-vf", "select='not(eq(mod(n,5),2))+between(n,50,90)'", "-fps_mode",
      "passthrough", *x264(CLOSED, keyint=40), "OUT"], outputs=("mp4", "mkv"),
     shows=lambda f: len(steps_of_pts(f)) >= 3)
for name, rate in (("23976", "24000/1001"), ("2997", "30000/1001"), ("50", "50/1"),
                   ("5994", "60000/1001")):
    film("fps_" + name, "mp4",
         [*picture(3, rate), *tone(3), *x264(OPEN, keyint=18), *AAC, "OUT"],
         outputs=("mp4", "mkv", "ts") if name in ("23976", "2997") else ("mp4",),
         shows=rate_is(rate))
film("late_start", "mkv",
     [*picture(3), *tone(3), *x264(OPEN), *AAC, "-output_ts_offset", "10.24", "OUT"],
     shows=lambda f: float(f["format"]["start_time"]) > 10)
film("late_start_ts", "ts",
     [*picture(3), *tone(3), *x264(CLOSED), *AAC, "-output_ts_offset", "3600", "OUT"],
     outputs=("mp4", "ts", "mkv"), shows=lambda f: float(f["format"]["start_time"]) > 3600)
film("wrapped_clock", "ts",
     [*picture(4), *tone(4), *x264(CLOSED), *AAC, "-output_ts_offset", "95440", "OUT"],
     outputs=("mp4", "ts"), clock="shifted",
     shows=lambda f: f["video"][0]["pts"] < 0 < f["video"][-1]["pts"])
film("negative_dts", "mp4",
     [*picture(3), *tone(3), *x264("open-gop=0:bframes=4:b-adapt=0:b-pyramid=normal"), *AAC, "OUT"],
     shows=lambda f: f["video"][0]["dts"] < 0 and f["video"][0]["pts"] == 0)
film("negative_offsets", "mov",
     [*picture(3), *tone(3), *x264(CLOSED), *AAC, "-movflags", "+negative_cts_offsets", "OUT"],
     shows=lambda f: f["video"][0]["dts"] <= 0 and reordered(f))
film("edit_list", "mp4",
     [*picture(5), *tone(5), *x264(CLOSED), *AAC, "TMP0.mp4"],
     ["-ss", "1.32", "-i", "TMP0.mp4", "-c", "copy", "-avoid_negative_ts", "disabled", "OUT"],
     shows=lambda f: any("D" in p["flags"] for p in f["video"]))
film("edit_list_open", "mp4",
     [*picture(5), *tone(5), *x264(OPEN, keyint=20), *AAC, "TMP0.mp4"],
     ["-ss", "1.92", "-i", "TMP0.mp4", "-c", "copy", "-avoid_negative_ts", "disabled", "OUT"],
     shows=lambda f: any("D" in p["flags"] for p in f["video"]))
film("no_first_key", "ts",
     [*picture(4), *tone(4), *x264(CLOSED, keyint=30), *AAC, "-pat_period", "0.05", "OUT"],
     patch=cut_into_gop, outputs=("mp4", "ts"),
     shows=lambda f: "K" not in f["video"][0]["flags"] and len(keys(f)) >= 1)
film("rotated", "mp4",
     [*picture(3), *tone(3), *x264(CLOSED), *AAC, "OUT"], patch=rotate_quarter,
     shows=lambda f: any("rotation" in s for s in f["v"].get("side_data_list", [])))
film("interlaced", "mkv",
     [*picture(3, "50"), *tone(3), "-vf", "tinterlace=interleave_top,fieldorder=tff", "-flags",
      "+ildct+ilme", *x264(OPEN + ":tff=1", keyint=15), *AAC, "OUT"],
     options=["--deinterlace", "off"],
     shows=lambda f: f["v"].get("field_order") in ("tt", "tb"))
film("mpeg2_interlaced", "ts",
     [*picture(3, "50"), *tone(3), "-vf", "tinterlace=interleave_top,fieldorder=tff", "-flags",
      "+ildct+ilme", "-c:v", "mpeg2video", "-pix_fmt", "yuv420p", "-b:v", "600k", "-g", "12",
      "-bf", "2", "-top", "1", "-threads", "1", "-c:a", "mp2", "OUT"], options=["--deinterlace", "off"],
     outputs=("mp4", "ts"), shows=lambda f: f["v"].get("field_order") == "tt")
film("high10", "mkv",
     [*picture(3), *tone(3), *x264(OPEN, pix="yuv420p10le"), *AAC, "OUT"],
     shows=lambda f: f["v"]["pix_fmt"] == "yuv420p10le")
film("hdr10", "mp4",
     [*picture(2, "24"), *tone(2), *x265(
         "open-gop=1:bframes=3:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:"
         "colormatrix=bt2020nc:range=limited:master-display=G(13250,34500)B(7500,3000)"
         "R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400", pix="yuv420p10le",
         keyint=16), "-tag:v", "hvc1", "-color_primaries", "bt2020", "-color_trc", "smpte2084",
      "-colorspace", "bt2020nc", *AAC, "OUT"], options=["--codec", "hevc"],
     shows=lambda f: f["v"].get("color_transfer") == "smpte2084")
film("yuv422", "mkv",
     [*picture(2), *x264(OPEN, pix="yuv422p"), "OUT"], compare="luma",
     shows=lambda f: f["v"]["pix_fmt"] == "yuv422p")
film("yuv444", "mp4",
     [*picture(2), *x264(CLOSED, pix="yuv444p"), "OUT"], compare="luma",
     shows=lambda f: f["v"]["pix_fmt"] == "yuv444p")
film("cropped", "mp4",
     [*picture(3, size="202x118"), *tone(3), *x264(OPEN), *AAC, "OUT"],
     shows=lambda f: f["v"]["width"] == 202 and f["v"]["coded_height"] != 112)
film("odd_size", "mkv",
     [*picture(2, size="322x180"), "-vf", "gblur=1,scale=321:179,format=yuv420p", "-c:v",
      "mpeg4", "-q:v", "4", "-g", "15", "-bf", "2", "-threads", "1", "OUT"], compare="near",
     shows=lambda f: f["v"]["width"] == 321 and f["v"]["height"] == 179)
film("anamorphic", "mp4",
     [*picture(2), "-vf", "setsar=64/45", *x264(CLOSED), "OUT"],
     shows=lambda f: f["v"]["sample_aspect_ratio"] == "64:45")
film("one_frame", "mp4",
     [*picture(1), "-frames:v", "1", *x264(CLOSED), "OUT"],
     shows=lambda f: len(f["video"]) == 1)
film("two_frames", "mkv",
     [*picture(1), *tone(1), "-frames:v", "2", *x264(CLOSED), *AAC, "-shortest", "OUT"],
     shows=lambda f: len(f["video"]) == 2)
film("no_audio", "mp4",
     [*picture(3), *x264(OPEN), "OUT"], shows=lambda f: len(f["streams"]) == 1)
film("audio_longer", "mp4",
     [*picture(2), *tone(5), *x264(OPEN), *AAC, "OUT"], outputs=("mp4", "mkv", "ts", "hls"),
     shows=lambda f: float(f["audio"][-1]["pts_time"]) > float(f["video"][-1]["pts_time"]) + 2)
film("audio_shorter", "mkv",
     [*picture(4), *tone(1.5), *x264(OPEN), *AAC, "OUT"],
     shows=lambda f: float(f["audio"][-1]["pts_time"]) < 2)
film("audio_late", "mkv",
     [*picture(4), "-itsoffset", "0.737", *tone(3), *x264(OPEN), *AAC, "OUT"],
     shows=lambda f: float(f["audio"][0]["pts_time"]) > 0.7)
film("many_audio", "mkv",
     [*picture(4), *tone(4, 300), *tone(4, 400), *tone(4, 500), *tone(4, 600), "-map", "0", "-map",
      "1", "-map", "2", "-map", "3", "-map", "4", *x264(OPEN), "-c:a:0", "aac", "-c:a:1", "ac3",
      "-c:a:2", "libopus", "-c:a:3", "flac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:0",
      "title=Main", "-metadata:s:a:1", "language=deu", "-metadata:s:a:2", "language=fra",
      "-metadata:s:a:3", "language=jpn", "-disposition:a:1", "default", "-disposition:a:2",
      "comment", "-disposition:a:0", "0", "OUT"],
     shows=lambda f: sum(s["codec_type"] == "audio" for s in f["streams"]) == 4)
film("subtitles", "mkv",
     [*picture(4), *tone(4), "-i", "TEXT:a.srt", "-i", "TEXT:a.ass", "-map", "0", "-map", "1",
      "-map", "2", "-map", "3", *x264(OPEN), *AAC, "-c:s:0", "srt", "-c:s:1", "ass",
      "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=ger", "-disposition:s:1",
      "forced", "OUT"],
     outputs=("mp4", "mkv", "hls"),
     shows=lambda f: [s["codec_name"] for s in f["streams"]][2:] == ["subrip", "ass"])
film("cues", "mkv",
     [*picture(10), *tone(10), "-i", "TEXT:cues.srt", "-i", "TEXT:cues.ass", "-map", "0", "-map", "1",
      "-map", "2", "-map", "3", *x264(OPEN), *AAC, "-c:s:0", "srt", "-c:s:1", "ass",
      "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=ger", "OUT"], golden=False,
     shows=lambda f: [s["codec_name"] for s in f["streams"]][2:] == ["subrip", "ass"])
film("subtitles_mp4", "mp4",
     [*picture(4), *tone(4), "-i", "TEXT:a.srt", "-map", "0", "-map", "1", "-map", "2", *x264(OPEN),
      *AAC, "-c:s", "mov_text", "-metadata:s:s:0", "language=eng", "OUT"],
     outputs=("mp4", "mkv", "hls"),
     shows=lambda f: f["streams"][2]["codec_name"] == "mov_text")
film("attachments", "mkv",
     [*picture(2), *tone(2), *x264(OPEN), *AAC, "-attach", "TEXT:font.ttf", "-metadata:s:t",
      "mimetype=application/x-truetype-font", "-metadata:s:t", "filename=font.ttf", "OUT"],
     shows=lambda f: f["streams"][2]["codec_type"] == "attachment")
film("chapters", "mkv",
     [*picture(4), *tone(4), "-i", "TEXT:meta.txt", "-map", "0", "-map", "1", "-map_metadata", "2",
      "-map_chapters", "2", *x264(OPEN), *AAC, "OUT"],
     shows=lambda f: len(f["chapters"]) == 3)
film("chapters_mp4", "mp4",
     [*picture(4), *tone(4), "-i", "TEXT:meta.txt", "-map", "0", "-map", "1", "-map_metadata", "2",
      "-map_chapters", "2", *x264(CLOSED), *AAC, "OUT"],
     shows=lambda f: len(f["chapters"]) == 3)
film("cover", "mp4",
     [*picture(2), *tone(2), "-f", "lavfi", "-i", "color=red:size=64x64:duration=0.04:rate=25",
      "-map", "0", "-map", "1", "-map", "2", *x264(CLOSED), "-c:v:1", "mjpeg", "-pix_fmt:v:1",
      "yuvj420p", "-frames:v:1", "1", "-disposition:v:1", "attached_pic", *AAC, "OUT"],
     shows=lambda f: f["streams"][2]["disposition"]["attached_pic"] == 1)
film("two_hours", "mkv",
     [*picture(7200, "5", "64x36"), *tone(7200, rate=8000),
      *x264("open-gop=1:bframes=2:b-adapt=0", preset="ultrafast", keyint=150), "-c:a", "aac",
      "-b:a", "8k", "OUT"],
     shows=lambda f: len(f["video"]) == 36000 and len(keys(f)) >= 200)
film("hevc_open", "mkv",
     [*picture(4), *tone(4), *x265("open-gop=1:bframes=4:b-adapt=0", keyint=20), *AAC, "OUT"],
     shows=lambda f: len(keys(f)) >= 4 and leading(f) >= 3)
film("hevc_closed", "mp4",
     [*picture(3), *tone(3), *x265("open-gop=0:bframes=3", keyint=20), *AAC, "OUT"],
     shows=lambda f: len(keys(f)) >= 3 and leading(f) == 0)
film("hevc_starts_cra", "ts",
     [*picture(5), *x265("open-gop=1:bframes=4:b-adapt=0:repeat-headers=1", keyint=20), "-f",
      "mpegts", "TMP0"], ["-ss", "1.9", "-i", "TMP0", "-c", "copy", "-copyts", "OUT"],
     outputs=("mp4", "ts"), shows=lambda f: "K" in f["video"][0]["flags"] and leading(f) >= 3)
film("vp9_altref", "mkv",
     [*picture(3), *tone(3), "-c:v", "libvpx-vp9", "-b:v", "200k", "-auto-alt-ref", "1",
      "-lag-in-frames", "16", "-g", "25", "-keyint_min", "25", "-cpu-used", "8", "-deadline",
      "realtime", "-threads", "1", "-c:a", "libopus", "OUT"],
     shows=lambda f: f["v"]["codec_name"] == "vp9" and len(keys(f)) >= 3)
film("av1", "mkv",
     [*picture(2), *tone(2), "-c:v", "libaom-av1", "-cpu-used", "8", "-b:v", "200k", "-g", "20",
      "-lag-in-frames", "19", "-threads", "1", "-c:a", "libopus", "OUT"],
     shows=lambda f: f["v"]["codec_name"] == "av1" and len(keys(f)) >= 2)
film("mpeg2_open", "ts",
     [*picture(3), *tone(3), "-c:v", "mpeg2video", "-b:v", "600k", "-g", "12", "-bf", "2",
      "-threads", "1", "-c:a", "mp2", "OUT"], outputs=("mp4", "mkv"),
     shows=lambda f: leading(f) > 3)
film("mpeg4_avi", "avi",
     [*picture(3), *tone(3), "-c:v", "mpeg4", "-q:v", "5", "-g", "20", "-bf", "0", "-threads", "1",
      "-c:a", "libmp3lame", "OUT"], shows=lambda f: f["v"]["codec_name"] == "mpeg4")
film("mpeg4_reordered", "avi",
     [*picture(3), *tone(3), "-c:v", "mpeg4", "-q:v", "5", "-g", "20", "-bf", "2", "-threads", "1",
      "-c:a", "libmp3lame", "OUT"], clock="order", shows=lambda f: "pts" not in f["video"][0])
film("mpeg4_packed", "avi",
     [*picture(3), *tone(3), "-c:v", "libxvid", "-q:v", "5", "-g", "20", "-bf", "2", "-c:a",
      "libmp3lame", "OUT"], clock="order", shows=lambda f: "pts" not in f["video"][0])
film("h264_avi", "avi",
     [*picture(3), *tone(3), *x264(CLOSED), "-c:a", "libmp3lame", "OUT"],
     clock="order", shows=lambda f: "pts" not in f["video"][1])
film("prores", "mov",
     [*picture(2), *tone(2), "-c:v", "prores_ks", "-profile:v", "0", "-q:v", "20", "-threads", "1",
      "-c:a", "pcm_s16le", "OUT"], compare="luma",
     shows=lambda f: f["v"]["codec_name"] == "prores")
film("mjpeg", "avi",
     [*picture(2), *tone(2), "-c:v", "mjpeg", "-q:v", "8", "-pix_fmt", "yuvj420p", "-threads", "1",
      "-c:a", "libmp3lame", "OUT"], shows=lambda f: f["v"]["codec_name"] == "mjpeg")
film("two_videos", "mkv",
     [*picture(3), *tone(3), *picture(3, more=",negate"), "-map", "0", "-map", "1", "-map", "2",
      *x264(CLOSED), *AAC, "OUT"], outputs=("mkv", "mp4", "ts", "hls", "flv"),
     shows=lambda f: [s["codec_type"] for s in f["streams"]] == ["video", "audio", "video"])
film("subtitles_overlap", "mkv",
     [*picture(4), *tone(4), "-i", "TEXT:overlapping.srt", "-map", "0", "-map", "1", "-map", "2",
      *x264(OPEN), *AAC, "-c:s", "srt", "OUT"], outputs=("mp4", "mkv", "ts", "hls"),
     shows=lambda f: sum(p["codec_type"] == "subtitle" for p in f["packets"]) == 5)
for name, overlap, start in (("fifth", Fraction(1, 5), "1.8"), ("half", Fraction(1, 2), "1.5")):
    film("joined_" + name, "ts",
         [*picture(2), *tone(2), *x264(CLOSED), *AAC, "-f", "mpegts", "TMP0"],
         [*picture(2, more=",negate"), *tone(2, 660), *x264(CLOSED), *AAC, "-output_ts_offset",
          start, "-f", "mpegts", "TMP1"], ["cat", "TMP0", "TMP1", "OUT"],
         outputs=("mp4", "mkv", "ts", "hls"), overlap=overlap,
         shows=lambda f: any(b["dts"] < a["dts"] for a, b in zip(f["video"], f["video"][1:])))
film("joined_far", "ts",
     [*picture(2), *tone(2), *x264(CLOSED), *AAC, "-output_ts_offset", "100", "-f", "mpegts",
      "TMP0"],
     [*picture(2, more=",negate"), *tone(2, 660), *x264(CLOSED), *AAC, "-f", "mpegts", "TMP1"],
     ["cat", "TMP0", "TMP1", "OUT"], outputs=("mp4", "mkv", "ts", "flv", "hls"),
     overlap=Fraction(1, 1000),
     # libavformat takes the second part's clock for one that has counted to its end.
     shows=lambda f: f["video"][-1]["dts"] - f["video"][0]["dts"] > 2 ** 33 - 101 * 90000)
film("late_audio_16x9", "mkv",
     [*picture(14, "10", "64x36"), "-itsoffset", "4", *tone(5, rate=16000),
      *x264(CLOSED, keyint=10), "-c:a", "aac", "-b:a", "16k", "OUT"], outputs=("mkv", "hls"),
     shows=lambda f: 3.9 < float(f["audio"][0]["pts_time"]) < 4.1)
film("flv", "flv",
     [*picture(3), *tone(3, rate=44100), *x264(CLOSED), *AAC, "OUT"], outputs=("mp4", "flv"),
     shows=lambda f: f["format"]["format_name"] == "flv")

# Not golden: sources for single tests.
film("ladder", "mkv",
     [*picture(3, size="640x360"), *tone(3), *tone(3, 800), "-i", "TEXT:a.srt", "-map", "0", "-map",
      "1", "-map", "2", "-map", "3", *x264(OPEN), *AAC, "-c:s", "srt", "OUT"], golden=False)
film("two_audio", "mkv",
     [*picture(3), *tone(3), *tone(3, 800), "-map", "0", "-map", "1", "-map", "2", *x264(OPEN),
      "-c:a:0", "aac", "-c:a:1", "ac3", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1",
      "language=deu", "-disposition:a:0", "0", "-disposition:a:1", "default", "OUT"],
     golden=False)
film("tiny", "mp4",
     [*picture(0.8, "10", "64x64"), *tone(0.8, rate=8000), *x264(CLOSED, keyint=4), "-c:a", "aac",
      "-b:a", "8k", "OUT"], golden=False)
film("tiny_ts", "ts",
     [*picture(1.2, "10", "64x64"), *tone(1.2, rate=8000), *x264(OPEN, keyint=6), "-c:a", "aac",
      "-b:a", "8k", "OUT"], golden=False)
film("tiny_mkv", "mkv",
     [*picture(1.2, "10", "64x64"), *tone(1.2, rate=8000), "-i", "TEXT:a.srt", "-map", "0", "-map",
      "1", "-map", "2", *x264(OPEN, keyint=6), "-c:a", "libopus", "-b:a", "8k", "-c:s", "srt",
      "OUT"], golden=False)
film("tiny_hevc", "mp4",
     [*picture(1.2, "10", "64x64"), *tone(1.2, rate=8000), *x265("open-gop=1:bframes=2", keyint=6),
      "-c:a", "aac", "-b:a", "8k", "OUT"], golden=False)
film("slow", "mp4",
     [*picture(60, "30", "640x360"), *tone(60), *x264(OPEN, preset="ultrafast", keyint=60), *AAC,
      "OUT"], golden=False)
film("demo", "mkv",
     ["-f", "lavfi", "-i",
      "gradients=size=1920x1080:rate=30:duration=30:speed=0.02:seed=7:nb_colors=6", "-f", "lavfi",
      "-i", "testsrc2=size=960x540:rate=30:duration=30", "-f", "lavfi", "-i",
      "cellauto=size=240x135:rate=30:rule=110:seed=11",
      *tone(30, 330), *tone(30, 495), "-i", "TEXT:demo.srt", "-i", "TEXT:demo.txt",
      "-filter_complex",
      "[2:v]scale=1920:1080:flags=bilinear,format=yuv420p,eq=contrast=0.25[cells];"
      "[0:v]format=yuv420p[ground];[ground][cells]blend=all_mode=softlight:shortest=1[rough];"
      "[rough][1:v]overlay=x='480+400*sin(t/3)':y='270+200*cos(t/2)':shortest=1,"
      "noise=alls=4:allf=t,format=yuv420p[v]",
      "-map", "[v]", "-map", "3", "-map", "4", "-map", "5", "-map_metadata", "6", "-map_chapters",
      "6", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "24", "-bf", "3", "-x264-params",
      "keyint=60:min-keyint=60:open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal:scenecut=0", *AAC,
      "-ac", "2", "-c:s", "srt", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1",
      "language=deu", "-metadata:s:s:0", "language=eng", "-t", "30", "OUT"], golden=False,
     shows=lambda f: len(f["video"]) == 900 and leading(f) > 20 and len(f["chapters"]) == 3)
TEXTS["demo.srt"] = "".join(
    f"{i + 1}\n00:00:{5 * i:02},000 --> 00:00:{5 * i + 4:02},000\nLine {i + 1} of the demo\n\n"
    for i in range(6))
TEXTS["demo.txt"] = ";FFMETADATA1\ntitle=rgpu demo\n" + "".join(
    f"[CHAPTER]\nTIMEBASE=1/1\nSTART={10 * i}\nEND={10 * i + 10}\ntitle=Part {i + 1}\n"
    for i in range(3))


# ---- making -------------------------------------------------------------------------------------

def cache():
    folder = pathlib.Path(os.environ.get("RGPU_FILMS", "films")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def path(name):
    """The film's path; makes it if it is not there. Safe when several programs ask at once."""
    recipe, folder = FILMS[name], cache()
    made = folder / f"{name}-{recipe.digest()}.{recipe.ext}"
    if made.exists():
        return made
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            return made
        new = folder / f"new-{name}.{recipe.ext}"
        words = {"OUT": new, **{f"TMP{i}{ext}": folder / f"tmp{i}-{name}{ext}"
                                for i in range(2) for ext in ("", ".mp4")}}
        for step in recipe.steps:
            step = [word(w, words) for w in step]
            if step[0] == "cat":
                step[-1].write_bytes(b"".join(part.read_bytes() for part in step[1:-1]))
            else:
                run(["ffmpeg", "-v", "error", "-nostdin", "-y", *step], 600)
        for temporary in folder.glob(f"tmp?-{name}*"):
            temporary.unlink()
        if recipe.patch:
            new.write_bytes(recipe.patch(new.read_bytes()))
        for old in folder.glob(f"{name}-*.{recipe.ext}*"):
            old.unlink()
        new.rename(made)
    return made


def word(text, words):
    if text in words:
        return words[text]
    if text.startswith("TEXT:"):
        name = text[5:]
        file = cache() / name
        wanted = TEXTS[name].encode("latin-1" if name.endswith(".ttf") else "utf-8")
        if not file.exists() or file.read_bytes() != wanted:
            part = file.with_suffix(f".{os.getpid()}")
            part.write_bytes(wanted)
            part.rename(file)
        return file
    return text


def main(words):
    verb, names = words[0] if words else "", words[1:]
    if verb == "list":
        print("\n".join(name for name, recipe in FILMS.items() if recipe.golden))
        return 0
    if verb not in ("make", "check"):
        print(__doc__)
        return 2
    wrong = 0
    for name in names or FILMS:
        if name == "demo" and not names:
            continue
        made = path(name)
        if verb == "make":
            print(made)
        elif FILMS[name].shows and not FILMS[name].shows(facts(made)):
            print(f"FAILED {name} is not what its name says: {made}")
            wrong += 1
    if verb == "check":
        print(f"{len(names or FILMS)} films, {wrong} wrong", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
