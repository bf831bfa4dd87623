#!/usr/bin/env python3
"""HDR10+ and Dolby Vision: refused, or left out when that is asked for.

    dynamic_hdr.py RGPU

The films are HDR10 in HEVC by x265; the per-frame metadata is put in between the NAL units: for
HDR10+ an SEI message of SMPTE ST 2094-40, for Dolby Vision a NAL unit of its type.
"""
import json
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from attempt import Attempt, frames_of  # noqa: E402
from tools import Failed, report, run, skip  # noqa: E402

FRAMES = 48
INPUT = 3
X265 = ("keyint=12:slices=1:wpp=0:min-keyint=12:scenecut=0:bframes=0:log-level=error:pools=none:hdr10=1:"
        "repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):"
        "max-cll=1000,400")


def escaped(payload):
    """With the bytes that keep start codes out of a NAL unit."""
    out = bytearray()
    for byte in payload:
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)


def bits(*fields):
    text = "".join(format(value, f"0{size}b") for value, size in fields)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


def hdr10_plus(number):
    """One window: peaks and average of the picture, no curves."""
    peak = 1000 + number
    message = bits((0xB5, 8), (0x3C, 16), (1, 16), (4, 8), (1, 8), (1, 2), (400, 27), (0, 1), (peak, 17),
                   (peak, 17), (peak, 17), (peak // 2, 17), (0, 4), (0, 10), (0, 1), (0, 1), (0, 1))
    return b"\0\0\0\1\x4e\x01" + escaped(bytes([4, len(message)]) + message + b"\x80")


def ue(value):
    """An unsigned Exp-Golomb number as one of the fields of bits()."""
    return value + 1, 2 * (value + 1).bit_length() - 1


def crc32(data):
    """As MPEG-2 has it: from the top bit, nothing turned over."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = crc << 1 ^ (0x104C11DB7 if crc >> 31 else 0)
    return crc


def dolby_vision(number):
    """A reference processing unit whose curves leave the picture as it is."""
    del number
    header = [(2, 6), (18, 11), (1, 4), (0, 4), (1, 1), (0, 1), (0, 2), ue(23), (1, 2), (0, 1), ue(2), ue(2),
              ue(4), (0, 1), (0, 3), (0, 1), (1, 1), (0, 1), (0, 1), ue(0), ue(0), ue(0)]
    pivots = [ue(0), (0, 10), (1023, 10)] * 3
    curves = [ue(0), ue(0), (0, 1), ue(0), (0, 23), ue(1), (0, 23)] * 3
    unit = bits(*header, *pivots, ue(0), ue(0), *curves)
    return b"\0\0\0\1\x7c\x01" + escaped(b"\x19" + unit + crc32(unit).to_bytes(4, "big") + b"\x80")


def make(folder):
    """Gives the bare film, and a film for each kind; `late` begins with it in the middle."""
    bare = folder / "bare.hevc"
    done = run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i",
                f"testsrc2=size=192x108:rate=24:duration={FRAMES / 24}", "-c:v", "libx265", "-preset",
                "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", X265, bare], check=False)
    if done.returncode != 0:
        skip("ffmpeg has no x265 with 10 bits: " + done.stderr.decode()[-300:])
    # A picture is one VCL unit here (types below 32), behind what belongs to it.
    units = re.split(rb"\x00\x00\x00?\x01", bare.read_bytes())[1:]
    films = {}
    for name, begin in (("bare", None), ("hdr10_plus", 0), ("late", FRAMES // 2), ("dolby_vision", 0)):
        out, number = bytearray(), 0
        for unit in units:
            is_picture = (unit[0] >> 1) & 63 < 32
            number += is_picture
            wanted = is_picture and begin is not None and number > begin
            if wanted and name != "dolby_vision":
                out += hdr10_plus(number)
            out += b"\0\0\0\1" + unit
            if wanted and name == "dolby_vision":
                out += dolby_vision(number)
        if number != FRAMES:
            raise Failed(f"x265 made {number} slices of {FRAMES} pictures")
        raw = folder / f"{name}.raw.hevc"
        raw.write_bytes(out)
        films[name] = folder / f"{name}.mp4"
        run(["ffmpeg", "-v", "error", "-y", "-r", "24", "-f", "hevc", "-i", raw, "-c", "copy", "-tag:v",
             "hvc1", films[name]])
    return films


def metadata(path):
    """Names of the metadata that ffmpeg finds at the frames."""
    done = run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_frames", "-of", "json", path])
    return {side["side_data_type"] for frame in json.loads(done.stdout)["frames"]
            for side in frame.get("side_data_list", [])}


def judge(rgpu, name, film, folder):
    problems = []
    said = json.loads(run([rgpu, "probe", film, "--json"]).stdout)
    expected = {"hdr10": True, "hdr10_plus": name in ("hdr10_plus", "late"),
                "dolby_vision": name == "dolby_vision"}
    for key, value in expected.items():
        if said[key] != value:
            problems.append(f"{name}: probe says {key}: {said[key]}")
    for out in ("out.mp4", "out/"):
        refused = Attempt(rgpu, film, folder, out)
        print(f"{name} to {out}: {refused.code} {refused.error.strip()}", flush=True)
        problems += [f"{name}: {p}" for p in refused.problems]
        if name == "bare" and refused.code != 0:
            problems.append(f"{name}: {refused.error}")
        elif name != "bare" and (refused.code != INPUT or "--strip-dynamic-hdr" not in refused.error):
            problems.append(f"{name}: ended with {refused.code}: {refused.error}")
        stripped = Attempt(rgpu, film, folder, out,
                           options=["--strip-dynamic-hdr", "--codec", "hevc", "--verify"])
        print(f"{name} to {out}, stripped: {stripped.code} {stripped.error.strip()}", flush=True)
        problems += [f"{name}, stripped: {p}" for p in stripped.problems]
        if stripped.code != 0:
            problems.append(f"{name}, stripped: ended with {stripped.code}: {stripped.error}")
            continue
        result = folder / out if out[-1] != "/" else folder / out / "master.m3u8"
        found = metadata(result)
        if frames_of(result) != FRAMES:
            problems.append(f"{name}, stripped: {frames_of(result)} frames instead of {FRAMES}")
        if any("2094" in kind or "Dolby" in kind for kind in found):
            problems.append(f"{name}, stripped: still has {sorted(found)}")
        if not any("Mastering" in kind for kind in found):
            problems.append(f"{name}, stripped: HDR10 is gone too: {sorted(found)}")
    return problems


def main(rgpu):
    problems = []
    with tempfile.TemporaryDirectory(prefix="dynamic-") as folder:
        folder = pathlib.Path(folder)
        films = make(folder)
        for name, kind in (("hdr10_plus", "2094"), ("dolby_vision", "Dolby")):
            if not any(kind in found for found in metadata(films[name])):
                problems.append(f"ffmpeg finds no {kind} in the film {name}")
        for name, film in films.items():
            problems += judge(rgpu, name, film, folder / "out")
    report(problems, "dynamic HDR")


if __name__ == "__main__":
    main(sys.argv[1])
