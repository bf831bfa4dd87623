#!/usr/bin/env python3
"""Sources that change in mid-film: at a joint of two segments or inside of one, on any number of
lanes, the result has one header, all frames at their times, and the same pictures; and what is
converted is what ffmpeg's own filters make of it. Where the first half comes once more behind the
second, it becomes what it was at first.

    changes.py RGPU [KIND...]    all kinds unless some are named
"""
import hashlib
import json
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402
from tools import Failed, report, run, thinned  # noqa: E402

SIZE = (192, 108)
FRAMES = 50
LEAST_DB = 40.0
BT601 = "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m"
BT709 = "colorprim=bt709:transfer=bt709:colormatrix=bt709"
TO_601, TO_709 = "scale=out_color_matrix=bt601", "scale=out_color_matrix=bt709"
HDR = ("hdr-opt=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:"
       "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L({},50)")
CUBIC = "filter=bicubic:param_a=0:param_b=0.5"


class Half:
    """One half of a film, and the filter that brings it to what the first half is."""

    def __init__(self, filters=TO_601, color=BT601, pixels="yuv420p", size=SIZE, options=(),
                 convert="null", says=None, codec="x264", compare=True):
        self.filters, self.color, self.pixels, self.size = filters, color, pixels, size
        self.options, self.convert, self.says = list(options), convert, says
        self.codec, self.compare = codec, compare

    def make(self, path, start):
        params = ":".join(filter(None, ("keyint=25:min-keyint=25:scenecut=0:bframes=2", self.color)))
        if self.codec == "x265":
            params += ":log-level=error:pools=none:frame-threads=1"
        run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i",
             f"testsrc2=size={self.size[0]}x{self.size[1]}:rate=25:duration={FRAMES / 25},"
             "format=rgb24,hue=s=0.6", "-vf", self.filters, "-c:v", "lib" + self.codec, "-preset",
             "ultrafast", "-crf", "12", "-pix_fmt", self.pixels, "-threads", "1",
             f"-{self.codec[:4]}-params", params, *self.options, "-output_ts_offset", start,
             "-mpegts_flags", "+initial_discontinuity", "-f", "mpegts", path])


FIRST = Half()
FIRST_HDR = Half(TO_709, HDR.format(10000000), "yuv420p10le", codec="x265")
# Fitted by hand: the larger one is 5:3 in 16:9, the other is 64:27.
KINDS = {
    "matrix": (FIRST, Half(TO_709, BT601.replace("matrix=smpte170m", "matrix=bt709"),
                           convert=f"zscale=matrixin=709:matrix=170m:{CUBIC}", says="colour")),
    "colour": (FIRST, Half(TO_709, BT709, convert="zscale=matrixin=709:matrix=170m:primariesin=709:"
                           f"primaries=170m:transferin=709:transfer=601:{CUBIC}", says="colour")),
    "range": (FIRST, Half(TO_601 + ":out_range=full", BT601 + ":fullrange=on",
                          convert=f"zscale=rangein=full:range=limited:{CUBIC}", says="colour")),
    "depth": (FIRST, Half(pixels="yuv420p10le", convert="zscale,format=yuv420p",
                          says="pixel format")),
    "size": (FIRST, Half(size=(480, 288), convert=f"zscale=180:108:{CUBIC},pad=192:108:6:0",
                         says="black bars")),
    "scale": (FIRST, Half(size=(384, 216), convert=f"zscale=192:108:{CUBIC}", says="another size")),
    "aspect": (FIRST, Half(TO_601 + ",setsar=4/3", convert=f"zscale=192:82:{CUBIC},"
                           "pad=192:108:0:12", says="black bars")),
    "fields": (FIRST, Half(options=["-flags", "+ilme+ildct", "-top", "1"], says="deinterlaced",
                           compare=False)),
    "hdr": (FIRST_HDR, Half(TO_709, HDR.format(40000000), "yuv420p10le", codec="x265",
                            says="HDR metadata")),
}
# The headers of the first half say nothing of what those of the second one do.
RETURNS = {
    "colour ends": (Half("null", ""), Half("null", "colorprim=bt2020:transfer=smpte2084:"
                                           "colormatrix=bt2020nc", says="colour", compare=False)),
    "range ends": (Half("null", ""), Half("null", "fullrange=on", says="colour", compare=False)),
    "RGB ends": (Half("null", "", "yuv444p"), Half("null", "", "gbrp", codec="x264rgb",
                                                   says="pixel format", compare=False)),
}


def raw(path, out, filters="null", skip=0, pixels="yuv420p"):
    run(["ffmpeg", "-v", "error", "-y", "-nostdin", "-i", path, "-vf",
         f"trim=start_frame={skip},{filters}", "-fps_mode", "passthrough", "-f", "rawvideo",
         "-pix_fmt", pixels, out])


def psnr(a, b, pixels):
    """The least of three planes."""
    shape = ["-f", "rawvideo", "-video_size", f"{SIZE[0]}x{SIZE[1]}", "-pixel_format", pixels,
             "-framerate", "25"]
    text = run(["ffmpeg", "-v", "info", "-nostdin", *shape, "-i", a, *shape, "-i", b, "-lavfi",
                "psnr", "-f", "null", "-"]).stderr.decode()
    found = re.search(r"PSNR y:(\S+) u:(\S+) v:(\S+)", text)
    if not found:
        raise Failed("no PSNR in ffmpeg's output:\n" + text[-2000:])
    return min(float(value) for value in found.groups())


def differs_again(shown):
    """Whether the third part of the pictures is not what the first one is."""
    digests = [digest for _, digest in shown]
    return digests[:FRAMES] != digests[2 * FRAMES:]


class Change:
    def __init__(self, rgpu, folder, kind):
        self.rgpu, self.folder, self.kind = rgpu, folder, kind
        self.halves = KINDS.get(kind) or RETURNS[kind]
        self.returns = kind in RETURNS
        self.film = folder / f"{kind.replace(' ', '-')}.ts"
        parts = [folder / "first.ts", folder / "second.ts"]
        for half, part, start in zip(self.halves, parts, ("0", "2.4")):
            half.make(part, start)
        if self.returns:
            parts.append(folder / "third.ts")
            self.halves[0].make(parts[2], "4.72")
        self.frames = len(parts) * FRAMES
        self.film.write_bytes(b"".join(part.read_bytes() for part in parts))
        self.second = parts[1]

    def transcode(self, out, segment, jobs):
        codec = "hevc" if self.kind == "hdr" else "h264"
        done = run([self.rgpu, "transcode", self.film, out, "-y", "--codec", codec, "--quality",
                    "0", "--speed", "p1", "--segment", segment, "--jobs", jobs, "--json"], check=False)
        if done.returncode != 0:
            raise Failed(f"ended with {done.returncode}: {done.stderr.decode()[-500:]}")
        summary = json.loads(done.stdout.splitlines()[-1])
        if summary["segments_retried"] != 0:
            raise Failed(f"{summary['segments_retried']} segments were tried again")
        return "\n".join(summary["warnings"])

    def facts(self, path):
        stream = compare.probe(path, "-show_streams", "-select_streams", "v")["streams"][0]
        keep = ("width", "height", "pix_fmt", "sample_aspect_ratio", "color_range", "color_space",
                "color_primaries", "color_transfer", "field_order", "extradata_size")
        return {name: stream.get(name) for name in keep}

    def converted(self, out):
        half = self.halves[1]
        pixels = self.halves[0].pixels
        raw(out, self.folder / "have.yuv", skip=FRAMES, pixels=pixels)
        raw(self.second, self.folder / "want.yuv", half.convert, pixels=pixels)
        value = psnr(self.folder / "have.yuv", self.folder / "want.yuv", pixels)
        print(f"{self.kind}: {value:.1f} dB to ffmpeg's conversion")
        return [] if value > LEAST_DB else [f"{value:.1f} dB to ffmpeg's conversion"]

    def run(self):
        problems, first = [], {}
        for segment, jobs in thinned([(s, j) for s in ("2", "3") for j in ("1", "2", "3")], 3):
            what = f"{self.kind}, --segment {segment} --jobs {jobs}"
            out = self.folder / "out.mkv"
            try:
                said = self.transcode(out, segment, jobs)
            except Failed as error:
                problems.append(f"{what}: {error}")
                continue
            shown, _ = compare.frames(out)
            times = [time for time, _ in shown]
            found = {"facts": self.facts(out), "times": times,
                     "pictures": hashlib.md5("".join(d for _, d in shown).encode()).hexdigest()}
            # The deinterlacer lacks a neighbour at each cut.
            group = segment if self.kind == "fields" else ""
            for name, value in found.items():
                if first.setdefault((name, group), value) != value:
                    problems.append(f"{what}: other {name}: {value}, not {first[name, group]}")
            if len(times) != self.frames:
                problems.append(f"{what}: {len(times)} frames")
            steps = {round(float(b - a), 3) for a, b in zip(times, times[1:])}
            if len(steps) != 2 or 0.04 not in steps:
                problems.append(f"{what}: frames lie {steps} s apart")
            if self.halves[1].says not in said:
                problems.append(f"{what}: does not say '{self.halves[1].says}': {said}")
            if self.halves[1].compare and len(times) == self.frames:
                problems += [f"{what}: {line}" for line in self.converted(out)]
            if self.returns and differs_again(shown):
                problems.append(f"{what}: the first half is not the same when it comes again")
        return problems


def main(rgpu, *kinds):
    problems = []
    for kind in kinds or (*KINDS, *RETURNS):
        with tempfile.TemporaryDirectory(prefix="changes-") as folder:
            problems += Change(rgpu, pathlib.Path(folder), kind).run()
    report(problems, "changes")


main(*sys.argv[1:])
