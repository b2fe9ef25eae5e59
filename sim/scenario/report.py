"""The result of a run for people and for build servers: text, and JUnit."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from protocol.events import EVENTS
from sim.scenario.judge import Outcome


def as_text(outcome: Outcome) -> str:
    """Several lines for a person."""
    verdict = "passed" if outcome.passed else "FAILED"
    lines = [f"{outcome.scenario}: {verdict} (seed {outcome.seed})", f"  {outcome.title}"]
    lines += [f"  {path} = {value}" for path, value in outcome.drawn.items()]
    for check in outcome.checks:
        mark = "ok  " if check.held else "FAIL"
        lines.append(f"  {mark} {check.name}: {check.text}")
    for stop in outcome.stops:
        lines.append(f"  stop at {stop.at_s:.2f} s: {_why(stop.cause)}")
        seen = stop.as_dict()
        lines.append(
            f"       from {seen['speed_mps']} m/s on {100 * stop.grade:+.1f} %, brake"
            f" {_or_none(seen['brake_after_command_ms'], 'ms')} after the last command,"
            f" {_or_none(seen['stop_distance_m'], 'm')} to standstill"
        )
    figures = ", ".join(
        f"{name.value} {value:g}" for name, value in outcome.figures.items() if value is not None
    )
    lines.append(f"  {figures}")
    for mat in outcome.rolled:
        shares = ", ".join(
            f"{100 * share:.1f} % {number}x" for number, share in enumerate(mat.shares, 1)
        )
        lines.append(f"  {mat.mat} rolled at least: {shares or 'nowhere'}")
    lines.append(f"  {outcome.simulated_s:.1f} s simulated, digest {outcome.digest[:16]}")
    return "\n".join(lines)


def _why(cause: str | None) -> str:
    event = EVENTS.get(cause or "")
    return "no cause named" if event is None else f"{cause} {event.en}"


def _or_none(value: object, unit: str) -> str:
    return "never" if value is None else f"{value} {unit}"


def as_junit(outcomes: Sequence[Outcome], wall_s: float) -> bytes:
    """One suite for each run, one case for each expectation."""
    root = ElementTree.Element("testsuites", name="headframe sim", time=f"{wall_s:.3f}")
    for outcome in outcomes:
        failed = sum(not check.held for check in outcome.checks)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=f"{outcome.scenario} seed {outcome.seed}",
            tests=str(len(outcome.checks)),
            failures=str(failed),
            errors="0",
            time=f"{wall_s:.3f}",
        )
        for check in outcome.checks:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"sim.{outcome.scenario}", name=check.name
            )
            if not check.held:
                failure = ElementTree.SubElement(case, "failure", message=check.text)
                failure.text = as_text(outcome)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
