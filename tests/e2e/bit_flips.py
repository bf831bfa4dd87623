#!/usr/bin/env python3
"""A thousand films with flipped bits, seeded: no crash, no hang, nothing half-done, nothing lost
without a word.

    bit_flips.py RGPU [SEED [COUNT]]

What the ffmpeg program still shows of a damaged film, pictures at their times and packets of audio,
must be in a result unless damage was said.
"""
import bisect
import concurrent.futures
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "golden"))
from attempt import Attempt, frames_of  # noqa: E402
import compare  # noqa: E402
import films  # noqa: E402
from golden import master_of  # noqa: E402
from tools import report, run, scaled  # noqa: E402

COUNT = 1000
WORKERS = 2
FILMS = ("tiny", "tiny_ts", "tiny_mkv", "tiny_hevc")
OUTPUTS = ("out.mp4", "out.mkv", "out.ts", "out/")
# Seeds of which nobody can say what is right, each with its reason.
UNDECIDED = {}


def flipped(data, seed):
    """From one bit to one in a thousand bytes; in half of the films within the first 2 KiB, where
    the headers are."""
    source = random.Random(seed)
    data = bytearray(data)
    count = source.choice((1, 1, 2, 5, 20, max(1, len(data) // 1000)))
    span = min(len(data), 2048) if source.random() < 0.5 else len(data)
    for _ in range(count):
        data[source.randrange(span)] ^= 1 << source.randrange(8)
    return bytes(data)


def told(done):
    """Whether damage was said; that a container has no subtitles is said of whole films too."""
    return done.summary.get("damaged", 0) > 0 or any(
        "cannot be stored" not in line for line in done.summary.get("warnings", []))


def shown(source, out):
    """What ffmpeg shows of both: the times of pictures of each, the number of audio packets of
    each; None if there are no pictures."""
    base = ["ffmpeg", "-v", "quiet", "-nostdin", "-copyts"]
    for audio in (["-map", "0:a:0?", "-map", "1:a:0?", "-c:a", "copy"], []):
        text = run([*base, "-threads", "1", "-i", source, "-threads", "1", "-i", out, "-map",
                    "0:V:0", "-map", "1:V:0", *audio, "-fps_mode", "passthrough",
                    "-enc_time_base", "-1", "-f", "framehash", "-hash", "adler32", "-"],
                   check=False).stdout
        found = compare.read_hashes(text)
        if 1 in found and found[1][1]:
            times = [[pts * found[n][0] for pts, _, _ in found[n][1]] for n in (0, 1)]
            # With three tracks it cannot be said which is missing.
            return times + [len(found[n][1]) if 3 in found else 0 for n in (2, 3)]
    return None


def lost(source, out):
    """What the result lacks of what ffmpeg shows of the damaged film, as a line, or None."""
    out = master_of(out) if out.is_dir() else out
    both = shown(source, out)
    if both is None:
        # Perhaps there is nothing in the damaged film.
        return None if frames_of(out) else "the result shows nothing"
    want, have, want_audio, have_audio = both
    offset = compare.constant_of(have[0] - want[0], "ts", "own", 1) if want else 0
    have = sorted(time - offset for time in have)
    # A millisecond is the coarsest base of all outputs.
    missing = [time for time in want if bisect.bisect_left(have, time - compare.MS) ==
               bisect.bisect_right(have, time + compare.MS)]
    if missing:
        return (f"{len(missing)} of {len(want)} frames are missing ({len(have)} are there), the "
                f"first at {float(missing[0]):.3f} s")
    if have_audio < want_audio:
        return f"{have_audio} audio packets of {want_audio}"
    return None


def one(rgpu, folder, worker, seed):
    name = FILMS[seed % len(FILMS)]
    film = films.path(name)
    source = folder / f"flipped-{worker}{film.suffix}"
    source.write_bytes(flipped(film.read_bytes(), seed))
    done = Attempt(rgpu, source, folder / f"out-{worker}", OUTPUTS[seed // 4 % len(OUTPUTS)],
                   options=["--segment", "0.3", "--threads", "1"])
    problems = [f"seed {seed} ({name}): {line}" for line in done.problems]
    kept = done.code == 0
    was_told = kept and told(done)
    if kept and not was_told and not done.problems and seed not in UNDECIDED:
        line = lost(source, done.out)
        if line:
            problems.append(f"seed {seed} ({name}, {done.out.name}): nothing said, but {line}")
    elif kept and done.out.is_file() and seed % 8 == 0 and frames_of(done.out) == 0:
        problems.append(f"seed {seed} ({name}): the result shows nothing")
    return problems, kept, was_told


def self_check(folder):
    """Losses are seen: results of whole films, made with ffmpeg."""
    problems = []
    for more, seen in (([], False), (["-frames:v", "6"], True), (["-vf", "select='n-5'"], True),
                       (["-vf", "setpts='PTS+gte(N,4)*0.05/TB'"], True),
                       (["-frames:a", "3"], True)):
        out = folder / "check.mkv"
        run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-copyts", "-i", films.path("tiny"), "-c:v",
             "libx264", "-c:a", "copy", "-fps_mode", "passthrough",
             "-avoid_negative_ts", "disabled", *more, out])
        line = lost(films.path("tiny"), out)
        print(f"{' '.join(more) or 'whole'}: {line or 'nothing lost'}")
        if (line is not None) != seen:
            problems.append(f"a result with {more or 'everything'}: {line}")
    return problems


def main(rgpu, first=1, count=None):
    first, count = int(first), scaled(COUNT, 40) if count is None else int(count)
    print(f"seeds {first} to {first + count - 1}")
    problems, kept, told = [], 0, 0
    for name in FILMS:
        films.path(name)
    with tempfile.TemporaryDirectory(prefix="flips-") as folder:
        folder = pathlib.Path(folder)
        problems += self_check(folder)

        def share(worker):
            return [one(rgpu, folder, worker, seed)
                    for seed in range(first + worker, first + count, WORKERS)]

        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for results in pool.map(share, range(WORKERS)):
                for found, was_kept, was_told in results:
                    problems += found
                    kept += was_kept
                    told += was_told
    print(f"{kept} of {count} gave a result, {told} of them with damage said")
    if count >= 40 and not 0 < kept < count:
        problems.append("flips that all films survive, or none, show nothing")
    if count >= 40 and told == 0:
        problems.append("damage was never said")
    report(problems, f"{count} films with flipped bits")


if __name__ == "__main__":
    main(*sys.argv[1:])
