#!/usr/bin/env python3
"""Decoding and scaling on a GPU against the ffmpeg command line on the same GPU, in one run.

    bench/gpu_peers.py RGPU NVDEC_CHECK FFMPEG [FILM [ROUNDS [JOB ...]]]

Programs run in turn (A B C A B C ...); printed are the medians, and the median of the ratios round by round.

Jobs "decode N": N streams of 1080p decoded by NVDEC and resized to 720, 480, 360 and 240 lines, no encoding.
    Ours is a process with N sessions (nvdec_check's ladder), whose rungs come down to host memory; ffmpeg is N
    processes (-hwaccel cuda, scale_cuda), with rungs that stay on the GPU and with hwdownload. What ffmpeg takes
    until its first frame is out is measured before and taken off; of ours only the driver's start is.
Job "ladder": 1080, 720, 480 and 360 lines with x264 veryfast, start to end: rgpu and ffmpeg, each with the GPU
    and with processors alone.

The film is the demo's, cut to 360 frames, and repeated. Exits with 77 where there is no GPU.
"""
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import transcode

SKIPPED = 77
SIZES = ["1280:720", "854:480", "640:360", "426:240"]
LADDER = ["1080p", "720p", "480p", "360p"]
SPEED = "p2"
REPEATS = {"decode 1": 6, "decode 7": 4, "ladder": 2}  # of the film


def processes(command, count):
    """Wall and CPU seconds of `count` processes at once."""
    start = time.monotonic()
    running = [os.posix_spawnp(command[0], command, os.environ,
                               file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)])
               for _ in range(count)]
    cpu = 0
    failed = False
    for pid in running:
        _, status, usage = os.wait4(pid, 0)
        cpu += usage.ru_utime + usage.ru_stime
        failed = failed or status != 0
    if failed:
        sys.exit(f"bench: failed: {' '.join(command)}")
    return time.monotonic() - start, cpu


def frames_of(ffmpeg, film):
    progress = subprocess.run([ffmpeg, "-v", "error", "-i", film, "-map", "0:v", "-c", "copy", "-progress", "-",
                               "-f", "null", "-"], check=True, capture_output=True, text=True).stdout
    return int(re.findall(r"^frame=(\d+)", progress, re.M)[-1])


def repeat(ffmpeg, film, times, folder):
    path = os.path.join(folder, f"film-{times}.mkv")
    subprocess.run([ffmpeg, "-v", "error", "-y", "-stream_loop", str(times - 1), "-i", film, "-map", "0:v", "-c",
                    "copy", path], check=True)
    return path


def decode_command(ffmpeg, film, down, frames=None):
    graph = "[0:v]split=4" + "".join(f"[s{i}]" for i in range(4))
    for i, size in enumerate(SIZES):
        graph += f";[s{i}]scale_cuda={size}" + (",hwdownload,format=nv12" if down else "") + f"[o{i}]"
    command = [ffmpeg, "-v", "error", "-hwaccel", "cuda", "-hwaccel_output_format", "cuda", "-i", film,
               "-filter_complex", graph]
    for i in range(4):
        command += ["-map", f"[o{i}]"]
        command += ["-frames:v:" + str(i), str(frames)] if frames else []
    return command + ["-f", "null", "-"]


def ours(nvdec_check, film, sessions, frames):
    """Frames a second and CPU seconds for 1,000 frames."""
    text = subprocess.run([nvdec_check, "--speed", str(sessions), "--frames", str(frames), film], check=True,
                          capture_output=True, text=True).stdout
    found = re.search(r"^ladder .* ([0-9.]+) frames/s, ([0-9.]+) CPU s", text, re.M)
    return float(found[1]), float(found[2])


def print_rows(rows, base):
    """Of lists of (frames/s, CPU s per 1,000 frames), and ratios to the first row's frames/s."""
    print(f"{'':36}{'frames/s':>10}{'CPU s / 1000':>14}{base:>14}")
    first = next(iter(rows.values()))
    for name, row in rows.items():
        rate, cpu = (statistics.median(column) for column in zip(*row))
        ratio = statistics.median(a[0] / b[0] for a, b in zip(first, row))
        print(f"{name:36}{rate:10.1f}{cpu:14.2f}{ratio:14.2f}")
    sys.stdout.flush()


def decode(programs, film, sessions, rounds):
    _, nvdec_check, ffmpeg = programs
    frames = frames_of(ffmpeg, film)
    variants = {"ffmpeg, rungs stay on the GPU": False, "ffmpeg, rungs come down": True}
    starts = {}
    for name, down in variants.items():
        one = decode_command(ffmpeg, film, down, 1)
        processes(one, 1)  # compiles the kernels, which the driver keeps
        starts[name] = processes(one, sessions)
    rows = {"ours, rungs come down": []} | {name: [] for name in variants}
    for _ in range(rounds):
        rows["ours, rungs come down"].append(ours(nvdec_check, film, sessions, frames))
        for name, down in variants.items():
            wall, cpu = processes(decode_command(ffmpeg, film, down), sessions)
            count = sessions * frames
            rows[name].append((count / (wall - starts[name][0]), (cpu - starts[name][1]) * 1000 / count))
    print(f"\ndecode + 720/480/360/240, {sessions} streams of {frames} frames ({rounds} rounds); start of ffmpeg: "
          + ", ".join(f"{wall:.2f} s" for wall, _ in starts.values()))
    print_rows(rows, "ours / it")


def ladder(programs, film, rounds, folder):
    rgpu, _, ffmpeg = programs
    frames = frames_of(ffmpeg, film)

    def out(name):
        return os.path.join(folder, name + ".mp4")

    commands = {
        "rgpu --device cuda:0": transcode.rgpu_command(rgpu, film, out("rgpu-gpu"), LADDER, SPEED,
                                                       ["--device", "cuda:0"]),
        "rgpu --device cpu": transcode.rgpu_command(rgpu, film, out("rgpu-cpu"), LADDER, SPEED, ["--device", "cpu"]),
        "ffmpeg -hwaccel cuda, scale_cuda": transcode.ffmpeg_command(film, out("ffmpeg-gpu"), LADDER, SPEED, ffmpeg,
                                                                     True),
        "ffmpeg": transcode.ffmpeg_command(film, out("ffmpeg-cpu"), LADDER, SPEED, ffmpeg),
    }
    rows = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            wall, cpu, _ = transcode.run(command)
            rows[name].append((frames / wall, cpu * 1000 / frames))
    print(f"\n{'/'.join(LADDER)}, x264 {transcode.PRESETS[SPEED]}, {frames} frames ({rounds} rounds), start to end; "
          "bytes: " + ", ".join(str(os.path.getsize(command[-1] if command[0] == ffmpeg else command[3]))
                                for command in commands.values()))
    print_rows(rows, "first / it")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    programs = sys.argv[1:4]
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 3
    jobs = sys.argv[6:] or list(REPEATS)
    if set(jobs) - set(REPEATS):
        sys.exit("bench: the jobs are: " + "; ".join(REPEATS))
    with tempfile.TemporaryDirectory(prefix="rgpu-bench-") as folder:
        film = sys.argv[4] if len(sys.argv) > 4 and sys.argv[4] != "-" else transcode.make_film(folder)
        there = subprocess.run([programs[1], "--speed", "1", "--frames", "1", film], capture_output=True, text=True,
                               check=False)
        if there.returncode == SKIPPED:
            print("skipped: " + there.stderr.strip(), file=sys.stderr)
            sys.exit(SKIPPED)
        if there.returncode != 0:
            sys.exit("bench: nvdec_check fails: " + (there.stderr + there.stdout).strip())
        for job in jobs:
            repeated = repeat(programs[2], film, REPEATS[job], folder)
            if job == "ladder":
                ladder(programs, repeated, rounds, folder)
            else:
                decode(programs, repeated, int(job.split()[1]), rounds)


if __name__ == "__main__":
    main()
