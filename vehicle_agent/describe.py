"""Renders tables and schemas for people: docs/failsafe.md, a page to try it, docs/schema/.

``python -m vehicle_agent.describe`` writes them all; with ``--check`` it writes nothing and fails
when a file differs from the table.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from pathlib import Path

from pydantic import BaseModel

from protocol.events import EVENTS
from protocol.messages import AckClaims, HeadClaims, RequestClaims, SignalClaims, StopClaims
from protocol.signals import DEFAULT_TIMING, Timing
from protocol.state import VehicleMode, VehicleState
from vehicle_agent.core.conditions import CONDITION_NAMES, Conditions
from vehicle_agent.core.failsafe import TABLE, Action, Clear, Row

DOCS = Path(__file__).resolve().parents[1] / "docs"
SHORT = {
    Action.NONE: "none",
    Action.WARN: "warn",
    Action.CAP: "slow",
    Action.DEGRADE: "coast",
    Action.STOP: "STOP",
    Action.ESTOP: "HARD",
}
MEANING = {
    Action.WARN: "The driver is told; the machine goes on.",
    Action.CAP: "The speed cap falls; the state names the term that holds it.",
    Action.DEGRADE: "Traction is off. Brake and steering obey a command that comes in time, and are"
    " held without one. It ends by itself, without a jerk.",
    Action.STOP: "The machine brakes on the steering it has, parks at standstill, and stays.",
    Action.ESTOP: "The same with the strongest brake; the ECU is asked for its own stop, and the"
    " watchdog relay is opened.",
}


def labels() -> dict[str, str]:
    """Return the label of each condition, from the docstring of Conditions.

    Raises:
        ValueError: a condition has no label.
    """
    text = inspect.getdoc(Conditions) or ""
    found = dict(re.findall(r"^\s*(\w+): (.+?)\.?$", _joined(text), flags=re.MULTILINE))
    missing = [name for name in CONDITION_NAMES if name not in found]
    if missing:
        raise ValueError(f"conditions without a label: {', '.join(missing)}")
    return {name: found[name] for name in CONDITION_NAMES}


def _joined(text: str) -> str:
    """Join the continuation lines of a docstring's attribute list."""
    return re.sub(r"\n {8}", " ", text)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _scope(row: Row) -> str:
    if row.scope == frozenset(VehicleMode):
        return "every mode"
    return ", ".join(mode.value for mode in VehicleMode if mode in row.scope)


def markdown() -> str:
    """Return the text of docs/failsafe.md."""
    label = labels()
    lines = [
        "# What the machine does when something is wrong",
        "",
        "Made from the table in `vehicle_agent/core/failsafe.py`; do not edit by hand",
        "(`python -m vehicle_agent.describe`). Try it: open `failsafe.html` in a browser.",
        "",
        "Where several conditions hold, the strictest action wins. Of equally strict ones the",
        "upper row names the cause. A stop keeps its cause, through reconnecting, restarting",
        "and a change of driver, until it is reset; only what makes it a hard stop takes the",
        "place of the first cause, unless the first one stands above it and so explains it.",
        "",
        "| action | what the machine does |",
        "|---|---|",
        *(f"| {SHORT[action]} | {MEANING[action]} |" for action in MEANING),
        "",
        "## To move again after a stop",
        "",
        "1. The cause is gone, the machine stands, controls are neutral, enable is open, and"
        f" the link has been good for {DEFAULT_TIMING.link_healthy_ms / 1000:g} s: **reset**.",
        "2. **Arm**. Then let enable be seen open, and press and hold it.",
        f"3. Horn and lights for {DEFAULT_TIMING.warning_ms / 1000:g} s with the controls still"
        " neutral. Then the machine obeys.",
        "",
        "## The table",
        "",
        "| condition | what it is | in | action | ends | shown |",
        "|---|---|---|---|---|---|",
    ]
    for row in TABLE:
        event = EVENTS[row.event]
        lines.append(
            f"| {_words(row.condition)} | {label[row.condition]} | {_scope(row)} "
            f"| {SHORT[row.action]} | {row.clear.value} | {event.id}: {event.en} |"
        )
    lines += ["", "## Every mode and every condition", ""]
    lines.append("| condition | " + " | ".join(mode.value for mode in VehicleMode) + " |")
    lines.append("|---|" + "---|" * len(VehicleMode))
    for row in TABLE:
        cells = (SHORT[row.action if mode in row.scope else Action.NONE] for mode in VehicleMode)
        lines.append(f"| {_words(row.condition)} | " + " | ".join(cells) + " |")
    lines += ["", "## Times", "", "| row | ms | meaning |", "|---|---|---|"]
    meanings = dict(
        re.findall(
            r"^\s*(\w+): (.+?)\.?$", _joined(inspect.getdoc(Timing) or ""), flags=re.MULTILINE
        )
    )
    for name in Timing.__dataclass_fields__:
        lines.append(f"| {name} | {getattr(DEFAULT_TIMING, name)} | {meanings[name]} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the text of docs/failsafe.html: self-contained, decides by the same rows."""
    label = labels()
    rows = [
        {
            "condition": row.condition,
            "label": label[row.condition],
            "modes": [mode.value for mode in VehicleMode if mode in row.scope],
            "action": int(row.action),
            "latches": row.clear is Clear.RESET,
            "event": row.event,
            "en": EVENTS[row.event].en,
            "zh": EVENTS[row.event].zh,
        }
        for row in TABLE
    ]
    data = {
        "rows": rows,
        "modes": [mode.value for mode in VehicleMode],
        "actions": {str(int(action)): SHORT[action] for action in Action},
        "meaning": {
            str(int(action)): MEANING.get(action, "It goes on as it was.") for action in Action
        },
    }
    text = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    return _PAGE.replace("@DATA@", text)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Headframe: what the machine does</title>
<style>
body { background: #15181c; color: #c8cdd2; font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; color: #fff; }
#result { position: sticky; top: 0; background: #20252b; border-left: 8px solid #7d858e;
  padding: 1rem; margin: 1rem 0; min-height: 5.5rem; }
#result b { color: #fff; font-size: 1.3rem; }
#result.a1, #result.a2 { border-color: #e3c341; }
#result.a3 { border-color: #e8872e; }
#result.a4, #result.a5 { border-color: #e0353b; }
fieldset { border: 1px solid #3a4149; columns: 2; }
label { display: block; break-inside: avoid; padding: .15rem 0; }
label.out { color: #7d858e; }
select, button { font: inherit; background: #20252b; color: #fff; border: 1px solid #3a4149;
  padding: .3rem .6rem; }
</style>
<h1>What the machine does when something is wrong</h1>
<p>Choose the mode the machine is in and tick what happens. Rows of the fail-safe table decide;
a stop stays latched here, too, until you reset it.</p>
<p>Mode <select id="mode"></select> <button id="reset" type="button">Reset the stop</button></p>
<div id="result"></div>
<fieldset id="conditions"><legend>Conditions</legend></fieldset>
<script>
const data = @DATA@;
const mode = document.getElementById("mode");
const list = document.getElementById("conditions");
const result = document.getElementById("result");
let latched = null;
for (const name of data.modes) mode.append(new Option(name, name));
mode.value = "ACTIVE";
const boxes = data.rows.map((row) => {
  const box = document.createElement("input");
  box.type = "checkbox";
  const label = document.createElement("label");
  label.append(box, " " + row.condition.replaceAll("_", " ") + " \\u2013 " + row.label);
  list.append(label);
  box.addEventListener("change", show);
  return { box, label };
});
mode.addEventListener("change", show);
document.getElementById("reset").addEventListener("click", () => { latched = null; show(); });
function show() {
  let worst = null;
  data.rows.forEach((row, index) => {
    const counts = row.modes.includes(mode.value);
    boxes[index].label.className = counts ? "" : "out";
    if (counts && boxes[index].box.checked && (!worst || row.action > worst.action)) worst = row;
  });
  if (worst && worst.latches && !latched) latched = { row: worst, action: worst.action };
  if (worst && latched) latched.action = Math.max(latched.action, worst.latches ? worst.action : 0);
  const action = Math.max(worst ? worst.action : 0, latched ? latched.action : 0);
  const cause = latched ? latched.row : worst;
  result.className = "a" + action;
  result.replaceChildren();
  const head = document.createElement("b");
  head.textContent = data.actions[action].toUpperCase();
  const what = document.createElement("div");
  what.textContent = data.meaning[action] + (latched ? " Latched until reset." : "");
  const words = document.createElement("div");
  words.textContent = cause ? cause.event + ": " + cause.en + " / " + cause.zh : "";
  result.append(head, what, words);
}
show();
</script>
</html>
"""


SCHEMAS: dict[str, type[BaseModel]] = {
    "state": VehicleState,
    "request": RequestClaims,
    "ack": AckClaims,
    "stop": StopClaims,
    "signal": SignalClaims,
    "head": HeadClaims,
}


def schema(model: type[BaseModel]) -> str:
    """Return the JSON schema of a message, with the keys that travel."""
    return json.dumps(model.model_json_schema(by_alias=True), indent=2, ensure_ascii=False) + "\n"


def outputs() -> dict[Path, str]:
    """Return every generated file and its text."""
    return {
        DOCS / "failsafe.md": markdown(),
        DOCS / "failsafe.html": page(),
        **{DOCS / "schema" / f"{name}.json": schema(model) for name, model in SCHEMAS.items()},
    }


def main() -> int:
    """Write the files, or with --check say which one is not as it should be."""
    parser = argparse.ArgumentParser(prog="vehicle_agent.describe")
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for path, text in outputs().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if check and stale:
        names = ", ".join(stale)
        sys.stderr.write(f"docs: {names} not as the table; run python -m vehicle_agent.describe\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
