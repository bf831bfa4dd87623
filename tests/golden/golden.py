#!/usr/bin/env python3
"""Transcodes one film losslessly in every way that matters and compares all with the source.

    golden.py RGPU FILM

- every container that the film's recipe names, with everything else that is in the film;
- every segmentation that --segment can give, at 1, 2 and 3 jobs in turn.
"""
import json
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402
import films  # noqa: E402
from tools import Failed, report, run, thinned  # noqa: E402

SEGMENT_MIN = 0.01
SEGMENT_MAX = 3600
CUTS_MAX = 24  # segmentations tried per film; a film of two hours has tens of thousands


def segmentations(keys):
    """A --segment value for each way to cut: a cut is made at the first key at or behind the end of
    the length, so between two distances of keys the cuts do not change."""
    keys = sorted(set(keys))
    if len(keys) > 40:
        gaps = [keys[n] - keys[0] for n in (1, 4, 34)]
        gaps += [keys[-1] - keys[0]]
    else:
        gaps = [b - a for i, a in enumerate(keys) for b in keys[i + 1:]]
    gaps = sorted(set(gaps))
    near = min((b - a for a, b in zip(keys, keys[1:])), default=0) / 3
    lengths = [SEGMENT_MIN] + [float(a + min((b - a) / 2, near))
                               for a, b in zip(gaps, gaps[1:]) if b - a > 0.01]
    lengths += [min(SEGMENT_MAX, float(gaps[-1]) * 2 + 10)] if gaps else []
    lengths = [length for length in lengths if length <= SEGMENT_MAX]
    ways = {}
    for length in lengths:
        cuts, last = [], keys[0] if keys else 0
        for key in keys[1:]:
            if key - last >= length:
                cuts.append(key)
                last = key
        ways.setdefault(tuple(cuts), length)
    chosen = sorted(ways.items(), key=lambda way: way[1])
    while len(chosen) > CUTS_MAX:
        del chosen[len(chosen) // 2]
    return [(length, len(cuts) + 1) for cuts, length in chosen]


class Golden:
    def __init__(self, rgpu, name, folder, options=()):
        self.rgpu, self.film, self.folder = rgpu, films.FILMS[name], folder
        self.options = (*self.film.options, *options)
        self.path = films.path(name)
        self.source = compare.Source(self.path, self.film.compare)
        self.problems = []

    def transcode(self, out, *options):
        """Runs the command; gives its summary and all that it said."""
        done = run([self.rgpu, "transcode", self.path, out, "--json", "-y", *self.options,
                    *options], 300, check=False)
        said = done.stderr.decode(errors="replace")
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        if not lines or lines[-1].get("event") != "summary":
            raise Failed(f"no summary from {' '.join(map(str, done.args))}: {said[-1000:]}")
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, done.args))} ended with {done.returncode}: "
                         f"{lines[-1]['message']} {said[-1000:]}")
        return lines[-1], said + "\n".join(lines[-1]["warnings"])

    def check(self, what, function):
        started = time.monotonic()
        try:
            found = function()
        except (Failed, KeyError, StopIteration, ValueError) as error:
            found = [f"{type(error).__name__}: {error}"]
        print(f"{what}: {'right' if not found else found} ({time.monotonic() - started:.1f} s)",
              flush=True)
        self.problems += [f"{self.film.name}, {what}: {line}" for line in found]

    def container(self, container):
        out = self.folder / ("hls/" if container == "hls" else f"result.{container}")
        options = ["--quality", "0", "--speed", "p1"]
        summary, said = self.transcode(f"{out}/" if container == "hls" else out, *options)
        problems = []
        if container == "hls":
            problems += playlist_problems(out) + line_up_problems(out)
            out = master_of(out)
        if self.film.overlap:
            told = summary["damaged"] or summary["warnings"]
            return problems + compare.compare_joined(self.source, out, self.film.overlap) + \
                ([] if told else ["the damage was not said"])
        problems += compare.compare(self.source, out, container, said,
                                    clock=self.film.clock)
        if summary["damaged"] and self.film.name not in ("no_first_key", "no_idr",
                                                         "hevc_starts_cra"):
            problems.append(f"{summary['damaged']} frames called damaged")
        if self.film.compare == "luma" and "4:2:0" not in said:
            problems.append("the conversion to 4:2:0 was not said")
        return problems

    def segmentation(self, length, jobs, segments_most):
        out = self.folder / f"cut.{self.film.outputs[0]}"
        summary, _ = self.transcode(out, "--quality", "0", "--speed", "p1", "--segment",
                                    f"{length:.4f}", "--jobs", str(jobs))
        self.segments.add(summary["segments_done"])
        if self.film.overlap:
            return compare.compare_joined(self.source, out, self.film.overlap)
        problems = compare.compare(self.source, out, self.film.outputs[0],
                                   clock=self.film.clock, rest=False)
        # Where the film's packets have no pts, its keys are not known here.
        if self.source.keys and summary["segments_done"] > segments_most:
            problems.append(f"{summary['segments_done']} segments, at most {segments_most} wanted")
        return problems

    def run(self):
        for container in self.film.outputs:
            self.check(container, lambda: self.container(container))
            for left in self.folder.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        self.segments = set()
        ways = segmentations(self.source.keys)
        runs = [(length, most, 1 + i % 3) for i, (length, most) in enumerate(ways)]
        if ways:
            runs[:1] = [(*ways[0], jobs) for jobs in (1, 2, 3)]
        for length, most, jobs in thinned(runs, 3):
            self.check(f"--segment {length:.2f} --jobs {jobs}",
                       lambda: self.segmentation(length, jobs, most))
        # A film that is never cut would make these runs mean nothing.
        if self.film.cut and len(ways) > 1 and max(self.segments, default=0) < 2:
            self.problems.append(f"{self.film.name} was never cut")


def master_of(folder):
    for playlist in sorted(folder.rglob("*.m3u8")):
        if "#EXT-X-STREAM-INF" in playlist.read_text():
            return playlist
    raise Failed(f"no master playlist in {folder}: {sorted(map(str, folder.rglob('*')))}")


def attributes(text):
    """NAME=VALUE pairs of a playlist tag; commas within quotes belong to the value."""
    found, name, value, quoted = {}, "", None, False
    for letter in text + ",":
        if letter == '"':
            quoted = not quoted
        elif letter == "," and not quoted:
            found[name], name, value = value, "", None
        elif letter == "=" and value is None:
            value = ""
        elif value is None:
            name += letter
        else:
            value += letter
    return found


def playlist_problems(folder):
    """What a player needs of the playlists, measured on the segments."""
    problems, lines = [], master_of(folder).read_text().splitlines()
    variants = [(attributes(line.split(":", 1)[1]), lines[i + 1])
                for i, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF:")]
    for values, uri in variants:
        playlist = master_of(folder).parent / uri
        text = playlist.read_text().splitlines()
        if text[-1] != "#EXT-X-ENDLIST":
            problems.append(f"{uri} has no end")
        target = next(int(line.split(":")[1]) for line in text
                      if line.startswith("#EXT-X-TARGETDURATION"))
        bits_most, size = 0, 0
        for i, line in enumerate(text):
            if not line.startswith("#EXTINF:"):
                continue
            length = float(line[8:].split(",")[0])
            name = next(t for t in text[i + 1:] if t and not t.startswith("#"))
            bits = (playlist.parent / name).stat().st_size * 8
            size += bits
            if length > 0.5:
                bits_most = max(bits_most, bits / length)
            if round(length) > target:
                problems.append(f"{uri}: {name} lasts {length} s, target is {target} s")
        if not size:
            problems.append(f"{uri} names no segments")
        if float(values.get("BANDWIDTH", 0)) < bits_most * 0.98:
            problems.append(f"{uri}: BANDWIDTH {values.get('BANDWIDTH')} is below {bits_most:.0f}")
        stream = compare.probe(playlist, "-show_streams")["streams"]
        video = next(s for s in stream if s["codec_type"] == "video")
        if values.get("RESOLUTION") != f"{video['width']}x{video['height']}":
            problems.append(f"{uri}: RESOLUTION {values.get('RESOLUTION')}")
        rate = video["avg_frame_rate"].split("/")
        if abs(float(values.get("FRAME-RATE", 0)) - int(rate[0]) / max(1, int(rate[1]))) > 0.5:
            problems.append(f"{uri}: FRAME-RATE {values.get('FRAME-RATE')}, "
                            f"not {video['avg_frame_rate']}")
        begin = {"h264": "avc", "hevc": "h", "av1": "av01"}[video["codec_name"]]
        if not values.get("CODECS", "").startswith(begin):
            problems.append(f"{uri}: CODECS {values.get('CODECS')}")
    return problems if variants else ["the master playlist names no variants"]


def segments_of(playlist):
    """[(begin, end, path)] of a media playlist's segments by its lengths, and the path of what
    comes before all of them."""
    found, at, length, header, gap = [], 0.0, None, None, False
    for line in playlist.read_text().splitlines():
        if line.startswith("#EXT-X-MAP:"):
            header = playlist.parent / attributes(line.split(":", 1)[1])["URI"].strip('"')
        elif line.startswith("#EXTINF:"):
            length = float(line[8:].split(",")[0])
        elif line == "#EXT-X-GAP":
            gap = True
        elif line and line[0] != "#":
            if not gap:
                found.append((at, at + length, playlist.parent / line))
            at, gap = at + length, False
    return found, header


def line_up_problems(folder, slack=0.1):
    """Players take the time of a segment from the playlists' lengths: all media playlists have one
    target, and each segment holds nothing but what belongs to its time."""
    master, problems, targets, origin = master_of(folder), [], {}, None
    text = master.read_text().splitlines()
    uris = [line for line in text if line and line[0] != "#"]
    uris += [attributes(line.split(":", 1)[1])["URI"].strip('"') for line in text
             if line.startswith("#EXT-X-MEDIA:") and "URI=" in line]
    for uri in dict.fromkeys(uris):
        playlist = master.parent / uri
        targets[uri] = [line for line in playlist.read_text().splitlines()
                        if line.startswith("#EXT-X-TARGETDURATION:")]
        segments, header = segments_of(playlist)
        for begin, end, path in segments:
            if path.suffix == ".vtt":
                continue  # see hls_cues.py
            whole = folder.parent / "one-segment.mp4"
            whole.write_bytes(header.read_bytes() + path.read_bytes())
            times = [float(p["pts_time"]) for p in compare.probe(whole, "-show_packets")["packets"]]
            whole.unlink()
            if not times:
                problems.append(f"{uri}: {path.name} is empty")
                break
            if origin is None:
                origin = min(times)  # the first variant's first picture
            first, last = min(times) - origin, max(times) - origin
            if first < begin - slack or last > end + slack:
                problems.append(f"{uri}: {path.name} is for {begin:.3f} to {end:.3f} s and holds "
                                f"packets of {first:.3f} to {last:.3f} s")
                break
    if len({tuple(lines) for lines in targets.values()}) != 1:
        problems.append(f"the media playlists have different targets: {targets}")
    return problems


def main(rgpu, name, *options):
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        golden = Golden(rgpu, name, pathlib.Path(folder), options)
        golden.run()
    report(golden.problems, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
