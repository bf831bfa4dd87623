#!/usr/bin/env python3
"""What a run of `meson test` really did: summary.py TESTLOG.json

Prints the tests that failed or were skipped, with the time of the slowest, and ends with
"N passed, N failed, N skipped". Exit code 1 when anything failed, or when nothing ran.
"""
import json
import pathlib
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
# All else is a failure: FAIL, TIMEOUT, ERROR, INTERRUPT, UNEXPECTEDPASS.
SKIPPED = {"SKIP", "IGNORED"}


def main(path):
    log = pathlib.Path(path)
    tests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    passed = [t for t in tests if t["result"] in PASSED]
    skipped = [t for t in tests if t["result"] in SKIPPED]
    failed = [t for t in tests if t["result"] not in PASSED | SKIPPED]
    slowest = sorted(tests, key=lambda t: -t.get("duration", 0))[:5]
    print("slowest: " + ", ".join(f"{t['name'].split(' / ')[-1]} {t.get('duration', 0):.0f} s"
                                  for t in slowest))
    for test in skipped:
        lines = test.get("stdout", "").splitlines()
        reason = next((line for line in lines if "skip" in line.lower()), "")
        print(f"skipped {test['name']} {reason}")
    for test in failed:
        print(f"FAILED {test['name']} ({test['result']}, {test.get('returncode')})")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped", flush=True)
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
