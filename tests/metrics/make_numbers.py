#!/usr/bin/env python3
"""Numbers that tests/unit/rt_test_scores.c holds the runtime against, by scikit-learn and scikit-image.
usage: make_numbers.py > tests/unit/rt_numbers.h      (pip install scikit-learn scikit-image)"""
import numpy as np
import sklearn.metrics as sk
import skimage.metrics as im

state = 1


def draw(n):  # the same generator stands in the test
    global state
    state = (state * 1103515245 + 12345) % 2**32
    return (state >> 16) % n


def items(n, classes, truths):
    p, truth = np.zeros((n, classes)), np.zeros(n, int)
    for i in range(n):
        w = [1 + draw(16) for _ in range(classes)]
        truth[i] = draw(truths)
        w[truth[i]] += draw(24)
        p[i] = np.array(w) / sum(w)
    return p, truth


def text(name, values):
    print("static const double %s[] = {%s};" % (name, ", ".join("NAN" if np.isnan(v) else "%.17g" % v for v in values)))


def ece(p, truth, bins=15):
    top, right = p.max(1), p.argmax(1) == truth
    edge = np.linspace(0, 1, bins + 1)
    total = 0
    for lo, hi in zip(edge[:-1], edge[1:]):
        inside = (top > lo) & (top <= hi)
        if inside.any():
            total += inside.mean() * abs(top[inside].mean() - right[inside].mean())
    return total


print("/* Made by tests/metrics/make_numbers.py with scikit-learn %s. */" % __import__("sklearn").__version__)
p, truth = items(200, 5, 4)  # class 4 is nowhere in the truth
seen = range(4)
ap = [sk.average_precision_score(truth == k, p[:, k]) for k in seen]
auc = [sk.roc_auc_score(truth == k, p[:, k]) for k in seen]
text("five_ap", ap + [np.nan])
text("five_auc", auc + [np.nan])
support = np.array([(truth == k).sum() for k in seen])
onehot = np.eye(5)[truth]
text("five_means", [np.mean(ap), np.mean(auc), np.average(auc, weights=support), ece(p, truth), ((p - onehot) ** 2).sum(1).mean()])
rank = np.array([sum((q > q[t]) | ((q == q[t]) & (np.arange(5) < t))) for q, t in zip(p, truth)])
text("five_topk", [(rank < k).mean() for k in range(1, 6)])
p, truth = items(150, 2, 2)
text("two", [sk.roc_auc_score(truth, p[:, 1]), sk.average_precision_score(truth, p[:, 1]), sk.brier_score_loss(truth, p[:, 1])])
a = np.array([draw(1000) / 999 for _ in range(2 * 16 * 20)]).reshape(2, 16, 20)
b = np.clip(a + np.array([draw(1000) / 4000 for _ in range(2 * 16 * 20)]).reshape(a.shape) - 0.1, 0, 1)
text("pictures", [im.peak_signal_noise_ratio(a, b, data_range=1),
                  im.structural_similarity(a, b, win_size=11, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                           data_range=1, channel_axis=0)])
