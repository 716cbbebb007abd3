/* The report's pages. Every number shown was computed in Python; this file routes, sorts, filters and draws.
   Text from rows reaches the page through text nodes and attributes only, never as markup. */
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);
  const lazy = (id) => { let value; return () => (value === undefined ? (value = read(id)) : value); };
  const D = read("data"), curvesData = lazy("curves-data"), figuresData = lazy("figures-data");
  const ORIGINS = { real: "real data", simulated: "simulated", synthetic_twin: "synthetic stand-in" };
  const VERDICTS = ["reproduced", "within noise", "better", "worse", "inconclusive", "not attempted"];
  const GATES = ["identity", "order", "parity", "self"];
  const PAGES = { overview: "Overview", board: "Leaderboards", paper: "Paper versus ours", cd: "Critical difference",
    curves: "Learning curves", scatter: "Cost", pairs: "Paired", cells: "All cells" };
  // a printed number that no gate is set for is listed, and never counted among the verdicts
  const CLAIMS = D.claims.filter((c) => c.gate !== "number"), NUMBERS = D.claims.filter((c) => c.gate === "number");
  const SHOWN = 50, PRINTED = 2000, SERIES = 8;

  // ------------------------------------------------------------------ building elements

  const fill = (node, attrs, kids) => {
    for (const [k, v] of Object.entries(attrs || {})) {
      if (v == null || v === false) continue;
      if (typeof v === "function") node.addEventListener(k.slice(2), v);
      else node.setAttribute(k, v === true ? "" : v);
    }
    for (const kid of kids.flat(Infinity)) if (kid != null && kid !== false) node.append(kid);
    return node;
  };
  const el = (tag, attrs, ...kids) => fill(document.createElement(tag), attrs, kids);
  const svg = (tag, attrs, ...kids) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attrs, kids);

  const text = (v) => (v == null || v === "" ? "–" : typeof v === "number" ? number(v)
    : typeof v === "object" ? JSON.stringify(v) : typeof v === "boolean" ? (v ? "yes" : "no") : String(v));
  const number = (v) => {
    if (v == null) return "–";
    if (Number.isInteger(v)) return Math.abs(v) < 1e7 ? v.toLocaleString("en") : v.toExponential(3);
    const a = Math.abs(v);
    return a < 1e-3 || a >= 1e6 ? v.toExponential(2) : a >= 1000 ? v.toFixed(0) : String(Number(v.toPrecision(4)));
  };
  const fixed = (v, digits) => (v == null ? "–" : v !== 0 && (Math.abs(v) < 1e-3 || Math.abs(v) >= 1e6) ? v.toExponential(2) : v.toFixed(digits));
  const slug = (s) => String(s).replace(/[^a-z]+/g, "-");
  const badge = (kind, label) => el("span", { class: `badge ${kind}` }, label);
  const origin = (o) => badge(`origin-${slug(o)}`, ORIGINS[o] || text(o));
  const link = (href, label, attrs) => el("a", { href, ...attrs }, label);
  const words = (s, n) => (s.length > n ? `${s.slice(0, Math.max(1, n - 1))}…` : s);
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  // ------------------------------------------------------------------ cells: packed columns

  const cell = (name, i) => {
    const c = D.cells.columns[name];
    return c.all ? c.all[i] : c.pool[c.at[i]];
  };
  const everyCell = Array.from({ length: D.cells.n }, (_, i) => i);
  const distinct = (name) => {
    const c = D.cells.columns[name];
    return [...new Set(c.all || c.pool)].filter((v) => v != null).sort((a, b) => compare(String(a), String(b)));
  };
  const mainValue = (i) => {
    const ms = cell("metrics", i), main = cell("main", i);
    const at = Math.max(0, ms.findIndex((m) => m[0] === main));
    return ms.length ? { name: ms[at][0], value: cell("values", i)[at] } : { name: null, value: null };
  };

  // ------------------------------------------------------------------ where we are: #page?filters

  const where = () => {
    const [path, query] = location.hash.slice(1).split("?");
    const [page, key] = path.split("/");
    let known = page in PAGES || page === "cell" ? page : "overview";
    let name = key || "";
    try { name = decodeURIComponent(name); } catch (_) { known = "overview"; }
    return { page: known, key: name, q: new URLSearchParams(query || "") };
  };
  const address = (page, params) => {
    const q = new URLSearchParams();
    for (const [k, v] of Object.entries(params || {})) if (v != null && v !== "") q.set(k, v);
    return `#${page}${String(q) && `?${q}`}`;
  };
  const change = (params) => {
    const here = where();
    location.replace(address(here.page, { ...Object.fromEntries(here.q), ...params }));
  };
  const say = (sentence) => { byId("status").textContent = sentence; };

  const FILTERS = ["data", "scale", "origin", "method"];
  const passes = (q, item) => FILTERS.every((f) => !q.get(f) || f === "method" || item[f] === q.get(f));
  const methodsOf = (table, q) => table.methods.map((m, i) => ({ ...m, i }))
    .filter((m) => !q.get("method") || m.method === q.get("method"));
  const tablesFor = (q) => D.tables.map((t, id) => ({ ...t, id }))
    .filter((t) => passes(q, t) && methodsOf(t, q).length);

  const select = (id, label, options, value, onchange) => el("label", { for: id }, el("span", {}, label),
    el("select", { id, onchange: (e) => onchange(e.target.value) },
      options.map(([v, name]) => el("option", { value: v, selected: v === value }, name))));

  function filters(page, q) {
    const form = byId("filters"), wanted = ["board", "cells", "cd", "curves", "scatter", "pairs"].includes(page);
    form.hidden = !wanted;
    if (!wanted) return;
    const parts = page === "board" || page === "cells" ? FILTERS : FILTERS.slice(0, 3);
    if (form.dataset.parts !== parts.join()) {
      form.dataset.parts = parts.join();
      form.replaceChildren(...parts.map((f) => select(`filter-${f}`, f, [["", "all"],
        ...distinct(f).map((v) => [v, f === "origin" ? ORIGINS[v] || v : v])], "", (v) => change({ [f]: v, table: "" }))),
      el("label", { for: "filter-text", id: "filter-text-label" }, el("span", {}, "search"),
        el("input", { id: "filter-text", type: "search", autocomplete: "off", oninput: (e) => change({ text: e.target.value }) })),
      el("button", { type: "button", id: "filter-clear", onclick: () => location.replace(`#${where().page}`) }, "Clear"));
      form.onsubmit = (e) => e.preventDefault();
    }
    for (const f of parts) byId(`filter-${f}`).value = q.get(f) || "";
    byId("filter-text-label").hidden = page !== "cells";
    if (document.activeElement !== byId("filter-text")) byId("filter-text").value = q.get("text") || "";
    byId("filter-clear").hidden = ![...q.keys()].length;
  }

  // ------------------------------------------------------------------ tables: sorted, paged

  const sorted = new Map(); // table id -> { column, down }
  let wholeTables = []; // what printing shows in full

  /* columns: { head, cell(row) -> text or node, key(row) -> number, text or null (sortable when given), num, short } */
  function table(id, caption, columns, rows, firstDown) {
    const body = el("tbody", {}), pager = el("div", { class: "pager" }), heads = [];
    let page = 0, order = rows;
    const state = () => sorted.get(id) || {};
    const sort = () => {
      const { column, down } = state();
      const key = columns[column] && columns[column].key;
      if (!key) { order = rows; return; }
      const keyed = rows.map((row) => [key(row), row]);
      const sign = down ? -1 : 1;
      keyed.sort(([a], [b]) => {
        if (a == null || b == null) return (a == null) - (b == null); // what is unknown stays last
        return sign * (typeof a === "number" && typeof b === "number" ? a - b : compare(String(a), String(b)));
      });
      order = keyed.map(([, row]) => row);
    };
    const draw = (size = SHOWN) => {
      const pages = Math.max(1, Math.ceil(order.length / size));
      page = Math.min(Math.max(page, 0), pages - 1);
      body.replaceChildren(...order.slice(page * size, (page + 1) * size).map((row) => el("tr", {}, columns.map((c, n) =>
        el(n ? "td" : "th", { class: c.num ? "num" : c.short && "short", scope: n ? null : "row" }, c.cell(row))))));
      heads.forEach((th, n) => {
        const { column, down } = state();
        if (columns[n].key) th.setAttribute("aria-sort", column === n ? (down ? "descending" : "ascending") : "none");
      });
      const last = Math.min(order.length, (page + 1) * size);
      const go = (label, name, to, off) => el("button", { type: "button", "aria-label": name, disabled: off,
        onclick: () => { page = to; draw(); const again = pager.querySelector(`[aria-label="${name}"]:enabled`); if (again) again.focus(); } }, label);
      pager.replaceChildren(...(pages < 2 ? [] : [
        go("«", "First page", 0, page === 0), go("‹ Previous", "Previous page", page - 1, page === 0),
        el("span", {}, `${number(page * size + 1)} to ${number(last)} of ${number(order.length)}`),
        go("Next ›", "Next page", page + 1, page === pages - 1), go("»", "Last page", pages - 1, page === pages - 1)]));
    };
    const head = el("tr", {}, columns.map((c, n) => {
      const press = () => {
        const s = state();
        sorted.set(id, { column: n, down: s.column === n ? !s.down : Boolean(c.num && firstDown) });
        page = 0; sort(); draw();
        say(`sorted by ${c.head}, ${state().down ? "descending" : "ascending"}`);
      };
      const th = el("th", { scope: "col", class: c.num && "num" },
        c.key ? el("button", { type: "button", onclick: press }, c.head) : c.head);
      heads.push(th);
      return th;
    }));
    sort(); draw();
    wholeTables.push((all) => draw(all ? PRINTED : SHOWN));
    return el("div", {}, el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
      el("table", { id }, el("caption", { class: "unseen" }, caption), el("thead", {}, head), body)), pager);
  }
  let opened = [];
  addEventListener("beforeprint", () => { // on paper nothing can be turned over or unfolded
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((d) => { d.open = true; });
    wholeTables.forEach((draw) => draw(true));
  });
  addEventListener("afterprint", () => {
    opened.forEach((d) => { d.open = false; });
    wholeTables.forEach((draw) => draw(false));
  });

  const facts = (pairs) => el("dl", { class: "facts" }, pairs.filter(([, v]) => v !== undefined)
    .map(([k, v]) => el("div", {}, el("dt", {}, k), el("dd", {}, v instanceof Node ? v : text(v)))));
  const nothing = (sentence) => el("p", { class: "empty" }, sentence);
  const command = (line) => {
    const code = el("code", {}, text(line)), done = el("span", { class: "copied", role: "status" });
    const pick = () => getSelection().selectAllChildren(code);
    const copy = () => {
      const there = () => { done.textContent = "copied"; }, by_hand = () => { pick(); done.textContent = "selected; copy it"; };
      if (navigator.clipboard) navigator.clipboard.writeText(String(line)).then(there, by_hand);
      else by_hand();
    };
    return el("div", { class: "command" }, el("pre", { tabindex: "0", "aria-label": "command" }, code),
      el("button", { type: "button", onclick: copy }, "Copy"), done);
  };

  // ------------------------------------------------------------------ pages

  const heading = (title, ...more) => [el("h1", { id: "title", tabindex: "-1" }, title), ...more];
  const marks = (t) => el("p", { class: "marks" }, origin(t.origin), badge("plain", `scale ${t.scale}`), badge("plain", t.metric),
    t.better === "none" ? null : badge("plain", `${t.better} is better`));
  const tableName = (t) => `${t.data}${t.variant ? ` (${t.variant})` : ""}`;

  function overview() {
    const counts = new Map(), states = ["done", "skip", "failed"];
    for (const i of everyCell) {
      const o = cell("origin", i), s = cell("status", i), row = counts.get(o) || {};
      row[s] = (row[s] || 0) + 1;
      counts.set(o, row);
    }
    const verdictOf = (c) => c.verdict || "not attempted";
    const verdicts = [...new Set([...VERDICTS, ...CLAIMS.map(verdictOf)])];
    const gates = [...new Set([...GATES, ...CLAIMS.map((c) => text(c.gate))])]
      .filter((g) => CLAIMS.some((c) => text(c.gate) === g));
    const count = (v, g) => CLAIMS.filter((c) => verdictOf(c) === v && (!g || text(c.gate) === g)).length;
    const missing = everyCell.filter((i) => cell("status", i) !== "done");
    return [
      heading("Overview"),
      el("section", {}, el("h2", {}, "Verdicts"), CLAIMS.length ? [
        el("ul", { class: "verdicts" }, verdicts.map((v) => el("li", {}, link(address("paper", { verdict: v }),
          [el("b", {}, number(count(v))), badge(`verdict-${slug(v)}`, v)])))),
        table("verdicts", "Verdicts by kind of gate", [{ head: "gate", cell: (g) => g },
          ...verdicts.map((v) => ({ head: v, num: true, cell: (g) => number(count(v, g)) }))], gates)]
        : nothing("No claims were evaluated for this report."),
      NUMBERS.length ? el("p", { class: "small" }, `Besides, ${number(NUMBERS.length)} printed numbers without a claim, `,
        `${number(NUMBERS.filter((c) => c.ours).length)} of them with a value of ours: `, link("#paper", "paper versus ours"), ".") : null),
      el("section", {}, el("h2", {}, "Cells"), counts.size ? table("counts", "Cells by origin of their data and outcome",
        [{ head: "origin", cell: ([o]) => origin(o) }, ...states.map((s) => ({ head: s, num: true, cell: ([, n]) => number(n[s] || 0) })),
          { head: "all", num: true, cell: ([o, n]) => link(address("cells", { origin: o }), number(Object.values(n).reduce((a, b) => a + b, 0))) }],
        [...counts].sort()) : nothing("No cells here yet; run some with: bench run method=gbw_rbn data=bci")),
      el("section", {}, el("h2", {}, "Tables"), D.tables.length ? table("tables", "Tables of finished cells", [
        { head: "data", cell: ([t, i]) => link(address("board", { table: i }), tableName(t)), key: ([t]) => tableName(t) },
        { head: "origin", cell: ([t]) => origin(t.origin), key: ([t]) => t.origin },
        { head: "scale", cell: ([t]) => t.scale, key: ([t]) => t.scale },
        { head: "metric", cell: ([t]) => t.metric, key: ([t]) => t.metric },
        { head: "methods", num: true, cell: ([t]) => number(t.methods.length), key: ([t]) => t.methods.length },
        { head: "cells", num: true, cell: ([t]) => number(cellsOf(t)), key: ([t]) => cellsOf(t) }],
      D.tables.map((t, i) => [t, i])) : nothing("No finished cells.")),
      D.notes.length ? el("section", {}, el("h2", {}, "Notes"), el("ul", { class: "notes" }, D.notes.map((n) => el("li", {}, n)))) : null,
      missing.length ? el("section", {}, el("h2", {}, "Not in the tables"), table("missing", "Failed and skipped cells", [
        { head: "cell", cell: (i) => cellLink(i), key: (i) => cell("method", i) },
        { head: "data", cell: (i) => cell("data", i), key: (i) => cell("data", i) },
        { head: "origin", cell: (i) => origin(cell("origin", i)), key: (i) => cell("origin", i) },
        { head: "fold", cell: (i) => text(cell("fold", i)), key: (i) => cell("fold", i) },
        { head: "outcome", cell: (i) => badge(`status-${slug(cell("status", i))}`, text(cell("status", i))), key: (i) => cell("status", i) },
        { head: "why", cell: (i) => text(cell("error", i)), key: (i) => cell("error", i) }], missing)) : null,
      el("p", { class: "small" }, `Holonomy ${D.version}${D.newest ? `; newest cell ${D.newest}` : ""}.`),
    ];
  }
  const cellsOf = (t) => t.methods.reduce((n, m) => n + m.n_cells, 0);
  const cellLink = (i) => link(`#cell/${encodeURIComponent(cell("key", i))}`, text(cell("label", i)));

  const lead = (s) => { const m = /^[-−]?\d[\d.,]*(e[-+]?\d+)?/i.exec(s); return m ? Number(m[0].replace("−", "-").replace(/,/g, "")) : null; };

  function board(q) {
    const all = tablesFor(q).filter((t) => !q.get("table") || String(t.id) === q.get("table"));
    say(`${all.length} tables`);
    const size = 20, box = el("div", {});
    let drawn = 0;
    const more = el("button", { type: "button", onclick: () => draw() });
    const draw = () => {
      let last = null;
      for (const t of all.slice(drawn, drawn + size)) {
        if (t.origin !== last && !box.querySelector(`#origin-${slug(t.origin)}`)) {
          box.append(el("h2", { id: `origin-${slug(t.origin)}`, class: "origin" }, ORIGINS[t.origin] || text(t.origin)));
        }
        last = t.origin;
        box.append(leaderboard(t, q));
      }
      drawn += size;
      more.hidden = drawn >= all.length;
      more.textContent = `Show more tables (${all.length - Math.min(drawn, all.length)} left)`;
    };
    const rank = Object.keys(ORIGINS);
    all.sort((a, b) => rank.indexOf(a.origin) - rank.indexOf(b.origin) || a.id - b.id);
    draw();
    return [heading("Leaderboards"), el("p", { class: "small" },
      "One table per data set, its choices, origin of the data, scale and metric. Seeds and folds are averaged inside a group ",
      "(a subject) first; intervals are over groups."), q.get("table") ? chip("one table", { table: "" }) : null,
    all.length ? [box, more] : nothing(D.tables.length ? "No table passes these filters." : "No finished cells here.")];
  }

  function leaderboard(t, q) {
    const rows = methodsOf(t, q);
    const columns = t.header.map((head, c) => {
      const strings = t.lines.map((l) => l[c]), given = strings.filter((s) => s !== "");
      const counted = given.length > 0 && c > 0 && given.every((s) => lead(s) !== null || s === "one group");
      const num = counted && given.every((s) => s.length < 26 && !/[a-z]{4}/i.test(s.replace("one group", "")));
      const value = (m) => (head === "mean" ? m.mean : counted ? lead(t.lines[m.i][c]) : t.lines[m.i][c] || null);
      return { head, num, key: value, cell: (m) => (c === 0
        ? link(address("cells", { table: t.id, label: m.label }), t.lines[m.i][c]) : t.lines[m.i][c]) };
    });
    return el("section", { class: `card origin-${slug(t.origin)}`, "aria-label": t.title }, el("h3", {}, tableName(t)), marks(t),
      table(`board-${t.id}`, t.title, columns, rows, true), el("p", { class: "small" }, t.notes.join(" ")),
      el("p", { class: "small links" }, ["cd", "curves", "scatter", "pairs"].map((p) =>
        link(address(p, { table: t.id }), PAGES[p].toLowerCase(), { "aria-label": `${PAGES[p]}: ${t.title}` }))));
  }

  const chip = (label, without) => el("p", {}, el("button", { type: "button", class: "chip", "aria-label": `remove filter: ${label}`,
    onclick: () => change(without) }, `${label} ✕`));

  function cells(q) {
    const needle = (q.get("text") || "").toLowerCase(), t = q.get("table"), label = q.get("label");
    const searched = ["label", "data", "fold", "key", "status", "error"];
    const hit = everyCell.filter((i) => FILTERS.every((f) => !q.get(f) || cell(f, i) === q.get(f))
      && (!t || String(cell("table", i)) === t) && (!label || cell("label", i) === label)
      && (!needle || searched.some((f) => String(cell(f, i) ?? "").toLowerCase().includes(needle))));
    say(`${hit.length} cells`);
    const columns = [
      { head: "method", cell: cellLink, key: (i) => cell("label", i) },
      { head: "data", cell: (i) => text(cell("data", i)), key: (i) => cell("data", i) },
      { head: "fold", cell: (i) => text(cell("fold", i)), key: (i) => cell("fold", i) },
      { head: "seed", num: true, cell: (i) => text(cell("seed", i)), key: (i) => cell("seed", i) },
      { head: "scale", cell: (i) => text(cell("scale", i)), key: (i) => cell("scale", i) },
      { head: "outcome", cell: (i) => badge(`status-${slug(cell("status", i))}`, text(cell("status", i))), key: (i) => cell("status", i) },
      { head: "metric", cell: (i) => text(mainValue(i).name), key: (i) => mainValue(i).name },
      { head: "value", num: true, cell: (i) => fixed(mainValue(i).value, 3), key: (i) => mainValue(i).value },
      { head: "timed s", num: true, cell: (i) => fixed(cell("timed_s", i), 2), key: (i) => cell("timed_s", i) },
      { head: "peak MB", num: true, cell: (i) => fixed(cell("rss_peak_mb", i), 0), key: (i) => cell("rss_peak_mb", i) },
      { head: "finished", short: true, cell: (i) => text(cell("finished", i)).replace("T", " ").slice(0, 16), key: (i) => cell("finished", i) },
    ];
    const found = [...new Set(hit.map((i) => cell("origin", i)))];
    const rank = [...Object.keys(ORIGINS), ...found];
    return [heading("All cells"), el("p", { class: "small" }, `${number(hit.length)} of ${number(D.cells.n)} cells.`),
      t && D.tables[t] ? chip(D.tables[t].title, { table: "", label: "" }) : null, label ? chip(label, { label: "" }) : null,
      found.length ? [] : nothing(D.cells.n ? "No cell passes these filters." : "No cells here."),
      found.sort((a, b) => rank.indexOf(a) - rank.indexOf(b)).map((o) => el("section", { class: `card origin-${slug(o)}` },
        el("h2", {}, origin(o)), table(`cells-${slug(o)}`, `Cells on ${ORIGINS[o] || o}`, columns, hit.filter((i) => cell("origin", i) === o))))];
  }

  function paper(q) {
    const verdict = q.get("verdict") || "", gate = q.get("gate") || "";
    const of = (c) => c.verdict || "not attempted";
    const shown = CLAIMS.filter((c) => (!verdict || of(c) === verdict) && (!gate || text(c.gate) === gate));
    const options = (first, values) => [["", "all"], ...[...new Set([...first.filter((v) => values.includes(v)), ...values])].map((v) => [v, v])];
    const cards = [...new Set(shown.map((c) => text(c.card)))];
    const printed = D.tables.flatMap((t) => t.lines.map((l, i) => [t, t.methods[i], l[t.header.indexOf("paper")], l[t.header.indexOf("paper versus ours")], l[1]]))
      .filter((r) => r[2]);
    say(`${shown.length} claims`);
    return [heading("Paper versus ours"),
      CLAIMS.length ? el("div", { class: "tools" }, select("claim-verdict", "verdict", options(VERDICTS, CLAIMS.map(of)), verdict, (v) => change({ verdict: v })),
        select("claim-gate", "gate", options(GATES, CLAIMS.map((c) => text(c.gate))), gate, (v) => change({ gate: v })))
        : nothing("No claims were evaluated for this report."),
      CLAIMS.length ? el("p", { class: "small" }, `${number(shown.length)} of ${number(CLAIMS.length)} claims.`) : null,
      cards.map((name) => {
        const claims = shown.filter((c) => text(c.card) === name);
        return el("section", { class: "card" }, el("h2", {}, text(claims[0].title || name)),
          el("p", { class: "small links" }, el("code", {}, name), (D.papers[name] || []).filter((l) => /^https:\/\/(arxiv|doi)\.org\//.test(l.href))
            .map((l) => link(l.href, l.text, { rel: "noreferrer" }))),
          claims.map(claim));
      }),
      el("section", {}, el("h2", {}, "Printed numbers beside ours"), printed.length ? Object.keys(ORIGINS).map((o) => [o, printed.filter(([t]) => t.origin === o)])
        .filter(([, rows]) => rows.length).map(([o, rows]) => el("section", { class: `card origin-${slug(o)}` }, el("h3", {}, origin(o)),
          table(`printed-${slug(o)}`, `Printed numbers beside ours, ${ORIGINS[o]}`, [
            { head: "method", cell: ([, m]) => m.label, key: ([, m]) => m.label },
            { head: "data", cell: ([t]) => tableName(t), key: ([t]) => tableName(t) },
            { head: "scale", cell: ([t]) => t.scale, key: ([t]) => t.scale },
            { head: "metric", cell: ([t]) => t.metric, key: ([t]) => t.metric },
            { head: "paper", cell: (r) => r[2], key: (r) => lead(r[2]) },
            { head: "ours", num: true, cell: (r) => r[4], key: (r) => r[1].mean },
            { head: "what may be said", cell: (r) => r[3], key: (r) => r[3] }], rows)))
        : nothing("No card names a printed number for a finished cell here.")),
      NUMBERS.length ? el("section", {}, el("h2", {}, "Printed numbers without a claim"), table("numbers", "Printed numbers without a claim", [
        { head: "what", cell: (c) => text(c.statement), key: (c) => c.statement },
        { head: "card", cell: (c) => text(c.card), key: (c) => c.card },
        { head: "source", cell: (c) => text(c.table), key: (c) => c.table },
        { head: "paper", cell: (c) => text(c.paper), key: (c) => lead(text(c.paper)) },
        { head: "ours", cell: (c) => text(c.ours), key: (c) => c.ours || null },
        { head: "why", cell: (c) => text(c.why), key: (c) => c.why }], NUMBERS)) : null];
  }

  const claim = (c) => {
    const verdict = c.verdict || "not attempted";
    const differs = c.comparable === false && c.ours != null && c.ours !== "";
    return el("article", { class: "claim", "aria-label": text(c.id) },
      el("p", { class: "marks" }, badge(`verdict-${slug(verdict)}`, verdict), badge("plain", `gate ${text(c.gate)}`),
        c.origin ? origin(c.origin) : null, c.scale ? badge("plain", `scale ${c.scale}`) : null,
        differs ? badge("not-comparable", "not comparable") : null, el("code", { class: "id" }, text(c.id))),
      el("p", { class: "statement" }, text(c.statement)),
      el("dl", { class: "versus" }, el("div", {}, el("dt", {}, c.table ? `paper, ${c.table}` : "paper"), el("dd", {}, text(c.paper))),
        el("div", { class: differs && "muted" }, el("dt", {}, differs ? "ours, not comparable" : "ours"), el("dd", {}, text(c.ours)))),
      c.why ? el("p", { class: "why" }, text(c.why)) : null, c.command ? command(c.command) : null);
  };

  // ------------------------------------------------------------------ drawing

  const width = () => Math.max(280, Math.min(820, byId("content").clientWidth - 2));
  const picture = (w, h, name, ...kids) => svg("svg", { viewBox: `0 0 ${w} ${h}`, width: w, height: h, role: "img", "aria-label": name, class: "chart" },
    svg("title", {}, name), kids);
  const at = (x, y, label, attrs) => svg("text", { x, y, ...attrs }, label);

  function scale(lo, hi, from, to, log, whole) {
    if (!(hi > lo)) { const pad = Math.abs(lo) * 0.05 || 0.5; lo = log ? lo / 1.1 : lo - pad; hi = log ? hi * 1.1 : hi + pad; }
    const f = log ? Math.log10 : (v) => v, a = f(lo), b = f(hi);
    const map = (v) => from + ((f(v) - a) / (b - a)) * (to - from);
    const ticks = [];
    if (log) {
      const dense = b - a < 1.5 ? [1, 2, 5] : [1];
      for (let e = Math.floor(a); e <= Math.ceil(b); e++) for (const m of dense) { const v = m * 10 ** e; if (v >= lo * 0.999 && v <= hi * 1.001) ticks.push(v); }
      if (ticks.length < 2) ticks.push(...[lo, hi].map((v) => Number(v.toPrecision(2))).filter((v) => v >= lo && v <= hi));
    } else {
      const raw = Math.max((b - a) / Math.max(2, Math.abs(to - from) / (from > to ? 50 : 75)), whole ? 1 : 0), power = 10 ** Math.floor(Math.log10(raw));
      const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
      for (let v = Math.ceil(lo / step) * step; v <= hi + step * 1e-9; v += step) ticks.push(Number(v.toPrecision(12)));
    }
    return { map, ticks: [...new Set(ticks)] };
  }
  function axes(box, x, y, xName, yName) {
    return svg("g", { class: "axes" },
      y.ticks.map((v) => [svg("line", { x1: box.left, x2: box.right, y1: y.map(v), y2: y.map(v), class: "grid" }),
        at(box.left - 6, y.map(v) + 4, number(v), { "text-anchor": "end" })]),
      x.ticks.map((v) => [svg("line", { x1: x.map(v), x2: x.map(v), y1: box.bottom, y2: box.bottom + 4 }),
        at(x.map(v), box.bottom + 17, number(v), { "text-anchor": "middle" })]),
      svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
      at((box.left + box.right) / 2, box.bottom + 35, xName, { "text-anchor": "middle", class: "name" }),
      at(2, box.top - 10, yName, { class: "name" }));
  }
  const frame = (w, h, left = 56, right = 14) => ({ left, right: w - right, top: 26, bottom: h - 42 });
  const padded = (values, share = 0.06) => { const lo = Math.min(...values), hi = Math.max(...values), d = (hi - lo) * share; return [lo - d, hi + d]; };
  const swatch = (s) => svg("svg", { width: 26, height: 10, class: "swatch", "aria-hidden": "true" }, svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, class: `line ${s}` }));
  const series = (i) => `s${i % SERIES} d${Math.floor(i / SERIES) % 3}`;
  const line = (xs, ys, map) => xs.map((x, i) => `${i ? "L" : "M"}${map.x(x).toFixed(1)} ${map.y(ys[i]).toFixed(1)}`).join("");

  /* A page that shows one table: chooses it, says where it comes from, and lets `draw` do the rest. */
  function one(page, q, explain, draw) {
    const fitting = tablesFor(new URLSearchParams([...q].filter(([k]) => k !== "method")));
    if (!fitting.length) return [heading(PAGES[page]), nothing(D.tables.length ? "No table passes these filters." : "No finished cells here.")];
    const t = fitting.find((f) => String(f.id) === q.get("table")) || fitting[0];
    return [heading(PAGES[page]), el("p", { class: "small" }, explain),
      el("div", { class: "tools" }, select("table-choice", "table", fitting.map((f) => [String(f.id), f.title]), String(t.id), (v) => change({ table: v }))),
      el("section", { class: `card origin-${slug(t.origin)}`, "aria-label": t.title }, el("h2", {}, tableName(t)), marks(t), draw(t))];
  }

  const cdPage = (q) => one("cd", q, "Average ranks over groups (1 is best). Methods joined by a bar do not differ: Friedman's test, then Wilcoxon signed-rank tests "
    + "of all pairs, Holm-adjusted, alpha 0.05.", (t) => {
    const cd = t.cd;
    if (cd.why) return nothing(cd.why);
    const order = cd.names.map((n, i) => i).sort((a, b) => cd.ranks[a] - cd.ranks[b]);
    return [cdDiagram(t, cd, order),
      el("p", { class: "small" }, `${cd.n} groups. Friedman chi-square ${number(cd.chi2)}, p = ${number(cd.p)}, Kendall's W ${number(cd.w)}: `,
        cd.rejected ? "the methods are not all alike." : "no difference is shown, so all are joined.",
        cd.n < cd.needed ? ` With fewer than ${cd.needed} groups no pair can reach the adjusted level.` : "",
        cd.dropped.length ? ` Groups without a value of every method are left out: ${cd.dropped.join(", ")}.` : "",
        cd.left_out.length ? ` Methods with less than half of the groups are left out: ${cd.left_out.join(", ")}.` : ""),
      el("details", {}, el("summary", {}, "Ranks as numbers"), table(`ranks-${t.id}`, "Average ranks", [{ head: "method", cell: (i) => cd.names[i], key: (i) => cd.names[i] },
        { head: "average rank", num: true, cell: (i) => fixed(cd.ranks[i], 2), key: (i) => cd.ranks[i] },
        { head: "bars", cell: (i) => cd.cliques.map((c, n) => (c.includes(i) ? n + 1 : 0)).filter(Boolean).join(", ") || "none" }], order))];
  });

  function cdDiagram(t, cd, order) {
    const k = order.length, w = width(), longest = Math.max(...cd.names.map((n) => n.length)), side = Math.min(w * 0.36, longest * 7 + 18);
    const inner = Math.min(30, w * 0.04), x = scale(1, k, side + inner, w - side - inner).map, every = Math.ceil(k / Math.max(2, (w - 2 * (side + inner)) / 22)), top = 44, bars = cd.cliques.length, first = top + 16 + bars * 9, half = Math.ceil(k / 2), row = 22;
    const h = first + half * row + 8, room = Math.floor((side - 8) / 6.7);
    const label = order.map((i, place) => {
      const left = place < half, y = first + (left ? place : k - 1 - place) * row + 8, px = x(cd.ranks[i]), end = left ? side : w - side;
      return svg("g", {}, svg("title", {}, `${cd.names[i]}: average rank ${number(cd.ranks[i])}`),
        svg("path", { d: `M${px} ${top}V${y}H${end}`, class: "stem" }),
        at(left ? side - 5 : w - side + 5, y + 4, words(cd.names[i], room), { "text-anchor": left ? "end" : "start", class: "label" }),
        at(left ? end + 4 : end - 4, y - 4, cd.ranks[i].toFixed(2), { "text-anchor": left ? "start" : "end", class: "rank" }));
    });
    return picture(w, h, `Critical-difference diagram of ${k} methods, ${t.title}. Best first: ${order.map((i) => `${cd.names[i]} ${number(cd.ranks[i])}`).join(", ")}.`,
      at(w / 2, 14, "average rank, 1 is best", { "text-anchor": "middle", class: "name" }),
      svg("line", { x1: x(1), x2: x(k), y1: top, y2: top, class: "axis" }),
      Array.from({ length: k }, (_, i) => [svg("line", { x1: x(i + 1), x2: x(i + 1), y1: top - 5, y2: top, class: "axis" }),
        i % every ? null : at(x(i + 1), top - 9, String(i + 1), { "text-anchor": "middle" })]),
      label, cd.cliques.map((c, n) => { const r = c.map((i) => cd.ranks[i]), y = top + 12 + n * 9;
        return svg("line", { x1: x(Math.min(...r)) - 4, x2: x(Math.max(...r)) + 4, y1: y, y2: y, class: "clique" }); }));
  }

  const hiddenSeries = new Set(); // "table/label" of curves switched off

  const curvesPage = (q) => one("curves", q, "Line: median over cells (groups and seeds) that have reached that point; band: their quartiles.", (t) => {
    const all = curvesData(), mine = all.tables[t.id] || {}, labels = t.methods.map((m) => m.label).filter((l) => mine[l]);
    if (!labels.length) return nothing(all.note && !all.tables.length ? all.note : "These cells recorded no curves.");
    const names = [...new Set(labels.flatMap((l) => Object.keys(mine[l])))].sort(compare);
    const name = names.includes(q.get("curve")) ? q.get("curve") : names.find((n) => /val/.test(n)) || names[0];
    const having = labels.filter((l) => mine[l][name]), timed = having.filter((l) => mine[l][name].seconds);
    const axis = q.get("x") === "seconds" && timed.length ? "seconds" : "step";
    const off = (l) => hiddenSeries.has(`${t.id}/${l}`);
    const stage = el("div", {});
    const redraw = () => stage.replaceChildren(curveChart(`${name} of ${t.title}`, (axis === "seconds" ? timed : having).filter((l) => !off(l))
      .map((l) => ({ label: l, style: series(labels.indexOf(l)), ...mine[l][name][axis] })), axis === "seconds" ? "seconds of training (timed region, even pace)" : "step", name));
    redraw();
    return [el("div", { class: "tools" }, select("curve-name", "curve", names.map((n) => [n, n]), name, (v) => change({ curve: v })),
      select("curve-x", "x axis", [["step", "step"], ...(timed.length ? [["seconds", "seconds"]] : [])], axis, (v) => change({ x: v }))),
    stage, el("fieldset", { class: "legend" }, el("legend", {}, "methods"), having.map((l) => el("label", {}, el("input", { type: "checkbox", checked: !off(l), onchange: (e) => {
      hiddenSeries[e.target.checked ? "delete" : "add"](`${t.id}/${l}`); redraw(); } }), swatch(series(labels.indexOf(l))), l))),
    axis === "seconds" && timed.length < having.length ? el("p", { class: "small" }, `Without a known pace: ${having.filter((l) => !timed.includes(l)).join(", ")}.`) : null,
    el("details", {}, el("summary", {}, "Last points as numbers"), table(`last-${t.id}`, `Last points of ${name}`, [{ head: "method", cell: (l) => l, key: (l) => l },
      ...["x", "mid", "low", "high", "n"].map((p, n) => ({ head: [axis, "median", "lower quartile", "upper quartile", "cells"][n], num: true,
        cell: (l) => (p === "x" || p === "n" ? number : (v) => fixed(v, 3))(mine[l][name][axis][p].at(-1)), key: (l) => mine[l][name][axis][p].at(-1) }))], axis === "seconds" ? timed : having))];
  });

  function curveChart(name, lines, xName, yName, w = width()) {
    if (!lines.length) return nothing("No curve is switched on.");
    const h = Math.min(420, Math.max(220, w * 0.55)), box = frame(w, h);
    const xs = lines.flatMap((l) => l.x), ys = lines.flatMap((l) => [...l.low, ...l.high]);
    const x = scale(Math.min(...xs), Math.max(...xs), box.left, box.right, false, xName === "step"), y = scale(...padded(ys), box.bottom, box.top);
    const map = { x: x.map, y: y.map };
    return picture(w, h, `${name}: ${lines.map((l) => `${l.label} ends at ${number(l.mid.at(-1))}`).join(", ")}.`, axes(box, x, y, xName, yName),
      lines.map((l) => (Math.max(...l.n) > 1 && l.x.length > 1 ? svg("path", { class: `band ${l.style}`,
        d: `${line(l.x, l.high, map)}${line([...l.x].reverse(), [...l.low].reverse(), map).replace("M", "L")}Z` }) : null)),
      lines.map((l) => (l.x.length > 1 ? svg("path", { d: line(l.x, l.mid, map), class: `line ${l.style}` }, svg("title", {}, l.label))
        : svg("circle", { cx: x.map(l.x[0]), cy: y.map(l.mid[0]), r: 3.5, class: `dot ${l.style}` }, svg("title", {}, l.label)))));
  }

  const scatterPage = (q) => one("scatter", q, "One point per method: mean of the metric over groups with its 95 % interval, against the mean cost of its cells. "
    + "Compare costs only between cells of one machine.", (t) => {
    const known = Object.keys(D.costs).filter((c) => t.methods.some((m) => m.costs[c] != null));
    if (!known.length) return nothing("No cost was recorded for these cells.");
    const share = (c) => t.methods.filter((m) => m.costs[c] != null).length, best = Math.max(...known.map(share));
    const cost = known.includes(q.get("x")) ? q.get("x") : known.find((c) => share(c) === best), points = t.methods.filter((m) => m.costs[cost] != null);
    const values = points.map((m) => m.costs[cost]), can = Math.min(...values) > 0;
    const log = can && (q.get("log") ? q.get("log") === "yes" : Math.max(...values) / Math.min(...values) > 20);
    return [el("div", { class: "tools" }, select("scatter-x", "cost", known.map((c) => [c, D.costs[c]]), cost, (v) => change({ x: v, log: "" })),
      can ? select("scatter-log", "axis", [["no", "linear"], ["yes", "logarithmic"]], log ? "yes" : "no", (v) => change({ log: v })) : null),
    scatterChart(t, points, cost, log),
    points.length < t.methods.length ? el("p", { class: "small" }, `Not known for: ${t.methods.filter((m) => m.costs[cost] == null).map((m) => m.label).join(", ")}.`) : null,
    el("details", {}, el("summary", {}, "Points as numbers"), table(`costs-${t.id}`, "Metric and costs", [{ head: "method", cell: (m) => m.label, key: (m) => m.label },
      { head: t.metric, num: true, cell: (m) => fixed(m.mean, 3), key: (m) => m.mean },
      ...known.map((c) => ({ head: D.costs[c], num: true, cell: (m) => number(m.costs[c]), key: (m) => m.costs[c] }))], t.methods))];
  });

  function scatterChart(t, points, cost, log) {
    const w = width(), h = Math.min(460, Math.max(300, w * 0.6)), box = frame(w, h), ends = points.flatMap((m) => m.ci || [m.mean]);
    const xs = points.map((m) => m.costs[cost]), lo = Math.min(...xs), hi = Math.max(...xs), pad = (hi - lo) * 0.06;
    const x = log ? scale(lo / 1.25, hi * 1.25, box.left, box.right, true) : scale(lo - pad, hi + pad, box.left, box.right);
    const y = scale(...padded([...ends, ...points.map((m) => m.mean)]), box.bottom, box.top), placed = [];
    const labelled = points.length <= 30 ? [...points].sort((a, b) => b.mean - a.mean) : [];
    const label = labelled.map((m) => {
      const px = x.map(m.costs[cost]), py = y.map(m.mean), name = words(m.label, w < 500 ? 18 : 34), wide = name.length * 6.6;
      const left = px + wide + 10 > box.right, x0 = left ? px - wide - 8 : px + 8;
      let y0 = py - 5, tries = 0;
      while (tries++ < 30 && placed.some((p) => Math.abs(p.y - y0) < 13 && x0 < p.x + p.w && p.x < x0 + wide)) y0 += 13 * (tries % 2 ? tries : -tries);
      y0 = Math.min(Math.max(y0, box.top), box.bottom - 4);
      placed.push({ x: x0, y: y0, w: wide });
      return [Math.abs(y0 - py) > 14 ? svg("line", { x1: px, y1: py, x2: left ? px - 8 : px + 8, y2: y0 - 4, class: "leader" }) : null,
        at(left ? px - 8 : px + 8, y0, name, { "text-anchor": left ? "end" : "start", class: "label" })];
    });
    return picture(w, h, `${t.metric} against ${D.costs[cost]}, ${t.title}: ${points.map((m) => `${m.label} ${number(m.mean)} at ${number(m.costs[cost])}`).join(", ")}.`,
      axes(box, x, y, D.costs[cost], `${t.metric}${t.better === "none" ? "" : `, ${t.better} is better`}`),
      points.map((m) => { const px = x.map(m.costs[cost]);
        return svg("g", {}, svg("title", {}, `${m.label}: ${number(m.mean)} at ${number(m.costs[cost])}`),
          m.ci ? svg("line", { x1: px, x2: px, y1: y.map(m.ci[0]), y2: y.map(m.ci[1]), class: "whisker" }) : null,
          svg("circle", { cx: px, cy: y.map(m.mean), r: 4.5, class: "point" })); }), label);
  }

  const pairsPage = (q) => one("pairs", q, "One line per group (a subject); its seeds and folds are averaged first.", (t) => {
    if (t.methods.length < 2) return nothing("One method alone has nothing to be paired with.");
    const pick = (name, otherwise) => { const i = t.methods.findIndex((m) => m.label === q.get(name)); return i < 0 ? otherwise : i; };
    const a = pick("a", 0), b = pick("b", a === 1 ? 0 : 1), A = t.methods[a], B = t.methods[b];
    const units = Object.keys(A.units).filter((u) => u in B.units).sort(compare);
    const found = t.pairs.tests.find((p) => (p.a === a && p.b === b) || (p.a === b && p.b === a));
    const sign = found && found.a === b ? -1 : 1, alone = [...Object.keys(A.units), ...Object.keys(B.units)].filter((u) => !units.includes(u));
    const signed = (v) => (v == null ? null : sign * v), ci = found && found.ci.map(signed).sort((p, r) => p - r);
    const choose = (id, label, value, key) => select(id, label, t.methods.map((m) => [m.label, m.label]), value, (v) => change({ [key]: v, table: t.id }));
    return [el("div", { class: "tools" }, choose("pair-a", "left", A.label, "a"), choose("pair-b", "right", B.label, "b")),
      a === b ? nothing("Choose two different methods.") : units.length ? slopes(t, A, B, units) : nothing("These two methods share no group."),
      found ? facts([["groups", found.n], [`${A.label} better by`, `${number(signed(found.gain))} (95 % interval ${number(ci[0])} to ${number(ci[1])})`],
        ["p, two-sided sign-flip test", `${number(found.p)}${found.exact ? ", exact" : ""}; smallest possible ${number(found.p_min)}`],
        [`p, Holm over ${t.pairs.tests.length} pairs`, found.holm], ["effect size dz", found.dz == null ? "not defined, all differences are equal" : signed(found.dz)],
        ["rank-biserial correlation", signed(found.rank_biserial)]])
        : a === b ? null : nothing(t.pairs.why || "A paired test needs at least 2 common groups."),
      alone.length ? el("p", { class: "small" }, `Groups with one of the two methods only: ${[...new Set(alone)].sort(compare).join(", ")}.`) : null,
      a !== b && units.length ? el("details", {}, el("summary", {}, "Values as numbers"), table(`pair-${t.id}`, "Values by group", [{ head: "group", cell: (u) => u, key: (u) => u },
        { head: A.label, num: true, cell: (u) => fixed(A.units[u], 3), key: (u) => A.units[u] },
        { head: B.label, num: true, cell: (u) => fixed(B.units[u], 3), key: (u) => B.units[u] }], units)) : null];
  });

  function slopes(t, A, B, units) {
    const w = Math.min(560, width()), h = 380, side = Math.min(w * 0.28, 110), left = side + 34, right = w - side - 34, top = 46, bottom = h - 14;
    const y = scale(...padded(units.flatMap((u) => [A.units[u], B.units[u]]), 0.03), bottom, top), sign = t.better === "lower" ? -1 : 1;
    const kind = (u) => { const d = sign * (A.units[u] - B.units[u]); return t.better === "none" ? "same" : d > 0 ? "left-better" : d < 0 ? "right-better" : "same"; };
    const spread = (m) => { // heights of labels, 12 px apart, none below the picture
      const order = [...units].sort((p, r) => y.map(m.units[p]) - y.map(m.units[r])), ys = [];
      order.forEach((u, i) => ys.push(Math.max(i ? ys[i - 1] + 12 : -Infinity, y.map(m.units[u]))));
      for (let i = ys.length - 1, floor = h - 8; i >= 0; i--, floor -= 12) ys[i] = Math.min(ys[i], floor);
      return new Map(order.map((u, i) => [u, ys[i]]));
    };
    const named = units.length <= 25, la = spread(A), lb = spread(B), n = (k) => units.filter((u) => kind(u) === k).length, room = Math.floor((side + 30) / 6.7);
    return [picture(w, h, `${A.label} and ${B.label} on ${units.length} groups, ${t.title}: left better on ${n("left-better")}, right better on ${n("right-better")}, equal on ${n("same")}.`,
      at(left, 18, words(A.label, room * 2), { "text-anchor": "middle", class: "label" }), at(right, 18, words(B.label, room * 2), { "text-anchor": "middle", class: "label" }),
      at(2, 36, t.metric, { class: "name" }),
      [left, right].map((x) => svg("line", { x1: x, x2: x, y1: top - 4, y2: bottom + 4, class: "axis" })),
      named ? null : y.ticks.map((v) => at(left - 8, y.map(v) + 4, number(v), { "text-anchor": "end" })),
      units.map((u) => svg("g", { class: `slope ${kind(u)}` }, svg("title", {}, `${u}: ${number(A.units[u])} and ${number(B.units[u])}`),
        svg("line", { x1: left, x2: right, y1: y.map(A.units[u]), y2: y.map(B.units[u]) }),
        svg("circle", { cx: left, cy: y.map(A.units[u]), r: 3 }), svg("circle", { cx: right, cy: y.map(B.units[u]), r: 3 }),
        named ? [at(left - 8, la.get(u) + 4, `${words(u, room - 6)} ${fixed(A.units[u], 3)}`, { "text-anchor": "end" }), at(right + 8, lb.get(u) + 4, `${fixed(B.units[u], 3)} ${words(u, room - 6)}`)] : null))),
    t.better === "none" ? null : el("ul", { class: "key" }, el("li", { class: "left-better" }, `left better: ${n("left-better")}`), el("li", { class: "right-better" }, `right better: ${n("right-better")}`), el("li", {}, `equal: ${n("same")}`))];
  }

  // ------------------------------------------------------------------ one cell

  const exact = (v) => (typeof v === "number" ? String(v) : v); // a setting is shown as it was given, not rounded
  const flat = (value, name = "") => (value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length
    ? Object.entries(value).flatMap(([k, v]) => flat(v, name ? `${name}.${k}` : k)) : [[name, exact(value)]]);

  function cellPage(key) {
    const i = everyCell.find((c) => cell("key", c) === key);
    if (i === undefined) return [heading("No such cell"), nothing(`No cell of this report has the key ${key}.`), el("p", {}, link("#cells", "All cells"))];
    const get = (name) => cell(name, i), t = get("table"), images = figuresData()[key] || [], curves = curvesData().cells[key];
    const listed = (names) => facts(names.map((n) => [n.replace(/_/g, " "), get(n)]).filter(([, v]) => v != null));
    const part = (title, ...kids) => el("section", {}, el("h2", {}, title), kids);
    return [heading(`${text(get("label"))} on ${text(get("data"))}`,
      el("p", { class: "marks" }, origin(get("origin")), badge(`status-${slug(get("status"))}`, text(get("status"))), badge("plain", `scale ${text(get("scale"))}`),
        badge("plain", `fold ${text(get("fold"))}`), badge("plain", `seed ${text(get("seed"))}`), get("transductive") ? badge("plain", "transductive") : null),
      t == null ? null : el("p", { class: "small links" }, link(address("board", { table: t }), "its table"), link(address("cells", { table: t, label: get("label") }), "cells of this line"))),
    get("error") ? part("What happened", el("p", {}, text(get("error"))), get("traceback") ? el("details", {}, el("summary", {}, "Traceback"), el("pre", { tabindex: "0" }, text(get("traceback")))) : null) : null,
    part("Metrics", get("metrics").length ? table("cell-metrics", "Metrics of this cell", [
      { head: "metric", cell: ([m]) => [m[0], m[0] === get("main") ? " (main)" : ""] }, { head: "value", num: true, cell: ([, v]) => (v == null ? "–" : String(v)) },
      { head: "better", cell: ([m]) => text(m[1]) }, { head: "unit", cell: ([m]) => text(m[2]) }], get("metrics").map((m, n) => [m, get("values")[n]])) : nothing("No metrics."),
    listed(["n_test", "n_out", "epochs", "n_trials", "validation", "params"])),
    part("Run it again", command(get("command"))),
    images.length ? part("Figures", images.map((f) => (f.src ? el("figure", {}, el("img", { src: f.src, alt: `Figure ${f.name} of this cell` }), el("figcaption", {}, f.name))
      : el("p", {}, link(f.href, f.name))))) : null,
    curves ? part("Curves", el("div", { class: "charts" }, Object.entries(curves).map(([name, [x, y]]) => curveChart(name, [{ label: name, style: "s0 d0", x, mid: y, low: y, high: y, n: [1] }], "step", name, Math.min(380, width())))))
      : curvesData().note ? el("p", { class: "small" }, curvesData().note) : null,
    part("Costs", listed(["wall_s", "timed_s", "overhead_s", "cpu_s", "rss_peak_mb", "gpu_peak_mb", "energy_wh", "energy_method", "threads"])),
    part("Configuration", el("h3", {}, "method"), facts(flat(get("config") || {}).filter(([k]) => k)), el("h3", {}, "data"), facts(flat(get("data_config") || {}).filter(([k]) => k))),
    part("Provenance", listed(["key", "code_fp", "git_sha", "dirty", "data_fp", "python", "cpu", "gpu", "started", "finished", "group", "kind"]),
      el("h3", {}, "identity"), facts(flat(get("identity") || {}).filter(([k]) => k)), el("h3", {}, "data card"), facts(flat(get("card") || {}).filter(([k]) => k)),
      el("h3", {}, "versions"), facts(flat(get("versions") || {}).filter(([k]) => k)))];
  }

  // ------------------------------------------------------------------ start

  const DRAW = { overview, board, paper, cd: cdPage, curves: curvesPage, scatter: scatterPage, pairs: pairsPage, cells };
  const content = byId("content");
  byId("nav").append(...Object.entries(PAGES).map(([page, name]) => el("li", {}, link(`#${page}`, name, { "data-page": page }))));
  let shown = null;

  function render() {
    const { page, key, q } = where(), focused = document.activeElement && document.activeElement.id, same = shown === `${page}/${key}`;
    wholeTables = [];
    say("");
    filters(page, q);
    content.replaceChildren(...[page === "cell" ? cellPage(key) : DRAW[page](q)].flat(Infinity).filter(Boolean));
    for (const a of byId("nav").querySelectorAll("a")) {
      if (a.dataset.page === page) a.setAttribute("aria-current", "page");
      else a.removeAttribute("aria-current");
    }
    document.title = `${byId("title").textContent} · Holonomy report`;
    if (same && focused && byId(focused)) byId(focused).focus({ preventScroll: true }); // a redrawn control keeps the focus
    else if (shown !== null && !same) { byId("title").focus({ preventScroll: true }); scrollTo(0, 0); }
    shown = `${page}/${key}`;
  }
  addEventListener("hashchange", () => { if (location.hash !== "#content") render(); });
  byId("skip").addEventListener("click", (e) => { e.preventDefault(); content.focus(); });
  let wide = innerWidth, waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => { if (innerWidth !== wide) { wide = innerWidth; render(); } }, 150); });
  render();
  requestAnimationFrame(() => setTimeout(() => { document.documentElement.dataset.drawn = String(Math.round(performance.now())); }));
})();
