// Watches the driver's page from inside: each age that it writes, with the capture stamp of the
// picture that was on the screen then, read here apart from the page's own code. Where the bench
// leads the video over a line of its own, descriptions lose their addresses and get the line's.
// Runs before the page's scripts, with strip.js before it.
const age = { written: [], announced: new Map(), captureUs: 0 };
window.age = age;

const Peer = window.RTCPeerConnection;
const createDataChannel = Peer.prototype.createDataChannel;
Peer.prototype.createDataChannel = function (...options) {
  const channel = createDataChannel.apply(this, options);
  channel.addEventListener("message", (event) => {
    const note = JSON.parse(event.data);
    age.announced.set(note.f, note.t);
  });
  return channel;
};

if (window.leadVideo) {
  const setRemoteDescription = Peer.prototype.setRemoteDescription;
  Peer.prototype.setRemoteDescription = async function (description) {
    const sdp = await window.leadVideo(description.sdp);
    return setRemoteDescription.call(this, { type: description.type, sdp });
  };
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (text) {
    const message = JSON.parse(text);
    if (message.t !== "offer") return send.call(this, text);
    const kept = message.sdp.split("\r\n").filter((line) => !line.startsWith("a=candidate:"));
    return send.call(this, JSON.stringify({ ...message, sdp: kept.join("\r\n") }));
  };
}

window.addEventListener("DOMContentLoaded", () => {
  const video = document.getElementById("video");
  const shown = document.getElementById("picture-age");
  const reader = new StripReader();
  const look = () => video.requestVideoFrameCallback(() => {
    look();
    age.captureUs = age.announced.get(reader.read(video)) ?? 0;
  });
  look();
  new MutationObserver(() => {
    if (age.captureUs) age.written.push([performance.now(), shown.textContent, age.captureUs]);
  }).observe(shown, { childList: true, characterData: true, subtree: true });
});
