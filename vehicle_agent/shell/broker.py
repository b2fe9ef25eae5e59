"""The embedded MQTT broker (amqtt) in a process of its own, for the demo, the bench and tests.

It speaks MQTT 3.1.1, lets anyone in and is bound to loopback unless told otherwise. A site uses
Mosquitto with TLS and access lists: amqtt's queues have no bound. It is trusted with nothing;
commands are authenticated end to end.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from amqtt.errors import BrokerError

DEFAULT_PORT = 1883
_QUIET_LOGGERS = ("amqtt", "transitions")


class BrokerStartError(OSError):
    """Raised when the broker cannot listen; its text is one line for a person."""


def _configuration(host: str, port: int) -> BrokerConfig:
    return BrokerConfig(
        listeners={"default": ListenerConfig(bind=f"{host}:{port}")},
        plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    )


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


async def serve(host: str, port: int, on_ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """Run a broker until ``stop`` is set.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        on_ready: called once with the port when clients may connect.
        stop: ends the broker.

    Raises:
        BrokerStartError: the address cannot be listened on.
    """
    port = port or _free_port(host)
    broker = Broker(_configuration(host, port))
    try:
        await broker.start()
    except BrokerError as error:
        raise BrokerStartError(
            f"broker: cannot listen on {host} port {port} (in use?); choose another with --port"
        ) from error
    on_ready(port)
    try:
        await stop.wait()
    finally:
        await broker.shutdown()


def _announce(port: int) -> None:
    sys.stdout.write(f"listening on port {port}\nready\n")
    sys.stdout.flush()


async def _serve_until_signalled(host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(host, port, _announce, stop)


def run(host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> None:
    """Run the broker until SIGINT or SIGTERM; says the port and ``ready`` on stdout.

    Raises:
        BrokerStartError: the address cannot be listened on.
    """
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    asyncio.run(_serve_until_signalled(host, port))


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m vehicle_agent.shell.broker``."""
    parser = argparse.ArgumentParser(prog="headframe broker", description="embedded MQTT broker")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one")
    chosen = parser.parse_args(arguments)
    try:
        run(chosen.host, chosen.port)
    except BrokerStartError as error:
        sys.stderr.write(f"headframe: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
