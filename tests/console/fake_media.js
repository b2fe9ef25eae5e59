// A vehicle's video played by the test: runs in the page before its own scripts.
const media = { peers: [], presents: {}, picture: new OffscreenCanvas(1280, 720) };
window.media = media;
media.show = (cells, rtp, video) => {
  const pen = media.picture.getContext('2d');
  cells.forEach((level, index) => {
    pen.fillStyle = `rgb(${level}, ${level}, ${level})`;
    pen.fillRect(index * 16, 0, 16, 16);
  });
  const present = media.presents[video];
  media.presents[video] = null;
  const now = performance.now();
  present(now, {
    rtpTimestamp: rtp ?? undefined, receiveTime: now - 7, processingDuration: 0.003,
    presentationTime: now, expectedDisplayTime: now + 9,
  });
};
media.paint = (level) => {
  const pen = media.picture.getContext('2d');
  pen.fillStyle = `rgb(${level}, ${level}, ${level})`;
  pen.fillRect(0, 16, 1280, 704);
};
media.tell = (note) => media.peers.at(-1).channel.dispatchEvent(
  new MessageEvent('message', { data: JSON.stringify(note) }));
HTMLVideoElement.prototype.requestVideoFrameCallback = function (call) {
  media.presents[this.id] = call;
};
Object.defineProperty(HTMLVideoElement.prototype, 'videoWidth', { get: () => 1280 });
Object.defineProperty(HTMLVideoElement.prototype, 'videoHeight', { get: () => 720 });
const draw = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (source, ...where) {
  draw.call(this, source instanceof HTMLVideoElement ? media.picture : source, ...where);
};
class FakeChannel extends EventTarget {
  readyState = 'open';
  bufferedAmount = 0;
  sent = [];
  send(text) { this.sent.push(JSON.parse(text)); }
}
window.RTCPeerConnection = class extends EventTarget {
  connectionState = 'new';
  signalingState = 'stable';
  iceGatheringState = 'complete';
  localDescription = null;
  channel = new FakeChannel();
  constructor(configuration) {
    super();
    this.configuration = configuration;
    media.peers.push(this);
  }
  become(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
  addTransceiver() { return { receiver: {}, setCodecPreferences() {} }; }
  createDataChannel() { return this.channel; }
  async createOffer() { return { type: 'offer', sdp: 'offered' }; }
  async setLocalDescription(description) {
    this.localDescription = description;
    this.signalingState = 'have-local-offer';
  }
  async setRemoteDescription() { this.signalingState = 'stable'; }
  close() { this.connectionState = 'closed'; }
};
