"""sinter beside its peers:  run.py [--rows A,B] [--threads 1,2] [--rounds N] [--peers A,B] [--json F] [--text F]

Every contestant is a process that loads its model once and then computes when it is told to. They take turns, one
block of runs each in a round, because machines drift; of a block, the first run is left out. README.md says more.
"""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import contestants
import extras
import loader
import table
from rows import ROOT, ROWS

WORK = ROOT / "build" / "peers" / "work"
BLOCK = 0.25      # seconds that a block should take
MOST = 400        # runs of a block
REST = 0.02       # seconds between blocks: threads that still spin go to sleep


class Neighbour:
    """A process that keeps one core busy, if the row wants one."""

    def __init__(self, wanted):
        self.process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
        if wanted:
            os.sched_setaffinity(self.process.pid, {max(os.sched_getaffinity(0))})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()


def block_size(contestant):
    """How many runs fill a block; from a few after the first, which may compile."""
    contestant.first = contestant.times(1)[0]
    ms = contestant.times(1)[0]
    if ms < 1e3 * BLOCK:
        ms = min(contestant.times(5))
    return max(1, min(MOST, round(1e3 * BLOCK / ms)))


def take_turns(row, able, rounds):
    """The rounds; returns the share of the machine that others had meanwhile."""
    spent = lambda: contestants.machine_seconds() - contestants.own_seconds(able)  # noqa: E731
    before, begin = spent(), time.monotonic()
    with Neighbour(row.busy):
        for _ in range(rounds):
            for c in (c for c in able if not c.reason):
                time.sleep(REST)
                c.attempt(lambda c=c: c.blocks.append(c.times(c.runs + 1)[1:]))
    return (spent() - before) / ((time.monotonic() - begin) * os.cpu_count())


def measure(row, threads, rounds, names, folder):
    """The result of a row: a dictionary for every contestant, with its blocks of milliseconds."""
    everyone = [contestants.start(name, row, folder, threads) for name in names]
    able = [c for c in everyone if not c.reason]
    for c in able:
        c.attempt(lambda c=c: setattr(c, "runs", block_size(c)))
    for c in able:
        c.attempt(c.check)
    others = take_turns(row, able, rounds)
    results = {c.name: c.result() for c in everyone}
    for c in everyone:
        c.close()
    return {"others": others, "contestants": results}


def one_row(row, threads, options):
    folder = WORK / row.name
    facts = contestants.prepare(row, folder)
    result = measure(row, threads, options.rounds, contestants.of(row, options.peers), folder)
    return table.digest({"row": row.name, "threads": threads, "phase": row.phase, **facts, **result})


def save(report, options):
    """After every row: a run that is stopped leaves what it has."""
    table.finish(report)
    pathlib.Path(options.json).write_text(json.dumps(report, indent=1))
    pathlib.Path(options.text).write_text("\n".join([table.text(report), *extras.text(report), *report["failed"], ""]))


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--rows")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--peers", default="all")
    p.add_argument("--extras", choices=["yes", "no"], help="start to first result, build time; no if rows are named")
    p.add_argument("--json", default=str(ROOT / "build" / "peers" / "peers.json"))
    p.add_argument("--text", default=str(ROOT / "build" / "peers" / "peers.txt"))
    options = p.parse_args()
    options.extras = options.extras or ("no" if options.rows else "yes")
    options.rows = options.rows or ",".join(ROWS)
    unknown = [name for name in options.rows.split(",") if name not in ROWS]
    if unknown:
        p.error(f"no row {unknown[0]}; there are {' '.join(ROWS)}")
    return options


def loader_alone():
    p = argparse.ArgumentParser()
    p.add_argument("--rows")
    p.add_argument("--threads", default="2")
    p.add_argument("--rounds", type=int, default=5)
    options = p.parse_args()
    loader.report(WORK, [int(n) for n in options.threads.split(",")], options.rounds)


def main():
    if "--rows" in sys.argv and sys.argv[sys.argv.index("--rows") + 1] == "loader": # no model: a program of its own
        return loader_alone()
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    WORK.mkdir(parents=True, exist_ok=True)
    report = {"machine": contestants.machine(), "versions": contestants.versions(), "rows": [], "extras": [], "failed": []}
    for name in options.rows.split(","):
        for threads in map(int, options.threads.split(",")):
            print(f"{name}, {threads} threads ...", file=sys.stderr, flush=True)
            try:
                report["rows"].append(one_row(ROWS[name], threads, options))
            except RuntimeError as e:
                report["failed"].append(f"{name}, {threads} threads: {e}")
            save(report, options)
    for threads in map(int, options.threads.split(",")) if options.extras == "yes" else ():
        print(f"start and build, {threads} threads ...", file=sys.stderr, flush=True)
        report["extras"].append(extras.measure(WORK, threads))
        save(report, options)
    print(pathlib.Path(options.text).read_text())
    sys.exit(1 if table.disagree(report) or report["failed"] else 0)


if __name__ == "__main__":
    main()
