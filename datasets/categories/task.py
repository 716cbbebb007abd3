"""How category discovery is scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric
from datasets.categories.accuracy import accuracy


class CategoryDiscovery:
    """Predictions are `cluster` (n,), the cluster of each unlabelled image, from 0; `cluster_<name>` is scored beside it.

    `acc_all`, `acc_old`, `acc_new`: clustering accuracy over all unlabelled images and over those of known and novel classes.
    """

    main = "acc_all"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        y, out = np.asarray(bundle.test.y), []
        old = np.isin(y, bundle.meta["known"])
        for name, cluster in predictions.items():
            if name == "cluster" or name.startswith("cluster_"):
                found, suffix = accuracy(y, np.asarray(cluster), old), name.removeprefix("cluster")
                out += [Metric(f"acc_{part}{suffix}", getattr(found, part)) for part in ("all", "old", "new")]
        return out

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """One cluster: the share of the largest class."""
        return {"cluster": np.zeros(len(bundle.test), dtype=np.int64)}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Rows true classes, known ones first; columns the clusters that were matched to them; row-normalised shading."""
        from matplotlib.figure import Figure

        k, y = bundle.n_out, np.asarray(bundle.test.y)
        if k > 40 or "cluster" not in predictions:  # no longer readable
            return {}
        known = np.asarray(bundle.meta["known"])
        found = accuracy(y, np.asarray(predictions["cluster"]), np.isin(y, known))
        guess = found.match[np.asarray(predictions["cluster"])]
        count = np.zeros((k, max(k, len(found.match))), dtype=int)
        np.add.at(count, (y, guess), 1)
        figure = Figure(figsize=(0.4 * k + 2, 0.4 * k + 1.5), layout="constrained")
        title = f"All {found.all:.3f}, Old {found.old:.3f}, New {found.new:.3f}"
        axes = figure.add_subplot(xlabel="matched cluster", ylabel="true class", title=title)
        axes.imshow(count / np.maximum(count.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
        axes.axhline(len(known) - 0.5, color="C1")
        axes.set_yticks(range(k), [str(n) for n in bundle.meta["class_names"]])
        if k <= 12:
            for i, j in np.ndindex(*count.shape):
                axes.text(j, i, str(count[i, j]), ha="center", va="center", fontsize=8)
        return {"clusters": figure}
