"""A contestant in Python:  main.py PEER ROW FOLDER THREADS

Loads its model, then answers lines on stdin: `N` with the milliseconds of N runs, one after the other; `check` with a
file of what it computes. In between it waits in read() and computes nothing.
"""
import importlib
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from rows import ROWS  # noqa: E402


def serve(peer, folder, name, answers):
    for line in sys.stdin:
        if line.strip() == "check":
            from safetensors.numpy import save_file
            save_file(peer.results(), folder / f"{name}.safetensors")
            print("done", file=answers, flush=True)
            continue
        times = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            peer.run()
            times.append(1e3 * (time.perf_counter() - begin))
        print(*(f"{t:.6f}" for t in times), file=answers, flush=True)


def main():
    name, row, folder, threads = sys.argv[1], ROWS[sys.argv[2]], pathlib.Path(sys.argv[3]), int(sys.argv[4])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    module, _, variant = name.partition("_")
    try:
        peer = importlib.import_module(f"of_{module}").Peer(row, folder, threads, variant)
    except Exception as e:  # noqa: BLE001 - whatever it is, the table says it
        print(f"n/a: {type(e).__name__}: {e}".splitlines()[0][:200], file=answers, flush=True)
        raise
    print("ready", file=answers, flush=True)
    serve(peer, folder, name, answers)


if __name__ == "__main__":
    main()
