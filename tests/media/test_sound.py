"""The machine's microphone: what a listener hears, and what it must never touch."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCSessionDescription

from operator_console.shell import rtc_receive
from protocol.errors import Refusal
from protocol.messages import SignalClaims
from tests.media.rig import LOOPBACK, WAIT_S, Rig, same_capture, signal, viewing
from vehicle_agent.shell import media, sound
from vehicle_agent.shell.config import SoundSettings
from vehicle_agent.shell.sound import (
    FRAME_SAMPLES,
    MAX_FRAMES_WAITING,
    RATE_HZ,
    TONE_HZ,
    Frames,
    Microphone,
    Samples,
    SoundTrack,
    Wait,
    open_sound,
    tone_frames,
)

FILE_HZ = 1000.0


def write_tone(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        turns = np.arange(16_000) * FILE_HZ / 16_000
        file.writeframes((np.sin(2 * np.pi * turns) * 8000).astype("<i2").tobytes())


def loudest_hz(frames: list[Samples]) -> float:
    """Return the frequency of which there is most."""
    together = np.concatenate(frames).astype(float)
    spectrum = np.abs(np.fft.rfft(together * np.hanning(len(together))))
    return float(spectrum.argmax() * RATE_HZ / len(together))


def never(_: float) -> bool:
    return False


def some(frames: Frames, count: int) -> list[Samples]:
    taken = [next(frames) for _ in range(count)]
    frames.close()
    return taken


def rig_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None) -> Rig:
    monkeypatch.setattr(media, "TELEMETRY_PERIOD_S", 0.05)
    monkeypatch.setattr(sound, "AGAIN_S", 0.01)
    return Rig(tmp_path, sound=source)


@pytest.fixture
def rig(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rig]:
    """A media server with one camera and the microphone of the parameter, not running yet."""
    write_tone(tmp_path / "recorded.wav")
    source = request.param and str(request.param).format(run=tmp_path)
    made = rig_with(tmp_path, monkeypatch, source)
    yield made
    made.close()


class Listening:
    """A listener's peer connection."""

    def __init__(self) -> None:
        rtc_receive.install()
        self.connection = rtc_receive.new_peer_connection()
        self.tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        self.connection.on("track", self.tracks.put_nowait)

    async def offer(self) -> SignalClaims:
        self.connection.addTransceiver("audio", direction="recvonly")
        with rtc_receive.ice_addresses(LOOPBACK):
            await self.connection.setLocalDescription(await self.connection.createOffer())
        return signal(self.connection.localDescription.sdp, cameras=())

    async def hear(self, frames: int) -> list[Samples]:
        """Return so many frames, the first tenth of a second left out."""
        async with asyncio.timeout(WAIT_S):
            track = await self.tracks.get()
            heard = []
            for _ in range(5 + frames):
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                heard.append(np.asarray(frame.to_ndarray().reshape(-1, 2)[:, 0], np.int16))
        return heard[5:]


@asynccontextmanager
async def listening(rig: Rig) -> AsyncIterator[Listening]:
    listener = Listening()
    claims = await listener.offer()
    rig.send(claims)
    answer = await rig.signal_for(claims.session)
    await listener.connection.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
    try:
        yield listener
    finally:
        for receiver in listener.connection.getReceivers():
            await rtc_receive.end_decoder(receiver)
        await listener.connection.close()


@pytest.mark.parametrize(
    ("rig", "expected_hz"),
    [("sim:tone", TONE_HZ), ("file:{run}/recorded.wav", FILE_HZ)],
    indirect=["rig"],
    ids=["tone", "file"],
)
async def test_listener__hears_what_the_microphone_hears(rig: Rig, expected_hz: float) -> None:
    async with rig.running(), listening(rig) as listener:
        heard = await listener.hear(25)
        assert abs(loudest_hz(heard) - expected_hz) < 5
        report = await rig.report_where(lambda r: r["sound"]["frames"] > 0)
        assert (report["sound"]["listeners"], report["sound"]["error"]) == (1, "")


@pytest.mark.parametrize("rig", ["file:{run}/nothing.wav"], indirect=True)
async def test_microphone_that_is_not_there__is_told_and_the_picture_comes(rig: Rig) -> None:
    async with rig.running(), listening(rig):
        report = await rig.report_where(lambda r: bool(r["sound"]["error"]))
        assert "No such file" in report["sound"]["error"]
        stamp_us = await rig.publish()
        async with viewing(rig) as view:
            assert same_capture(await view.frame(), stamp_us)


@pytest.mark.parametrize("rig", ["sim:tone"], indirect=True)
async def test_last_listener_gone__the_microphone_is_closed(rig: Rig) -> None:
    async with rig.running():
        async with listening(rig):
            await rig.report_where(lambda r: r["sound"]["listeners"] == 1)
        await rig.report_where(lambda r: r["sound"]["listeners"] == 0)
        assert rig.server.listeners.peers == []


@pytest.mark.parametrize("rig", [None], indirect=True, ids=["none"])
async def test_machine_without_a_microphone__a_listener_is_refused(rig: Rig) -> None:
    listener = Listening()
    async with rig.running():
        rig.send(await listener.offer())
        report = await rig.report_where(lambda r: bool(r["refused"]))
        await listener.connection.close()
    assert report["refused"] == {Refusal.OUT_OF_RANGE: 1}
    assert report["sound"] is None


async def test_listener_that_falls_behind__misses_the_oldest_frames() -> None:
    track = SoundTrack(Microphone(lambda _: tone_frames()))
    frames = [av.AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES) for _ in range(8)]
    for number, frame in enumerate(frames):
        frame.pts = number
        track.put(frame)
    track._joined = True
    assert [(await track.recv()).pts for _ in range(MAX_FRAMES_WAITING)] == [3, 4, 5, 6, 7]
    assert track.skipped == 3
    track.stop()


async def test_source_that_is_lost__is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "AGAIN_S", 0.01)
    openings: list[Wait] = []

    def frames(wait: Wait) -> Frames:
        openings.append(wait)
        if len(openings) == 1:
            raise OSError("unplugged")
        yield next(tone_frames())

    microphone = Microphone(frames)
    track = SoundTrack(microphone)
    async with asyncio.timeout(WAIT_S):
        await track.recv()
    assert len(openings) >= 2
    track.stop()
    assert microphone.tracks == set()


def test_engine__its_pitch_rises_with_the_speed() -> None:
    settings = SoundSettings(source="sim:engine")
    still, fast = SimpleNamespace(speed_mps=0.0), SimpleNamespace(speed_mps=10.0)
    at_rest = loudest_hz(some(open_sound(settings, still, never), 50))
    driving = loudest_hz(some(open_sound(settings, fast, never), 50))
    assert (round(at_rest), round(driving)) == (40, 100)


def test_alsa_device__is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = np.sin(np.arange(RATE_HZ) * 2 * np.pi * FILE_HZ / RATE_HZ) * 8000
    (tmp_path / "tone.raw").write_bytes(raw.astype("<i2").tobytes())
    (tmp_path / "alsa.conf").write_text(
        f"""
        pcm.nothing {{ type null }}
        pcm.hum {{
            type file
            slave {{ pcm nothing }}
            file /dev/null
            infile {tmp_path / "tone.raw"}
            format raw
        }}
        """
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "alsa.conf"))
    machine = SimpleNamespace(speed_mps=0.0)
    frames = open_sound(SoundSettings(source="alsa:hum"), machine, never)
    assert abs(loudest_hz(some(frames, 25)) - FILE_HZ) < 5
