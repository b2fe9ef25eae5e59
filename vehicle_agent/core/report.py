"""What the supervisor tells others: state, authority and slow telemetry, as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic_core import to_json

from protocol.errors import Refusal
from protocol.frames import STATE_JSON_MAX_BYTES
from protocol.freshness import Acceptance
from protocol.profiles import MachineLimits
from protocol.signals import Timing
from protocol.state import Margins, VehicleMode, VehicleState
from vehicle_agent.core.authority import Authority
from vehicle_agent.core.bywire import Feedback
from vehicle_agent.core.driver import Driver
from vehicle_agent.core.failsafe import Verdict
from vehicle_agent.core.fair import FairShare
from vehicle_agent.core.gate import Demand
from vehicle_agent.core.governor import SpeedCap
from vehicle_agent.core.paths import PathFigures
from vehicle_agent.core.relay import RelayView

_MS = 1_000_000
REFUSALS_SHOWN = 8


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def state_json(
    now_ns: int,
    mode: VehicleMode,
    verdict: Verdict,
    acceptance: Acceptance,
    driver: Driver,
    feedback: Feedback,
    demand: Demand,
    cap: SpeedCap,
    limits: MachineLimits,
    timing: Timing,
    *,
    relay: RelayView,
    stop_id: str | None,
    warning_ms: int | None,
    blockers: tuple[str, ...],
    delivered_pct: tuple[int | None, ...],
    silent_paths: tuple[int, ...],
    proximity_m: tuple[float | None, ...] = (),
) -> bytes:
    """Return the JSON of a state frame."""
    loop_us = driver.loop_us(now_ns)
    age_ns = driver.age_ns(now_ns)
    full = limits.curvature_max_per_m
    measured = feedback.curvature_per_m
    state = VehicleState(
        mode=mode,
        cause=verdict.cause,
        accepted=(acceptance.paths[0].last_sequence, acceptance.paths[1].last_sequence),
        delivered_pct=delivered_pct,
        silent_paths=silent_paths,
        accepted_hold_us=None if age_ns is None else age_ns // 1000,
        refusals=_top(acceptance.refusals()),
        speed_mps=_rounded(feedback.speed_mps, 3),
        steer_commanded=round(demand.curvature_per_m / full, 4),
        steer_measured=None if measured is None else round(measured / full, 4),
        articulation_rad=_rounded(feedback.steer_angle_rad, 4),
        gear=feedback.gear,
        brake_commanded_mps2=round(demand.brake_mps2, 2),
        brake_measured_mps2=_rounded(feedback.brake_mps2, 2),
        park_applied=feedback.park_applied,
        grade=_rounded(feedback.pitch_rad, 4),
        cap_mps=round(cap.speed_mps, 2),
        cap_reason=cap.reason,
        loop_ms=None if loop_us is None else round(loop_us / 1000, 1),
        margins=_margins(now_ns, driver, feedback, timing),
        estop=_estop(feedback, relay),
        relay=relay.word,
        proximity_m=proximity_m,
        stop_id=stop_id,
        warning_ms=warning_ms,
        blockers=blockers,
    )
    return _fitted(state)


def _fitted(state: VehicleState) -> bytes:
    """Return the JSON within its limit: counters go first, then blockers, never the rest."""
    leaner: tuple[dict[str, object], ...] = ({"refusals": {}}, {"refusals": {}, "blockers": ()})
    text = state.to_json()
    if len(text) <= STATE_JSON_MAX_BYTES:
        return text
    for change in leaner:
        text = state.model_copy(update=change).to_json()
        if len(text) <= STATE_JSON_MAX_BYTES:
            return text
    raise ValueError(f"a state of {len(text)} bytes even without its lists")


def _estop(feedback: Feedback, relay: RelayView) -> str:
    """The emergency-stop chain ends at the ECU and at the relay: show the worse of the two."""
    if relay.estop_discrepancy:
        return "discrepancy"
    return "open" if relay.estop_open and feedback.estop != "discrepancy" else feedback.estop


def _top(refusals: dict[Refusal, int]) -> dict[str, int]:
    most = sorted(refusals.items(), key=lambda item: -item[1])[:REFUSALS_SHOWN]
    return {reason.value: number for reason, number in most}


def _margins(now_ns: int, driver: Driver, feedback: Feedback, timing: Timing) -> Margins:
    left_ns = driver.command_left_ns(now_ns)
    view_us = driver.view_age_us(now_ns)
    ecu_ns = feedback.ecu_age_ns
    return Margins(
        command_ms=None if left_ns is None else max(left_ns // _MS, 0),
        view_ms=None if view_us is None else max(timing.view_stop_ms - view_us // 1000, 0),
        ecu_ms=None if ecu_ns is None else max(timing.ecu_stop_ms - ecu_ns // _MS, 0),
    )


def authority_json(now_ns: int, authority: Authority, boot_tag: int) -> bytes:
    """Return the content of the authority topic."""
    holder = authority.holder
    left_ns = 0 if holder is None else max(0, holder.until_ns - now_ns)
    return to_json(
        {
            "v": 1,
            "epoch": authority.epoch,
            "holder": None if holder is None else holder.operator,
            "lease_left_ms": left_ns // _MS,
            "boot": boot_tag,
            "nonce": authority.nonce,
            "pending": _pending(now_ns, authority),
        }
    )


def _pending(now_ns: int, authority: Authority) -> dict[str, object] | None:
    waiting = authority.waiting
    if waiting is None:
        return None
    return {
        "operator": waiting.claims.iss,
        "takes_over": waiting.preempts,
        "left_ms": max(0, waiting.until_ns - now_ns) // _MS,
    }


def control_telemetry(
    acceptance: Acceptance,
    authority: Authority,
    bus_refused: Mapping[str, int],
    *,
    figures: Sequence[PathFigures],
    silent_paths: tuple[int, ...],
    stops: FairShare,
    requests: FairShare,
) -> bytes:
    """Return the control group: totals, refusals, paths, and age histograms in ms."""
    paths = [
        {
            "accepted": path.accepted,
            "duplicates": path.duplicates,
            "overtaken": path.overtaken,
            "late": path.late,
            "delivered_pct": figure.delivered_pct,
            "silent_ms": figure.silent_ms,
            "refused": {reason.value: number for reason, number in path.refused.items()},
            "lead_ms": path.lead_us.summary(),
            "uplink_ms": path.uplink_us.summary(),
            "loop_ms": path.loop_us.summary(),
        }
        for path, figure in zip(acceptance.paths, figures, strict=True)
    ]
    return to_json(
        {
            "accepted": sum(path.accepted for path in acceptance.paths),
            "refused": {reason.value: number for reason, number in acceptance.refusals().items()},
            "requests_refused": {
                reason.value: number for reason, number in authority.refused.items()
            },
            "uplink_ms": acceptance.uplink_us.summary(),
            "loop_ms": acceptance.loop_us.summary(),
            "paths": paths,
            "silent_paths": silent_paths,
            "stops": stops.audit(),
            "requests": requests.audit(),
            "not_looked_at": {
                name: {reason.value: number for reason, number in share.refusals().items()}
                for name, share in (("stops", stops), ("requests", requests))
            },
            "bus_refused": dict(bus_refused),
        }
    )
