"""What a log tells as flat tables, one for each kind of row: CSV, Parquet, and their readers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from foxglove_schemas_protobuf.PoseInFrame_pb2 import PoseInFrame

from protocol.errors import ProtocolError
from protocol.state import parse_state
from recording import channels
from recording.reader import Log, Message

Cell = str | int | float | bool | None
Row = dict[str, Cell]
TIMES = ("t_s", "utc_ns", "mono_ns")
_LEFT_OUT = frozenset(
    {
        *(channels.BOOT, channels.KEY, channels.INPUTS, channels.CHAIN, channels.BUS),
        *(channels.LOG, channels.SCAN),
    }
)
"""Of these a table says nothing: whole states, bytes, and what stands elsewhere too."""
_TICK = ("n", "mode", "latched", "relay")
BATCH_ROWS = 10_000


def rows(log: Log) -> Iterator[tuple[str, Row]]:
    """Yield table and row of everything in a log that fits into one.

    Times are seconds since the log's first message, UTC and the machine's monotonic time.
    """
    first_ns: int | None = None
    for message in log.messages():
        first_ns = message.log_ns if first_ns is None else first_ns
        found = _row(message)
        if found is not None:
            name, content = found
            times: Row = {
                "t_s": (message.log_ns - first_ns) / 1e9,
                "utc_ns": message.log_ns,
                "mono_ns": message.publish_ns,
            }
            yield name, times | content


def _row(message: Message) -> tuple[str, Row] | None:
    topic = message.topic
    name = topic.strip("/").replace("/", "_")
    if topic in _LEFT_OUT or channels.kind_of(topic).video:
        return None
    match topic:
        case channels.STATE:
            try:
                return name, flat(parse_state(message.data).model_dump(mode="json"))
            except ProtocolError:
                return None
        case channels.OUTPUTS:
            said = message.json()
            return "ticks", {key: said[key] for key in _TICK}
        case channels.TELEMETRY:
            content = message.json()
            return f"telemetry_{content['group']}", flat(content["figures"])
        case channels.POSE:
            at = PoseInFrame.FromString(message.data).pose.position
            return name, {"x_m": at.x, "y_m": at.y}
        case _:
            return name, flat(message.json())


def flat(content: Mapping[str, Any], before: str = "") -> Row:
    """Return a JSON object as one row: a dot between names, lists as JSON text."""
    row: Row = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            row |= flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            row[before + name] = json.dumps(value)
        else:
            row[before + name] = value
    return row


def columns(log: Log) -> dict[str, dict[str, type]]:
    """Return the columns of each table, with the type that holds all of its cells."""
    found: dict[str, dict[str, type]] = {}
    for name, row in rows(log):
        table = found.setdefault(name, {})
        for column, cell in row.items():
            kind = type(cell)
            known = table.get(column, kind)
            table[column] = _wider(known, kind)
    return found


def _wider(one: type, other: type) -> type:
    if one is other or other is type(None):
        return one
    if one is type(None):
        return other
    return float if {one, other} == {int, float} else str


def write_csv(log: Log, folder: Path) -> dict[str, int]:
    """Write a CSV file for each table into a new folder; return the number of rows of each.

    Raises:
        OSError: the folder is there already, or cannot be written.
    """
    known = columns(log)
    folder.mkdir()
    counts = dict.fromkeys(known, 0)
    with ExitStack() as stack:
        writers = {}
        for name, kinds in known.items():
            path = folder / f"{name}.csv"
            stream = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
            writers[name] = csv.DictWriter(stream, kinds)
            writers[name].writeheader()
        for name, row in rows(log):
            writers[name].writerow(row)
            counts[name] += 1
    return counts


def write_parquet(log: Log, folder: Path) -> dict[str, int]:
    """Write a Parquet file for each table into a new folder; return the number of rows of each.

    Raises:
        ValueError: pyarrow is not installed. OSError: as for :func:`write_csv`.
    """
    try:
        import pyarrow as arrow  # noqa: PLC0415 - an extra of 170 MB
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415
    except ImportError as error:
        raise ValueError("Parquet needs pyarrow: pip install 'headframe[parquet]'") from error
    known = columns(log)
    folder.mkdir()
    kinds = {int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    schemas = {
        name: arrow.schema(
            [(each, kinds.get(kind, arrow.string())) for each, kind in table.items()]
        )
        for name, table in known.items()
    }
    counts = dict.fromkeys(known, 0)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(ParquetWriter(folder / f"{name}.parquet", schema))
            for name, schema in schemas.items()
        }
        for name, batch in _batches(log):
            cells = [_fitted(row, known[name]) for row in batch]
            writers[name].write_table(arrow.Table.from_pylist(cells, schema=schemas[name]))
            counts[name] += len(batch)
    return counts


def _batches(log: Log) -> Iterator[tuple[str, list[Row]]]:
    waiting: dict[str, list[Row]] = {}
    for name, row in rows(log):
        batch = waiting.setdefault(name, [])
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield name, waiting.pop(name)
    yield from waiting.items()


def _fitted(row: Row, kinds: Mapping[str, type]) -> Row:
    """Return a row in the types of its columns."""
    return {
        name: None if cell is None else (kinds[name](cell) if kinds[name] in (str, float) else cell)
        for name, cell in row.items()
    }
