"""What the page shows, put together from one session: plain JSON values, unknown is None."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from operator_console.core.alerts import (
    Level,
    Situation,
    catalogue_message,
    explanation,
    next_step,
    standing_message,
)
from operator_console.core.engagement import (
    LATCHED_MODES,
    MOVABLE_MODES,
)
from operator_console.core.hands import DESK, DESK_KEEPS_ENDING, PAGE, Words, fault_words
from operator_console.core.session import ConsoleSession
from operator_console.core.steps import to_do
from protocol.control_peer import CommandPath
from protocol.messages import Outcome, Role
from protocol.state import VehicleMode


def situation_of(session: ConsoleSession, now_ns: int) -> Situation:
    """Return everything that the choice of words depends on."""
    state = session.heard.state if session.heard and session.state_known(now_ns) else None
    driver = session.driver(now_ns)
    rungs = session.rungs(now_ns)
    pending = session.stops.pending
    return Situation(
        engagement=session.engagement(now_ns),
        link_up=session.link_up,
        state_known=state is not None,
        mode=session.mode(now_ns),
        warning_ms=None if state is None else state.warning_ms,
        lease_lost=session.lease_lost,
        cause=None if state is None else state.cause,
        stop_unconfirmed=pending is not None and pending.unconfirmed(now_ns),
        input_ok=driver is not None,
        input_barred=session.desk is None and not session.simulated,
        display_ok=session.on_screen(now_ns).ok,
        picture_seen=session.view.newest is not None,
        page_behind=session.view.behind,
        must_release=session.gate.must_release,
        held=driver is not None and driver.enable,
        estop="unknown" if state is None else state.estop,
        blockers=() if state is None else state.blockers,
        neutral=driver is not None and driver.neutral,
        gear=None if driver is None else driver.gear,
        park=None if driver is None else driver.park,
        not_neutral=() if driver is None else driver.not_neutral,
        holder=session.other_holder(now_ns),
        queued=session.requests.queued,
        waiting=session.waiting(now_ns),
        takes_over=session.taken_over(now_ns),
        let_go=session.enable_watch.last,
        hands=PAGE if session.desk is None else DESK,
        fault=session.desk_fault(now_ns),
        desk_fault=_desk_fault(session, now_ns),
        rungs=rungs,
        unrecorded=session.recorder is not None and session.recorder.fails(now_ns),
    )


def _desk_fault(session: ConsoleSession, now_ns: int) -> Words:
    snapshot = None if session.desk is None else session.desk.current(now_ns)
    if snapshot is not None:
        return fault_words(snapshot.fault, snapshot.device)
    return DESK_KEEPS_ENDING if session.desk_keeps_ending else ("", "")


CONFIRMS = frozenset({"lease", "reset", "arm"})
"""Steps that holding a desk's confirm button takes."""


def confirmed_action(session: ConsoleSession, now_ns: int) -> str | None:
    """Return the action that a held confirm button means now, None for none.

    Where the ladder still misses something it is the arming, so that its refusal names that.
    """
    if session.mode(now_ns) is VehicleMode.LEASED and session.lease is not None:
        return "arm"
    step = next_step(situation_of(session, now_ns))
    action = "" if step is None else step.action
    return action if action in CONFIRMS and action in may(session, now_ns) else None


def may(session: ConsoleSession, now_ns: int) -> tuple[str, ...]:
    """Return the actions whose buttons make sense now; the machine decides on each again."""
    if not session.words_up or not session.state_known(now_ns):
        return ()
    mode, stands = session.mode(now_ns), session.stands(now_ns)
    leased = session.lease is not None
    free = not leased and session.requests.asked is None and mode is not VehicleMode.STOPPING
    at_rest = mode not in MOVABLE_MODES | {VehicleMode.STOPPING} or stands
    makes_sense = {
        "lease": free,
        "take_over": free and session.role is Role.SUPERVISOR,
        "reset": leased and mode in LATCHED_MODES,
        "arm": leased and mode is VehicleMode.LEASED,
        "release": leased and at_rest,
        "offer": leased and at_rest and session.waiting(now_ns) is not None,
    }
    return tuple(action for action, sense in makes_sense.items() if sense)


def snapshot(session: ConsoleSession, now_ns: int) -> dict[str, Any]:
    """Return the ``state`` message for the page."""
    heard, age_ns = session.heard, session.state_age_ns(now_ns)
    return {
        "t": "state",
        "vehicle": None if heard is None else heard.state.model_dump(mode="json"),
        "state_age_ms": None if age_ns is None else age_ns / 1e6,
        "state_max_age_ms": session.state_max_age_ns() / 1e6,
        "console": console_part(session, now_ns),
    }


def machine_line(session: ConsoleSession, now_ns: int) -> dict[str, Any]:
    """Return what a supervisor sees of one machine: who drives it, how, and what of its stop."""
    known = session.heard.state if session.heard and session.state_known(now_ns) else None
    return {
        "vehicle": session.topics.vehicle,
        "mode": None if known is None else known.mode,
        "speed_mps": None if known is None else known.speed_mps,
        "cause": _words(None if known is None else known.cause),
        "holder": session.holder(now_ns),
        "holder_known": session.holder_known(now_ns),
        "waiting": session.waiting(now_ns),
        "stop": _stop_part(session, now_ns),
    }


def console_part(session: ConsoleSession, now_ns: int) -> dict[str, Any]:
    """Return what the console itself knows: lease, link, picture, stop, words."""
    situation = situation_of(session, now_ns)
    message, step = standing_message(situation), next_step(situation)
    why = explanation(situation)
    state = session.heard.state if session.heard and situation.state_known else None
    return {
        "engagement": situation.engagement,
        "link_up": session.link_up,
        "words_up": session.words_up,
        "paths": [_path_part(session, path, now_ns) for path in CommandPath],
        "input_barred": situation.input_barred,
        "desk": None if session.desk is None else _desk_part(situation),
        "lease": None if session.lease is None else {"epoch": session.lease.epoch},
        "holder": session.holder(now_ns),
        "holder_known": session.holder_known(now_ns),
        "waiting": session.waiting(now_ns),
        "may": list(may(session, now_ns)),
        "may_take_over": session.role is Role.SUPERVISOR,
        "refused": dict(session.refused)
        | dict(session.inputs.refused)
        | dict(session.desk_refused),
        "input": _input_part(session, now_ns),
        "answer": _answer_part(session, now_ns),
        "stop": _stop_part(session, now_ns),
        "message": None if message is None else asdict(message),
        "why": None if why is None else asdict(why),
        "cause": _words(None if state is None else state.cause),
        "blockers": [_to_do(situation, event) for event in situation.blockers],
        "step": None if step is None else asdict(step),
        **_link_part(session, now_ns),
    }


def _path_part(session: ConsoleSession, path: CommandPath, now_ns: int) -> dict[str, Any]:
    """One command path: ``out`` when it is fitted, here or there, and does not carry."""
    heard = session.heard
    state = heard.state if heard is not None and session.state_known(now_ns) else None
    silent = state is not None and path in state.silent_paths
    shares = () if state is None else state.delivered_pct
    return {
        "name": path.name,
        "out": silent or session.path_out(path, now_ns),
        "delivered_pct": shares[path] if path < len(shares) else None,
        "state_rate_hz": session.state_rates[path].rate_hz(now_ns),
    }


def _link_part(session: ConsoleSession, now_ns: int) -> dict[str, Any]:
    screen, clock = session.on_screen(now_ns), session.clock
    age_ms = clock.age_ms(screen.capture_us, now_ns) if screen.capture_us else None
    rtt_us = clock.rtt_us(now_ns)
    return {
        "vehicle_now_us": clock.now_us(now_ns),
        "vehicle_now_within_us": clock.within_us(now_ns),
        "input_gaps": session.inputs.gaps,
        "input_gap_longest_ms": session.inputs.longest_gap_ms,
        "command_rate_hz": session.command_rate.rate_hz(now_ns),
        "state_rate_hz": session.state_rate.rate_hz(now_ns),
        "view_rate_hz": session.view_rate.rate_hz(now_ns),
        "rtt_ms": None if rtt_us is None else rtt_us / 1000,
        "view_age_ms": session.view.silence_ms(now_ns),
        "views_behind": session.view.times_behind,
        "picture_age_ms": age_ms,
        "picture_max_age_ms": session.timing.view_stop_ms,
        "picture_age_is_least": not clock.is_exact(now_ns),
        "display_ok": screen.ok,
    }


def _input_part(session: ConsoleSession, now_ns: int) -> dict[str, Any]:
    driver = session.driver(now_ns)
    return {
        "ok": driver is not None,
        "age_ms": session.input_age_ms(now_ns),
        "steer": None if driver is None else driver.steer,
        "throttle": None if driver is None else driver.throttle,
        "brake": None if driver is None else driver.brake,
        "gear": None if driver is None else driver.gear,
        "park": None if driver is None else driver.park,
        "horn": driver is not None and driver.horn,
        "lights": driver is not None and driver.lights,
        "implement": None if driver is None else driver.implement,
        "held": driver is not None and driver.enable,
        "enable_sent": session.enable_sent,
        "must_release": session.gate.must_release,
    }


ANSWER_SHOWN_NS = 6_000_000_000
"""How long the answer to a request stays on the screen."""


def _answer_part(session: ConsoleSession, now_ns: int) -> dict[str, Any] | None:
    answer = session.requests.answer
    if answer is None:
        return None
    queued = answer.outcome == Outcome.QUEUED
    if not session.requests.queued and (queued or now_ns - answer.at_ns > ANSWER_SHOWN_NS):
        return None
    return {
        "kind": answer.kind,
        "outcome": answer.outcome,
        "reason": answer.reason,
        "holder": session.other_holder(now_ns),
        "words": _refusal_words(session, answer.reason, now_ns),
    }


def _refusal_words(session: ConsoleSession, reason: str, now_ns: int) -> dict[str, str] | None:
    """Return what a refusal means; one of the ladder says what is missing, or what it asks."""
    rung = next((each for each in session.rungs(now_ns) if each.code == reason), None)
    if rung is None:
        return _words(reason or None)
    english, chinese = rung.missing or rung.asks
    return {"code": reason, "level": Level.CAUTION, "en": english, "zh": chinese}


def _desk_part(situation: Situation) -> dict[str, Any]:
    """The desk: what is wrong with it, and how far the arming ladder is climbed."""
    english, chinese = situation.desk_fault
    return {
        "fault": {"en": english, "zh": chinese} if english else None,
        "rungs": [
            {
                "code": rung.code,
                "done": rung.missing is None,
                "en": (rung.missing or rung.title)[0],
                "zh": (rung.missing or rung.title)[1],
            }
            for rung in situation.rungs
        ],
    }


def _stop_part(session: ConsoleSession, now_ns: int) -> dict[str, Any]:
    pending = session.stops.pending
    return {
        "pending": pending is not None,
        "unconfirmed": pending is not None and pending.unconfirmed(now_ns),
        "confirmed": session.stops.confirmed_id is not None,
        "since_ms": None if pending is None else (now_ns - pending.since_ns) / 1e6,
    }


def _to_do(situation: Situation, event_id: str) -> dict[str, str]:
    s = situation
    words = to_do(event_id, s.not_neutral, held=s.held, input_ok=s.input_ok, hands=s.hands)
    return {"code": event_id, "en": words[0], "zh": words[1]}


def _words(event_id: str | None) -> dict[str, str] | None:
    return None if not event_id else asdict(catalogue_message(event_id))
