"""Try a target from the command line: ``python tests/fuzz [TARGET] [--seconds S] [--first N] [--number N]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fuzz import files, texts
from fuzz.pool import tried


def main() -> int:
    targets = [*texts.TARGETS, *files.KINDS]
    parser = argparse.ArgumentParser(description="Try hostile input.")
    parser.add_argument("target", nargs="?", choices=targets, help=f"one of {', '.join(targets)}; all without")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--number", type=int, help="try this input alone")
    args = parser.parse_args()
    found = 0
    for target in [args.target] if args.target else targets:
        if args.number is not None:
            out = tried(target, args.number, 1, 300.0)
        else:
            out = tried(target, args.first, seconds=args.seconds)
        print(f"{target}: {out.count} inputs, {out.accepted} accepted, {out.refused} refused, "
              f"{len(out.findings)} findings", flush=True)  # fmt: skip
        for key, finding in out.findings.items():
            print(f"  {key}: {finding['times']} times, such as number {finding['number']}\n    {finding['what']}\n    "
                  f"{json.dumps(finding['input'])[:600]}", flush=True)  # fmt: skip
        found += len(out.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
