// Receiver of every chain that ends in a browser, and sender of the one that begins in one.
// Times are performance.now() in ms; the conductor maps them to the computer's monotonic clock.
import { StripReader } from "/strip.js";

const video = document.querySelector("video");
const reader = new StripReader();
const RTC = { iceServers: [], bundlePolicy: "max-bundle" };

/** @param {RTCPeerConnection} peer */
async function gathered(peer) {
  while (peer.iceGatheringState !== "complete") {
    await new Promise((done) => setTimeout(done, 10));
  }
  return peer.localDescription.sdp;
}

/** @param {RTCRtpTransceiver} transceiver */
function onlyH264(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities("video").codecs;
  const kept = codecs.filter((codec) => /\/(H264|rtx)$/i.test(codec.mimeType));
  transceiver.setCodecPreferences(kept);
}

let receiving = null;
const presented = [];
const announced = {};

window.offer = async () => {
  receiving = new RTCPeerConnection(RTC);
  const transceiver = receiving.addTransceiver("video", { direction: "recvonly" });
  onlyH264(transceiver);
  transceiver.receiver.jitterBufferTarget = 0;
  const frames = receiving.createDataChannel("frames", { ordered: false, maxRetransmits: 0 });
  frames.onmessage = (event) => {
    const note = JSON.parse(event.data);
    announced[note.f] = note.t;
  };
  receiving.ontrack = (event) => {
    video.srcObject = event.streams[0] ?? new MediaStream([event.track]);
    video.play();
  };
  const arm = () =>
    video.requestVideoFrameCallback((nowMs, about) => {
      arm();
      presented.push([reader.read(video), about.presentationTime, about.expectedDisplayTime]);
    });
  arm();
  await receiving.setLocalDescription(await receiving.createOffer());
  return await gathered(receiving);
};

window.accept = (sdp) => receiving.setRemoteDescription({ type: "answer", sdp });

window.results = () => ({ presented, announced });

// ---- the sending side ---------------------------------------------------------------------

let sending = null;
let ended = false;
const captured = [];

window.send = async (sdp, setup) => {
  const raw = new Uint8Array(await (await fetch("/pictures")).arrayBuffer());
  const generator = new MediaStreamTrackGenerator({ kind: "video" });
  const writer = generator.writable.getWriter();
  sending = new RTCPeerConnection(RTC);
  // The start rate is read from the other side's description: it need not find its rate first.
  const start = Math.round(setup.bitRate / 1000);
  const known = "packetization-mode=1;";
  const begun = sdp.replaceAll(known, `${known}x-google-start-bitrate=${start};`);
  await sending.setRemoteDescription({ type: "offer", sdp: begun });
  const sender = sending.addTrack(generator);
  const parameters = sender.getParameters();
  parameters.degradationPreference = "maintain-resolution";
  for (const encoding of parameters.encodings) encoding.maxBitrate = setup.bitRate;
  await sender.setParameters(parameters);
  await sending.setLocalDescription(await sending.createAnswer());
  void feed(raw, writer, setup);
  return await gathered(sending);
};

async function feed(raw, writer, setup) {
  const size = (setup.width * setup.height * 3) / 2;
  const count = raw.length / size;
  let due = performance.now();
  for (let number = 0; !ended; number += 1) {
    due += setup.periodMs;
    while (performance.now() < due - 1) {
      await new Promise((done) => setTimeout(done, Math.max(0, due - 2 - performance.now())));
    }
    const place = number % (2 * count - 2);
    const at = place < count ? place : 2 * count - 2 - place;
    const i420 = raw.slice(at * size, (at + 1) * size);
    drawStrip(i420, number, setup);
    const now = performance.now();
    captured.push(now);
    const { width: codedWidth, height: codedHeight } = setup;
    const timestamp = Math.round(now * 1000);
    await writer.write(new VideoFrame(i420, { format: "I420", codedWidth, codedHeight, timestamp }));
  }
}

function drawStrip(i420, number, setup) {
  const luma = setup.width * setup.height;
  for (let row = 0; row < 16; row += 1) {
    const from = luma + ((row >> 3) * luma) / 4 + ((row & 7) * setup.width) / 2;
    i420.fill(128, from, from + 36 * 8);
  }
  const bits = setup.strips[number % setup.strips.length];
  for (let cell = 0; cell < bits.length; cell += 1) {
    const level = bits[cell] === "1" ? 235 : 16;
    for (let row = 0; row < 16; row += 1) {
      i420.fill(level, row * setup.width + cell * 16, row * setup.width + cell * 16 + 16);
    }
  }
}

window.finish = async () => {
  ended = true;
  let bytes = 0;
  let codec = "";
  (await sending.getStats()).forEach((each) => {
    if (each.type === "outbound-rtp") bytes += each.bytesSent;
    if (each.type === "outbound-rtp") codec = each.encoderImplementation ?? "";
  });
  return { captured, bytes, codec };
};
