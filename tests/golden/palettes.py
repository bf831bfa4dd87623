#!/usr/bin/env python3
"""Sources with palettes, cut at every key frame: brightness against ffmpeg's own decoding.

    palettes.py RGPU
"""
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402
from tools import Failed, report, run  # noqa: E402

FRAMES = 12
LEAST_DB = 45.0
ONE = "split[a][b];[a]palettegen[p];[b][p]paletteuse"
MANY = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"
# Name: file, filter, encoder.
FILMS = {
    "raw": ("raw.avi", ONE, "rawvideo"),
    "raw, a palette a frame": ("many.avi", MANY, "rawvideo"),
    "raw, in NUT": ("raw.nut", MANY, "rawvideo"),
    "msrle": ("msrle.avi", ONE, "msrle"),
    "qtrle": ("qtrle.mov", ONE, "qtrle"),
    "gif": ("film.gif", ONE, "gif"),
    "png": ("png.mkv", MANY, "png"),
}


def luma_psnr(path, source):
    """Of frames by number: time bases differ."""
    same = "settb=1/25,setpts=N"
    text = run(["ffmpeg", "-v", "info", "-nostdin", "-i", path, "-i", source, "-lavfi",
                f"[0:v]extractplanes=y,{same}[a];"
                "[1:v]format=gbrp,scale=out_color_matrix=bt601:out_range=tv:"
                f"flags=accurate_rnd+full_chroma_int,format=yuv444p,extractplanes=y,{same}[b];"
                "[a][b]psnr", "-fps_mode", "passthrough", "-f", "null", "-"]).stderr.decode()
    found = re.search(r"PSNR y:(\S+)", text)
    if not found:
        raise Failed("no PSNR in ffmpeg's output:\n" + text[-2000:])
    return float(found.group(1))


def check(rgpu, folder, name):
    file, filters, encoder = FILMS[name]
    film, out = folder / file, folder / "out.mkv"
    made = run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i",
                f"testsrc2=size=160x120:rate=10:duration={FRAMES / 10}", "-vf", filters, "-c:v",
                encoder, "-pix_fmt", "pal8", "-g", "4", film], check=False)
    if made.returncode != 0 and b"Unknown encoder" in made.stderr:
        print(f"{name}: this ffmpeg cannot make it")
        return []
    if made.returncode != 0:
        raise Failed(made.stderr.decode())
    problems = []
    for jobs in ("1", "2"):
        done = run([rgpu, "transcode", film, out, "-y", "--quality", "0", "--speed", "p1",
                    "--segment", "0.3", "--jobs", jobs], check=False)
        if done.returncode != 0:
            problems.append(f"{name}: ended with {done.returncode}: {done.stderr.decode()[-500:]}")
            continue
        if len(compare.frames(out)[0]) != FRAMES:
            problems.append(f"{name}: {len(compare.frames(out)[0])} frames")
        value = luma_psnr(out, film)
        print(f"{name}, --jobs {jobs}: {value:.1f} dB")
        if value < LEAST_DB:
            problems.append(f"{name}, --jobs {jobs}: {value:.1f} dB")
    return problems


def main(rgpu):
    problems = []
    with tempfile.TemporaryDirectory(prefix="palettes-") as folder:
        for name in FILMS:
            problems += check(rgpu, pathlib.Path(folder), name)
    report(problems, "palettes")


main(sys.argv[1])
