"""What is recorded, live for Foxglove: a WebSocket server on this computer, beside the file.

What could be used to speak in a driver's stead is not shown: boots, states and inputs of the
supervisor hold the seed of the boot and whole frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recording import channels

if TYPE_CHECKING:
    from foxglove import Channel

HOST = "127.0.0.1"
SHOWN = frozenset(
    {
        *(channels.STATE, channels.COMMANDS, channels.EVENT, channels.LOG, channels.TELEMETRY),
        *(channels.SCAN, channels.POSE, channels.BUS, channels.HEALTH, channels.DROPS),
    }
)
BACKLOG_MESSAGES = 256
"""For each viewer; what a slow one does not take is dropped by the server."""


def is_shown(topic: str) -> bool:
    """Return whether a topic is shown live."""
    return topic in SHOWN or topic.startswith("/cam/")


class Live:
    """The server, from its making to :meth:`close`.

    Args:
        port: on this computer, 0 takes any. name: what viewers show.

    Attributes:
        port: that was taken.

    Raises:
        ValueError: the library is not installed. RuntimeError: the port is in use.
    """

    def __init__(self, port: int, name: str) -> None:
        try:
            import foxglove  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ValueError(
                "recorder.foxglove_port needs foxglove-sdk: pip install 'headframe[foxglove]'"
            ) from error
        self._kit = foxglove
        self._context = foxglove.Context()
        self._server = foxglove.start_server(
            host=HOST,
            port=port,
            name=name,
            context=self._context,
            message_backlog_size=BACKLOG_MESSAGES,
        )
        self.port = self._server.port
        self._channels: dict[str, Channel] = {}

    def show(self, topic: str, log_ns: int, data: bytes) -> None:
        """Show one message as it is written; waits for nobody.

        Args:
            log_ns: UTC.
        """
        if not is_shown(topic):
            return
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = self._channel(topic)
        channel.log(data, log_time=log_ns)

    def _channel(self, topic: str) -> Channel:
        kind = channels.kind_of(topic)
        schema = self._kit.Schema(
            name=kind.schema, encoding=kind.schema_encoding, data=kind.schema_data
        )
        return self._kit.Channel(
            topic, message_encoding=kind.encoding, schema=schema, context=self._context
        )

    def close(self) -> None:
        """End the server."""
        self._server.stop()
