"""What the blocks say: best, median, sinter's speed over a peer's with an interval, agreement; and the table of it.

The ratio is the median over rounds of (peer's block median / sinter's block median): both saw the same state of the
machine. Its 95 % interval comes from redrawing the rounds.
"""
import json
import pathlib
import random
import statistics

import numpy as np

from contestants import tensors
from rows import ROWS

DRAWS = 1000
OUTPUT, LOSS, GRADIENT = 1e-4, 1e-4, 2e-2  # relative distances from PyTorch's eager float32 that are agreement
EAGER = "torch_eager"


def ratio_of(peer, sinter):
    pairs = [statistics.median(a) / statistics.median(b) for a, b in zip(peer, sinter)]
    draw = random.Random(1)
    drawn = sorted(statistics.median(draw.choices(pairs, k=len(pairs))) for _ in range(DRAWS))
    return {"ratio": statistics.median(pairs), "low": drawn[int(0.025 * DRAWS)], "high": drawn[int(0.975 * DRAWS)]}


def far(a, b):
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), 1e-30))


def whole(values):
    """All gradients as one vector."""
    return np.concatenate([values[k].ravel() for k in sorted(values) if k != "losses"])


def values_of(result):
    values = tensors(result["values"])
    log = pathlib.Path(result["values"]).with_suffix(".jsonl")
    if log.exists():
        values["losses"] = np.array([json.loads(line)["loss"] for line in log.read_text().splitlines()])
    return values


def agreement(values, wanted, phase):
    """The distances, and whether they are allowed."""
    if phase == "infer":
        off = {"output": far(values["output"].ravel(), wanted["output"].ravel())}
    else:
        off = {"losses": far(values["losses"], wanted["losses"]), "gradients": far(whole(values), whole(wanted))}
    bound = {"output": OUTPUT, "losses": LOSS, "gradients": GRADIENT}
    return {**off, "agrees": all(v <= bound[k] for k, v in off.items())}


def digest(row):
    """Adds to every contestant of a row what its blocks say."""
    able = {name: c for name, c in row["contestants"].items() if "reason" not in c}
    wanted = values_of(able[EAGER]) if EAGER in able else None
    for name, c in able.items():
        flat = [t for block in c["blocks"] for t in block]
        c.update(best=min(flat), median=statistics.median(flat), runs=len(flat))
        if name != "sinter" and "sinter" in able:
            c.update(ratio_of(c["blocks"], able["sinter"]["blocks"]))
            c["ratio_of_bests"] = c["best"] / able["sinter"]["best"]
        if wanted and name != EAGER:
            c["agreement"] = agreement(values_of(c), wanted, row["phase"])
    return row


def finish(report):
    """What needs all rows: the machine's peak is the best that was seen."""
    peaks = {}
    for row in report["rows"]:
        for threads, peak in row["peaks"].items():
            peaks[threads] = max(peak, peaks.get(threads, 0))
    report["peak_gflops"] = peaks
    for row in report["rows"]:
        for c in row["contestants"].values():
            if "best" in c:
                c["percent_of_peak"] = row["flops"] / (1e4 * c["best"] * peaks[str(row["threads"])])


def goal(row, name):
    """(what sinter's speed over the peer is to be, whether it is); None: nothing is asked."""
    goals = ROWS[row["row"]].goals
    ratios = {n: c["ratio"] for n, c in row["contestants"].items() if "ratio" in c}
    least = goals.get(name, goals.get("best") if ratios and ratios[name] == min(ratios.values()) else None)
    return least and (least, ratios[name] >= least)


def disagree(report):
    return [(row["row"], name) for row in report["rows"] for name, c in row["contestants"].items()
            if not c.get("agreement", {"agrees": True})["agrees"]]


def head(report):
    machine, peaks = report["machine"], report["peak_gflops"]
    said = ", ".join(f"{peak:.0f} GFLOP/s on {t}" for t, peak in sorted(peaks.items()))
    return [f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['date']}; peak (measured FMAs): {said}",
            "; ".join(f"{k} {v}" for k, v in report["versions"].items()), "",
            f"{'row':26} {'T':>1} {'contestant':14} {'best ms':>9} {'median':>9} {'sinter is':>9} {'95% interval':>14} {'by best':>8} "
            f"{'%peak':>6} {'MiB':>6} {'first ms':>9}  off by"]


def line(row, name, c):
    begin = f"{row['row']:26} {row['threads']:1} {name:14}"
    if "reason" in c:
        return f"{begin} {c['reason']}"
    ratio = f"{c['ratio']:8.2f}x {c['low']:6.2f}..{c['high']:<6.2f} {c['ratio_of_bests']:7.2f}x" if "ratio" in c else " " * 33
    off = c.get("agreement")
    said = "" if not off else " ".join(f"{v:.0e}" for k, v in off.items() if k != "agrees")
    wrong = "  DISAGREES" if off and not off["agrees"] else ""
    asked = goal(row, name) if "ratio" in c else None
    wanted = f"  goal {asked[0]}x {'met' if asked[1] else 'MISSED'}" if asked else ""
    return (f"{begin} {c['best']:9.3f} {c['median']:9.3f} {ratio} {c['percent_of_peak']:6.1f} {c['memory'] or 0:6.0f} "
            f"{c['first_ms']:9.1f}  {said}{wrong}{wanted}")


def text(report):
    lines = head(report)
    for row in report["rows"]:
        lines += [line(row, name, c) for name, c in row["contestants"].items()]
        lines += [f"{'':28} meanwhile other processes had {100 * row['others']:.0f} % of the CPUs", ""]
    return "\n".join(lines)
