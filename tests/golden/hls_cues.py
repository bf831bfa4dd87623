"""Subtitles as lists of (begin, end, text), in seconds: of a film as the ffmpeg program shows them, and
of HLS renditions as their WebVTT files say it, which ffmpeg cannot read through a playlist.
"""
import html
import re
from fractions import Fraction

from tools import Failed, run

HEAD = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n"
TIME = re.compile(r"(\d\d+):(\d\d):(\d\d)[.,](\d\d\d)")


def seconds(text):
    hours, minutes, rest, ms = map(int, TIME.fullmatch(text).groups())
    return 3600 * hours + 60 * minutes + rest + Fraction(ms, 1000)


def plain(text):
    """Without what HLS cannot say: fonts, places."""
    return re.sub(r"</?font[^>]*>|\{\\an\d\}", "", text).strip()


def source_texts(path, track):
    """Cues of a track, each once, as players of HLS show the same text of the same time once."""
    text = run(["ffmpeg", "-v", "fatal", "-nostdin", "-copyts", "-i", path, "-map", f"0:s:{track}", "-f",
                "srt", "-"], 60).stdout.decode().replace("\r", "")
    cues = set()
    for block in re.split(r"\n\n(?=\d+\n|\Z)", text.strip() + "\n\n"):
        lines = block.strip("\n").split("\n")
        if len(lines) > 2:
            begin, end = lines[1].split(" --> ")
            cues.add((seconds(begin), seconds(end), plain("\n".join(lines[2:]))))
    return sorted(cues)


def renditions(master):
    """Playlists of the subtitles that a master playlist names."""
    return [master.parent / re.search(r'URI="([^"]*)"', line).group(1)
            for line in master.read_text().splitlines()
            if line.startswith("#EXT-X-MEDIA:TYPE=SUBTITLES")]


def segments(playlist):
    """[(length, path)] of a media playlist."""
    found, length = [], None
    for line in playlist.read_text().splitlines():
        if line.startswith("#EXTINF:"):
            length = Fraction(line[8:].split(",")[0])
        elif line and not line.startswith("#"):
            found.append((length, playlist.parent / line))
    return found


def cues_of(path):
    text = path.read_text()
    if not text.startswith(HEAD):
        raise Failed(f"{path} does not begin as a segment: {text[:60]!r}")
    cues = []
    for block in text[len(HEAD):].split("\n\n"):
        if block:
            times, _, payload = block.partition("\n")
            begin, end = times.split(" --> ")
            if re.search(r"&(?!amp;|lt;|gt;|nbsp;)", payload):
                raise Failed(f"{path}: a bare & in {payload!r}")
            cues.append((seconds(begin), seconds(end.split()[0]), html.unescape(payload)))
    return cues


def rendition_texts(playlist, start):
    """All cues, each once. Fails where one is not in each segment that it overlaps, or in another;
    `start` is when the first one begins."""
    listed = [(length, cues_of(path)) for length, path in segments(playlist)]
    cues = sorted({cue for _, found in listed for cue in found})
    begin = start
    for i, (length, found) in enumerate(listed):
        end = begin + length
        want = [cue for cue in cues if (cue[0] < end or i + 1 == len(listed))
                and (cue[1] > begin or i == 0)]
        # The playlist's lengths are rounded to a microsecond.
        near = [cue for cue in cues if min(abs(cue[0] - end), abs(cue[1] - begin)) < Fraction(1, 10000)]
        if {*want} - {*near} != {*found} - {*near}:
            raise Failed(f"{playlist}: segment {i + 1} has {found}, not {want}")
        begin = end
    return cues


def problems(want, have, offset, start=0, end=None):
    """Same texts at the same times, to a millisecond, counted from `start`."""
    want = [(max(a - start, Fraction(0)) + offset, b - start + offset, text) for a, b, text in want
            if b > start and (end is None or a < end)]
    if [cue[2] for cue in want] != [cue[2] for cue in have]:
        return [f"texts are {[cue[2] for cue in have]}, not {[cue[2] for cue in want]}"]
    late = Fraction(1, 1000)
    return [f"{b[2]!r} is shown from {float(b[0])} to {float(b[1])} s, not {float(a[0])} to "
            f"{float(a[1])} s" for a, b in zip(want, have)
            if abs(a[0] - b[0]) > late or abs(a[1] - b[1]) > late]
