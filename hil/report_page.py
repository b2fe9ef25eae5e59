"""The report's page: one HTML file that needs nothing else, made to be read and printed.

First what a safety engineer asks: did it pass, on what, and what was not shown. Then each case
with its limit beside what was measured, then who would have noticed a bad ECU.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any

from hil.coverage import ORDER_OF_LAYERS

Json = dict[str, Any]
_WORDS = {
    "pass": "Pass",
    "fail": "Fail",
    "inconclusive": "Inconclusive",
    "bench-error": "Bench error",
    "not-run": "Not run",
}
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1b1f24;background:#fff;margin:2rem auto;
max-width:72rem;padding:0 1.5rem}h1{font-size:1.6rem;margin:0 0 .2rem}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid #c9d1d9;padding-bottom:.2rem}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .55rem;border-bottom:1px solid #e3e7eb}
th{background:#f3f5f7;font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}.v{display:inline-block;padding:.05rem .5rem;border-radius:.25rem;
font-weight:600;white-space:nowrap;border:1px solid}.pass{color:#0b5d2a;background:#e3f4e8}
.fail{color:#8f1320;background:#fde7e9}.bench-error,.inconclusive{color:#7a4a00;background:#fdf0d8}
.not-run{color:#4a5560;background:#eef1f4}.sum{display:flex;gap:.6rem;margin:.8rem 0;flex-wrap:wrap}
.why{color:#8f1320}.id{white-space:nowrap}.dim{color:#5b6671}code{font-size:.85em;word-break:break-all}
.note{background:#fdf6e3;border-left:4px solid #b58900;padding:.6rem .9rem;margin:1rem 0}
.grid{font-size:.72rem}.grid td,.grid th{padding:.12rem .2rem;text-align:center}
.grid td:first-child,.grid th:first-child{text-align:left;white-space:nowrap}
td.hit{background:#0b5d2a;color:#fff}td.odd{background:#fdf0d8}td.none{background:#fde7e9}
svg text{font:11px system-ui,sans-serif;fill:#4a5560}.plots{display:flex;flex-wrap:wrap;gap:1rem}
.plots figure{margin:0;width:21rem}figcaption{font-size:.8rem}
.rows th{width:11rem}.matrix td:nth-child(2){min-width:14rem}.matrix th{font-size:.75rem}
details{margin:.4rem 0}summary{cursor:pointer}ol,ul{margin:.3rem 0;font-size:.85rem}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr,figure{break-inside:avoid}}
"""


def page(report: Json) -> str:
    """Return the page of a report."""
    bench = report["bench"]
    parts = [
        _head(report),
        _limits(report),
        _identity(bench),
        _cases(report["cases"]),
        _failures(report["cases"], bench),
        _plots(report["cases"]),
        _parts(report["cases"]),
        _coverage(report, bench["machine"]),
        _mutants(report["mutants"], report["cases"]),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>HIL report {escape(bench['id'])}</title><style>{_STYLE}</style>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _badge(verdict: str) -> str:
    return f'<span class="v {verdict}">{_WORDS[verdict]}</span>'


def _head(report: Json) -> str:
    bench = report["bench"]
    counts = "".join(
        f'<span class="v {v}">{number} {_WORDS[v].lower()}</span>'
        for v, number in report["verdicts"].items()
    )
    stopped = (
        f'<p class="why">Stopped: {escape(report["stopped"])}</p>' if report["stopped"] else ""
    )
    shown = report["verdicts"]["pass"]
    partly = sum(c["verdict"] == "pass" and bool(_left_out(c)) for c in report["cases"])
    how = f", {partly} of them only in part (see below)" if partly else ""
    return (
        f"<h1>Hardware-in-the-loop report {_badge(report['verdict'])}</h1>"
        f"<p><b>{shown} of the {report['table']} cases of the table are shown to pass{how}.</b></p>"
        f'<p class="dim">Bench {escape(bench["id"])}, machine {escape(bench["machine"])}, '
        f"revision {escape(bench['revision'])}, {escape(report['when'])}</p>"
        f'<div class="sum">{counts}</div>{stopped}'
    )


def _left_out(case: Json) -> list[Json]:
    """Return the variants of a case that this bench could not run, though it ran others."""
    if case["verdict"] == "not-run":
        return []
    return [v for v in case["variants"] if v["verdict"] == "not-run"]


def _limits(report: Json) -> str:
    bench = report["bench"]
    said = []
    if bench["emulated"]:
        said.append(
            f"Emulated on this bench, not real: <b>{escape(', '.join(bench['emulated']))}</b>. "
            "The figures show the software's conduct; they are no evidence for the physical parts."
        )
    open_ = [c for c in report["cases"] if c["verdict"] in ("not-run", "inconclusive")]
    said += [
        f"<b>{c['id']}</b> {escape(c['title'])}: not shown, {escape(c['why'])}." for c in open_
    ]
    said += [
        f"<b>{c['id']}</b> {escape(v['name'])}: not shown, {escape(v['not_passed'][0]['why'])}."
        for c in report["cases"]
        for v in _left_out(c)
    ]
    missed = [m["name"] for m in report["mutants"] if not m["caught_by"]]
    if missed:
        said.append(
            f"Defects that no case of this run noticed: <b>{escape(', '.join(missed))}</b>."
        )
    if not report["mutants"]:
        said.append("The cases were not tried on defective parts in this run.")
    return '<div class="note">' + "<br>".join(said) + "</div>" if said else ""


def _clock_error(bench: Json) -> str:
    return "none, simulated" if bench["clock"] == "simulated" else f"±{bench['clock_error_us']} µs"


ANY_SITE = "any"
"""A bench file's word for a bench that is no particular one, such as a program."""


def _identity(bench: Json) -> str:
    beat = bench["slower"]
    pace = f"; a bench second takes {beat} s of the computer's" if beat > 1 else ""
    site = escape(bench["site"])
    rows = [
        ("Bench", escape(bench["id"])),
        ("Where", "no particular site: any computer" if bench["site"] == ANY_SITE else site),
        ("Who answers for it", escape(bench["owner"])),
        ("Emulated", escape(", ".join(bench["emulated"])) or "nothing"),
        ("Revision", f"<code>{escape(bench['revision'])}</code>"),
        ("Bench file", f"{escape(bench['file'])} <code>{bench['file_sha256']}</code>"),
        *((f"SHA-256 of {key}", f"<code>{v}</code>") for key, v in bench["hashes"].items()),
        ("Clock", f"{bench['clock']}; error of a stamp: {_clock_error(bench)}{pace}"),
        ("Repeats", f"{bench['repeat']}, first seed {bench['seed']}"),
        ("It can do", escape(", ".join(bench["capabilities"]))),
        ("Computer", escape(f"{bench['system']}, Python {bench['python']}")),
    ]
    body = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows)
    return f'<h2>Bench</h2><table class="rows">{body}</table>'


def _cases(cases: list[Json]) -> str:
    rows = "".join(_case_rows(case) for case in cases)
    return (
        "<h2>Cases</h2><p class=dim>Reaction: from when the fault took effect on the bus or "
        "pin, to the first thing that was asked for. Of fewer than 100 runs p99 is the longest.</p>"
        "<table><tr><th>Case<th>What<th>Verdict"
        "<th class=n>Runs<th class=n>Limit<th class=n>p50<th class=n>p99<th class=n>Max, ms"
        "<th>Reaction is<th>First cause told</tr>" + rows + "</table>"
    )


def _case_rows(case: Json) -> str:
    why = f'<div class="why">{escape(case["why"])}</div>' if case["verdict"] != "pass" else ""
    requirements = f'<div class="dim">{", ".join(case["verifies"])}</div>'
    single = len(case["variants"]) == 1
    left_out, every = len(_left_out(case)), len(case["variants"])
    partly = f'<div class="why">{left_out} of {every} not run</div>' if left_out else ""
    head = (
        f"<tr><td class=id><b>{case['id']}</b><td>{escape(case['title'])}{requirements}{why}"
        f"<td>{_badge(case['verdict'])}{partly}"
    )
    if single:
        return head + _figures(case["variants"][0]) + "</tr>"
    return (
        head
        + '<td colspan="7"></tr>'
        + "".join(
            f'<tr><td><td class="dim">{escape(v["name"] or "as titled")}{_logs(v)}<td>'
            f"{_badge(v['verdict'])}{_figures(v)}</tr>"
            for v in case["variants"]
        )
    )


def _logs(variant: Json) -> str:
    names = [run["log"] for run in variant["not_passed"] if run["log"]]
    return "".join(f' <a href="logs/{escape(n)}">{escape(n)}</a>' for n in names[:3])


def _figures(variant: Json) -> str:
    spread, limit = variant["reaction_ms"], variant["limit_ms"]
    causes = ", ".join(f"{name} {n}" for name, n in variant["first_causes"].items())
    cells = [f"{variant['passed']}/{variant['runs']}", "" if limit is None else f"{limit:g}"]
    cells += [f"{spread[k]:.1f}" if spread else "" for k in ("p50", "p99", "max")]
    numbers = "".join(f'<td class="n">{c}' for c in cells)
    return f"{numbers}<td>{escape(variant['reaction_of'])}<td>{escape(causes)}"


def _failures(cases: list[Json], bench: Json) -> str:
    """Each run that did not pass: why, what was told first, what happened, and its logs."""
    runs = [
        (case, variant, run)
        for case in cases
        for variant in case["variants"]
        for run in variant["not_passed"]
        if run["verdict"] != "not-run"
    ]
    if not runs:
        return ""
    return (
        f"<h2>Runs that did not pass: {len(runs)}</h2><p class=dim>Times are from when the fault "
        f"took effect; error of a stamp: {_clock_error(bench)}. Logs hold 2 s to each side.</p>"
        + "".join(_failure(*run) for run in runs)
    )


def _failure(case: Json, variant: Json, run: Json) -> str:
    log = escape(run["log"])
    blf = log.removesuffix(".asc") + ".blf"
    links = f'<a href="logs/{log}">{log}</a>, <a href="logs/{blf}">.blf</a>' if log else "no log"
    cause = escape(run["first_cause"]) or "none told"
    story = "".join(f"<li>{escape(line)}" for line in run["story"])
    return (
        f"<details open><summary>{_badge(run['verdict'])} <b>{case['id']}</b> "
        f"{escape(variant['name'] or case['title'])}, seed {run['seed']}: "
        f'<span class="why">{escape(run["why"])}</span></summary>'
        f"<p>First cause told by the ECU: {cause}. Log: {links}.</p><ol>{story}</ol></details>"
    )


def _plots(cases: list[Json]) -> str:
    figures = []
    for case in cases:
        for variant in case["variants"]:
            if len(variant["samples_ms"]) > 1 and variant["limit_ms"] is not None:
                name = f"{case['id']} {variant['name'] or case['title']}"
                figures.append(_histogram(name, variant))
    if not figures:
        return ""
    return (
        "<h2>Reaction times</h2><p class=dim>The red line is the limit.</p>"
        f'<div class="plots">{"".join(figures)}</div>'
    )


def _histogram(name: str, variant: Json) -> str:
    """One histogram from 0 to a little beyond its limit; a taller bar is more runs."""
    samples, limit = variant["samples_ms"], variant["limit_ms"]
    top = 1.1 * max(limit, *samples)
    bins = 44
    counts = [0] * bins
    for value in samples:
        counts[min(bins - 1, int(bins * value / top))] += 1
    high = max(counts)
    bars = "".join(
        f'<rect x="{8 + 7 * i}" y="{70 - 58 * c / high:.1f}" width="6" height="{58 * c / high:.1f}"'
        ' fill="#2f6f9f"/>'
        for i, c in enumerate(counts)
        if c
    )
    at = 8 + 7 * bins * limit / top
    s = variant["reaction_ms"]
    step = 10 ** math.floor(math.log10(top))
    step = step if top / step >= 2 else step / 2
    ticks = "".join(
        f'<text x="{8 + 7 * bins * n * step / top:.0f}" y="84" text-anchor="middle">'
        f"{n * step:g}</text>"
        for n in range(int(top / step) + 1)
    )
    return (
        f"<figure><figcaption><b>{escape(name)}</b><br>n {s['n']}, p50 {s['p50']:.1f}, "
        f"p95 {s['p95']:.1f}, p99 {s['p99']:.1f}, max {s['max']:.1f}, "
        f"limit {limit:g} ms</figcaption>"
        f'<svg viewBox="0 0 324 90" role="img" aria-label="{escape(name)}">{bars}'
        '<line x1="8" y1="70.5" x2="316" y2="70.5" stroke="#5b6671"/>'
        f'<line x1="{at:.1f}" y1="6" x2="{at:.1f}" y2="72" stroke="#b3202c" stroke-width="2"/>'
        f"{ticks}</svg></figure>"
    )


def _parts(cases: list[Json]) -> str:
    """Latency, jitter and what else a case measures beside a reaction."""
    rows = "".join(
        f"<tr><td class=id>{case['id']}<td>{escape(name)}<td class=n>{f['n']}"
        + "".join(f"<td class=n>{f[k]:.2f}" for k in ("p50", "p95", "p99", "max"))
        + "</tr>"
        for case in cases
        for variant in case["variants"]
        for name, f in variant["figures_ms"].items()
        if f is not None
    )
    if not rows:
        return ""
    return (
        "<h2>Latency by parts, and jitter</h2><p class=dim>Every part is measured by its own two "
        "stamps; what the sum of the parts misses of the whole stands in a row of its own.</p>"
        "<table><tr><th>Case<th>Part<th class=n>n<th class=n>p50<th class=n>p95"
        "<th class=n>p99<th class=n>Max, ms</tr>" + rows + "</table>"
    )


def _coverage(report: Json, machine: str) -> str:
    used = {layer for row in report["coverage"] for layer in row["layers"]}
    layers = [layer for layer in ORDER_OF_LAYERS if layer in used]
    head = "".join(f"<th>{escape(layer)}" for layer in layers)
    rows = "".join(
        f"<tr><td class=id><b>{row['requirement']}</b><td>{escape(row['text'])}"
        + "".join(f"<td>{_covering(row['layers'].get(layer, []))}" for layer in layers)
        + "</tr>"
        for row in report["coverage"]
    )
    return (
        f"<h2>Coverage on {escape(machine)}: requirement × fault</h2><p class=dim>Numbers of "
        "the cases that speak to a requirement by faults of that layer, in the colour of what "
        f'they came to; an empty cell is not covered.</p><table class="matrix"><tr><th>Requirement'
        f"<th>{head}</tr>{rows}</table>{_uncovered(report['uncovered'])}"
    )


def _uncovered(rows: list[Json]) -> str:
    if not rows:
        return ""
    items = "".join(f"<li><b>{r['requirement']}</b> {escape(r['text'])}" for r in rows)
    return (
        "<p>Requirements of bus, ECU and guardian that no case of this run speaks to (the tests "
        f"that do are in docs/trace.md):</p><ul>{items}</ul>"
    )


def _covering(cases: list[Json]) -> str:
    return " ".join(
        f'<span class="v {c["verdict"]}">{c["id"].removeprefix("HIL-")}</span>' for c in cases
    )


def _mutants(mutants: list[Json], cases: list[Json]) -> str:
    if not mutants:
        return ""
    ids = list(dict.fromkeys(case for m in mutants for case in m["verdicts"]))
    head = "".join(f"<th>{case.removeprefix('HIL-')}" for case in ids)
    caught = sum(bool(m["caught_by"]) for m in mutants)
    rows = "".join(
        f"<tr><td>{escape(m['name'])}<td{'' if m['caught_by'] else ' class=none'}>"
        + str(len(m["caught_by"]))
        + "".join(_mark(m["verdicts"].get(case)) for case in ids)
        + "</tr>"
        for m in mutants
    )
    return (
        f"<h2>Defective parts: {caught} of {len(mutants)} noticed</h2><p class=dim>Each row is an "
        "ECU, relay, guardian or foreign machine with one named defect. ● the case failed on it, "
        "as it must; i: inconclusive, no evidence; empty: the case does not see this defect.</p>"
        f"{_never_failed(mutants, ids, cases)}"
        f'<table class="grid"><tr><th>Defect<th>by{head}</tr>{rows}</table>'
    )


def _never_failed(mutants: list[Json], tried: list[str], cases: list[Json]) -> str:
    """Name the cases whose pass is worth less: no defect made them fail, or none was tried."""
    failed = {case for m in mutants for case in m["caught_by"]}
    blind = [case for case in tried if case not in failed]
    untried = [c["id"] for c in cases if c["id"] not in tried and c["verdict"] != "not-run"]
    said = [
        *([f"Cases that failed on none of them: <b>{', '.join(blind)}</b>."] if blind else []),
        *([f"Cases that were not tried on them: <b>{', '.join(untried)}</b>."] if untried else []),
    ]
    return f"<p>{' '.join(said)}</p>" if said else ""


def _mark(verdict: str | None) -> str:
    if verdict == "fail":
        return '<td class="hit">●'
    return "<td>" if verdict in (None, "pass", "not-run") else f'<td class="odd">{verdict[0]}'
