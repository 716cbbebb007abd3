"""The HTML report without a browser: what is embedded, escaped, kept apart; and the LaTeX tables."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from bench import report, stats, store
from bench.report import arrays, compare, html, tex
from bench.report.groups import groups
from bench.schema import SCHEMA, BenchError
from bench.table import tables

EVIL = ["<script>alert(1)</script>", "</script><b>", "<!--", '"quo\'ted"', "&amp;", "\u2028\u2029", "{$data}", "\ud800"]
CLAIMS = [
    {
        "id": f"m.{i}",
        "card": "gbw_rbn" if i % 2 else "other",
        "title": "A paper on geometry",
        "gate": ("identity", "order", "parity", "self")[i % 4],
        "statement": f"Statement {i} holds.",
        "table": "Table 2",
        "paper": "67.1 ± 8.2 %",
        "ours": 0.5 + i / 100,
        "verdict": verdict,
        "why": "As the test says.",
        "command": "python bench/run.py method=m data=d",
        "comparable": i != 3,
    }
    for i, verdict in enumerate(["reproduced", "within noise", "better", "worse", "inconclusive", "not attempted"])
]


def row(method="m", data="d", fold="S01", seed=0, value=0.5, origin="real", scale="smoke", **changes) -> dict:
    """A record as bench.cell writes it."""
    source = {"real": "real", "simulated": "simulated", "synthetic_twin": "synthetic"}[origin]
    key = hashlib.sha256(repr((method, data, fold, seed, origin, scale, changes.get("variant"))).encode()).hexdigest()
    metrics = [("accuracy", value, "higher", "fraction"), ("nll", 2.0 - value, "lower", "nat")]
    chosen = changes.pop("variant", {})
    return {
        "schema": SCHEMA,
        "key": key[:16],
        "status": "done",
        "method": method,
        "data": data,
        "kind": "eeg_trials",
        "origin": origin,
        "scale": scale,
        "seed": seed,
        "fold": fold,
        "group": fold,
        "transductive": False,
        "main": "accuracy",
        "metrics": [dict(zip(("metric", "value", "better", "unit"), m, strict=True)) for m in metrics],
        "epochs": 10,
        "timed_s": 5.0 + len(method),
        "wall_s": 6.5,
        "rss_peak_mb": 400.0 + 7 * len(method),
        "params": 1000,
        "n_test": 100,
        "n_out": 4,
        "config": {"name": method, "lr": 0.0025, "at": {"smoke": {"epochs": 10}}},
        "data_config": {"name": data, "source": "auto"},
        "identity": {
            "schema": SCHEMA,
            "method": [method, 1, chosen],
            "data": [data, 1, {}, source, "0123456789abcdef"],
            "scale": scale,
            "seed": seed,
            "fold": fold,
        },
        "command": f"python bench/run.py method={method} data={data} scale={scale} seed={seed} fold={fold}",
        "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
        "cpu": "some CPU x2",
        "threads": 1,
        "git_sha": "a" * 40,
        "dirty": False,
        "finished": "2026-01-02T03:04:05+00:00",
        "figures": [],
        **changes,
    }


def many(n: int = 10_000) -> list[dict]:
    """n rows: 20 methods, 5 data sets (real, simulated and stand-ins), 20 subjects, seeds as needed; some failed."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        m, d, s, seed = i % 20, i // 20 % 5, i // 100 % 20, i // 2000
        origin = ("real", "real", "real", "simulated", "synthetic_twin")[d]
        value = float(np.clip(0.5 + 0.015 * m + 0.1 * np.sin(s) + rng.normal(0, 0.03), 0, 1))
        rows.append(row(f"method_{m:02d}", f"data_{d}", f"S{s:02d}", seed, value, origin))
        if i % 1009 == 0:
            rows[-1] |= {
                "status": "failed",
                "error": "ValueError: singular",
                "traceback": "Traceback ...",
                "metrics": [],
            }
    return rows


class Page(HTMLParser):
    """Addresses, and the text of each script and style, as a browser's parser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.parts, self.addresses, self.tags, self.policy, self._in = {}, [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "data", "poster", "srcset")]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        self._in = {"script": given.get("id", "script"), "style": "style"}.get(tag, "")
        if self._in:
            self.parts[self._in] = ""

    def handle_endtag(self, tag):
        self._in = ""

    def handle_data(self, data):
        if self._in:
            self.parts[self._in] += data


def strict(text: str):
    """JSON without the NaN and Infinity that Python would take."""
    return json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))


@pytest.fixture
def written(tmp_path):
    """write(records, ...) -> (page, data, curves, figures)."""

    def write(records, **options):
        text = html.write_html(records, tmp_path / "report.html", **options).read_text()
        page = Page(text)
        return page, *(strict(page.parts[p]) for p in ("data", "curves-data", "figures-data"))

    return write


def unpack(data: dict, name: str) -> list:
    column = data["cells"]["columns"][name]
    return column.get("all") or [column["pool"][i] for i in column["at"]]


def png(size: int = 0) -> bytes:
    """A valid PNG of one pixel, padded by a text chunk."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"tEXt", b"k\0" + b"x" * size), (b"IDAT", zlib.compress(b"\0\x80")), (b"IEND", b"")]
    return arrays.PNG + b"".join(chunk(*p) for p in parts)


def store_cell(out, record, curves=None, figures=()):
    folder = out / "cells" / record["method"] / record["data"] / record["key"]
    (folder / "figures").mkdir(parents=True)
    if curves is not None:
        np.savez_compressed(folder / "curves.npz", **curves)
    for name, content in figures:
        (folder / "figures" / name).write_bytes(content)
    record["figures"] = [f"figures/{name}" for name, _ in figures]


# ---------------------------------------------------------------------------------------------- text is data


@pytest.mark.parametrize("evil", EVIL)
def test_text_from_rows_cannot_leave_the_data(written, evil):
    bad = row(evil, evil, evil, error=evil, command=evil, config={evil: evil}, versions={"torch": evil}, cpu=evil)
    failed = row("m", status="failed", error=evil, traceback=evil, metrics=[])
    claim = dict.fromkeys(CLAIMS[0], evil)
    page, data, *_ = written([bad, failed], claims=[claim], notes=[evil])
    plain, *_ = written([row()])
    assert page.tags == plain.tags and page.addresses == plain.addresses
    assert page.parts["script"] == plain.parts["script"] and page.policy == plain.policy
    assert unpack(data, "method")[0] == evil and data["claims"][0]["statement"] == evil and data["notes"] == [evil]


def test_the_page_needs_nothing_else_and_only_its_own_script_may_run(written):
    page, *_ = written(many(200), claims=CLAIMS)
    assert page.addresses == ["#content"]
    script, style = page.parts["script"], page.parts["style"]
    assert "</script" not in script and "</style" not in style and "url(" not in style and "@import" not in style
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "fetch(",
                      "XMLHttpRequest", "import(", "http://w", "localStorage"):  # fmt: skip
        assert forbidden not in script.replace("http://www.w3.org/2000/svg", ""), forbidden
    digests = re.findall(r"'sha256-([^']+)'", page.policy)
    assert digests == [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (script, style)]
    assert "default-src 'none'" in page.policy and "unsafe" not in page.policy and "http" not in page.policy


def test_links_come_from_identifiers_of_cards_only(written, monkeypatch):
    known = {
        "other": {"paper": {"arxiv": "2504.00660", "doi": "javascript:alert(1)"}},
        "gbw_rbn": {"paper": {"doi": "https://doi.org/10.1000/a-b(1)", "arxiv": 'x" onclick="'}, "arxiv": None},
    }
    monkeypatch.setattr("bench.cards.cards", lambda: known)
    data = written([row()], claims=CLAIMS)[1]
    assert {n: [x["href"] for x in links] for n, links in data["papers"].items()} == {
        "other": ["https://arxiv.org/abs/2504.00660"],
        "gbw_rbn": ["https://doi.org/10.1000/a-b(1)"],
    }


# ---------------------------------------------------------------------------------------------- numbers


def test_numbers_are_those_of_the_tables(written):
    rows = many(600)
    _, data, *_ = written(rows)
    want = tables(rows)
    assert [(t["title"], t["notes"], t["header"], t["lines"]) for t in data["tables"]] == [
        (t.title, t.notes, t.header, t.lines) for t in want
    ]
    for t in data["tables"]:
        for line, m in zip(t["lines"], t["methods"], strict=True):
            assert line[:2] == [m["label"], f"{m['mean']:.3f}"]
            assert line[2] == f"{m['ci'][0]:.3f} to {m['ci'][1]:.3f}" and line[3] == str(len(m["units"]))
            assert line[5] == f"{m['costs']['epoch_s']:.2f}"
    assert unpack(data, "values") == [[m["value"] for m in r["metrics"]] for r in rows]
    assert all(isinstance(v, float) for vs in unpack(data, "values") for v in vs)
    assert [data["tables"][t]["data"] if t is not None else None for t in unpack(data, "table")] == [
        r["data"] if r["status"] == "done" else None for r in rows
    ]


def test_variants_of_a_method_are_lines_of_their_own(written):
    rows = [row(fold=f, value=v, variant=c) for c, v in (({"lr": 1}, 0.4), ({"lr": 2}, 0.6)) for f in ("a", "b")]
    rows.append(row("n", transductive=True))
    _, data, *_ = written(rows)
    assert [m["label"] for m in data["tables"][0]["methods"]] == ["m (lr=2)", "n (transductive)", "m (lr=1)"]
    assert unpack(data, "label")[0] == "m (lr=1)"


def test_origins_scales_and_choices_are_never_in_one_table(written):
    mixed = [row(origin=o, scale=s, fold=f) for o in ("real", "simulated", "synthetic_twin") for s in ("smoke", "paper")
             for f in ("a", "b")]  # fmt: skip
    other = row()
    other["identity"]["data"][2] = {"noise": 3}
    _, data, *_ = written([*mixed, other])
    kinds = [(t["origin"], t["scale"], t["variant"]) for t in data["tables"]]
    assert len(set(kinds)) == len(kinds) == 7
    for i, t in enumerate(unpack(data, "table")):
        kind = (unpack(data, "origin")[i], unpack(data, "scale")[i])
        assert kind == kinds[t][:2]
    assert all(sum(m["n_cells"] for m in t["methods"]) == (1 if t["variant"] else 2) for t in data["tables"])


def test_ranks_and_pairs_are_those_of_bench_stats():
    group = next(g for g in groups(many(2000)) if g["origin"] == "real")
    group["methods"] = group["methods"][:5]
    cd = compare.critical_difference(group)
    units = sorted(set.intersection(*(set(m["units"]) for m in group["methods"])))
    scores = [[m["units"][u] for m in group["methods"]] for u in units]
    want = stats.critical_difference(scores, [m["label"] for m in group["methods"]])
    assert cd["ranks"] == want.ranks.tolist() and cd["p"] == want.friedman.p and cd["n"] == len(units)
    assert [[cd["names"][i] for i in c] for c in cd["cliques"]] == [list(c) for c in want.cliques]
    tests = compare.pairs(group)["tests"]
    assert [(t["a"], t["b"]) for t in tests] == [(i, j) for i in range(5) for j in range(i + 1, 5)]
    a, b = group["methods"][0], group["methods"][3]
    c = stats.paired_comparison(a["units"], b["units"], alternative="different")
    assert (tests[2]["gain"], tuple(tests[2]["ci"]), tests[2]["p"]) == (c.gain, c.ci, c.test.p)
    assert [t["holm"] for t in tests] == stats.holm([t["p"] for t in tests]).tolist()


def test_no_diagram_says_why(written):
    lonely = [row("a"), row("b"), row("c")]
    assert "share 1 group" in written(lonely)[1]["tables"][0]["cd"]["why"]
    assert "at least 3 methods" in written([row("a", fold=f) for f in "xy"])[1]["tables"][0]["cd"]["why"]
    flat = [row(m, fold=f) for m in "abc" for f in "xy"]
    for r in flat:
        r["metrics"][0]["better"] = "none"
    table = written(flat)[1]["tables"][0]
    assert "no better direction" in table["cd"]["why"] and table["pairs"]["tests"] == []
    one_short = [row(m, fold=f) for m in "abc" for f in "wxyz"] + [row("d", fold="w")]
    cd = written(one_short)[1]["tables"][0]["cd"]
    assert cd["left_out"] == ["d"] and cd["n"] == 4 and cd["dropped"] == []


# ---------------------------------------------------------------------------------------------- nothing lost, nothing invented


def test_empty_results_are_a_page(written):
    page, data, curves, figures = written([])
    assert data["tables"] == data["claims"] == [] and data["cells"]["n"] == 0 and curves["cells"] == figures == {}
    assert "noscript" in page.tags


def test_unreadable_rows_are_told_without_the_folder(written, tmp_path):
    error = BenchError(f"{tmp_path}/cells/m/d/k/cell.json is not a readable row; delete it and run the cell again")
    _, data, *_ = written([row(), error], out=tmp_path)
    assert data["notes"] == ["cells/m/d/k/cell.json is not a readable row; delete it and run the cell again"]
    assert data["cells"]["n"] == 1


def test_what_is_not_finite_becomes_null(written):
    nan = float("nan")
    _, data, *_ = written([row(timed_s=None, validation=nan, config={"lr": float("inf"), "x": [nan]}, energy_wh=nan)])
    assert unpack(data, "validation") == [None] and unpack(data, "config") == [{"lr": None, "x": [None]}]


def test_failed_cells_keep_their_reason(written):
    _, data, *_ = written([row(), row("n", status="failed", error="ValueError: no", traceback="T", metrics=[])])
    assert unpack(data, "error") == [None, "ValueError: no"] and unpack(data, "table") == [0, None]


def test_claims_keep_every_field_in_every_spelling(written):
    as_claims_module = {"title": "paper", "paper": "printed"}
    spaced = {"title": "paper title", "paper": "paper value"}
    spelled = [{names.get(k, k): v for k, v in CLAIMS[0].items()} for names in ({}, as_claims_module, spaced)]
    data = written([], claims=spelled)[1]
    assert data["claims"] == [{**CLAIMS[0], "origin": None, "scale": None}] * 3


def test_the_same_rows_give_the_same_file(tmp_path):
    a, b = (html.write_html(many(100), tmp_path / n, claims=CLAIMS).read_bytes() for n in "ab")
    assert a == b


# ---------------------------------------------------------------------------------------------- curves and figures


def test_curves_are_medians_over_cells(written, tmp_path):
    rows = [row(fold=f) for f in "abc"]
    for r, n, offset in zip(rows, (10, 10, 4), (0, 1, 5), strict=True):
        step = np.arange(n)
        store_cell(tmp_path, r, {"loss.step": step, "loss.value": offset + step})
    curves = written(rows, out=tmp_path)[2]
    band = curves["tables"][0]["m"]["loss"]["step"]
    assert band["x"] == list(range(10)) and band["n"] == [3] * 4 + [2] * 6
    assert band["mid"] == [i + 1 for i in range(4)] + [i + 0.5 for i in range(4, 10)]
    assert "seconds" not in curves["tables"][0]["m"]["loss"]  # the short curve's steps are not its 10 epochs
    assert curves["cells"][rows[2]["key"]]["loss"] == [[0, 1, 2, 3], [5, 6, 7, 8]]


def test_seconds_are_epochs_at_an_even_pace(written, tmp_path):
    r = row(timed_s=20.0)
    store_cell(tmp_path, r, {"loss.step": np.arange(10), "loss.value": np.ones(10)})
    band = written([r], out=tmp_path)[2]["tables"][0]["m"]["loss"]["seconds"]
    assert band["x"] == [2.0 * (i + 1) for i in range(10)]


def test_long_and_broken_curves(written, tmp_path):
    long, nan, broken = row(fold="a"), row("n"), row("b")
    store_cell(tmp_path, long, {"loss.step": np.arange(5000), "loss.value": np.linspace(1, 0, 5000)})
    store_cell(tmp_path, nan, {"loss.step": np.arange(3), "loss.value": [1.0, np.nan, np.inf]})
    store_cell(tmp_path, broken, {})
    (tmp_path / "cells" / "b" / "d" / broken["key"] / "curves.npz").write_bytes(b"not an archive")
    _, data, curves, _ = written([long, nan, broken], out=tmp_path)
    band = curves["tables"][0]["m"]["loss"]["step"]
    assert len(band["x"]) == 200 and band["x"][0] == 0 and band["x"][-1] == 4999
    assert curves["cells"][nan["key"]]["loss"] == [[0], [1]]
    assert len(data["notes"]) == 1 and broken["key"] in data["notes"][0]


def test_figures_are_embedded_or_linked_when_they_are_too_large(written, tmp_path, monkeypatch):
    r = row()
    store_cell(tmp_path, r, figures=[("curve #1.png", png()), ("no.png", b"<svg onload=alert(1)>")])
    *_, figures = written([r], out=tmp_path)
    [figure] = figures[r["key"]]
    assert (
        figure["name"] == "curve #1" and base64.b64decode(figure["src"].removeprefix("data:image/png;base64,")) == png()
    )
    monkeypatch.setattr(html, "MOST_MB", 0.001)
    _, data, _, figures = written([r], out=tmp_path)
    assert figures[r["key"]] == [{"name": "curve #1", "href": f"cells/m/d/{r['key']}/figures/curve%20%231.png"}]
    assert "linked" in data["notes"][0]


def test_a_row_cannot_name_files_outside_its_folder(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png())
    out = tmp_path / "results"
    inside = row(figures=["../../../../../secret.png", str(secret), "figures/../../x.png"])
    store_cell(out, row())
    assert arrays.figure_files(out, inside) == []
    assert arrays.folder_of(out, row("..", "..", key="..")) is None


# ---------------------------------------------------------------------------------------------- LaTeX


def test_latex_is_escaped_and_marks_stand_ins():
    rows = [row(r"a_b & 50% $x$ {y} #1 ~ ^ \cmd", origin="synthetic_twin", fold=f) for f in "ab"]
    text = tex.tex_text(rows)
    want = r"a\_b \& 50\% \$x\$ \{y\} \#1 \textasciitilde{} \textasciicircum{} \textbackslash{}cmd & 0.500 & "
    assert want in text and r"\toprule" in text and r"\begin{tabular}{lrlrrrll}" in text
    assert "SYNTHETIC stand-in" in text and text.count(r"\begin{table}") == 1
    body = re.search(r"\\midrule\n(.*)\n\\bottomrule", text, re.DOTALL)[1]
    assert len(re.findall(r"(?<!\\)&", body)) == 7 and body.endswith(r" \\")
    assert tex.tex_text([]).startswith("%") and tex.escape("a\nb\u2028c") == "a b c"


# ---------------------------------------------------------------------------------------------- all forms


def test_every_form_is_written_and_a_bad_place_is_one_sentence(tmp_path):
    rows = [row(fold=f) for f in "ab"]
    files = {form: tmp_path / "sub" / f"r.{form}" for form in ("html", "md", "csv", "tex")}
    assert report.write_files(files, rows, out=tmp_path, claims=CLAIMS) == list(files.values())
    assert files["md"].read_text() == report.markdown_text(rows) and files["csv"].read_text() == store.csv_text(rows)
    assert files["tex"].read_text() == tex.tex_text(rows) and "</html>" in files["html"].read_text()
    with pytest.raises(BenchError, match=r"--html .* cannot be written .*choose another"):
        report.write_files({"html": files["md"] / "x.html"}, rows)


def test_the_results_folder_is_the_one_of_the_rows(tmp_path):
    assert report.results_folder([f"out={tmp_path}"]) == tmp_path
    assert report.load_records([f"out={tmp_path}"]) == ([], [])
