"""Everything that goes into the supervisor and comes out of it, as JSON for the log; and back.

What is written here is complete: with the setup of a boot and the inputs of each of its ticks the
same code decides the same again, byte for byte. Two things are left out on purpose: the machine's
private key, so that a log can be given away (an answer is compared by what it says, its signature
is not made again), and nothing else. The seed of a boot is inside: with it the frames of that
boot's leases could be forged while the boot lives, so a log of a running machine is kept as its
keys are.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from joserfc.jwk import OKPKey
from pydantic import TypeAdapter

from protocol.adapters import Adapter
from protocol.control_peer import CommandPath
from protocol.dbw.codec import ContactState
from protocol.errors import Refusal
from protocol.freshness import Accepted, Refused
from protocol.messages import Identity, Role
from protocol.profiles import MachineLimits
from protocol.relay import OpenReason, RelayReport
from protocol.signals import Timing
from vehicle_agent.core.clearance import RangeFinder
from vehicle_agent.core.record import Record
from vehicle_agent.core.relay import RelayStatus
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs

Plain = dict[str, Any]

_ADAPTER: TypeAdapter[Adapter | None] = TypeAdapter(Adapter | None)
_FINDER: TypeAdapter[RangeFinder | None] = TypeAdapter(RangeFinder | None)
_STATE_HEAD_BYTES, _TAG_BYTES = 32, 16
_CONTACTS = {int(state): state for state in ContactState}
_REASONS = {int(reason): reason for reason in OpenReason}
_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def to_bytes(content: Plain) -> bytes:
    """Return the JSON of one message; the same content is always the same bytes."""
    return _dumps(content).encode()


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _named(pairs: Iterable[tuple[Any, bytes]]) -> list[list[Any]]:
    return [[name, _text(data)] for name, data in pairs]


def _pairs(rows: Iterable[Sequence[Any]]) -> tuple[tuple[Any, bytes], ...]:
    return tuple([(name, a2b_base64(text)) for name, text in rows])


# -- one boot ---------------------------------------------------------------------------------


def boot_of(setup: Setup) -> Plain:
    """Return the setup of a boot, without the private key."""
    finder, adapter = setup.finder, setup.adapter
    return {
        "vehicle": setup.vehicle,
        "signer": _public(setup.key),
        "trust": [
            {"id": name, "role": who.role.value, "public": _public(who.key)}
            for name, who in setup.trust.items()
        ],
        "limits": setup.limits.model_dump(),
        "timing": asdict(setup.timing),
        "boot_tag": setup.boot_tag,
        "seed": setup.seed.hex(),
        "record": _record(setup.record),
        "paths": sorted(setup.paths),
        "relay_fitted": setup.relay_fitted,
        "main_camera": setup.main_camera,
        "rear_camera": setup.rear_camera,
        "settings_mismatch": setup.settings_mismatch,
        "finder": None if finder is None else asdict(finder),
        "adapter": None if adapter is None else adapter.model_dump(mode="json"),
        "locator": setup.locator,
    }


def setup_of(boot: Mapping[str, Any], key: OKPKey) -> Setup:
    """Return the setup of a recorded boot.

    Args:
        boot: as :func:`boot_of` made it. key: signs answers in the machine's stead.

    Raises:
        KeyError, ValueError, TypeError: something is missing or does not fit.
    """
    return Setup(
        vehicle=boot["vehicle"],
        key=key,
        trust={
            each["id"]: Identity(each["id"], Role(each["role"]), OKPKey.import_key(each["public"]))
            for each in boot["trust"]
        },
        limits=MachineLimits(**boot["limits"]),
        timing=Timing(**boot["timing"]),
        boot_tag=boot["boot_tag"],
        seed=bytes.fromhex(boot["seed"]),
        record=_record_of(boot["record"]),
        paths=frozenset(map(CommandPath, boot["paths"])),
        relay_fitted=boot["relay_fitted"],
        main_camera=boot["main_camera"],
        rear_camera=boot["rear_camera"],
        settings_mismatch=boot["settings_mismatch"],
        finder=_FINDER.validate_json(json.dumps(boot["finder"])),
        adapter=_ADAPTER.validate_json(json.dumps(boot["adapter"])),
        locator=boot["locator"],
    )


def _public(key: OKPKey) -> dict[str, str]:
    jwk = key.as_dict(private=False)
    return {name: str(jwk[name]) for name in ("kty", "crv", "x")}


def _record(record: Record) -> list[Any]:
    return [record.generation, record.epoch, record.latch]


def _record_of(row: Sequence[Any]) -> Record:
    generation, epoch, latch = row
    return Record(generation, epoch, latch)


# -- one tick ---------------------------------------------------------------------------------


def inputs_of(number: int, now_ns: int, given: TickInputs) -> Plain:
    """Return everything that one tick heard; what it did not hear is left out.

    Args:
        number: of the tick since the boot, from 1. now_ns: the time that the tick was given.
    """
    content: Plain = {"n": number, "t": now_ns}
    if given.commands:
        content["commands"] = _named(given.commands)
    if given.requests:
        content["requests"] = _named(given.requests)
    if given.stops:
        content["stops"] = _named(given.stops)
    if given.retained:
        content["retained"] = list(given.retained)
    if given.bus:
        content["bus"] = _named(given.bus)
    if given.durable is not None:
        content["durable"] = _record(given.durable)
    if given.relay is not None:
        content["relay"] = _relay(given.relay)
    if given.outside_zone is not None:
        content["outside_zone"] = given.outside_zone
    for name, things in _sensed(given):
        if things:
            content[name] = list(map(_text, things))
    return content


def _sensed(given: TickInputs) -> tuple[tuple[str, tuple[bytes, ...]], ...]:
    return (("scans", given.scans), ("places", given.places), ("nearby", given.nearby))


def given_of(content: Mapping[str, Any]) -> TickInputs:
    """Return what a recorded tick heard.

    Raises:
        KeyError, ValueError, TypeError: something does not fit.
    """
    get = content.get
    durable, relay = get("durable"), get("relay")
    return TickInputs(
        commands=_pairs(get("commands", ())),
        requests=_pairs(get("requests", ())),
        stops=_pairs(get("stops", ())),
        retained=tuple(get("retained", ())),
        bus=_pairs(get("bus", ())),
        durable=None if durable is None else _record_of(durable),
        relay=None if relay is None else _relay_of(relay),
        outside_zone=get("outside_zone"),
        scans=tuple(map(a2b_base64, get("scans", ()))),
        places=tuple(map(a2b_base64, get("places", ()))),
        nearby=tuple(map(a2b_base64, get("nearby", ()))),
    )


def with_durable(given: TickInputs, durable: Record | None) -> TickInputs:
    """Return a tick's inputs with another word of the disk."""
    return TickInputs(
        commands=given.commands,
        requests=given.requests,
        stops=given.stops,
        retained=given.retained,
        bus=given.bus,
        durable=durable,
        relay=given.relay,
        outside_zone=given.outside_zone,
        scans=given.scans,
        places=given.places,
        nearby=given.nearby,
    )


def _relay(status: RelayStatus) -> list[Any]:
    report = status.report
    return [
        report.challenge,
        int(report.estop_a),
        int(report.estop_b),
        int(report.feedback),
        report.closed,
        report.discrepancy,
        int(report.reason),
        report.last_accepted,
        report.refused,
        status.age_ns,
        status.proven_age_ns,
    ]


def _relay_of(row: Sequence[Any]) -> RelayStatus:
    challenge, estop_a, estop_b, feedback, closed, discrepancy, reason, last, refused, *ages = row
    age_ns, proven_age_ns = ages
    return RelayStatus(
        RelayReport(
            challenge=challenge,
            estop_a=_CONTACTS[estop_a],
            estop_b=_CONTACTS[estop_b],
            feedback=_CONTACTS[feedback],
            closed=closed,
            discrepancy=discrepancy,
            reason=_REASONS[reason],
            last_accepted=last,
            refused=refused,
        ),
        age_ns,
        proven_age_ns,
    )


def outputs_of(number: int, now_ns: int, supervisor: Supervisor, said: TickOutputs) -> Plain:
    """Return everything that one tick said, and where it left the supervisor.

    Args:
        supervisor: after the tick.
    """
    content: Plain = {
        "n": number,
        "t": now_ns,
        "mode": supervisor.mode.value,
        "latched": supervisor.latched,
        "relay": said.relay.name,
    }
    if said.bus:
        content["bus"] = _named(said.bus)
    if said.state is not None:
        content["state"] = _state(said.state)
    if said.acks:
        content["acks"] = [
            [name, *token.decode("ascii").rsplit(".", 1)] for name, token in said.acks
        ]
    if said.authority is not None:
        content["authority"] = said.authority.decode()
    if said.events:
        content["events"] = list(said.events)
    if said.telemetry:
        content["telemetry"] = [[group, text.decode()] for group, text in said.telemetry]
    if said.persist is not None:
        content["persist"] = _record(said.persist)
    if not said.healthy:
        content["healthy"] = False
    if supervisor.judged:
        content["judged"] = [_verdict(each) for each in supervisor.judged]
    return content


def _state(frame: bytes) -> list[str]:
    """A state frame in three parts, so that its JSON can be read in the log."""
    head, tag = frame[:_STATE_HEAD_BYTES], frame[-_TAG_BYTES:]
    return [_text(head), frame[_STATE_HEAD_BYTES:-_TAG_BYTES].decode("latin-1"), _text(tag)]


def state_frame(parts: Sequence[str]) -> bytes:
    """Return the state frame of an output's ``state``."""
    head, text, tag = parts
    return a2b_base64(head) + text.encode("latin-1") + a2b_base64(tag)


def state_text(parts: Sequence[str]) -> bytes:
    """Return the JSON inside the state frame of an output's ``state``."""
    return parts[1].encode("latin-1")


def _verdict(each: Accepted | Refused) -> list[Any]:
    if isinstance(each, Accepted):
        return [each.path, "accepted", each.loop_age_us, each.uplink_us]
    return [each.path, each.reason.value]


def accepted(verdict: Sequence[Any]) -> bool:
    """Return whether a recorded verdict let its command count."""
    return bool(verdict[1] == "accepted")


def refusal(verdict: Sequence[Any]) -> Refusal | None:
    """Return why a recorded verdict refused its command; None when it did not."""
    return None if accepted(verdict) else Refusal(verdict[1])


def comparable(said: Mapping[str, Any]) -> Plain:
    """Return what of an output must be the same again: all but the signatures of its answers."""
    if "acks" not in said:
        return dict(said)
    return {**said, "acks": [row[:2] for row in said["acks"]]}
