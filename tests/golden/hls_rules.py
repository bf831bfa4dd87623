"""HLS as RFC 8216 (second edition) has it, checked without the code that writes it: playlists are
parsed line by line, fragments box by box. problems(master) gives what is wrong in a presentation.

Times are fractions: what a playlist says of a segment is right to 1 tick of the track and the
playlist's microsecond, sizes to the byte, bit rates to the bit.
"""
import math
import re
from fractions import Fraction

ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(?:,|$)')
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")
PRECISION = Fraction(1, 1000000)
LATE_AUDIO = Fraction(1, 2)  # what a first segment may last before its media begins


def attributes(text):
    found, at = {}, 0
    while at < len(text):
        match = ATTRIBUTE.match(text, at)
        if not match or match[1] in found:
            raise ValueError(f"no attribute list: {text}")
        found[match[1]] = match[2]
        at = match.end()
    return found


def quoted(values, name):
    value = values.get(name)
    if value is None:
        return None
    if value[0] != '"' or len(value) < 3:
        raise ValueError(f"{name}={value} is no quoted string")
    return value[1:-1]


# ---- MP4 ----------------------------------------------------------------------------------------

def boxes(data, begin=0, end=None):
    end = len(data) if end is None else end
    while begin < end:
        size = int.from_bytes(data[begin:begin + 4], "big")
        if size < 8 or begin + size > end:
            raise ValueError(f"a box of {size} bytes at {begin} of {end}")
        yield data[begin + 4:begin + 8].decode("latin-1"), begin + 8, begin + size
        begin += size


def find(data, path, begin=0, end=None):
    for name, first, last in boxes(data, begin, end):
        if name == path[0]:
            return (first, last) if len(path) == 1 else find(data, path[1:], first, last)
    return None


def number(data, at, size, signed=False):
    return int.from_bytes(data[at:at + size], "big", signed=signed)


class Header:
    """init.mp4 of one track."""

    def __init__(self, data):
        mdhd, _ = find(data, ["moov", "trak", "mdia", "mdhd"])
        self.timescale = number(data, mdhd + (20 if data[mdhd] else 12), 4)
        trex, _ = find(data, ["moov", "mvex", "trex"])
        self.defaults = [number(data, trex + 12 + 4 * i, 4) for i in range(3)]
        self.media_time, elst = 0, find(data, ["moov", "trak", "edts", "elst"])
        if elst:
            wide = data[elst[0]]
            if number(data, elst[0] + 4, 4) != 1:
                raise ValueError("an edit list of several entries")
            self.media_time = number(data, elst[0] + 8 + (8 if wide else 4), 8 if wide else 4, True)
        begin, end = find(data, ["moov", "trak", "mdia", "minf", "stbl", "stsd"])
        self.entry, first, last = next(boxes(data, begin + 8, end))
        self.is_video = find(data, ["moov", "trak", "mdia", "minf", "vmhd"]) is not None
        if self.is_video:
            self.size = number(data, first + 24, 2), number(data, first + 26, 2)
        self.inner = {name: data[a:b] for name, a, b in
                      boxes(data, first + (78 if self.is_video else 28), last)}

    def codecs(self):
        """What RFC 6381 says of the sample entry."""
        if self.entry == "avc1":
            return "avc1." + self.inner["avcC"][1:4].hex()
        if self.entry in ("hvc1", "hev1"):
            return self.entry + hevc_codecs(self.inner["hvcC"])
        if self.entry == "av01":
            flags = self.inner["av1C"][1], self.inner["av1C"][2]
            depth = 8 if not flags[1] & 0x40 else 12 if flags[1] & 0x20 else 10
            return f"av01.{flags[0] >> 5}.{flags[0] & 31:02}" \
                   f"{'H' if flags[1] & 0x80 else 'M'}.{depth:02}"
        if self.entry == "mp4a":
            return "mp4a." + mp4a_codecs(self.inner["esds"][4:])
        return self.entry

    def range(self):
        colr = self.inner.get("colr", b"")
        transfer = number(colr, 6, 2) if colr[:4] in (b"nclx", b"nclc") else 2
        return {16: "PQ", 18: "HLG"}.get(transfer, "SDR")


def hevc_codecs(box):
    space, tier, profile = box[1] >> 6, box[1] >> 5 & 1, box[1] & 31
    reverse = int(f"{number(box, 2, 4):032b}"[::-1], 2)
    text = f".{['', 'A', 'B', 'C'][space]}{profile}.{reverse:X}.{'LH'[tier]}{box[12]}"
    rest = box[6:12].rstrip(b"\0")
    return text + "".join(f".{byte:X}" for byte in rest)


def mp4a_codecs(esds):
    """Object type of a DecoderConfigDescriptor, and for AAC that of its configuration."""
    at, kind = 0, None
    while at < len(esds):
        tag, size, at = esds[at], 0, at + 1
        while True:
            size, more, at = size << 7 | esds[at] & 127, esds[at] & 128, at + 1
            if not more:
                break
        if tag == 3:
            at += 3
        elif tag == 4:
            kind, at = esds[at], at + 13
        elif tag == 5:
            return f"40.{esds[at] >> 3}" if kind == 0x40 else f"{kind:02X}"
        else:
            at += size
    return "40.34" if kind == 0x6B else f"{kind:02X}"


class Fragments:
    """Samples of a segment: (decode time, presentation time, duration, sync) in ticks, in decode
    order."""

    def __init__(self, data, header):
        self.samples, self.wrong, size = [], [], None
        for name, begin, end in boxes(data):
            if name == "moof":
                size = self.moof(data, begin, end, header)
            elif name == "mdat":
                if size != end - begin:
                    self.wrong.append(f"samples of {size} bytes in a mdat of {end - begin}")
                size = None
        if size is not None:
            self.wrong.append("a moof without its mdat")

    def moof(self, data, begin, end, header):
        begin, end = find(data, ["traf"], begin, end)
        tfhd, _ = find(data, ["tfhd"], begin, end)
        flags, at = number(data, tfhd, 4) & 0xffffff, tfhd + 8
        at += 8 * (flags & 1) + 4 * (flags >> 1 & 1)
        default = list(header.defaults)
        for i in range(3):
            if flags & 8 << i:
                default[i], at = number(data, at, 4), at + 4
        tfdt, _ = find(data, ["tfdt"], begin, end)
        dts, total = number(data, tfdt + 4, 8 if data[tfdt] else 4), 0
        if self.samples and self.samples[-1][0] + self.samples[-1][2] != dts:
            self.wrong.append(f"a fragment at {dts}, where {sum(self.samples[-1][::2])} is due")
        for name, at, _ in boxes(data, begin, end):
            if name != "trun":
                continue
            version, flags = data[at], number(data, at, 4) & 0xffffff
            count = number(data, at + 4, 4)
            at += 8 + 4 * (flags & 1)
            first = None
            if flags & 4:
                first, at = number(data, at, 4), at + 4
            for i in range(count):
                values = list(default)
                for k in range(3):
                    if flags & 0x100 << k:
                        values[k], at = number(data, at, 4), at + 4
                later = 0
                if flags & 0x800:
                    later, at = number(data, at, 4, version > 0), at + 4
                if i == 0 and first is not None:
                    values[2] = first
                self.samples.append((dts, dts + later, values[0], not values[2] & 0x10000))
                dts += values[0]
                total += values[1]
        return total


# ---- media playlists ----------------------------------------------------------------------------

class Media:
    def __init__(self, path):
        self.path, self.segments, self.header = path, [], None
        self.independent = self.ended = False
        self.target = self.version = None
        gap, length = False, None
        lines = path.read_text().splitlines()
        if lines[0] != "#EXTM3U":
            raise ValueError("it is no playlist")
        for line in lines:
            tag, _, value = line.partition(":")
            if tag == "#EXT-X-TARGETDURATION":
                self.target = int(value)
            elif tag == "#EXT-X-VERSION":
                self.version = int(value)
            elif tag == "#EXT-X-INDEPENDENT-SEGMENTS":
                self.independent = True
            elif tag == "#EXT-X-ENDLIST":
                self.ended = True
            elif tag == "#EXT-X-GAP":
                gap = True
            elif tag == "#EXT-X-MAP":
                self.header = Header((path.parent / quoted(attributes(value), "URI")).read_bytes())
            elif tag == "#EXTINF":
                length = Fraction(value.split(",")[0])
            elif line and line[0] != "#":
                self.segments.append((length, gap, path.parent / line))
                gap, length = False, None

    def duration(self):
        return sum(length for length, _, _ in self.segments)

    def bits(self, i):
        _, gap, path = self.segments[i]
        return 0 if gap else 8 * path.stat().st_size

    def average(self):
        return Fraction(sum(map(self.bits, range(len(self.segments))))) / self.duration()

    def peak(self):
        """4.4.6.2: of contiguous segments that last 0.5 to 1.5 target durations."""
        peak = None
        for first in range(len(self.segments)):
            bits, span = 0, Fraction(0)
            for i in range(first, len(self.segments)):
                bits, span = bits + self.bits(i), span + self.segments[i][0]
                if span > Fraction(3 * self.target, 2):
                    break
                if span >= Fraction(self.target, 2):
                    peak = max(peak or 0, bits / span)
        return self.average() if peak is None else peak

    def first(self):
        """When its first sample is shown (what an edit list takes off is not); None: no MP4."""
        for _, gap, path in self.segments:
            if self.header and not gap:
                samples = Fragments(path.read_bytes(), self.header).samples
                shown = min(s[1] for s in samples) - self.header.media_time
                return max(Fraction(0), Fraction(shown, self.header.timescale))
        return None

    def check_rules(self):
        found = []
        if not self.ended or not self.segments:
            found.append("it has no end or no segments")
        if any(gap for _, gap, _ in self.segments) and self.version < 8:
            found.append("EXT-X-GAP before version 8")
        for length, gap, path in self.segments:
            if math.floor(length + Fraction(1, 2)) > self.target:
                found.append(f"{path.name} lasts {float(length)} s, target is {self.target} s")
            if gap and (path.suffix != ".m4s" or path.read_bytes()[4:8] != b"styp" or
                        b"mdat" in path.read_bytes()):
                found.append(f"{path.name} is a gap with media")
        return found

    def check(self, origin):
        """`origin`: time of the presentation's first sample."""
        found, begin, due, open_points = self.check_rules(), origin, None, 0
        if not self.header:
            return found
        scale, first = self.header.timescale, True
        slack = PRECISION + Fraction(1, scale)
        for length, gap, path in self.segments:
            end = begin + length
            if gap:
                if not first:
                    found.append(f"{path.name} is a gap behind media")
                begin = end
                continue
            fragments = Fragments(path.read_bytes(), self.header)
            samples = fragments.samples
            found += [f"{path.name}: {line}" for line in fragments.wrong]
            if due is not None and samples[0][0] != due:
                found.append(f"{path.name} decodes from {samples[0][0]}, due is {due}")
            due = samples[-1][0] + samples[-1][2]
            shown = [Fraction(s[1] - self.header.media_time, scale) for s in samples]
            open_points += min(shown) < shown[0] or not samples[0][3]
            # Leading pictures are shown before the cut that their segment is decoded from.
            late = (min(shown) if first else shown[0]) - begin
            if first:
                most = self.target if self.header.is_video else LATE_AUDIO
                right = (late >= -slack or begin == 0) and late <= most + slack
            else:
                right = abs(late) <= slack
            if not right:
                found.append(f"{path.name} begins at {float(min(shown))} s, not {float(begin)} s")
            if path == self.segments[-1][2]:
                last = max(t + Fraction(s[2], scale) for t, s in zip(shown, samples))
                if abs(last - end) > slack and not self.header.is_video:
                    found.append(f"{path.name} ends at {float(last)} s, not {float(end)} s")
                if abs(last - end) > slack + Fraction(samples[-1][2], scale):
                    found.append(f"{path.name} ends at {float(last)} s, not {float(end)} s")
            elif max(shown) >= end:
                found.append(f"{path.name} shows {float(max(shown))} s, behind {float(end)} s")
            begin, first = end, False
        if self.independent != (open_points == 0):
            found.append(f"independent {self.independent}, but {open_points} open segments")
        return found

    def frame_rate(self):
        times = [s[1] for _, gap, path in self.segments if not gap
                 for s in Fragments(path.read_bytes(), self.header).samples]
        return Fraction((len(times) - 1) * self.header.timescale, max(times) - min(times))


# ---- master playlist ----------------------------------------------------------------------------

class Master:
    def __init__(self, path):
        self.path, self.variants, self.groups, self.folders = path, [], {}, set()
        self.independent, self.media, lines = False, {}, path.read_text().splitlines()
        for i, line in enumerate(lines):
            if line == "#EXT-X-INDEPENDENT-SEGMENTS":
                self.independent = True
            elif line.startswith("#EXT-X-MEDIA:"):
                values = attributes(line.split(":", 1)[1])
                group = self.groups.setdefault((values["TYPE"], quoted(values, "GROUP-ID")), [])
                group.append((values, self.load(quoted(values, "URI"))))
            elif line.startswith("#EXT-X-STREAM-INF:"):
                self.variants.append((attributes(line.split(":", 1)[1]), self.load(lines[i + 1])))

    def load(self, uri):
        path = self.path.parent / uri
        self.folders.add(path.parent)
        return self.media.setdefault(path, Media(path))

    def check_group(self, group):
        found, names, kinds = [], [], []
        for values, _ in group:
            names.append(quoted(values, "NAME"))
            language = quoted(values, "LANGUAGE")
            if language is not None and not LANGUAGE.match(language):
                found.append(f"LANGUAGE {language}")
            if values.get("AUTOSELECT") == "YES":
                kinds.append((language, values.get("FORCED"), values.get("CHARACTERISTICS")))
            if values.get("DEFAULT") == "YES" and values.get("AUTOSELECT") != "YES":
                found.append("DEFAULT without AUTOSELECT")
        if len(set(names)) != len(names) or not all(name.strip() for name in names):
            found.append(f"NAMEs {names}")
        if len(set(kinds)) != len(kinds):
            found.append(f"AUTOSELECT cannot tell {kinds} apart")
        if sum(values.get("DEFAULT") == "YES" for values, _ in group) > 1:
            found.append("several DEFAULTs")
        return found

    def check_variant(self, values, media):
        found, header = [], media.header
        groups = [self.groups[kind, quoted(values, kind)] for kind in ("AUDIO", "SUBTITLES")
                  if kind in values]
        beside = [max((m for _, m in group), key=Media.peak) for group in groups]
        peak = (media.peak() if header.is_video else 0) + sum(m.peak() for m in beside)
        average = (media.average() if header.is_video else 0) + \
            sum(max(m.average() for _, m in group) for group in groups)
        for name, want in (("BANDWIDTH", peak), ("AVERAGE-BANDWIDTH", average)):
            if not 0 <= int(values[name]) - want < 1 + len(groups):
                found.append(f"{name}={values[name]}, not {float(want)}")
        headers = [header] + [m.header for group in groups for _, m in group if m.header]
        want = {h.codecs().lower() for h in headers}
        have = quoted(values, "CODECS")
        if have is None or {word.lower() for word in have.split(",")} != want:
            found.append(f"CODECS {have}, not {sorted(want)}")
        if header.is_video:
            if values.get("RESOLUTION") != "{}x{}".format(*header.size):
                found.append(f"RESOLUTION {values.get('RESOLUTION')}, not {header.size}")
            if abs(Fraction(values["FRAME-RATE"]) / media.frame_rate() - 1) > Fraction(1, 100):
                found.append(f"FRAME-RATE {values['FRAME-RATE']}, not {float(media.frame_rate())}")
            if values.get("VIDEO-RANGE") != header.range():
                found.append(f"VIDEO-RANGE {values.get('VIDEO-RANGE')}, not {header.range()}")
        return found

    def origin(self):
        """When all playlists begin: with the first picture or sound."""
        return min(t for t in (media.first() for media in self.media.values()) if t is not None)

    def check(self):
        found = []
        for (kind, _), group in self.groups.items():
            found += [f"{kind}: {line}" for line in self.check_group(group)]
        for values, media in self.variants:
            found += [f"{media.path.parent.name}: {line}"
                      for line in self.check_variant(values, media)]
        if not self.variants:
            found.append("no variants")
        if len({media.target for media in self.media.values()}) != 1:
            found.append("different target durations")
        if self.independent != all(media.independent for media in self.media.values()):
            found.append("EXT-X-INDEPENDENT-SEGMENTS is not what the media playlists say")
        origin = self.origin()
        for path, media in self.media.items():
            found += [f"{path.parent.name}: {line}" for line in media.check(origin)]
        below = self.path.parent
        if self.path.name != "master.m3u8":
            below = below / self.path.stem
        other = {path for path in below.iterdir() if path.is_dir()} - self.folders
        return found + [f"the folder {path.name} belongs to nothing" for path in other]


def problems(path):
    return Master(path).check()
