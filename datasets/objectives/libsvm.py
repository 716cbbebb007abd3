"""LIBSVM text files: `label index:value index:value ... # comment`, one sample a line."""

from __future__ import annotations

import math
from pathlib import Path

from bench.schema import BenchError, MissingData


def read(path: Path, features: int | None = None):
    """(x (n, d) float64 dense, y (n,) float64) of a file; d = `features`, or the largest index that occurs.

    Raises MissingData for an absent file, and BenchError that names the line for a label or value that is no finite number, an
    index that is no whole number, not increasing or beyond `features`, and for a file without samples.
    """
    import numpy as np
    from sklearn.datasets import load_svmlight_file

    path = Path(path)
    if not path.is_file():
        raise MissingData(f"{path} is no file; give the path of a LIBSVM file")
    try:
        x, y = load_svmlight_file(str(path), n_features=features, zero_based="auto")
        x = x.toarray()
        if len(y) and np.isfinite(x).all() and np.isfinite(y).all():
            return x, y
        reason = "holds no samples" if not len(y) else "holds values that are not finite"
    except (ValueError, OverflowError, UnicodeError) as error:
        reason = str(error)
    for sentence in bad_lines(path, features):
        raise BenchError(sentence)
    raise BenchError(f"{path} cannot be read as LIBSVM ({reason}); give `label index:value ...` on every line")


def bad_lines(path: Path, features: int | None = None):
    """A sentence for each line that is not LIBSVM, with its number from 1. A slow reader, for files that the fast one refused."""
    with open(path, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            where = f"{path} line {number}"
            if not _number(words[0]):
                yield f"{where}: the label {words[0]!r} is no finite number; mend or remove that line"
                continue
            last = -1
            for word in words[1:]:
                index, colon, value = word.partition(":")
                if index == "qid":
                    continue
                if not colon or not index.isdecimal() or not _number(value):
                    yield f"{where}: {word!r} is not index:value with finite numbers; mend or remove that line"
                    break
                if int(index) <= last:
                    yield f"{where}: index {index} comes after {last}; indices must increase within a line"
                    break
                if features is not None and int(index) > features:
                    yield f"{where}: index {index} is beyond data.features={features}; raise it or mend the line"
                    break
                last = int(index)


def _number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
