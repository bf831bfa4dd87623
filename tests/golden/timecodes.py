#!/usr/bin/env python3
"""SMPTE time codes on pictures: each frame of every rendition has that of its source.

    timecodes.py RGPU [OPTION...]

The films are of x264 and x265; the messages are written here and put in between the NAL units. What
is compared is what ffprobe shows of each frame, so that a code of the wrong frame is seen.
"""
import json
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "run"))
from tools import Failed, probe, report, run, skip, thinned  # noqa: E402

FRAMES = 144
LATE = 96  # behind what is looked at before the encoders are opened
X264 = "keyint=12:min-keyint=12:scenecut=0:bframes=0:slices=1:sliced-threads=0:pic-struct=1"
X265 = "keyint=12:min-keyint=12:scenecut=0:bframes=0:slices=1:wpp=0:log-level=error:pools=none:info=0"
# codec, frame rate, drop-frame counting (RARELY: flagged only where numbers are passed over, as the
# standards have it), number of the first frame, of which frame on
RARELY = 2
FILMS = {
    "h264_25": ("h264", "25", False, 24 * 3600 * 25 - 60, 0),
    "h264_drop": ("h264", "30000/1001", RARELY, 59 * 1798 - 20, 0),
    "h264_60": ("h264", "60", False, 59 * 60, 0),
    "h264_late": ("h264", "25", False, 1000, LATE),
    "hevc_24": ("hevc", "24", False, 3600 * 24 - 30, 0),
    "hevc_drop": ("hevc", "30000/1001", True, 59 * 1798 - 20, 0),
    "hevc_late": ("hevc", "25", False, 1000, LATE),
    "hevc_partial": ("hevc", "25", False, 1000, 0),  # minutes and seconds alone
}


def escaped(payload):
    """With the bytes that keep start codes out of a NAL unit."""
    out = bytearray()
    for byte in payload:
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)


def bits(*fields):
    """Bytes, ended as SEI payloads are."""
    text = "".join(format(value, f"0{size}b") for value, size in fields)
    if len(text) % 8:
        text += "1"
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


def clock(number, rate, drop):
    """Hours, minutes, seconds and frames of the frame with this number."""
    base = {"24": 24, "25": 25, "30000/1001": 30, "60": 60}[rate]
    if drop:  # two numbers are passed over in each minute but the tenth
        tens, rest = divmod(number, 17982)
        number += 18 * tens + (2 * ((rest - 2) // 1798) if rest > 1 else 0)
    seconds, frames = divmod(number, base)
    return seconds // 3600 % 24, seconds // 60 % 60, seconds % 60, frames


def message(codec, number, rate, drop, partial):
    hours, minutes, seconds, frames = clock(number, rate, drop)
    passed_over = frames == 2 and seconds == 0 and minutes % 10 != 0
    flagged = passed_over if drop is RARELY else drop
    counted = [(4 if drop else 0, 5), (int(not partial), 1), (0, 1), (int(flagged), 1)]
    of_day = [(seconds, 6), (minutes, 6), (hours, 5)]
    if partial:
        of_day = [(1, 1), (seconds, 6), (1, 1), (minutes, 6), (0, 1)]
    if codec == "hevc":
        payload = bits((1, 2), (1, 1), (0, 1), *counted, (frames, 9), *of_day, (0, 5))
        return b"\x4e\x01" + escaped(bytes([136, len(payload)]) + payload + b"\x80")
    payload = bits((0, 4), (1, 1), (0, 2), (1, 1), *counted, (frames, 8), *of_day, (0, 24))
    return b"\x06" + escaped(bytes([1, len(payload)]) + payload + b"\x80")


def shown(codes, drop, step=1):
    """As ffprobe writes them, where of `step` frames one is kept."""
    return [[f"{c[0]:02}:{c[1]:02}:{c[2]:02}{';' if drop else ':'}{c[3] // step:02}"] if c else []
            for c in codes[::step]]


def make(folder, name):
    """The film, and its time codes."""
    codec, rate, drop, first, begin = FILMS[name]
    library, params = ("libx264", ["-x264-params", X264]) if codec == "h264" else (
        "libx265", ["-x265-params", X265])
    bare = folder / f"bare.{codec}"
    done = run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={rate}",
                "-frames:v", FRAMES, "-c:v", library, "-preset", "ultrafast", "-pix_fmt", "yuv420p",
                *params, "-f", codec, bare], check=False)
    if done.returncode != 0:
        skip(f"ffmpeg has no {library}: " + done.stderr.decode()[-300:])
    out, number, codes = bytearray(), 0, []
    # A picture is one VCL unit here, behind what belongs to it.
    for unit in re.split(rb"\x00\x00\x00?\x01", bare.read_bytes())[1:]:
        is_picture = unit[0] & 31 in (1, 5) if codec == "h264" else (unit[0] >> 1) & 63 < 32
        if codec == "h264" and unit[:2] == b"\x06\x01":
            continue
        if is_picture:
            coded = number >= begin
            if coded:
                out += b"\0\0\0\1" + message(codec, first + number, rate, drop, "partial" in name)
            elif codec == "h264":  # without a clock
                out += b"\0\0\0\1\x06\x01\x01\x04\x80"
            codes.append(clock(first + number, rate, drop) if coded else None)
            number += 1
        out += b"\0\0\0\1" + unit
    if number != FRAMES:
        raise Failed(f"{library} made {number} slices of {FRAMES} pictures")
    raw, film = folder / f"raw.{codec}", folder / f"{name}.mp4"
    raw.write_bytes(out)
    run(["ffmpeg", "-v", "error", "-y", "-r", rate, "-f", codec, "-i", raw, "-c", "copy", film])
    return film, codes


def codes_of(path, track=0):
    """What ffprobe shows of each frame."""
    frames = probe(path, "-select_streams", f"v:{track}", "-show_frames")["frames"]
    return [[code["value"] for side in frame.get("side_data_list", [])
             for code in side.get("timecodes", [])] for frame in frames]


def differences(what, have, want):
    if len(have) != len(want):
        return [f"{what}: {len(have)} frames instead of {len(want)}"]
    return [f"{what}: frame {i} has {a}, not {b}"
            for i, (a, b) in enumerate(zip(have, want)) if a != b][:3]


def judge(rgpu, options, folder, name):
    film, codes = make(folder, name)
    rate, drop, begin = FILMS[name][1], FILMS[name][2], FILMS[name][4]
    problems = [] if drop is RARELY else differences(f"{name} as it was made", codes_of(film),
                                                     shown(codes, drop))
    lost = begin > 0 or "partial" in name
    if lost:
        codes = [None] * FRAMES
    ladder, alone = ["--ladder", "360p,240p"], ["--size", "320x180"]
    # The presets have at most 30 frames a second.
    half = 2 if rate == "60" else 1
    for codec, out, sizes, step in (("h264", "out.mp4", ladder, half), ("hevc", "out.mkv", ladder, half),
                                    ("h264", "hls/", ladder, half), ("h264", "one.mp4", alone, 1)):
        path = f"{folder / out}/" if out[-1] == "/" else folder / out
        # Several segments, by two encoders, with pictures out of order.
        done = run([rgpu, "transcode", film, path, "--codec", codec, *sizes, "--gop", "0.5", "--segment", "1",
                    "--jobs", "2", "--bframes", "2", "--speed", "p3", "--quiet", "--json", *options])
        result = folder / out / "master.m3u8" if out[-1] == "/" else path
        what = f"{name} to {codec} in {out}"
        for track in range(1 if sizes is alone else 2):
            found = differences(f"{what}, track {track}", codes_of(result, track), shown(codes, drop, step))
            print(f"{what}, track {track}: {'right' if not found else 'wrong'}", flush=True)
            problems += found
        said = [line for line in json.loads(done.stdout).get("warnings", []) if "time code" in line]
        if len(said) != lost:
            problems.append(f"{what}: says {said}")
    return problems


def main(rgpu, *options):
    problems = []
    for name in thinned(FILMS, 3):
        with tempfile.TemporaryDirectory(prefix="timecodes-") as folder:
            problems += judge(rgpu, options, pathlib.Path(folder), name)
    report(problems, "time codes")


if __name__ == "__main__":
    main(*sys.argv[1:])
