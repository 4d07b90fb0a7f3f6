"""sinter's loader beside torchvision's DataLoader, on a folder of JPEGs of 500x375 that is drawn here.

Both read, decode, transform and batch every image of the folder, with as many workers, and take turns pass by pass.
sinter keeps no decoded image (cache 0), as DataLoader keeps none; a third column is a pass out of its cache.
"""
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BATCH, IMAGES, GOAL = 64, 600, 1.5
RECIPES = {
    "RandomResizedCrop": "RandomResizedCrop(224);RandomHorizontalFlip()",
    "Resize, CenterCrop": "Resize(256);CenterCrop(224)",
}


def photo(rng, h, w):
    """Noise with the spectrum of a photograph, and a few edges: about 95 kB at quality 88, as ImageNet's."""
    import numpy as np
    from PIL import Image
    f = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None])
    f[0, 0] = 1
    waves = [np.fft.irfft2((rng.normal(size=f.shape) + 1j * rng.normal(size=f.shape)) / f**1.15, (h, w)) for _ in range(3)]
    waves = [p / p.std() for p in waves]
    x = np.stack([0.8 * waves[0] + 0.35 * p for p in waves], -1) * 55 + 120 + rng.normal(size=(h, w, 1)) * 4
    for _ in range(6):
        y0, x0 = rng.integers(0, h - 40), rng.integers(0, w - 40)
        x[y0:y0 + rng.integers(20, 150), x0:x0 + rng.integers(20, 200)] += rng.normal(size=3) * 40
    return Image.fromarray(np.clip(x, 0, 255).astype(np.uint8))


def draw(folder):
    import numpy as np
    if (folder / "done").exists():
        return
    rng = np.random.default_rng(1)
    for i in range(IMAGES):
        (folder / "train" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        h, w = (375, 500) if i % 4 else (500, 375)
        photo(rng, h, w).save(folder / "train" / "ab"[i % 2] / f"{i}.jpg", quality=88)
    (folder / "done").touch()


class Sinter:
    def __init__(self, folder, workers, recipe, cache):
        program = folder.parent / "loader"
        library = ROOT / os.environ.get("BUILD", "build") / "libsinter_rt.a"
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-I", ROOT / "runtime", "-Wl,-u,rt_jpeg_turbo", "-Wl,-u,rt_format_image_folder",
                        ROOT / "tests/peers/workers/loader.c", library, "-o", program, "-lm", "-lpthread"], check=True)
        self.process = subprocess.Popen([program, folder, str(workers), str(BATCH), str(cache), recipe], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def run(self):
        print(file=self.process.stdin, flush=True)
        images, seconds, cpu = map(float, self.process.stdout.readline().split())
        return images / seconds, cpu / images

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Torch:
    def __init__(self, folder, workers, recipe):
        import torch
        from torchvision import datasets, transforms as T
        torch.set_num_threads(1)
        first = {"RandomResizedCrop": [T.RandomResizedCrop(224), T.RandomHorizontalFlip()],
                 "Resize, CenterCrop": [T.Resize(256), T.CenterCrop(224)]}[recipe]
        data = datasets.ImageFolder(folder / "train", T.Compose([*first, T.ToTensor(), T.Normalize([0.45] * 3, [0.225] * 3)]))
        self.loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, num_workers=workers)

    @staticmethod
    def cpu():
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    def run(self):
        """The workers are started outside of the time: the first batch is asked for before the clock."""
        before, n, begin = self.cpu(), 0, None
        for x, _ in self.loader:
            begin = begin or (time.monotonic(), x.shape[0])
            n += x.shape[0]
        seconds = time.monotonic() - begin[0]
        return (n - begin[1]) / seconds, (self.cpu() - before) / n

    def close(self):
        pass


def interval(ratios):
    draws = sorted(statistics.median(random.choices(ratios, k=len(ratios))) for _ in range(2000))
    return draws[50], draws[-51]


def row(name, folder, workers, rounds):
    able = {"sinter": Sinter(folder, workers, RECIPES[name], 0), "cached": Sinter(folder, workers, RECIPES[name], 4096),
            "torchvision": Torch(folder, workers, name)}
    for c in able.values():
        c.run()
    rates = {who: [] for who in able}
    for _ in range(rounds):
        for who, c in able.items():
            rates[who].append(c.run())
    for c in able.values():
        c.close()
    ratios = [s[0] / t[0] for s, t in zip(rates["sinter"], rates["torchvision"])]
    cpu = [t[1] / s[1] for s, t in zip(rates["sinter"], rates["torchvision"])]
    low, high = interval(ratios)
    print(f"{name}, {workers} workers, batch {BATCH}, {IMAGES} JPEGs of 500x375")
    for who, values in rates.items():
        rate, spent = (statistics.median(v[k] for v in values) for k in (0, 1))
        print(f"  {who:12} {rate:8.0f} img/s  {1e3 * spent:6.2f} ms of CPU an image")
    reached = "reached" if statistics.median(ratios) >= GOAL else "missed"
    print(f"  {statistics.median(ratios):.2f}x torchvision (95% {low:.2f}..{high:.2f}; by CPU time "
          f"{statistics.median(cpu):.2f}x), goal {GOAL}x {reached}", flush=True)


def report(work, threads, rounds):
    folder = work / "photos"
    draw(folder)
    for workers in threads:
        for name in RECIPES:
            row(name, folder, workers, rounds)


if __name__ == "__main__":
    report(ROOT / "build" / "peers" / "work", [int(n) for n in (sys.argv[1:] or ["2"])], 5)
