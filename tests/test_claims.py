"""Cards, claims and the gate: no number without provenance, verdicts in the direction the data say, a nudged number trips."""

from __future__ import annotations

import copy
import csv
import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from bench import baseline, cards, claims, gate, plan, rounding, store
from bench.schema import BenchError
from tests.conftest import ROOT

CARD = {
    "paper": {"key": "x", "title": "A paper", "venue": "V", "code_licence": "MIT"},
    "accepts": ["eeg_trials"],
    "tables": {"t1": "Table 1"},
    "numbers": [
        {"id": "n1", "table": "t1", "dataset": "D", "method": "M", "metric": "accuracy", "value": 60.0, "std": 2.0, "unit": "percent",
         "better": "higher", "cell": {"method": "spdnet", "data": "bci"}},
    ],
    "claims": [
        {"id": "x/order", "statement": "s", "source": "t1", "gate": "order", "experiment": "gbw_rbn/mamem", "metric": "accuracy",
         "ours": "gbw_rbn", "baselines": ["spdnet", "mdm"]},
        {"id": "x/parity", "statement": "s", "source": "t1", "gate": "parity", "experiment": "gbw_rbn/mamem", "metric": "accuracy",
         "ours": "spdnet", "number": "n1", "tolerance": 1.0},
        {"id": "x/identity", "statement": "s", "source": "t1", "gate": "identity", "experiment": "gbw_rbn/descent", "metric": "converged",
         "ours": "bw_descent", "target": 1.0, "tolerance": 1e-9},
    ],
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- cards


def test_every_committed_card_is_clean():
    assert cards.cards()


@pytest.mark.parametrize(("path", "value", "sentence"), [
    (("colour",), "red", "unknown field 'colour'"),
    (("paper", "tilte"), "x", "did you mean title"),
    (("paper", "code_licence"), "", "paper has no code_licence"),
    (("numbers", 0, "table"), "", "without provenance"),
    (("numbers", 0, "table"), "t9", "which `tables` does not explain"),
    (("numbers", 0, "unit"), "", "has no unit"),
    (("numbers", 0, "better"), "up", "say higher, lower or none"),
    (("numbers", 0, "value"), "60", "must be a finite number"),
    (("numbers", 0, "from_memory"), True, "unknown field 'from_memory'"),
    (("claims", 0, "gate"), "order!", "use one of"),
    (("claims", 0, "baselines"), [], "has no baselines"),
    (("claims", 0, "ours"), "gbw_rnb", "did you mean gbw_rbn"),
    (("claims", 0, "experiment"), "gbw_rbn/nothing", "which is missing"),
    (("claims", 1, "number"), "n9", "does not print"),
    (("claims", 1, "tolerance"), None, "has no tolerance"),
    (("claims", 0, "p_value"), 0.01, "unknown field 'p_value'"),
    (("claims", 1, "id"), "x/order", "occurs twice"),
    (("paper",), "a title", "paper='a title'; it must be a mapping"),
    (("paper", "title"), 3, "paper has title=3; it must be a text"),
    (("tables",), ["a"], "tables=['a']; it must be a mapping"),
    (("tables", "t1"), 3, "tables has t1=3; it must be a text"),
    (("numbers",), ["a"], "it must be a list of mappings"),
    (("numbers", 0, "value"), "0.5", "value='0.5'; it must be a finite number"),
    (("numbers", 0, "value"), float("nan"), "value=nan; it must be a finite number"),
    (("numbers", 0, "unit"), 1, "unit=1; it must be a text"),
    (("numbers", 0, "cell"), {"method": "gbw_rbn"}, "names a method and a data set"),
    (("claims", 0, "baselines"), "spdnet", "baselines='spdnet'; it must be a list of texts"),
    (("claims", 0, "factor"), "5", "factor='5'; it must be a finite number"),
    (("claims", 0, "deterministic"), "yes", "deterministic='yes'; it must be true or false"),
    (("claims", 1, "tolerance"), True, "tolerance=True; it must be a finite number"),
    (("claims", 0, "scale"), "huge", "scale='huge'; use one of smoke"),
    (("claims", 0, "expected"), "ok", "expected='ok'; use one of reproduced"),
    (("claims", 0, "expected"), "worse", "expects worse and has no finding"),
])  # fmt: skip
def test_a_faulty_card_gets_a_sentence(path, value, sentence, tmp_path):
    card = copy.deepcopy(CARD)
    assert not list(cards.lint(card))
    place = card
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert any(sentence in s for s in cards.lint(card)), list(cards.lint(card))
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(BenchError, match=r"card\.yaml"):
        cards.read(tmp_path / "card.yaml")


def test_a_claim_id_is_one_of_a_kind_over_all_cards(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.yaml").write_text(yaml.safe_dump(CARD))
    monkeypatch.setattr(cards, "card_files", lambda: sorted(tmp_path.glob("*/card.yaml")))
    cards.cards.cache_clear()
    with pytest.raises(BenchError, match="more than one card"):
        cards.cards()
    cards.cards.cache_clear()


# ---------------------------------------------------------------------------------------------- verdicts


def records(scale="reduced", source="real", n=11, seed=0, **accuracy) -> list[dict]:
    """Finished records of the mamem experiment with given accuracies per subject (a number, or a function of the index)."""
    words = ["experiment=gbw_rbn/mamem", f"scale={scale}", f"seed={seed}", "data.source=synthetic"]
    cells = plan.expand(words, strict=False)
    out = []
    for c in cells:
        i = int(c.fold[1:]) - 1
        if c.method.name in accuracy and i < n:
            key = next(k for k in plan.keys_of([c]) if (k == c.key) == (source == "synthetic"))
            value = accuracy[c.method.name]
            value = value(i) if callable(value) else value
            out.append({"key": key, "status": "done", "identity": c.identity(),
                        "method": c.method.name, "data": "bci", "scale": scale, "seed": seed, "fold": c.fold,
                        "group": c.fold, "origin": "real" if source == "real" else "synthetic_twin", "command": c.command,
                        "metrics": [{"metric": "accuracy", "value": value, "better": "higher", "unit": "fraction"}]})  # fmt: skip
    return out


def verdict(which: int, recs: list[dict]) -> claims.Verdict:
    return claims.judge("x", CARD, CARD["claims"][which], recs)


def test_order_reproduced_worse_and_within_noise():
    base = {"spdnet": lambda i: 0.5 + 0.01 * i, "mdm": lambda i: 0.4 + 0.013 * i}
    better = verdict(0, records(gbw_rbn=lambda i: 0.6 + 0.011 * i, **base))
    assert better.verdict == "reproduced" and better.comparable and "n = 11" in better.ours
    assert verdict(0, records(gbw_rbn=lambda i: 0.2 + 0.011 * i, **base)).verdict == "worse"
    mixed = verdict(0, records(gbw_rbn=lambda i: 0.5 + 0.01 * i + (0.02 if i % 2 else -0.02), **base))
    assert mixed.verdict == "within noise" and "spdnet" in mixed.why and "mdm" not in mixed.why.split("[")[0]


def test_an_order_claim_on_few_units_is_inconclusive_and_says_how_many_more():
    few = verdict(0, records(n=4, gbw_rbn=0.9, spdnet=lambda i: 0.5 + 0.01 * i, mdm=lambda i: 0.4 + 0.01 * i))
    assert few.verdict == "inconclusive" and "4 more" in few.why


def test_units_of_two_data_sets_are_tested_within_each_and_combined_by_stouffer():
    """Five subjects each, all in favour: p = 2^-5 twice, Phi(-2 * 1.8627 / sqrt 2) = 0.00422 together."""
    claim = {**CARD["claims"][0], "baselines": ["spdnet"]}
    one = records(n=5, gbw_rbn=lambda i: 0.6 + 0.011 * i, spdnet=lambda i: 0.5 + 0.01 * i)
    assert claims.judge("x", CARD, claim, one).verdict == "inconclusive"
    other = copy.deepcopy(one)
    for r in other:
        r["identity"]["data"][2]["official_split"] = True
    v = claims.judge("x", CARD, claim, one + other)
    assert v.verdict == "reproduced" and "in 2 data sets" in v.ours and "p 0.00422" in v.ours and "n = 10" in v.ours
    for r in other:  # a gain in one data set and as large a loss in the other
        r["metrics"][0]["value"] = 1.0 - r["metrics"][0]["value"]
    assert claims.judge("x", CARD, claim, one + other).verdict == "within noise"


def test_within_noise_says_how_many_units_would_show_the_difference_seen():
    from bench.stats import power_units

    gain = [0.02, -0.01, 0.03, -0.02, 0.01, 0.0, 0.02, -0.03, 0.04, -0.01, 0.01]
    claim = {**CARD["claims"][0], "baselines": ["spdnet"]}
    v = claims.judge("x", CARD, claim, records(gbw_rbn=lambda i: 0.5 + gain[i], spdnet=0.5))
    assert v.verdict == "within noise" and f"about {power_units(gain)} units" in v.why
    v = claims.judge("x", CARD, claim, records(gbw_rbn=lambda i: 0.5 - gain[i], spdnet=0.5))
    assert v.verdict == "within noise" and "not in the claim's direction" in v.why


def test_holm_counts_the_baselines_of_the_claim():
    """p = 2^-5 against each of two baselines is above 0.05 / 2, although each alone is below 0.05."""
    claim = {**CARD["claims"][0], "baselines": ["spdnet"]}
    recs = records(n=11, gbw_rbn=lambda i: 0.5 + (0.1 if i < 5 else 0.0), spdnet=0.5, mdm=0.5)
    assert claims.judge("x", CARD, claim, recs).verdict == "reproduced"
    both = claims.judge("x", CARD, CARD["claims"][0], recs)
    assert both.verdict == "inconclusive" and "more are needed" in both.why


def test_synthetic_rows_satisfy_no_claim():
    v = verdict(0, records(source="synthetic", gbw_rbn=0.9, spdnet=lambda i: 0.5 + 0.01 * i, mdm=0.4))
    assert v.verdict == "not attempted" and "synthetic" in v.why


def test_no_rows_is_not_attempted_with_the_command():
    v = verdict(0, [])
    assert v.verdict == "not attempted" and v.command == "python bench/run.py experiment=gbw_rbn/mamem"


def test_parity_needs_the_papers_scale_and_both_directions_count():
    assert verdict(1, records(spdnet=0.6)).why.startswith("rows at reduced scale only")

    def at(value):
        return verdict(1, records(scale="paper", spdnet=value)).verdict

    assert at(lambda i: 0.6 + 0.001 * (i - 5)) == "reproduced"
    assert at(lambda i: 0.7 + 0.001 * (i - 5)) == "better"
    assert at(lambda i: 0.5 + 0.001 * (i - 5)) == "worse"
    assert at(lambda i: 0.63 + 0.03 * (i - 5)) == "within noise"


def test_deterministic_claims_need_every_group():
    card = cards.cards()["gbw_rbn"]
    claim = next(c for c in card["claims"] if c["id"] == "gbw_rbn/descent")
    cells = plan.expand(["experiment=gbw_rbn/descent", "scale=smoke"])

    def recs(aim):
        out = []
        for c in cells:
            value = 10.0 if c.method.name == "bw_descent" else aim(c.fold)
            metric = {"metric": "iterations", "value": value, "better": "lower", "unit": "iterations"}
            common = {
                "key": c.key,
                "status": "done",
                "identity": c.identity(),
                "method": c.method.name,
                "data": "spd_targets",
                "scale": "smoke",
            }
            out.append(
                {**common, "seed": 0, "fold": c.fold, "group": c.fold, "origin": "simulated", "metrics": [metric]}
            )
        return out

    assert claims.judge("g", card, claim, recs(lambda f: 51.0)).verdict == "reproduced"
    assert claims.judge("g", card, claim, recs(lambda f: 49.0 if f == "kappa100" else 51.0)).verdict == "within noise"
    assert claims.judge("g", card, claim, recs(lambda f: 9.0 if f == "kappa100" else 51.0)).verdict == "worse"
    part = [r for r in recs(lambda f: 51.0) if r["fold"] == "kappa10"]
    assert claims.judge("g", card, claim, part).verdict == "inconclusive"
    counted = {k: v for k, v in claim.items() if k != "deterministic"} | {
        "counted": True
    }  # draws at random, each of them meant
    assert "counted; better" in claims.judge("g", card, counted, recs(lambda f: 51.0)).why
    assert claims.judge("g", card, counted, part).verdict == "inconclusive"


def test_variants_of_a_method_in_one_experiment_are_told_apart():
    recs = records(gbw_rbn=lambda i: 0.6 + 0.011 * i, spdnet=lambda i: 0.5 + 0.01 * i, mdm=lambda i: 0.4 + 0.013 * i)
    half = [r for r in recs if r["method"] == "gbw_rbn" and r["identity"]["method"][2].get("theta") == 0.5]
    assert len(half) == 11  # the experiment holds theta=1 and theta=0.5
    for r in half:
        r["metrics"][0]["value"] = 0.0
    assert verdict(0, recs).verdict == "reproduced"  # the claim is about the preset
    own = CARD["claims"][0] | {"ours": "gbw_rbn (theta=0.5)"}
    assert claims.judge("x", CARD, own, recs).verdict == "worse"


def test_a_method_does_not_win_by_the_absence_of_hard_subjects():
    recs = records(gbw_rbn=lambda i: 0.6 + 0.011 * i, spdnet=lambda i: 0.5 + 0.01 * i, mdm=lambda i: 0.4 + 0.013 * i)
    some = [r for r in recs if not (r["method"] == "gbw_rbn" and r["fold"] in ("S01", "S02"))]
    v = verdict(0, some)
    assert v.verdict == "inconclusive" and "gbw_rbn lacks S01 seed 0, S02 seed 0" in v.why


def test_seeds_are_averaged_inside_a_subject_and_any_seed_counts():
    """Two seeds whose mean is no better: 22 rows are 11 units, and a good seed alone does not carry the claim."""
    base = {"spdnet": lambda i: 0.5 + 0.01 * i, "mdm": lambda i: 0.4 + 0.01 * i}
    recs = [
        *records(seed=1, gbw_rbn=lambda i: 0.7 + 0.01 * i, **base),
        *records(seed=2, gbw_rbn=lambda i: 0.3 + 0.01 * i + (0.02 if i % 2 else -0.02), **base),
    ]
    v = verdict(0, recs)
    assert "n = 11" in v.ours and v.verdict == "within noise" and "spdnet" in v.why
    assert verdict(0, [r for r in recs if r["seed"] == 1]).verdict == "reproduced"


def test_an_identity_is_judged_by_its_worst_row():
    cells = plan.expand(["experiment=gbw_rbn/descent", "method=bw_descent", "scale=smoke"])

    def recs(worst):
        out = []
        for c in cells:
            value = worst if c.fold == "kappa100" else 1.0
            metric = {"metric": "converged", "value": value, "better": "higher", "unit": "fraction"}
            common = {
                "key": c.key,
                "status": "done",
                "identity": c.identity(),
                "method": "bw_descent",
                "data": "spd_targets",
                "scale": "smoke",
            }
            out.append(
                {**common, "seed": 0, "fold": c.fold, "group": c.fold, "origin": "simulated", "metrics": [metric]}
            )
        return out

    assert verdict(2, recs(1.0)).verdict == "reproduced" and verdict(2, recs(1.0 - 1e-6)).verdict == "worse"
    assert "no metric" in claims.judge("x", CARD, {**CARD["claims"][2], "metric": "convrged"}, recs(1.0)).why


def test_every_claim_and_number_is_in_the_account():
    text = claims.markdown([])
    for card in cards.cards().values():
        for entry in [*(card.get("claims") or []), *(card.get("numbers") or [])]:
            assert entry["id"] in text
    assert "not attempted" in text and "http" not in text


# ---------------------------------------------------------------------------------------------- baseline and gate


@pytest.fixture
def descent(tmp_path, monkeypatch):
    """Four fast deterministic cells, run once into tmp_path, accepted into a baseline of their own; by the kernels at hand alone."""
    monkeypatch.setattr(rounding, "KERNELS", {})
    return ["method=bw_descent", "scale=smoke", f"out={tmp_path}"], tmp_path / "baseline.csv"


def test_a_nudged_number_trips_the_gate(descent, monkeypatch, bench):
    words, path = descent
    monkeypatch.setattr(baseline, "PATH", path)
    code, out, _ = bench("gate", *words)
    assert code == 1 and "has no accepted value" in out and "bench baseline --accept" in out
    code, out, _ = bench("baseline", "--accept", "gbw_rbn/descent", *words)
    assert code == 0 and "bw_descent/spd_targets/kappa10/iterations: nothing -> 19.0" in out
    code, out, _ = bench("gate", *words)
    assert code == 0, out
    text = path.read_text()
    path.write_text(text.replace("iterations,19.0,", "iterations,18.0,"))
    code, out, _ = bench("gate", *words)
    assert code == 1 and "DRIFT bw_descent/spd_targets/kappa10/iterations: 19.0 against 18.0 accepted" in out
    assert "rerun: python bench/run.py method=bw_descent data=spd_targets scale=smoke seed=0 fold=kappa10" in out
    code, out, _ = bench("baseline", "--accept", "bw_descent/spd_targets/kappa10/iterations", *words)
    assert code == 0 and "18.0 +- 0.00019 -> 19.0" in out and "1 rows" in out
    assert bench("gate", *words)[0] == 0


def test_the_gate_breaks_when_cells_vanish_fail_or_lose_a_metric(descent, monkeypatch, bench):
    words, path = descent
    with monkeypatch.context() as patch:
        patch.setattr(baseline, "PATH", path)
        assert "no cell of this suite" not in bench("baseline", "--accept", "bw_descent/*/converged", *words)[2]
        bench("baseline", "--accept", "*/iterations", *words)
        path.write_text(path.read_text() + path.read_text().splitlines()[1].replace("converged", "gone") + "\n")
        code, out, _ = bench("gate", *words)
        assert code == 1 and "was accepted and the metric is gone" in out
        patch.setattr("models.spd_descent.config.Config.accepts", ("nothing",))
        code, out, _ = bench("gate", *words)
        assert code == 1 and "is skipped now" in out and "no cell of this command gave a row" in out
    with monkeypatch.context() as patch:
        patch.setattr(baseline, "PATH", path)
        patch.setattr("models.spd_descent.plugin.SpdDescent.fit", lambda *_: 1 / 0)
        code, out, _ = bench("gate", *words, "seed=5")
        assert code == 1 and "did not finish" in out


def test_two_variants_never_share_a_baseline_id():
    cells = plan.expand(["method=bw_descent", "scale=smoke", "fold=0", "method.cap=4000,500"])
    recs = []
    for c in cells:
        common = {"status": "done", "method": "bw_descent", "data": "spd_targets", "fold": "kappa10", "scale": "smoke"}
        recs.append({**common, "origin": "simulated", "seed": 0, "identity": c.identity(), "metrics": []})
    assert baseline.row_id(recs[0], "a") == "bw_descent/spd_targets/kappa10/a"
    assert baseline.row_id(recs[1], "a") == "bw_descent(cap=500)/spd_targets/kappa10/a"
    with pytest.raises(BenchError, match="with one seed"):
        baseline._by_cell([recs[0], recs[0]])


def test_the_gate_reruns_cells_whose_code_changed(descent, monkeypatch, bench):
    from bench import provenance

    words, path = descent
    monkeypatch.setattr(baseline, "PATH", path)
    bench("baseline", "--accept", "all", *words)
    assert "4 kept" in bench("gate", *words)[1]
    monkeypatch.setattr(provenance, "code_fp", lambda *_: "other")
    assert "4 done" in bench("gate", *words)[1]


def test_a_broken_exact_claim_trips_the_gate(tmp_path, monkeypatch, bench):
    words = ["experiment=gbw_rbn/descent", "fold=0", "method.cap=90", "scale=smoke", f"out={tmp_path}"]
    monkeypatch.setattr(baseline, "PATH", tmp_path / "baseline.csv")
    monkeypatch.setattr(rounding, "KERNELS", {})
    card = copy.deepcopy(cards.cards()["gbw_rbn"])
    claim = next(c for c in card["claims"] if c["id"] == "gbw_rbn/descent")
    claim |= {"ours": "bw_descent (cap=90)", "baselines": ["aim_descent (cap=90)"]}
    monkeypatch.setattr(claims, "experiment_keys", lambda *_: plan.keys_of(plan.expand(words)))
    monkeypatch.setattr(claims, "expected", lambda *_: {("spd_targets", "kappa10")})
    monkeypatch.setattr(gate, "cards", lambda: {"gbw_rbn": card})
    bench("baseline", "--accept", "all", *words)
    code, out, _ = bench("gate", *words)
    assert code == 1 and "CLAIM gbw_rbn/descent is within noise" in out
    claim |= {
        "expected": "within noise",
        "finding": "the cap of 90 ends it",
    }  # a finding that the card states is not a regression
    assert bench("gate", *words)[0] == 0


def test_tolerances_come_from_seeds_or_the_floor():
    def rec(seed, value, unit):
        return {"status": "done", "method": "m", "data": "d", "fold": "f", "scale": "smoke", "seed": seed, "origin": "simulated",
                "metrics": [{"metric": "a", "value": value, "better": "higher", "unit": unit}]}  # fmt: skip

    (row,) = baseline._rows([rec(0, 0.5, "fraction"), rec(1, 0.7, "fraction"), rec(2, 0.6, "fraction")], exact=())
    assert row["value"] == 0.5 and row["tolerance"] == baseline.CAP["fraction"] < 0.3
    (row,) = baseline._rows([rec(0, 0.5, "K"), rec(1, 0.7, "K"), rec(2, 0.6, "K")], exact=())
    assert row["tolerance"] == pytest.approx(0.3)
    (row,) = baseline._rows([rec(0, 0.5, "fraction")], exact=())
    assert row["tolerance"] == baseline.FLOOR["fraction"]
    (row,) = baseline._rows([rec(0, 200.0, "K")], exact=("a",))
    assert row["tolerance"] == pytest.approx(200 * 1e-5)
    assert baseline._rows([rec(0, 2.0, "s")], exact=()) == []
    # by the kernels of other processors
    (row,) = baseline._rows([rec(0, 200.0, "K")], exact=("a",), elsewhere=[rec(0, 200.0001, "K"), rec(0, 200.0, "K")])
    assert row["tolerance"] == pytest.approx(200 * 1e-5)  # moved by less than EXACT
    (row,) = baseline._rows([rec(0, 200.0, "K")], exact=("a",), elsewhere=[rec(0, 201.0, "K")])
    assert row["tolerance"] == 10.0  # training amplifies rounding: the floor of 5 % holds
    (row,) = baseline._rows([rec(0, 200.0, "K")], exact=(), elsewhere=[rec(0, 180.0, "K")])
    assert row["tolerance"] == 60.0
    (row,) = baseline._rows([rec(0, 1e-15, "1")], exact=("a",), elsewhere=[rec(0, 4e-15, "1")])
    assert row["tolerance"] == pytest.approx(4e-14)
    (row,) = baseline._rows([rec(k, 200.0, "K") for k in range(3)])
    assert row["tolerance"] == pytest.approx(200 * 1e-5)  # no claim is about it, and no seed changes it
    (row,) = baseline._rows([rec(k, 0.5, "fraction") for k in range(3)])
    assert row["tolerance"] == baseline.FLOOR["fraction"]
    (row,) = baseline._rows([rec(0, 0.0, "1")], exact=("a",), elsewhere=[rec(0, 1e-16, "1")])
    assert row["tolerance"] == baseline.NOTHING


def test_acceptance_reruns_the_cells_by_the_kernels_of_other_processors(tmp_path, monkeypatch, bench):
    """Real processes: torch says which kernels it took, rows of the first seed alone lie beside the results, a failure is told."""
    monkeypatch.setattr(baseline, "PATH", tmp_path / "baseline.csv")
    words = ["method=bw_descent", "scale=smoke", "fold=0", f"out={tmp_path}"]
    code, out, err = bench("baseline", "--accept", "all", *words)
    assert code == 0, out + err
    for name in ("threads", "avx2", "sse"):
        (record,) = store.scan(tmp_path / "kernels" / name)
        assert record["seed"] == 0 and record["metrics"]
    assert len(list(store.scan(tmp_path))) == 3  # the rows by other kernels are no results
    ask = [sys.executable, "-c", "import torch; print(torch.backends.cpu.get_cpu_capability())"]
    said = subprocess.run(ask, env=os.environ | rounding.KERNELS["sse"], capture_output=True, text=True).stdout
    assert said.strip() in ("DEFAULT", "NO AVX")
    monkeypatch.setattr(rounding, "KERNELS", {"broken": {"PYTHONPATH": str(tmp_path / "bad")}})
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "torch.py").write_text("raise ImportError('no torch here')")
    code, out, err = bench("baseline", "--accept", "all", *words)
    assert code == 2 and "did not all finish with the broken kernels" in err and "no torch here" in err


def test_a_torn_baseline_is_named(tmp_path):
    path = tmp_path / "baseline.csv"
    path.write_text("id,value,tolerance\na,1.0,0.0\nb,x,0.0\n")
    with pytest.raises(BenchError, match="line 3"):
        baseline.load(path)


def test_the_committed_baseline_covers_every_method_of_the_suite():
    accepted = {row["method"] for row in csv.DictReader(baseline.PATH.open())}
    suite = plan.expand(["suite=ci"], strict=False)
    assert {c.method.name for c in suite} <= accepted
    from bench import registry

    assert set(registry.options("method")) <= {c.method.name for c in suite}, "a method that CI does not run"


# ---------------------------------------------------------------------------------------------- committed rows


def test_rows_survive_the_way_through_csv(tmp_path):
    from bench import cell

    for c in plan.expand(["method=bw_descent", "scale=smoke", "fold=[0,1]", f"out={tmp_path}"]):
        cell.run(c)
    live = list(store.scan(tmp_path))
    path = tmp_path / "elsewhere" / "rows" / "x.csv"
    path.parent.mkdir(parents=True)
    path.write_text(store.csv_text(live))
    back = list(store.all_records(tmp_path / "elsewhere"))
    for a, b in zip(live, back, strict=True):
        assert b["metrics"] == a["metrics"]
        for k in set(store.COLUMNS) - {"metric", "value", "better", "unit", "choices"}:
            assert b.get(k) == a.get(k), k
        assert b["identity"]["method"][2] == a["identity"]["method"][2]
    assert store.csv_text(back) == store.csv_text(live)
    path.write_text("not,rows\n1,2\n")
    assert isinstance(next(iter(store.all_records(tmp_path / "elsewhere"))), BenchError)


def test_json_everywhere(bench, tmp_path):
    for words in (["list"], ["plan", "fold=0", "data.source=synthetic"], ["doctor"], ["claims", f"out={tmp_path}"]):
        assert json.loads(bench(*words, "--json")[1])


def test_the_committed_account_is_that_of_the_committed_rows(tmp_path):
    """results/REPRODUCTION.md is what `bench claims --md` writes from results/rows and the cards, as they are now."""
    shutil.copytree(ROOT / "results" / "rows", tmp_path / "rows")
    records = list(store.all_records(tmp_path))
    assert not [r for r in records if isinstance(r, BenchError)]
    assert claims.markdown(records) == (ROOT / "results" / "REPRODUCTION.md").read_text()


def test_a_larger_run_under_way_does_not_hide_a_finished_smaller_one():
    better = {
        "gbw_rbn": lambda i: 0.6 + 0.011 * i,
        "spdnet": lambda i: 0.5 + 0.01 * i,
        "mdm": lambda i: 0.4 + 0.013 * i,
    }
    paper = [r for r in records(scale="paper", **better) if not (r["method"] == "mdm" and r["fold"] == "S07")]
    assert verdict(0, paper).verdict == "inconclusive"
    both = verdict(0, paper + records(scale="reduced", **better))
    assert both.verdict == "reproduced" and "[reduced scale" in both.why
