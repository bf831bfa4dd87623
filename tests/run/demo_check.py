#!/usr/bin/env python3
"""Checks one file of the demo: demo_check.py FILM FILE RUNG"""
import sys

from tools import probe

HEIGHTS = {"1080p": 1080, "720p": 720, "480p": 480, "360p": 360}


def main(film, path, rung):
    want, have = (probe(p, "-show_streams", "-show_chapters", "-count_packets")
                  for p in (film, path))
    video = next(s for s in have["streams"] if s["codec_type"] == "video")
    source = next(s for s in want["streams"] if s["codec_type"] == "video")
    sounds, texts = ([sum(s["codec_type"] == kind for s in f["streams"]) for f in (want, have)]
                     for kind in ("audio", "subtitle"))
    checks = {
        f"height {video['height']}": video["height"] == HEIGHTS[rung],
        f"{video['nb_read_packets']} frames": video["nb_read_packets"] == source["nb_read_packets"],
        f"{sounds[1]} audio tracks": sounds[0] == sounds[1],
        f"{texts[1]} subtitle tracks": texts[0] == texts[1],
        f"{len(have['chapters'])} chapters": len(want["chapters"]) == len(have["chapters"]),
    }
    wrong = [name for name, good in checks.items() if not good]
    print(f"{path}: {', '.join(checks)}: {'WRONG: ' + ', '.join(wrong) if wrong else 'right'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
