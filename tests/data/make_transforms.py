"""Writes transforms.bin: what Pillow and torchvision make of one small picture, for
tests/unit/rt_test_transform.c. Needs Pillow 11, torch and torchvision:  python make_transforms.py

A case is a line "WHAT|TOLERANCE|MARGIN|CHANNELS HEIGHT WIDTH" and the bytes [h][w][c]. WHAT is a
transform as a description writes it, its ranges closed to one value, or `affine` or `corners` with
the numbers of it. The first case, `image`, is the picture that all of them start from.
"""
import os

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode as Mode
from torchvision.transforms import functional as F

H, W = 23, 32


def picture():
    """Smooth colours, hard edges and some noise, the same everywhere."""
    y, x = np.mgrid[0:H, 0:W].astype(np.float64)
    rgb = np.stack([127 + 120 * np.sin(x / 6 + y / 15), 255 * x / W, 127 + 120 * np.cos(y / 7)], -1)
    rgb[5:13, 6:15] = (250, 20, 60)
    rgb[15:20, 20:23] = (5, 240, 245)
    noise = (np.arange(H * W * 3) * 2654435761 % 2**32 / 2**32).reshape(H, W, 3)
    return np.clip(rgb + 20 * (noise - 0.5), 0, 255).astype(np.uint8)


out = []


def add(what, pixels, tolerance=1, margin=0):
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    h, w, c = pixels.shape
    out.append(f"{what}|{tolerance}|{margin}|{c} {h} {w}\n".encode() + pixels.tobytes())


image = picture()
pil = Image.fromarray(image)
tensor = torch.from_numpy(image).permute(2, 0, 1)


def add_tensor(what, t, **more):
    add(what, t.permute(1, 2, 0).numpy(), **more)


add("image", image)

# ---- sizes ----
sizes = [(1, 1), (2, 3), (5, 7), (12, 9), (11, 16), (12, 17), (22, 32), (23, 31), (23, 32), (24, 33), (25, 20), (13, 40),
         (39, 32), (23, 17), (9, 32), (31, 43), (37, 21), (20, 47), (46, 11), (3, 66)]
for h, w in sizes:
    add(f"Resize(({h}, {w}))", pil.resize((w, h), Image.BILINEAR))
for h, w in [(5, 7), (11, 17), (31, 43), (26, 11)]:
    add(f"Resize(({h}, {w}), interpolation=nearest)", pil.resize((w, h), Image.NEAREST), tolerance=0)
for s in [7, 17, 29]:
    add(f"Resize({s})", F.resize(pil, s))
add("CenterCrop((12, 19))", F.center_crop(pil, (12, 19)), tolerance=0)
add("CenterCrop((15, 41))", F.center_crop(pil, (15, 41)), tolerance=0)
for mode in ["constant", "edge", "reflect", "symmetric"]:
    add(f"Pad((3, 5, 7, 2), fill=9, padding_mode={mode})", F.pad(pil, (3, 5, 7, 2), 9, mode), tolerance=0)
add("Pad((3, 5), fill=(1, 2, 3))", F.pad(pil, (3, 5), (1, 2, 3)), tolerance=0)
add("RandomVerticalFlip(p=1)", F.vflip(pil), tolerance=0)
add("RandomHorizontalFlip(p=1)", F.hflip(pil), tolerance=0)

# ---- maps; a margin of 2 where the border is drawn in more than one way ----
names = {Mode.NEAREST: "nearest", Mode.BILINEAR: "bilinear"}
for mode, name in names.items():
    for angle in [17, 90, -123.5]:
        add(f"RandomRotation(({angle}, {angle}), interpolation={name}, fill=7)",
            F.rotate(pil, angle, mode, fill=7), margin=2)
    add(f"RandomRotation((30, 30), interpolation={name}, center=(10, 5))",
        F.rotate(pil, 30, mode, center=(10, 5)), margin=2)
    for angle, tx, ty, scale, sx, sy in [(0, 4, -3, 1, 0, 0), (20, 0, 0, 1.3, 0, 0), (-35, 3, 5, 0.7, 10, 0),
                                         (5, 0, 0, 1, 20, -15)]:
        add(f"affine {angle} {tx} {ty} {scale} {sx} {sy} {name}",
            F.affine(pil, angle, [tx, ty], scale, [sx, sy], mode, 0), margin=2)
    corners = [[3, 2], [W - 6, 5], [W - 1, H - 9], [8, H - 4]]
    start = [[0, 0], [W - 1, 0], [W - 1, H - 1], [0, H - 1]]
    add("corners " + " ".join(str(v) for p in corners for v in p) + " " + name,
        F.perspective(pil, start, corners, mode, 0), margin=2)

# ---- colours ----
for f in [0, 0.4, 1, 1.7]:
    add_tensor(f"ColorJitter(brightness=({f}, {f}))", F.adjust_brightness(tensor, f))
    add_tensor(f"ColorJitter(contrast=({f}, {f}))", F.adjust_contrast(tensor, f))
    add_tensor(f"ColorJitter(saturation=({f}, {f}))", F.adjust_saturation(tensor, f))
for f in [-0.5, -0.2, 0.05, 0.33]:
    add_tensor(f"ColorJitter(hue=({f}, {f}))", F.adjust_hue(tensor, f))
add("Grayscale(3)", F.to_grayscale(pil, 3), tolerance=0)
for k, sigma in [(3, 0.5), (5, 1.2), (9, 3)]:
    add_tensor(f"GaussianBlur({k}, sigma={sigma})", F.gaussian_blur(tensor, [k, k], [sigma, sigma]))
add_tensor("GaussianBlur((7, 3), sigma=1.5)", F.gaussian_blur(tensor, [7, 3], [1.5, 1.5]))

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "transforms.bin"), "wb") as file:
    file.write(b"".join(out))
