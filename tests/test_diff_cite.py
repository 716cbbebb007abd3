"""What moved between two results, and BibTeX of what a table shows."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess

import pytest

from bench import cell, cite, diff, plan, store
from bench.schema import SCHEMA, BenchError


def record(key: str, value: float = 0.5, **more) -> dict:
    out = {
        "schema": SCHEMA,
        "key": key,
        "status": "done",
        "method": "m",
        "data": "d",
        "origin": "real",
        "scale": "paper",
        "seed": 0,
        "fold": "0",
        "group": "g",
        "metrics": [{"metric": "accuracy", "value": value, "better": "higher", "unit": "fraction"}],
        "code_fp": "c0",
        "git_sha": "s0",
        "versions": {"torch": "1", "numpy": "2"},
        **more,
    }
    chosen = out.pop("choices", {})
    return {**out, "identity": {"method": [out["method"], 1, chosen], "data": [out["data"], 1, {}]}}


def put(out, *records: dict):
    for r in records:
        store.write_cell(out / "cells" / r["method"] / r["data"] / r["key"], r)
    return out


def subjects(values: list[float], **more) -> list[dict]:
    first = more.get("method", "k")
    return [record(f"{first}{i}", v, fold=f"S{i}", group=f"S{i}", **more) for i, v in enumerate(values)]


def compare(a, b) -> dict:
    return diff.diff(diff.side(str(a)), diff.side(str(b)))


# ---------------------------------------------------------------------------------------------- diff


def test_standard_errors_are_those_of_paired_differences(tmp_path):
    a = put(tmp_path / "a", *subjects([0.50, 0.60, 0.70, 0.80]))
    b = put(tmp_path / "b", *subjects([0.51, 0.62, 0.73, 0.84]))
    found = compare(a, b)
    [line] = found["lines"]
    # differences 0.01, 0.02, 0.03, 0.04: mean 0.025, sd sqrt(0.0005 / 3), over sqrt(4)
    assert line["difference"] == pytest.approx(0.025) and line["errors"] == pytest.approx(
        0.025 / (0.0005 / 3 / 4) ** 0.5
    )
    assert (line["a"], line["b"]) == (pytest.approx(0.65), pytest.approx(0.675))
    assert (line["verdict"], line["groups"], line["cells_changed"]) == ("moved", 4, 4) and found["moved"]
    c = put(tmp_path / "c", *subjects([0.52, 0.58, 0.73, 0.78]))
    found = compare(a, c)
    assert found["lines"][0]["verdict"] == "within noise" and not found["moved"]


def test_seeds_are_averaged_inside_a_group(tmp_path):
    def runs(shift: float) -> list[dict]:
        return [
            record(f"k{g}{s}", 0.5 + 0.1 * g + shift * (1 + g) * (1 + s), group=f"g{g}", fold=f"f{g}", seed=s)
            for g in range(3)
            for s in range(2)
        ]

    [line] = compare(put(tmp_path / "a", *runs(0)), put(tmp_path / "b", *runs(0.01)))["lines"]
    # differences of the groups: 0.015, 0.03, 0.045
    assert (line["groups"], line["cells"]) == (3, 6) and line["difference"] == pytest.approx(0.03)
    assert line["errors"] == pytest.approx(0.03 / (0.015 / 3**0.5))


@pytest.mark.parametrize(
    ("before", "after", "unit", "verdict", "errors", "moved"),
    [
        ([0.5, 0.6], [0.5, 0.6], "fraction", "same", 0.0, False),
        ([0.5, 0.3], [0.5, 0.1 + 0.2], "fraction", "rounding", 0.0, False),
        ([10.0, 20.0], [11.0, 21.0], "iterations", "changed", None, True),
        ([0.1, 0.2, 0.7], [0.2, 0.3, 0.8], "fraction", "changed", None, True),
        ([0.5], [0.5], "fraction", "same", None, False),
        ([0.5], [0.6], "fraction", "changed", None, True),
        ([1.0], [2.0], "s", "measured", None, False),
        ([1.0, 2.0, 3.0], [2.0, 3.01, 4.0], "s", "measured", 300.0, False),
    ],
)
def test_verdicts(tmp_path, before, after, unit, verdict, errors, moved):
    sides = []
    for name, values in (("a", before), ("b", after)):
        made = subjects(values)
        for r in made:
            r["metrics"][0]["unit"] = unit
        sides.append(put(tmp_path / name, *made))
    found = compare(*sides)
    [line] = found["lines"]
    assert (line["verdict"], found["moved"]) == (verdict, moved)
    assert line["errors"] is None if errors is None else line["errors"] == pytest.approx(errors, rel=0.02)
    if len(before) == 1:
        assert "one group" in line["note"]
    assert diff.main([str(s) for s in sides]) == int(moved)


def test_what_moved_comes_first_and_choices_keep_variants_apart(tmp_path, capsys):
    def side(shift):
        noisy = subjects([0.5, 0.6 + shift, 0.7], method="noisy")
        clear = subjects([0.5 + shift, 0.6 + 1.1 * shift, 0.7 + shift], method="clear")
        variants = [
            record(f"v{w}", 0.5 + (shift if w == 2 else 0), method="wide", choices={"width": w}) for w in (1, 2)
        ]
        return [*noisy, *clear, *variants]

    a, b = put(tmp_path / "a", *side(0)), put(tmp_path / "b", *side(0.1))
    lines = compare(a, b)["lines"]
    assert [(x["method"], x["verdict"]) for x in lines] == [
        ("wide", "changed"),
        ("clear", "moved"),
        ("noisy", "within noise"),
        ("wide", "same"),
    ]
    assert lines[0]["method_choices"] == {"width": 2}
    assert diff.main([str(a), str(b)]) == 1
    text = capsys.readouterr().out
    assert "wide (width=2)" in text and "1 values are the same" in text and "one group" in text


def test_cells_metrics_status_and_code_on_one_side_are_named(tmp_path, capsys):
    extra = [{"metric": "nll", "value": 1.0, "better": "lower", "unit": "nat"}]
    a = put(tmp_path / "a", record("both"), record("gone"), record("broke"), record("less"))
    record_b = record("less")
    record_b["metrics"] += extra
    b = put(
        tmp_path / "b",
        record("both", code_fp="c1", versions={"torch": "9", "scipy": "3", "numpy": "2"}, git_sha="s1"),
        record("broke", status="failed", metrics=[]),
        record("new"),
        record_b,
    )
    (b / "cells/m/d/both" / "x").mkdir()
    torn = b / "cells/m/d/torn"
    torn.mkdir()
    (torn / store.ROW).write_text("{")
    assert diff.main([str(a), str(b), "--json"]) == 1  # a status changed
    found = json.loads(capsys.readouterr().out)
    assert [x["key"] for x in found["only_a"]] == ["gone"] and [x["key"] for x in found["only_b"]] == ["new"]
    assert [(x["key"], x["a"], x["b"]) for x in found["status"]] == [("broke", "done", "failed")]
    assert [(x["metric"], x["in"]) for x in found["metrics_on_one_side"]] == [("nll", "B")]
    code = {x["what"]: (x["a"], x["b"]) for x in found["code"]}
    assert code == {
        "code_fp": (["c0"], ["c1"]),
        "git_sha": (["s0"], ["s1"]),
        "version of torch": (["1"], ["9"]),
        "version of scipy": (["absent"], ["3"]),
    }
    assert any("torn" in n for n in found["notes"])
    diff.main([str(a), str(b)])
    text = capsys.readouterr().out
    for part in (
        "Only in A (1)",
        "Only in B (1)",
        "done in A, failed in B",
        "version of torch: 1 in A, 9 in B",
        "torn",
    ):
        assert part in text


def test_nothing_in_common_is_said(tmp_path, capsys):
    a, b = put(tmp_path / "a", record("x")), put(tmp_path / "b", record("y"))
    assert diff.main([str(a), str(b)]) == 1
    assert "nothing was compared" in capsys.readouterr().out


@pytest.fixture
def repo(tmp_path):
    """A repository with tables at two commits, tagged one and two, and a third without any."""
    root = tmp_path / "repo"
    (root / "results" / "rows").mkdir(parents=True)
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]

    def git(*words):
        subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True, env=env)

    def commit(tag):
        git("add", "-A")
        git("commit", "-qm", tag)
        git("tag", tag)

    git("init", "-q")
    (root / "note").write_text("no results")
    commit("none")
    for tag, values in (("one", [0.5, 0.6, 0.7]), ("two", [0.6, 0.71, 0.8])):
        (root / "results/table.csv").write_text(store.csv_text(subjects(values, choices={"width": 3})))
        (root / "results/rows/more.csv").write_text(store.csv_text([record("more", 0.25, method="other")]))
        (root / "results/notes.csv").write_text("what,why\na,b\n")
        commit(tag)
    return root


def test_two_revisions(repo):
    found = diff.diff(diff.side("one", repo), diff.side("two", repo))
    assert [(x["method"], x["verdict"]) for x in found["lines"]] == [("m", "moved"), ("other", "same")]
    assert found["lines"][0]["method_choices"] == {"width": 3} and found["code"] == []
    assert found["cells"] == 4 and "committed at one" in found["a"]
    assert any("notes.csv" in n and "passed over" in n for n in found["notes"])
    assert not diff.diff(diff.side("two", repo), diff.side("HEAD", repo))["moved"]


def test_a_revision_against_a_folder(repo, tmp_path):
    folder = put(tmp_path / "out", *subjects([0.5, 0.6, 0.7], choices={"width": 3}))
    found = diff.diff(diff.side("one", repo), diff.side(str(folder), repo))
    assert not found["moved"] and found["cells"] == 3 and [x["key"] for x in found["only_a"]] == ["more"]


def test_a_table_without_keys_is_paired_by_cell(repo, tmp_path):
    rows = [r for made in subjects([0.5, 0.6, 0.7]) for r in store.rows(made)]
    names = ["id", *diff.NEEDED, "tolerance"]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    (repo / "results/table.csv").unlink()
    (repo / "results/baseline.csv").write_text(buffer.getvalue())
    subprocess.run(["git", "-C", str(repo), "add", "-A"], check=True)
    tree = subprocess.run(
        ["git", "-C", str(repo), "write-tree"], check=True, capture_output=True, text=True
    ).stdout.strip()
    who = {f"GIT_{r}_{w}": "n@example.org" for r in ("AUTHOR", "COMMITTER") for w in ("NAME", "EMAIL")}
    sha = subprocess.run(
        ["git", "-C", str(repo), "commit-tree", tree, "-m", "b"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **who},
    ).stdout.strip()
    found = diff.diff(diff.side(sha, repo), diff.side("two", repo))
    assert found["cells"] == 4 and found["moved"] and found["lines"][0]["groups"] == 3
    variants = put(tmp_path / "v", record("v1", fold="S0"), record("v2", fold="S0", choices={"width": 2}))
    for pair in ((sha, str(variants)), (str(variants), sha)):
        found = diff.diff(*(diff.side(word, repo) for word in pair))
        assert found["cells"] == 0 and any("fits 2 cells" in n for n in found["notes"])


def test_values_that_are_no_numbers_and_tables_that_contradict_are_named(repo):
    (repo / "results/table.csv").write_text(store.csv_text(subjects([0.5, 0.6])).replace("0.6", "much"))
    (repo / "results/rows/more.csv").write_text(store.csv_text(subjects([0.9, 0.6])))
    subprocess.run(
        ["git", "-C", str(repo), "-c", "user.name=n", "-c", "user.email=n", "commit", "-qam", "x"], check=True
    )
    side = diff.side("HEAD", repo)
    assert any("'much', which is no number" in n for n in side.notes)
    assert any("is 0.5 here and 0.9 elsewhere" in n for n in side.notes)
    assert side.rows["k0"].metrics == {"accuracy": 0.9} and side.rows["k1"].metrics == {"accuracy": 0.6}


def test_wrong_words_of_diff(repo, tmp_path):
    put(tmp_path / "a", record("k"))
    for word, part in (
        ("absent", "does not exist as a folder and is no git revision"),
        (str(repo), "has no folder cells/"),
        ("--output=x", "neither a results folder nor a git revision"),
        ("", "neither a results folder nor a git revision"),
        ("none", "has no table of rows"),
    ):
        with pytest.raises(BenchError, match=part) as error:
            diff.side(word, repo)
        assert "\n" not in str(error.value)
    for words in ([], ["a"], ["a", "b", "c"]):
        with pytest.raises(BenchError, match="two are needed"):
            diff.main(words)
    with pytest.raises(BenchError, match="neither"):
        diff.main(["--", "--output=x", str(tmp_path / "a")])
    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------------------------------------- cite


def bib(text: str) -> dict[str, tuple[str, dict[str, str]]]:
    """A BibTeX reader of its own: key -> (type, fields). Fails on unbalanced braces, double keys and stray text."""
    found, rest = {}, "\n".join(x for x in text.splitlines() if not x.startswith("%")).strip()
    while rest:
        assert rest[0] == "@", rest[:40]
        kind, _, rest = rest[1:].partition("{")
        key, _, rest = rest.partition(",")
        fields, rest = {}, rest.strip()
        while not rest.startswith("}"):
            name, equals, rest = rest.partition("=")
            rest = rest.strip()
            assert equals and rest.startswith("{"), name
            depth = end = 0
            for end, c in enumerate(rest):  # noqa: B007
                depth += (c == "{") - (c == "}")
                if depth == 0:
                    break
            assert depth == 0, f"unbalanced: {name}"
            fields[name.strip()] = rest[1:end]
            rest = rest[end + 1 :].strip().removeprefix(",").strip()
        assert key.strip() == key and key not in found
        found[key], rest = (kind, fields), rest[1:].strip()
    return found


PAPER = "@article{a2020, title = {A {Title}}, author = {A and B}, year = {2020}, doi = {10.1000/abc}}"


@pytest.fixture
def world(monkeypatch):
    """Cards and data citations by hand: world(cards={folder: bibtex}, data={name: citation})."""
    from bench import cards, registry

    def make(papers=(), data=()):
        made = {name: {"paper": {"bibtex": text}} for name, text in dict(papers).items()}
        monkeypatch.setattr(cards, "cards", lambda: made)

        def config(group, use):
            if use not in dict(data):
                raise BenchError("no such folder")
            return type("Config", (), {"citation": dict(data)[use]})

        monkeypatch.setattr(registry, "config_class", config)

    return make


def test_entries_are_unique_sorted_and_readable(world):
    world(
        papers={"m": PAPER, "n": PAPER.replace("a2020", "again2020"), "family": "@book{z1999, title = {Z}}"},
        data={
            "d": "a2020: A, B, A Title, 2020, doi 10.1000/abc; data: Someone & Co, The_Set 100 %, doi 10.5281/zenodo.1; "
            "cite both",
            "e": "@misc{e_set, title = {E {set}}}",
        },
    )
    records = [
        record("1"),
        record("2", method="n", data="e"),
        record("3", method="preset", config={"use": "family"}),
        record("4", method="bare", data="nothing"),
        record("5", method="failed", status="failed", metrics=[]),
    ]
    found = cite.cite(records)
    text = cite.bibtex(found)
    entries = bib(text)
    assert list(entries) == ["a2020", "d_data", "e_set", "holonomy", "z1999"] == sorted(entries)
    assert entries["d_data"] == (
        "misc",
        {"title": r"Someone \& Co, The\_Set 100 \%", "doi": "10.5281/zenodo.1", "note": "cite both"},
    )
    assert entries["a2020"][0] == "article" and PAPER in text
    assert found["entries"][0]["of"] == ["method m", "method n", "data d"]
    assert found["missing"] == [
        "method bare: no card with a bibtex",
        "data nothing: no citation in its config",
    ]
    assert text.count("% no citation:") == 2 and "failed" not in text
    assert cite.bibtex(cite.cite(reversed(records))).count("@") == 5


def test_one_key_for_two_works_gets_a_letter(world):
    world(papers={"m": PAPER, "n": PAPER.replace("A {Title}", "Another").replace("abc", "xyz")})
    found = bib(cite.bibtex(cite.cite([record("1"), record("2", method="n")])))
    assert found["a2020"][1]["doi"] == "10.1000/abc" and found["a2020b"][1]["doi"] == "10.1000/xyz"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("@article{a, title = {A}", "not balanced"),
        ("@article{title = {A}}", "no entry type and key"),
        ("@article{a, title {A}}", "no name = value"),
        ('@article{a, title = "A}', "quotation mark"),
        ("an article", "no entry"),
    ],
)
def test_a_bibtex_that_cannot_be_read_is_named(world, text, part):
    world(papers={"m": text})
    found = cite.cite([record("1")])
    assert part in found["missing"][0] and "models/m/card.yaml" in found["missing"][0]
    assert list(bib(cite.bibtex(found))) == ["holonomy"]


def test_plain_text_citations():
    first, second = cite.from_text("Smith, {Odd} title, J 2019, arXiv 1901.01234; code: Smith, doi 10.1000/x", "set")
    assert bib(first.text) == {
        "set_data": (
            "misc",
            {"title": "Smith, Odd title, J 2019", "year": "2019", "eprint": "1901.01234", "archivePrefix": "arXiv"},
        )
    }
    assert second.key == "set_code"
    [entry] = cite.from_text("doi 10.1234/only", "moabb")
    assert bib(entry.text)["moabb_data"][1] == {"title": "Data set moabb", "doi": "10.1234/only"}


def test_dois_that_only_the_bundle_knows_are_cited_apart(world):
    world(data={"d": "lib2025: A library, 2025, doi 10.5281/zenodo.9"})
    records = [
        record(k, card={"citation": f"doi {doi}; lib2025: A library, doi 10.5281/zenodo.9"}, data_config={"dataset": k})
        for k, doi in (("One", "10.1111/one"), ("Two", "10.1111/two"), ("Three", "10.1111/one"))
    ]
    found = bib(cite.bibtex(cite.cite(records)))
    dois = {f.get("doi") for _, f in found.values()}
    assert dois == {None, "10.5281/zenodo.9", "10.1111/one", "10.1111/two"} and len(found) == 4


def test_the_harness_says_its_version_and_commits():
    entry = cite.cite([record("1", git_sha="0123456789abcdef", finished="2031-05-06T00:00:00")])["entries"][-1]
    fields = bib(entry["bibtex"])["holonomy"][1]
    assert fields["year"] == "2031" and "0123456789" in fields["note"] and "version" in fields["note"]


def test_real_cells_and_real_cards(tmp_path, capsys):
    words = ["method=bw_descent", "scale=smoke", "method.cap=20", "fold=0", f"out={tmp_path}"]
    assert cite.main([f"out={tmp_path}"]) == 1
    assert list(bib(capsys.readouterr().out)) == ["holonomy"]
    cell.run(plan.expand(words)[0])
    twin = plan.expand(["method=bw_rbn", "data.source=synthetic", "scale=smoke", "fold=0", f"out={tmp_path}"])[0]
    row = {**store.read_cell(plan.expand(words)[0].folder), "identity": twin.identity(), "key": twin.key}
    store.write_cell(
        twin.folder, row | {"method": "bw_rbn", "data": "bci", "config": {"use": "spdnet"}, "data_config": {}}
    )
    assert cite.main([f"out={tmp_path}"]) == 0
    out = capsys.readouterr().out
    entries = bib(out)
    assert {"wang2025gbwbn", "bci_data", "holonomy"} <= set(entries), "the layer's paper, the data, the harness"
    assert entries["wang2025gbwbn"][0] == "inproceedings" and "data spd_targets" in out
    assert cite.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [e["key"] for e in found["entries"]][-1] == "holonomy" and "method bw_rbn" not in str(found)
    assert not compare(tmp_path, tmp_path)["moved"]
