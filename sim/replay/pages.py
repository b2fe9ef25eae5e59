"""What the pages of replay share: one HTML file that needs nothing else, made to be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1b1f24;background:#fff;margin:2rem auto;
max-width:72rem;padding:0 1.5rem}h1{font-size:1.6rem;margin:0 0 .2rem}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid #c9d1d9;padding-bottom:.2rem}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .55rem;border-bottom:1px solid #e3e7eb}
th{background:#f3f5f7;font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}.dim{color:#5b6671}.bad{color:#8f1320;font-weight:600}
.good{color:#0b5d2a;font-weight:600}
.tiles{display:flex;gap:.7rem;flex-wrap:wrap;margin:1rem 0}
.tile{border:1px solid #d5dbe1;border-radius:.4rem;padding:.5rem .9rem;min-width:8.5rem}
.tile b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.tile span{color:#5b6671;font-size:.82rem}
.note{background:#fdf6e3;border-left:4px solid #b58900;padding:.6rem .9rem;margin:1rem 0}
svg{max-width:100%;height:auto}.maps{display:flex;flex-wrap:wrap;gap:.4rem}
.maps>*{flex:1 1 30rem;min-width:0}.two{display:flex;gap:2rem;flex-wrap:wrap}
.two>div{flex:1 1 24rem}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr,svg{break-inside:avoid}}
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Return a whole page."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def tiles(entries: Iterable[tuple[str, str]]) -> str:
    """Return figures with their names under them."""
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{escape(figure)}</b><span>{escape(name)}</span></div>'
            for figure, name in entries
        )
        + "</div>"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int]) -> str:
    """Return a table; cells are HTML, columns of ``numbers`` stand to the right."""
    classes = [' class="n"' if column in numbers else "" for column in range(len(heads))]
    head = "".join(f"<th{kind}>{name}" for kind, name in zip(classes, heads, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{cell}" for kind, cell in zip(classes, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def note(lines: Sequence[str]) -> str:
    """Return a box of lines that a reader must not miss; nothing without a line."""
    return f'<div class="note">{"<br>".join(map(escape, lines))}</div>' if lines else ""


def number(value: float | None, digits: int = 0) -> str:
    """Return a figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 180:
        return f"{seconds:.0f} s"
    if seconds < 3 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


__all__ = ["duration", "note", "number", "page", "table", "tiles"]
