#!/usr/bin/env python3
"""Why rgpu cuts by index and muxes itself: the usual way loses frames of an open-GOP film.

ffmpeg's segment muxer cuts at key frames in decode order; the leading pictures behind a cut then
lie in a file without the pictures that they refer to, and are lost when that file is transcoded by
itself. The concat demuxer joins what is left. This test documents it: if it fails one day, ffmpeg
has learned to do it.
"""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402
import films  # noqa: E402
from tools import report, run  # noqa: E402


def cut_and_join(film, folder):
    ffmpeg = ["ffmpeg", "-v", "fatal", "-nostdin", "-y"]
    run([*ffmpeg, "-i", film, "-map", "0:v", "-c", "copy", "-f", "segment", "-segment_time", "0.5",
         folder / "cut%03d.mkv"])
    parts = sorted(folder.glob("cut*.mkv"))
    for part in parts:
        run([*ffmpeg, "-i", part, "-c:v", "libx264", "-qp", "0", "-preset", "ultrafast",
             folder / part.name.replace("cut", "done")])
    names = "".join(f"file '{part.name.replace('cut', 'done')}'\n" for part in parts)
    (folder / "list.txt").write_text(names)
    run([*ffmpeg, "-f", "concat", "-i", folder / "list.txt", "-c", "copy", folder / "joined.mkv"])
    return folder / "joined.mkv", len(parts)


def main():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        film = films.path("open_gop")
        joined, parts = cut_and_join(film, pathlib.Path(folder))
        source = compare.Source(film)
        want = [digest for _, digest in source.frames]
        have = [digest for _, digest in compare.frames(joined)[0]]
        lost = len(set(want) - set(have))
        print(f"{parts} segments: {len(have)} frames of {len(want)}; {lost} pictures are lost")
        if parts < 3:
            problems.append(f"only {parts} segments were made")
        if lost < parts - 1:
            problems.append("no pictures were lost")
    report(problems, "segment muxer and concat demuxer")


if __name__ == "__main__":
    main()
