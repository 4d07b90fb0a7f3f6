"""What is no row: start to first result, build time, one busy core, memory. From rows that are there, or measured."""
import tempfile
import time

import contestants
from rows import ROWS

STARTS = ["sinter", "torch_first", "ort", "openvino", "ncnn"]
TIMES = 5


def first_result(name, row, folder, threads):
    """Seconds from the start of a process to its first result."""
    begin = time.perf_counter()
    if name == "sinter":
        program = contestants.Sinter(row, folder, threads)
    else:
        program = contestants.Worker(name, row, folder, threads)
    program.attempt(lambda: program.times(1))
    seconds = time.perf_counter() - begin
    program.close()
    return None if program.reason else seconds


def starts(threads, folder):
    """ResNet-18; who starts takes turns, too. The files are in the page cache."""
    row, seen = ROWS["resnet18_b1"], {name: [] for name in STARTS}
    contestants.prepare(row, folder)
    for name in seen:
        first_result(name, row, folder, threads)
    for _ in range(TIMES):
        for name in seen:
            seen[name].append(first_result(name, row, folder, threads))
    return {name: sorted(s)[len(s) // 2] if None not in s else None for name, s in seen.items()}


def builds(threads, folder):
    """Seconds to compile ResNet-18's training step: sinter's build, and PyTorch's first step, with nothing cached."""
    row = ROWS["train_resnet18_b16"]
    seconds = contestants.prepare(row, folder)["build_seconds"]
    with tempfile.TemporaryDirectory() as cache:
        worker = contestants.Worker("torch_compile", row, folder, threads, {"TORCHINDUCTOR_CACHE_DIR": cache})
        worker.attempt(lambda: setattr(worker, "first", worker.times(1)[0]))
        worker.close()
    return {"sinter": seconds, "torch_compile": worker.first and worker.first / 1e3}


def measure(work, threads):
    return {"threads": threads, "start_seconds": starts(threads, work / "resnet18_b1"),
            "build_seconds": builds(threads, work / "train_resnet18_b16")}


def found(report, name, threads):
    return next((r["contestants"] for r in report["rows"] if r["row"] == name and r["threads"] == threads), {})


def slowdowns(report, threads):
    quiet, busy = (found(report, name, threads) for name in ("resnet18_b1", "resnet18_b1_busy"))
    return {n: busy[n]["median"] / c["median"] for n, c in quiet.items() if "median" in c and "median" in busy.get(n, {})}


def memories(report, threads):
    return {n: c["memory"] for n, c in found(report, "train_resnet18_b16", threads).items() if c.get("memory")}


def said(title, values, form):
    each = ", ".join(f"{n} {form.format(v) if v is not None else 'failed'}" for n, v in values.items())
    return [f"{title}: {each}"] if values else []


def text(report):
    lines = []
    for extra in report.get("extras", []):
        t = f"{extra['threads']} threads"
        lines += said(f"ResNet-18, process start to first result, {t}", extra["start_seconds"], "{:.3f} s")
        lines += said(f"ResNet-18 b16, training step compiled, {t}", extra["build_seconds"], "{:.1f} s")
    for threads in sorted({r["threads"] for r in report["rows"]}):
        t = f"{threads} threads"
        lines += said(f"ResNet-18 with one core busy, slow-down, {t}", slowdowns(report, threads), "{:.2f}x")
        lines += said(f"ResNet-18 b16, training, peak memory, {t}", memories(report, threads), "{:.0f} MiB")
    return lines
