"""Those who are measured: a built program of sinter, and workers in Python. Both answer lines on their stdin."""
import importlib.util
import json
import os
import pathlib
import platform
import struct
import subprocess
import sys
import time

from rows import ROOT, description

import numpy as np

SINTER = ROOT / os.environ.get("BUILD", "build") / "sinter"
PYTHON = ROOT / "build" / "peers" / "venv" / "bin" / "python"
WORKER = ROOT / "tests" / "peers" / "workers" / "main.py"
STEPS = 3
INFER = ["sinter", "torch_eager", "torch_compile", "ort", "openvino", "ncnn"]
TRAIN = ["sinter", "torch_eager", "torch_compile"]
MODULES = {"torch_eager": "torch", "torch_compile": "torch", "ort": "onnxruntime", "openvino": "openvino",
           "ncnn": "ncnn"}


def of(row, wanted):
    names = INFER if row.phase == "infer" else TRAIN
    return [n for n in names if wanted == "all" or n == "sinter" or n in wanted.split(",")]


def call(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode:
        why = done.stderr.strip().splitlines() or ["it says nothing"]
        raise RuntimeError(f"{pathlib.Path(command[0]).name} {command[1]} exits with {done.returncode}: {why[-1]}")
    return done


# ---- what a row needs ----

def environment(threads):
    """Everyone gets as many threads as the row says, and a cache of compiled code of this folder's own."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore",
            "TORCHINDUCTOR_CACHE_DIR": str(ROOT / "build" / "peers" / "inductor")}


def build(row, folder):
    """sinter's program; returns the seconds that it took."""
    (folder / "model.yaml").write_text(description(row))
    less = ["--infer-only"] if row.phase == "infer" else []
    begin = time.perf_counter()
    call(SINTER, "build", folder / "model.yaml", "-o", folder / "program", "--batch", row.batch, "--no-variants",
         "--force", *less)
    return time.perf_counter() - begin


def stamp(row):
    """What the row's files depend on."""
    sources = [ROOT / "tests" / "peers" / "models.py", ROOT / "tests" / "torch" / "make_models.py"]
    return f"{row._replace(goals={})} {[source.stat().st_mtime for source in sources]}"


def prepare(row, folder):
    """Makes the row's files where they are not there yet; returns what sinter's own bench knows of it."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != stamp(row):
        call(PYTHON, ROOT / "tests" / "peers" / "models.py", row.name, folder, env=environment(2))
        ready.write_text(stamp(row))
    seconds = build(row, folder)
    call(folder / "program", "bench", "--phase", row.phase, "--batch", row.batch, "--duration", "0.01", "--threads",
         "1,2", "--json", folder / "bench.json")
    bench = json.loads((folder / "bench.json").read_text())["results"]
    return {"build_seconds": seconds, "flops": bench[0]["variants"][0]["flops"],
            "peaks": {str(r["threads"]): r["peak_gflops"] for r in bench}}


# ---- tensors ----

def tensors(path):
    """Of a .safetensors file of float32."""
    raw = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + n])
    return {k: np.frombuffer(raw[8 + n:], np.float32, (t["data_offsets"][1] - t["data_offsets"][0]) // 4,
                             t["data_offsets"][0]) for k, t in head.items() if k != "__metadata__"}


# ---- contestants ----

class Contestant:
    def __init__(self, name, row, folder, command, threads, more=None):
        self.name, self.row, self.folder = name, row, folder
        self.threads, self.reason, self.blocks, self.first, self.runs = threads, None, [], None, 0
        self.log = open(folder / f"{name}.log", "w")
        self.began = time.perf_counter()
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, env={**environment(threads), **(more or {})})

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self):
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"ended; {self.name}.log has the reason")
        return answer.strip()

    def times(self, n):
        return [float(t) for t in self.ask(str(n)).split()]

    def attempt(self, what):
        """A contestant that fails is out, and the others go on."""
        if self.reason:
            return
        try:
            what()
        except (RuntimeError, OSError, ValueError) as e:
            self.reason = f"n/a: {e}"

    def check(self):
        self.ask("check")

    def memory(self):
        """Peak of the process, in MiB."""
        try:
            lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)

    def result(self):
        if self.reason:
            return {"reason": self.reason}
        return {"blocks": self.blocks, "first_ms": self.first, "memory": self.memory(),
                "values": str(self.folder / f"{self.name}.safetensors")}

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


class Sinter(Contestant):
    def __init__(self, row, folder, threads):
        self.files = ["--input", folder / "input.safetensors", "--weights", folder / "weights.safetensors",
                      "--threads", threads]
        target = ["--target", folder / "target.safetensors"] if row.phase != "infer" and row.classes else []
        self.files += target
        super().__init__("sinter", row, folder,
                         [folder / "program", "time", "--phase", row.phase, "--strict", "no", *self.files], threads)

    def check(self):
        program, out = self.folder / "program", self.folder / "sinter.safetensors"
        if self.row.phase == "infer":
            call(program, "run", "--strict", "no", "--output", out, *self.files)
            return
        call(program, "step", "--lr", self.row.lr, "--steps", 1, "--save-grads", out, *self.files)
        call(program, "step", "--lr", self.row.lr, "--steps", STEPS, "--log", self.folder / "sinter.jsonl", *self.files)


class Worker(Contestant):
    def __init__(self, name, row, folder, threads, more=None):
        super().__init__(name, row, folder, [PYTHON, WORKER, name, row.name, folder, threads], threads, more)
        self.attempt(self.greet)

    def greet(self):
        answer = self.hear()
        if answer != "ready":
            raise RuntimeError(answer.removeprefix("n/a: "))


class Absent:
    """A contestant that cannot take part."""

    def __init__(self, name, reason):
        self.name, self.reason = name, reason

    def result(self):
        return {"reason": self.reason}

    def close(self):
        pass


def installed(name):
    return importlib.util.find_spec(MODULES[name]) is not None


def start(name, row, folder, threads):
    if name == "sinter":
        return Sinter(row, folder, threads)
    if not installed(name):
        return Absent(name, "not installed")
    failed = folder / f"export_{'ncnn' if name == 'ncnn' else 'onnx'}.failed"
    if name in ("ort", "openvino", "ncnn") and failed.exists():
        return Absent(name, f"n/a: export: {failed.read_text()}")
    return Worker(name, row, folder, threads)


# ---- the setting ----

TICK = os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """CPU time that all processes have had."""
    words = pathlib.Path("/proc/stat").read_text().split(maxsplit=4)
    return sum(map(int, words[1:4])) / TICK


def own_seconds(everyone):
    """CPU time that the contestants have had."""
    total = 0
    for c in everyone:
        try:
            words = pathlib.Path(f"/proc/{c.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(words[11]) + int(words[12])
        except OSError:
            pass
    return total / TICK


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown CPU")
    return {"cpu": name, "cpus": len(os.sched_getaffinity(0)), "system": platform.platform(terse=True),
            "date": time.strftime("%Y-%m-%d")}


def versions():
    said = call(SINTER, "--version").stdout.strip()
    wanted = ("torch", "torchvision", "onnxruntime", "openvino", "ncnn")
    code = ("import importlib.metadata as m\n"
            f"for p in {wanted}:\n"
            "  try: print(p, m.version(p))\n"
            "  except m.PackageNotFoundError: print(p, 'not installed')")
    lines = call(PYTHON, "-c", code).stdout.splitlines()
    return {"sinter": said, **dict(line.split(" ", 1) for line in lines)}
