#!/usr/bin/env python3
"""A thousand films with flipped bits, seeded: no crash, no hang, nothing half-done.

    bit_flips.py RGPU [SEED [COUNT]]
"""
import concurrent.futures
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from attempt import Attempt, frames_of  # noqa: E402
import films  # noqa: E402
from tools import report, scaled  # noqa: E402

COUNT = 1000
WORKERS = 2
FILMS = ("tiny", "tiny_ts", "tiny_mkv", "tiny_hevc")
OUTPUTS = ("out.mp4", "out.mkv", "out.ts", "out/")


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


def one(rgpu, folder, worker, seed):
    name = FILMS[seed % len(FILMS)]
    film = films.path(name)
    source = folder / f"flipped-{worker}{film.suffix}"
    source.write_bytes(flipped(film.read_bytes(), seed))
    done = Attempt(rgpu, source, folder / f"out-{worker}", OUTPUTS[seed // 4 % len(OUTPUTS)],
                   options=["--segment", "0.3", "--threads", "1"])
    problems = [f"seed {seed} ({name}): {line}" for line in done.problems]
    kept = done.code == 0
    if kept and done.out.is_file() and seed % 8 == 0 and frames_of(done.out) == 0:
        problems.append(f"seed {seed} ({name}): the result shows nothing")
    return problems, kept, kept and done.told()


def main(rgpu, first=1, count=None):
    first, count = int(first), scaled(COUNT, 40) if count is None else int(count)
    print(f"seeds {first} to {first + count - 1}")
    problems, kept, told = [], 0, 0
    for name in FILMS:
        films.path(name)
    with tempfile.TemporaryDirectory(prefix="flips-") as folder:
        folder = pathlib.Path(folder)

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
