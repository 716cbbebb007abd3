"""Write datasets/eeg/moabb/catalog.json: the facts of MOABB's data sets by which folds are counted without importing MOABB.

python scripts/moabb_catalog.py            # after MOABB was updated
python scripts/moabb_catalog.py --check    # exit 1 when the committed catalog is not what the installed MOABB says
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "datasets" / "eeg" / "moabb" / "catalog.json"
NOT_EEG = ("EOG", "EMG", "ECG", "VEOG", "HEOG", "EKG", "GSR", "RESP", "STI", "TRIG", "PPG", "ACC", "GYR")


def facts(dataset: Any) -> dict[str, Any]:
    """Facts of one data set: subjects, sessions, interval (s), events, sampling rate (Hz), channels, licence, reference."""
    acquisition = getattr(getattr(dataset, "METADATA", None), "acquisition", None)
    paper = getattr(getattr(dataset, "METADATA", None), "documentation", None)
    names = [str(s) for s in (getattr(acquisition, "sensors", None) or []) if not str(s).upper().startswith(NOT_EEG)]
    n_channels = (getattr(acquisition, "channel_types", None) or {}).get("eeg")
    subjects = list(dataset.subject_list)
    return {
        "code": dataset.code,
        "paradigm": dataset.paradigm,
        "subjects": len(subjects) if subjects == list(range(1, len(subjects) + 1)) else subjects,
        "sessions": int(dataset.n_sessions),
        "interval": [float(t) for t in dataset.interval],
        "events": [str(e) for e in dataset.event_id],
        "sfreq": getattr(acquisition, "sampling_rate", None),
        "n_channels": n_channels,
        "channels": names if len(names) == n_channels and len(set(names)) == len(names) else [],
        "licence": getattr(paper, "license", None) or "not stated by MOABB",
        "doi": getattr(paper, "doi", None) or getattr(dataset, "doi", None) or "",
    }


def catalog() -> dict[str, Any]:
    """Facts by class name of everything the installed MOABB lists; random numbers are marked `fake`."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    from moabb.datasets.utils import dataset_list

    found = {}
    for cls in sorted(dataset_list, key=lambda c: c.__name__):
        if cls.__name__ == "FakeVirtualRealityDataset":
            continue
        found[cls.__name__] = facts(cls())
        if cls.__name__ == "FakeDataset":
            found[cls.__name__] |= {
                "fake": True,
                "sfreq": 128.0,
                "n_channels": 3,
                "channels": ["C3", "Cz", "C4"],
                "doi": "",
                "code": "FakeDataset",
            }
    return {"moabb": version("moabb"), "datasets": found}


def text(content: dict[str, Any]) -> str:
    """JSON with one line for each data set, so that a diff shows what changed."""
    lines = [f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in content["datasets"].items()]
    return f'{{"moabb": {json.dumps(content["moabb"])}, "datasets": {{\n' + ",\n".join(lines) + "\n}}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check, new = parser.parse_args().check, text(catalog())
    if check:
        same = TARGET.is_file() and TARGET.read_text(encoding="utf-8") == new
        print(f"{TARGET.name} {'agrees' if same else 'differs from the installed MOABB; run scripts/moabb_catalog.py'}")
        return 0 if same else 1
    TARGET.write_text(new, encoding="utf-8")
    print(f"wrote {TARGET.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
