"""What a log holds: one table of topics with their encodings, and the version of it all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from foxglove_schemas_protobuf.Log_pb2 import Log
from foxglove_schemas_protobuf.PoseInFrame_pb2 import PoseInFrame
from mcap_protobuf.schema import build_file_descriptor_set

VERSION = 3
"""Of the content of all channels together; an older one is brought up by log/migrations.py."""
PROFILE = "headframe"
COCKPIT = "cockpit"
"""What a cockpit's files say of their kind; a machine's say nothing of it."""

SESSION = "/rec/session"
CHAIN = "/rec/chain"
DROPS = "/rec/drops"
HEALTH = "/rec/health"
PEER = "/rec/peer"
BOOT = "/wd/boot"
KEY = "/wd/key"
INPUTS = "/wd/in"
OUTPUTS = "/wd/out"
COMMANDS = "/cmd/rx"
BUS = "/can/raw"
STATE = "/vehicle/state"
TELEMETRY = "/vehicle/telemetry"
EVENT = "/event"
LOG = "/log"
SCAN = "/sensors/scan"
POSE = "/pose"
TRUTH = "/sim/truth"
NOTE = "/sim/note"
IMPAIRMENT = "/net/impair"
SENT = "/cockpit/sent"
HEARD = "/cockpit/heard"
WORDS = "/cockpit/words"
HANDS = "/cockpit/hands"
ASKED = "/cockpit/asked"
VIEW = "/cockpit/view"
SCREEN = "/cockpit/screen"
PATHS = "/cockpit/paths"

JSON_TITLES = {
    SESSION: "what made this file, and how its two clocks go together",
    CHAIN: "hashes of all that stands before it, one mark for each message",
    DROPS: "what was not written, by topic",
    HEALTH: "the recorder's own figures",
    PEER: "how far the other side's recorder had got, signed by it",
    BOOT: "what one boot of the supervisor is made of, without its private key",
    KEY: "the supervisor's whole state after a tick",
    INPUTS: "everything that a tick heard: bytes are base64",
    OUTPUTS: "everything that a tick said",
    COMMANDS: "commands as they came, with the verdict on each",
    BUS: "by-wire frames both ways: CAN id, base64",
    STATE: "the state that cockpits were told",
    TELEMETRY: "slow figures of every part, by group",
    EVENT: "catalogue ids with their words",
    TRUTH: "simulator only: where the machine really is",
    NOTE: "simulator only: scripted faults as they come and go",
    IMPAIRMENT: "simulator only: what the link did",
    SENT: "commands as they left, and by which paths",
    HEARD: "states as they came, by path, with the verdict on each: parts are base64, text, base64",
    WORDS: "requests, stops, answers, authority, events: what went out and what came",
    HANDS: "what the driver's hands did, as page or desk told it",
    ASKED: "buttons: what a person asked the console for",
    VIEW: "pictures that the driver's page presented",
    SCREEN: "what stood on the driver's screen: words, ladder, ages",
    PATHS: "command paths and lines as they came and went",
}
_PROTOBUF: dict[str, Any] = {LOG: Log, SCAN: LaserScan, POSE: PoseInFrame}


@dataclass(frozen=True, slots=True)
class Kind:
    """How one topic is written.

    Attributes:
        encoding: "json" or "protobuf". schema: its name. schema_encoding, schema_data: itself.
        video: it goes first when there is no room.
    """

    encoding: str
    schema: str
    schema_encoding: str
    schema_data: bytes
    video: bool = False


def video_topic(camera: int) -> str:
    """The access units of one camera."""
    return f"/cam/{camera}/video"


def meta_topic(camera: int) -> str:
    """What is known of each picture of one camera; never dropped for want of room for video."""
    return f"/cam/{camera}/meta"


@cache
def kind_of(topic: str) -> Kind:
    """Return how a topic is written; a topic without a row is JSON of any content."""
    if topic.startswith("/cam/") and topic.endswith("/video"):
        return _protobuf(CompressedVideo, video=True)
    if topic in _PROTOBUF:
        return _protobuf(_PROTOBUF[topic])
    title = JSON_TITLES.get(topic, "figures")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
    }
    name = "headframe" + topic.replace("/", ".")
    return Kind("json", name, "jsonschema", json.dumps(schema).encode())


def _protobuf(message: Any, *, video: bool = False) -> Kind:
    files = build_file_descriptor_set(message)
    return Kind(
        "protobuf",
        message.DESCRIPTOR.full_name,
        "protobuf",
        files.SerializeToString(deterministic=True),
        video=video,
    )
