"""Compares a result with its source: every picture, every time stamp, every copied packet.

The reference is what the ffmpeg program shows of the source, frame for frame with pts. Times are
fractions of seconds, so nothing is rounded here; a result's pts may differ from the source's only
by the rounding to the nearest tick of the result's own time base. Containers that cannot hold the
source's clock (TS wraps, FLV counts from zero) may add one constant, the same for all tracks: whole
seconds, and in TS a turn of its clock.
"""
import hashlib
import json
import pathlib
import re
import statistics
import sys
from fractions import Fraction

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "run"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "films"))
import hls_cues  # noqa: E402
from tools import Failed, probe, run  # noqa: E402

MS = Fraction(1, 1000)
# MD5 of no bytes, and of mov_text's empty text: a length of zero.
EMPTY_TEXTS = {hashlib.md5(data).hexdigest() for data in (b"", b"\0\0")}
PRIMING = 3                 # packets
FORMAT = 4                  # of what Source keeps
CONSTANT_OFFSET = ("ts", "flv", "hls")
TS_TURN = Fraction(2**33, 90000)
# What a right conversion to the source's chroma and size has, by another filter of the same kind
# (Lanczos, splines). Chroma that lies half a sample off has below 40 dB.
PSNR_LEAST = 45.0
OWN_TAGS = {"encoder", "major_brand", "minor_version", "compatible_brands", "creation_time",
            "duration", "handler_name", "software", "vendor_id", "_statistics_writing_app", "metadatacreator",
            "has_audio", "has_video", "variant_bitrate", "id"}


# ---- reading ------------------------------------------------------------------------------------

def read_hashes(text):
    """framehash lines: {stream: (time base, [(pts, size, hash)])}."""
    bases, lines = {}, {}
    for line in text.decode().splitlines():
        if line.startswith("#tb "):
            stream, base = line[4:].split(": ")
            bases[int(stream)] = Fraction(base)
            lines[int(stream)] = []
        elif line and not line.startswith("#"):
            stream, _, pts, _, size, digest = [part.strip() for part in line.split(",")][:6]
            lines[int(stream)].append((int(pts), int(size), digest))
    return {stream: (bases[stream], lines[stream]) for stream in bases}


def frames(path, track=0, luma=False, hashed=True):
    """What ffmpeg shows of a video track: [(pts in seconds, hash)] and the time base."""
    filters = ["-vf", "extractplanes=y"] if luma else []
    done = run(["ffmpeg", "-v", "fatal", "-nostdin", "-noautorotate", "-threads", "1", "-copyts",
                "-i", path, "-map", f"0:V:{track}", *filters, "-fps_mode", "passthrough",
                "-enc_time_base", "-1", "-f", "framehash", "-hash", "md5" if hashed else "adler32",
                "-"], 600)
    base, lines = read_hashes(done.stdout).get(0, (Fraction(1), []))
    return [(pts * base, digest) for pts, _, digest in lines], base


def tracks(path):
    return probe(path, "-show_streams", "-show_format", "-show_chapters")


def packets(path, kind):
    """Copied packets of one kind ("a", "s"), track by track: [[(pts in seconds, hash, hidden)]],
    and the time base of each track. AAC comes without ADTS headers; hidden is what an edit list
    cuts away, and None what lies in Matroska's CodecDelay: later versions of ffmpeg write one for
    AAC, and show the packet."""
    found = probe(path, "-show_streams", "-show_packets", "-show_format", "-select_streams", kind)
    streams = found.get("streams", [])
    if not streams:
        return [], []
    strip = []
    for i, stream in enumerate(streams):
        if stream["codec_name"] == "aac":
            strip += [f"-bsf:{kind}:{i}", "aac_adtstoasc"]
    text = run(["ffmpeg", "-v", "fatal", "-nostdin", "-copyts", "-i", path, "-map", f"0:{kind}",
                "-c", "copy", *strip, "-f", "framehash", "-hash", "md5", "-"], 600).stdout
    hashed = read_hashes(text)
    result, bases = [], []
    for i, stream in enumerate(streams):
        _, lines = hashed.get(i, (Fraction(1), []))
        base = Fraction(stream["time_base"])
        listed = [p for p in found["packets"] if p["stream_index"] == stream["index"]]
        if len(listed) != len(lines):
            raise Failed(f"{path}: ffprobe sees {len(listed)} packets of {kind}:{i}, "
                         f"ffmpeg {len(lines)}")
        # ffmpeg makes times of copied audio smooth; ffprobe shows those of the file.
        delay = None
        if listed and stream.get("initial_padding") and \
                "matroska" in found["format"]["format_name"]:
            delay = listed[0]["pts"] * base + base + \
                Fraction(stream["initial_padding"], int(stream["sample_rate"]))

        def hidden(packet, base=base, delay=delay):
            if delay is not None and (packet["pts"] + packet.get("duration", 0)) * base <= delay:
                return None
            return "D" in packet["flags"]

        result.append([(packet["pts"] * base, digest, hidden(packet))
                       for (_, _, digest), packet in zip(lines, listed)])
        bases.append(base)
    return result, bases


def texts(path, track):
    """A subtitle track as text: [(start, end, set of lines)] in seconds, without its styles."""
    done = run(["ffmpeg", "-v", "fatal", "-nostdin", "-copyts", "-i", path, "-map", f"0:s:{track}",
                "-f", "srt", "-"])
    cues = []
    for block in re.split(r"\n\s*\n", done.stdout.decode().replace("\r", "").strip()):
        times = re.search(r"(\S+) --> (\S+)\n?(.*)", block, re.S)
        if times:
            start, end = (sum(Fraction(part.replace(",", ".")) * 60**i for i, part in
                              enumerate(reversed(times[n].split(":")))) for n in (1, 2))
            plain = re.sub(r"<[^>]*>|\{[^}]*\}", "", times[3])
            cues.append((start, end, {line.strip() for line in plain.splitlines() if line.strip()}))
    return cues


def lines_at(cues, time):
    return set().union(*(lines for start, end, lines in cues if start <= time < end))


def key_times(path, track=0, hidden=False):
    """Times of the key frames of one video track, also those that an edit list hides if asked."""
    found = probe(path, "-show_packets", "-show_streams", "-select_streams", f"V:{track}")
    base = Fraction(found["streams"][0]["time_base"])
    return [p["pts"] * base for p in found["packets"]
            if "K" in p["flags"] and (hidden or "D" not in p["flags"]) and "pts" in p]


def dts_problems(path, track=0):
    found = probe(path, "-show_packets", "-select_streams", f"V:{track}")
    problems, last = [], None
    for i, packet in enumerate(found["packets"]):
        dts, pts = packet.get("dts"), packet.get("pts")
        if pts is None:
            return [f"packet {i} has no pts"]
        if dts is None:
            continue  # Matroska has none, and libavformat does not make up all of them
        if last is not None and dts <= last:
            problems.append(f"packet {i}: dts {dts} does not come after {last}")
        if pts < dts:
            problems.append(f"packet {i}: pts {pts} before dts {dts}")
        last = dts
    return problems[:3]


def videos(found):
    """Video tracks; a cover is none."""
    return [s for s in found["streams"] if s["codec_type"] == "video"
            and not s["disposition"]["attached_pic"]]


class Source:
    """What is known of a source film; the slow parts are kept beside the film."""

    def __init__(self, path, compare="exact"):
        self.path, self.compare = pathlib.Path(path), compare
        kept = self.path.with_name(self.path.name + f".{compare}-{FORMAT}.json")
        if kept.exists():
            data = json.loads(kept.read_text())
        else:
            shown, base = frames(path, luma=compare == "luma")
            audio, bases = packets(path, "a")
            data = {"frames": [[str(t), digest] for t, digest in shown], "base": str(base),
                    "audio": [[[str(t), *rest] for t, *rest in track] for track in audio],
                    "audio_bases": [str(b) for b in bases],
                    "others": [[digest for _, digest in frames(path, n)[0]]
                               for n in range(1, len(videos(tracks(path))))],
                    "keys": [str(t) for t in key_times(path, hidden=True)],
                    "tracks": tracks(path)}
            part = kept.with_suffix(f".{id(self)}")
            part.write_text(json.dumps(data))
            part.rename(kept)
        self.frames = [(Fraction(t), digest) for t, digest in data["frames"]]
        self.base = Fraction(data["base"])
        self.audio = [[(Fraction(t), *rest) for t, *rest in track] for track in data["audio"]]
        self.audio_bases = [Fraction(b) for b in data["audio_bases"]]
        self.keys = [Fraction(t) for t in data["keys"]]
        self.others, self.tracks = data["others"], data["tracks"]

    def of_kind(self, kind):
        return [s for s in self.tracks["streams"] if s["codec_type"] == kind]


# ---- comparing ----------------------------------------------------------------------------------

def seconds(value):
    return f"{float(value):.6f} s"


def same_codec(a, b):
    """MP4 has one name for MP2 and MP3; ffprobe guesses the third layer."""
    return a == b or {a, b} == {"mp2", "mp3"}


def constant_of(difference, container, clock, base):
    """The nearest constant that may have been added to all times."""
    if clock == "order":
        return round(difference / base) * base
    if clock == "own" and container not in CONSTANT_OFFSET:
        return Fraction(0)
    turns = (0, 1, -1) if container == "ts" else (0,)
    return min((round(difference - n * TS_TURN) + n * TS_TURN for n in turns),
               key=lambda constant: abs(difference - constant))


def compare_frames(source, path, track=0, container="mkv", clock="own"):
    """Problems, and the constant that was added to all times (0 where none is allowed)."""
    shown, base = frames(path, track, source.compare == "luma")
    problems, offset = [], Fraction(0)
    if len(shown) != len(source.frames):
        problems.append(f"{len(shown)} frames instead of {len(source.frames)}")
    if not shown or not source.frames:
        return problems, offset
    offset = constant_of(shown[0][0] - source.frames[0][0], container, clock, source.base)
    for i, ((want_time, want), (time, got)) in enumerate(zip(source.frames, shown)):
        # In a base that can hold the source's times, this is zero.
        if abs(time - want_time - offset) > base / 2:
            problems.append(f"frame {i} at {seconds(time)} instead of "
                            f"{seconds(want_time + offset)}")
        if source.compare != "near" and want != got:
            where = [j for j, (_, digest) in enumerate(source.frames) if digest == got][:3]
            problems.append(f"frame {i} at {seconds(time)} shows another picture"
                            + (f" (that of frame {where})" if where else ""))
        if len(problems) >= 4:
            problems.append("... and perhaps more")
            break
    if source.compare in ("near", "luma") and not problems:
        problems += compare_psnr(source, path, track)
    return problems, offset


def psnr(source, path, track, reference):
    """PSNR of each plane in dB, against the source behind the filters of `reference`."""
    count = "setpts=N/25/TB,settb=1/25"
    done = run(["ffmpeg", "-v", "info", "-nostdin", "-noautorotate", "-i", path, "-noautorotate",
                "-i", source.path, "-filter_complex",
                f"[0:V:{track}]{count}[a];[1:V:0]{reference},{count}[b];[a][b]psnr",
                "-fps_mode", "passthrough", "-f", "null", "-"], 600)
    found = re.search(rb"PSNR y:(\S+) u:(\S+) v:(\S+)", done.stderr)
    if not found:
        raise Failed("no PSNR in ffmpeg's output:\n" + done.stderr.decode()[-2000:])
    return dict(zip("yuv", map(float, found.groups())))


def compare_psnr(source, path, track):
    """All three planes against zimg's conversion of the source."""
    after = probe(path, "-show_streams", "-select_streams", f"V:{track}")["streams"][0]
    before = videos(source.tracks)[0]
    width, height = before["width"], before["height"]
    convert = f"zscale={after['width']}:{after['height']}:f=bicubic,format={after['pix_fmt']}"
    if width % 2 == 0 and height % 2 == 0:
        values = psnr(source, path, track, convert)
    else:
        # zimg takes no subsampled chroma of odd sizes. The planes as they are make an even picture,
        # whose chroma is brought to full size and cut there.
        even = f"{width + width % 2}:{height + height % 2}"
        values = psnr(source, path, track, "scale=" + even + ":flags=neighbor,zscale=" + even +
                      f":f=lanczos,format=yuv444p,crop={width}:{height}:0:0:exact=1,{convert}")
        values["y"] = psnr(source, path, track, f"format=yuv444p,{convert}")["y"]
    print(f"PSNR in dB: {values}")
    return [f"PSNR of {plane} {value} dB, below {PSNR_LEAST}"
            for plane, value in values.items() if value < PSNR_LEAST]


def subsequence(part, whole):
    """Index in `whole` of each item of `part`, in order; None where there is another one."""
    found, at = [], 0
    for item in part:
        while at < len(whole) and whole[at] != item:
            at += 1
        if at == len(whole):
            return None
        found.append(at)
        at += 1
    return found


def compare_joined(source, path, overlap):
    """A film whose clock jumps back by `overlap` seconds: pictures and audio packets in the
    source's order at rising times, no more missing than what overlaps, in step at both ends."""
    problems, moved = [], []
    # ffmpeg's own times stand still where the clock has jumped back.
    listed = probe(source.path, "-show_frames", "-select_streams", "V:0")["frames"]
    if len(listed) != len(source.frames):
        raise Failed(f"{source.path}: ffprobe shows {len(listed)} frames")
    kinds = [("frame", [(frame["pts"] * source.base, digest) for frame, (_, digest) in
                        zip(listed, source.frames)], frames(path)[0])]
    kinds += [("audio packet", want, have)
              for want, have in zip(source.audio, packets(path, "a")[0])]
    if len(kinds) != 1 + len(source.audio):
        return [f"{len(kinds) - 1} audio tracks instead of {len(source.audio)}"]
    for what, want, have in kinds:
        step = statistics.mode(b[0] - a[0] for a, b in zip(want, want[1:]))
        most = overlap / step + 2
        if any(b[0] <= a[0] for a, b in zip(have, have[1:])):
            problems.append(f"{what}s at times that do not rise")
        at = subsequence([item[1] for item in have], [item[1] for item in want])
        if at is None:
            problems.append(f"{what}s that the source does not have there")
        elif len(want) - len(have) > most:
            problems.append(f"{len(have)} {what}s of {len(want)}; at most {float(most):.0f} lie "
                            "double")
        if have and have[-1][0] - have[0][0] > (len(want) + 2) * step:
            problems.append(f"{what}s last {seconds(have[-1][0] - have[0][0])}")
        if have and at:
            moved.append([have[n][0] - want[at[n]][0] for n in (0, -1)])
    for first, last in moved[1:]:
        if max(abs(first - moved[0][0]), abs(last - moved[0][1])) > Fraction(1, 25):
            problems.append("audio is not in step with video")
    return problems


def align(want, have, container):
    """Pairs the packets of a copied track with the source's, or says why they are not the same.

    All that the source shows must be there, in order, and nothing else but what the source has
    hidden before or behind: an edit list may hide it again; elsewhere a decoder's priming (at most
    PRIMING packets) shows."""
    digests = [packet[1] for packet in want]
    first = next((i for i, packet in enumerate(want) if packet[2] is False), 0)
    last = max((i for i, packet in enumerate(want) if packet[2] is False), default=-1)
    either = sum(packet[2] is None for packet in want)
    got = [packet[1] for packet in have]
    for start in range(first, -1, -1):
        if digests[start:start + len(got)] == got and start + len(got) > last:
            extra = [packet for packet in have[:first - start] if not packet[2]]
            if len(extra) > (either if container == "mp4" else PRIMING):
                return None, f"{len(extra)} packets are shown that the source hides"
            heard = have[first - start:last + 1 - start]
            hidden = [i for i, packet in enumerate(heard) if packet[2]]
            if hidden:
                return None, f"packets that the source shows are hidden: {hidden[:5]}"
            return list(zip(want[start:], have)), None
    shown = digests[first:last + 1]
    differs = next((i for i, (a, b) in enumerate(zip(shown, got)) if a != b),
                   min(len(shown), len(got)))
    return None, f"packets differ from number {differs} on ({len(got)} instead of {len(shown)})"


def compare_audio(source, path, offset, container, anew=False):
    """Copied tracks are the same packets at the same times; tracks encoded anew start and end with
    the source's within 50 ms."""
    problems = []
    got, bases = packets(path, "a")
    streams = probe(path, "-show_streams", "-select_streams", "a").get("streams", [])
    wanted = source.of_kind("audio")
    if len(got) != len(wanted):
        return [f"{len(got)} audio tracks instead of {len(wanted)}"]
    for n, (want, have, before, after) in enumerate(zip(source.audio, got, wanted, streams)):
        slack = bases[n] / 2
        if source.audio_bases[n] != Fraction(1, int(before["sample_rate"])):
            # Times that were rounded may be made smooth, to a sample.
            slack += source.audio_bases[n] / 2 + Fraction(1, int(before["sample_rate"]))
        if anew or not same_codec(before["codec_name"], after["codec_name"]):
            steps = [b[0] - a[0] for a, b in zip(have, have[1:])]
            if after["codec_name"] not in ("aac", "opus") or not have or not want:
                problems.append(f"audio {n} became {after['codec_name']}")
            elif abs(have[0][0] - want[0][0] - offset) > Fraction(1, 20) or \
                    abs(have[-1][0] - want[-1][0] - offset) > Fraction(3, 20):
                problems.append(f"audio {n}, encoded anew, spans {seconds(have[0][0])} to "
                                f"{seconds(have[-1][0])}")
            elif steps and max(steps) > Fraction(3, 2) * statistics.median(steps):
                problems.append(f"audio {n}, encoded anew, has a hole of {seconds(max(steps))}")
            continue
        pairs, reason = align(want, have, container)
        if reason:
            problems.append(f"audio {n}: {reason}")
            continue
        off = [(i, b[0] - a[0] - offset) for i, (a, b) in enumerate(pairs)
               if abs(b[0] - a[0] - offset) > slack]
        if off:
            problems.append(f"audio {n}: packet {off[0][0]} is {float(off[0][1] / MS):.3f} ms off "
                            f"against video ({len(off)} packets are)")
    return problems


def tags_of(holder):
    return {k.lower(): v for k, v in holder.get("tags", {}).items()
            if k.lower() not in OWN_TAGS and not k.lower().startswith("duration-")}


def compare_rest(source, path, offset, container, said):
    """Subtitles, attachments, chapters, tags, dispositions, languages, rotation, colour, HDR. What
    the container cannot hold must be named in `said`, the program's own lines."""
    problems = []
    now = tracks(path)
    said = said.lower()

    def of_kind(kind):
        return [s for s in now["streams"] if s["codec_type"] == kind]

    if container == "hls":
        problems += compare_hls_texts(source, pathlib.Path(path), offset, said)
    for kind in ("subtitle", "attachment"):
        if kind == "subtitle" and container == "hls":
            continue
        want, have = source.of_kind(kind), of_kind(kind)
        if len(have) > len(want):
            problems.append(f"{len(have)} {kind} tracks instead of {len(want)}")
        elif len(have) < len(want) and container == "mkv":
            problems.append(f"{kind} tracks lost: {len(have)} instead of {len(want)}")
        elif len(have) < len(want) and kind not in said:
            problems.append(f"{kind} tracks lost without a word: {len(have)} of {len(want)} kept")
        elif kind == "subtitle" and len(have) == len(want):
            problems += compare_subtitles(source, path, want, have, offset)
    for n, want in enumerate(source.others, 1):
        have = [digest for _, digest in frames(path, n)[0]] if n < len(videos(now)) else None
        if have is None and "video" not in said:
            problems.append(f"video track {n} lost without a word")
        elif have is not None and have != want:
            problems.append(f"video track {n}: other pictures ({len(have)} of {len(want)})")
    covers = [s for s in source.of_kind("video") if s["disposition"]["attached_pic"]]
    if covers and not any(s["disposition"]["attached_pic"] for s in of_kind("video")) and \
            not re.search("cover|picture|attach", said):
        problems.append("cover lost without a word")

    want, have = source.tracks["chapters"], now["chapters"]
    if len(want) != len(have):
        if have or "chapter" not in said or container in ("mkv", "mp4"):
            problems.append(f"{len(have)} chapters instead of {len(want)}")
    for n, (a, b) in enumerate(zip(want, have)):
        for end in ("start_time", "end_time"):
            if abs(Fraction(a[end]) - Fraction(b[end]) + offset) > MS:
                problems.append(f"chapter {n}: {end} {b[end]} instead of {a[end]}")
        if a["tags"].get("title") != b["tags"].get("title"):
            problems.append(f"chapter {n}: another title")

    if container in ("mkv", "mp4"):
        have = tags_of(now["format"])
        for name, value in tags_of(source.tracks["format"]).items():
            if have.get(name) != value:
                problems.append(f"tag {name} is {have.get(name)!r} instead of {value!r}")
    for kind in ("audio", "subtitle"):
        if len(source.of_kind(kind)) != len(of_kind(kind)):
            continue
        for n, (a, b) in enumerate(zip(source.of_kind(kind), of_kind(kind))):
            language = [s.get("tags", {}).get("language", "und") for s in (a, b)]
            if language[0] != language[1] and container != "flv":
                problems.append(f"{kind} {n}: language {language[1]} instead of {language[0]}")
            if container == "mkv":
                if a.get("tags", {}).get("title") != b.get("tags", {}).get("title"):
                    problems.append(f"{kind} {n}: another title")
                # Tracks of MP4 that are only "enabled" read as default; Matroska keeps the rest.
                for name in ("default", "forced", "comment"):
                    if a["disposition"][name] != b["disposition"][name]:
                        problems.append(f"{kind} {n}: disposition {name} is "
                                        f"{b['disposition'][name]}")
    return problems + compare_picture(source, now, container, said)


def compare_hls_texts(source, master, offset, said):
    """Each subtitle track is a rendition, or is named."""
    names = hls_cues.renditions(master)
    if len(names) != len(source.of_kind("subtitle")):
        lost = len(names) < len(source.of_kind("subtitle")) and "subtitle" in said
        return [] if lost else [f"{len(names)} renditions of subtitles"]
    begin = key_times(master)[0] if names else 0
    problems = []
    for n, playlist in enumerate(names):
        found = hls_cues.problems(hls_cues.source_texts(source.path, n),
                                  hls_cues.rendition_texts(playlist, begin), offset)
        problems += [f"subtitle {n}: {line}" for line in found]
    return problems


def compare_subtitles(source, path, want, have, offset):
    """The same packets at the same times; and in every codec the same lines on the screen at any
    time, to a millisecond."""
    problems = []
    tracks_of = [zip(*packets(where, "s")) for where in (source.path, path)]
    for n, (before, after, (a, a_base), (b, b_base)) in enumerate(zip(want, have, *tracks_of)):
        # MP4 fills the time between texts with empty packets.
        a, b = ([p for p in track if not p[2] and p[1] not in EMPTY_TEXTS] for track in (a, b))
        if before["codec_name"] == after["codec_name"] and [p[1] for p in a] != [p[1] for p in b]:
            problems.append(f"subtitle {n}: other packets ({len(b)} instead of {len(a)})")
        elif before["codec_name"] == after["codec_name"] and \
                any(abs(y[0] - x[0] - offset) > (a_base + b_base) / 2 for x, y in zip(a, b)):
            problems.append(f"subtitle {n}: other times")
        a, b = texts(source.path, n), texts(path, n)
        times = sorted({time for cue in a for time in cue[:2]} |
                       {time - offset for cue in b for time in cue[:2]})
        for start, end in zip(times, times[1:]):
            middle = (start + end) / 2
            shown = lines_at(a, middle), lines_at(b, middle + offset)
            if end - start > MS and shown[0] != shown[1]:
                problems.append(f"subtitle {n}: at {seconds(middle)} it shows {sorted(shown[1])} "
                                f"instead of {sorted(shown[0])}")
                break
    return problems


def side_data(stream, kind):
    return [{k: v for k, v in data.items() if k not in ("side_data_type", "displaymatrix")}
            for data in stream.get("side_data_list", []) if data["side_data_type"] == kind]


def compare_picture(source, now, container, said):
    """Shape, rotation and colour of the first video track."""
    problems = []
    a, b = videos(source.tracks)[0], videos(now)[0]
    if source.compare != "near":
        for name in ("width", "height"):
            if a[name] != b[name]:
                problems.append(f"{name} {b[name]} instead of {a[name]}")
        aspect = [s.get("sample_aspect_ratio", "1:1").replace("0:1", "1:1") for s in (a, b)]
        if aspect[0] != aspect[1]:
            problems.append(f"sample aspect ratio {aspect[1]} instead of {aspect[0]}")
    if container in ("mp4", "mkv"):
        turn = [[d.get("rotation", 0) % 360 for d in side_data(s, "Display Matrix")]
                for s in (a, b)]
        if (turn[0] or [0]) != (turn[1] or [0]) and not ("rotation" in said and not turn[1]):
            problems.append(f"rotation {turn[1]} instead of {turn[0]}")
    for name in ("color_range", "color_space", "color_transfer", "color_primaries"):
        # A range that was not said is the limited one.
        want = a.get(name, "tv" if name == "color_range" else "unknown")
        have = b.get(name, "tv" if name == "color_range" else "unknown")
        if want not in ("unknown", have):
            problems.append(f"{name} {have} instead of {want}")
    for kind in ("Mastering display metadata", "Content light level metadata"):
        if side_data(a, kind) and side_data(a, kind) != side_data(b, kind):
            problems.append(f"{kind.lower()} {side_data(b, kind)} instead of {side_data(a, kind)}")
    return problems


def compare(source, path, container, said="", track=0, clock="own", rest=True):
    """All problems of a result, as lines. `clock`: see films.py."""
    problems, offset = compare_frames(source, path, track, container, clock)
    if clock == "order":
        if not -Fraction(1, 5) <= offset <= 0 and container not in CONSTANT_OFFSET:
            problems.append(f"the first frame is {seconds(offset)} off")
        offset = Fraction(0)
    problems += dts_problems(path, track)
    problems += compare_audio(source, path, offset, container)
    if rest:
        problems += compare_rest(source, path, offset, container, said)
    return problems
