#!/usr/bin/env python3
"""The main job against the ffmpeg command line: wall time, CPU time and peak memory.

    bench/transcode.py RGPU [FILM [ROUNDS [JOB ...]]]

Each job runs in turn with rgpu and with ffmpeg (A B A B ...), with the same x264 settings: preset, rates,
buffer, key frames every 2 s. Printed are the medians and the median of the ratios round by round, so that
a machine that changes its speed does not matter. The film is the demo's, cut to 360 frames.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RUNGS = {"1080p": (1920, 1080, 5000), "720p": (1280, 720, 2800), "480p": (854, 480, 1400),
         "360p": (640, 360, 800)}
PRESETS = {"p1": "ultrafast", "p2": "veryfast", "p4": "medium"}
ONE_LANE = ["--jobs", "1"]
# Rungs, speed, and what rgpu is given more; the rows of docs/PERFORMANCE.md.
JOBS = {
    "four rungs, p2": (["1080p", "720p", "480p", "360p"], "p2", []),
    "one rung, 720p, p2": (["720p"], "p2", []),
    "one rung, 1080p, p2": (["1080p"], "p2", []),
    "one rung, 1080p, p2, --jobs 1": (["1080p"], "p2", ONE_LANE),
    "one rung, 1080p, p4, --jobs 1": (["1080p"], "p4", ONE_LANE),
}


def ffmpeg_command(film, out, rungs, speed, program="ffmpeg", cuda=False):
    """With `cuda` the GPU decodes and scales, and frames come down to x264."""
    names = [chr(ord("a") + i) for i in range(len(rungs))]
    graph = f"[0:v]split={len(rungs)}" + "".join(f"[{n}]" for n in names)
    for name, rung in zip(names, rungs):
        width, height, _ = RUNGS[rung]
        scale = f"scale_cuda={width}:{height}" if cuda else f"scale={width}:{height}:flags=bicubic"
        steps = ([scale] if height != 1080 else []) + (["hwdownload", "format=nv12"] if cuda else [])
        graph += f";[{name}]" + (",".join(steps) or "null") + f"[{name}o]"
    hardware = ["-hwaccel", "cuda", "-hwaccel_output_format", "cuda"] if cuda else []
    command = [program, "-v", "error", "-y", *hardware, "-i", film, "-filter_complex", graph]
    for name in names:
        command += ["-map", f"[{name}o]"]
    command += ["-c:v", "libx264", "-preset", PRESETS[speed], "-sc_threshold", "0", "-g", "999999",
                "-force_key_frames", "expr:gte(t,n_forced*2)"]
    for i, rung in enumerate(rungs):
        kbps = RUNGS[rung][2]
        command += [f"-b:v:{i}", f"{kbps}k", f"-maxrate:v:{i}", f"{kbps * 3 // 2}k",
                    f"-bufsize:v:{i}", f"{kbps * 3}k"]
    return command + [out]


def rgpu_command(rgpu, film, out, rungs, speed, more):
    return [rgpu, "transcode", film, out, "--ladder", ",".join(rungs), "--speed", speed, "--gop", "2",
            "--audio", "none", "--map", "v", "-y", "--quiet", *more]


def run(command):
    """Wall seconds, CPU seconds and peak memory in MiB of a command."""
    start = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ,
                          file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    if status != 0:
        sys.exit(f"bench: failed: {' '.join(command)}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def make_film(folder):
    film = subprocess.run([sys.executable, "-B", os.path.join(HERE, "../tests/films/films.py"), "make",
                           "demo"], check=True, capture_output=True, text=True).stdout.split()[-1]
    cut = os.path.join(folder, "film.mkv")
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", film, "-map", "0:v", "-c", "copy", "-t", "12", cut],
                   check=True)
    return cut


def compare(rgpu, film, folder, job, rounds):
    rungs, speed, more = JOBS[job]
    commands = {"rgpu": rgpu_command(rgpu, film, os.path.join(folder, "rgpu.mp4"), rungs, speed, more),
                "ffmpeg": ffmpeg_command(film, os.path.join(folder, "ffmpeg.mp4"), rungs, speed)}
    figures = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            figures[name].append(run(command))
    print(f"\n{job} ({rounds} rounds)")
    print(f"{'':10}{'wall s':>10}{'CPU s':>10}{'peak MiB':>10}{'bytes':>12}")
    for name, rows in figures.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*rows))
        size = os.path.getsize(os.path.join(folder, f"{name}.mp4"))
        print(f"{name:10}{wall:10.2f}{cpu:10.2f}{peak:10.0f}{size:12}")
    ratios = [[a / b for a, b in zip(x, y)] for x, y in zip(figures["rgpu"], figures["ffmpeg"])]
    wall, cpu, peak = (statistics.median(column) for column in zip(*ratios))
    print(f"{'ratio':10}{wall:10.3f}{cpu:10.3f}{peak:10.3f}", flush=True)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    jobs = sys.argv[4:] or list(JOBS)
    if set(jobs) - set(JOBS):
        sys.exit("bench: the jobs are: " + "; ".join(JOBS))
    with tempfile.TemporaryDirectory(prefix="rgpu-bench-") as folder:
        film = sys.argv[2] if len(sys.argv) > 2 and sys.argv[2] != "-" else make_film(folder)
        for job in jobs:
            compare(sys.argv[1], film, folder, job, rounds)


if __name__ == "__main__":
    main()
