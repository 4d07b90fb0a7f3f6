"""Prints the numbers of tests/unit/rt_test_tsne.c that scikit-learn knows: python3 tsne_reference.py.

Joint probabilities of twelve points, and the divergence that its exact t-SNE reaches on 150 points of five clusters. The
points come from a congruential generator that the test has as well."""
import numpy as np
from sklearn.manifold import TSNE
from sklearn.manifold._t_sne import _joint_probabilities
from sklearn.metrics.pairwise import euclidean_distances
from scipy.spatial.distance import squareform


class Random:
    def __init__(self):
        self.state = 12345

    def real(self):  # 0..1
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) / 16777216.0

    def near_normal(self):
        return sum(self.real() for _ in range(12)) - 6


r = Random()
x = np.array([[r.near_normal() for _ in range(3)] for _ in range(12)], dtype=np.float32)
p = squareform(_joint_probabilities(euclidean_distances(x, squared=True).astype(np.float32), 3.0, 0))
print(",\n".join(", ".join("%.8ff" % v for v in row[:4]) for row in p[:4]))
r = Random()
x = np.array([[r.near_normal() + (6 if k == i % 5 else 0) for k in range(8)] for i in range(150)], dtype=np.float32)
for seed in range(3):
    t = TSNE(perplexity=20, init="random", method="exact", random_state=seed, learning_rate=50.0, max_iter=1000)
    t.fit(x)
    print("divergence", t.kl_divergence_)
