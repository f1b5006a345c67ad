/**
 * Measuring instrument, installed before the page's own scripts: stamps the microphone, the sound
 * received and the pictures presented on one clock, `performance.now()` in ms. It only collects;
 * `bench/measure.py` decides what the figures mean. `__probeSettings` stands before it:
 * {raw: bool, face: [x, y, w, h] in picture widths | null, facePx: number}.
 */
(() => {
  const settings = __probeSettings;
  const BLOCK_MS = 1;
  const FLASH_PX = 24; // inside the server's 64 px square, clear of its edge's ringing
  const store = { mic: [], sound: [], pictures: [], errors: [] };

  /** Loudest sample of every millisecond, with the buffer's own time and that of its arrival. */
  async function listen(track, into) {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    let samples = new Float32Array(0);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const arrivedMs = performance.now();
      if (samples.length !== value.numberOfFrames) samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      const block = Math.round((value.sampleRate * BLOCK_MS) / 1000);
      const peaks = [];
      for (let start = 0; start < samples.length; start += block) {
        let peak = 0;
        const end = Math.min(start + block, samples.length);
        for (let i = start; i < end; i++) peak = Math.max(peak, Math.abs(samples[i]));
        peaks.push(Math.round(peak * 32767));
      }
      into.push([value.timestamp / 1000, value.duration / 1000, arrivedMs, peaks]);
      value.close();
    }
  }

  const report = (error) => store.errors.push(String(error));

  const devices = navigator.mediaDevices;
  if (devices) {
    const ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
      const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const stream = await ask(settings.raw ? { ...wanted, audio: raw } : wanted);
      listen(stream.getAudioTracks()[0], store.mic).catch(report);
      return stream;
    };
  }

  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Connection {
    constructor(...args) {
      super(...args);
      window.__probe.connection = this;
      this.addEventListener("track", ({ track }) => {
        if (track.kind === "audio") listen(track, store.sound).catch(report);
      });
    }
  };

  function canvas(width, height) {
    const element = new OffscreenCanvas(width, height);
    return element.getContext("2d", { willReadFrequently: true });
  }

  /** Grey values of one part of the picture, `side` x `side`, as base64. */
  function grey(context, side) {
    const { data } = context.getImageData(0, 0, side, side);
    let text = "";
    for (let i = 0; i < data.length; i += 4) {
      text += String.fromCharCode((data[i] * 77 + data[i + 1] * 150 + data[i + 2] * 29) >> 8);
    }
    return btoa(text);
  }

  function watch(video) {
    const corner = canvas(1, 1);
    const face = settings.face ? canvas(settings.facePx, settings.facePx) : null;
    const onPicture = (nowMs, about) => {
      video.requestVideoFrameCallback(onPicture);
      corner.drawImage(video, 8, 8, FLASH_PX, FLASH_PX, 0, 0, 1, 1);
      const flash = corner.getImageData(0, 0, 1, 1).data[1];
      let pixels = null;
      if (face) {
        const [x, y, w, h] = settings.face.map((share) => share * video.videoWidth);
        face.drawImage(video, x, y, w, h, 0, 0, settings.facePx, settings.facePx);
        pixels = grey(face, settings.facePx);
      }
      store.pictures.push([
        nowMs, about.presentationTime, about.expectedDisplayTime, about.receiveTime ?? null,
        about.presentedFrames, about.width, flash, pixels,
      ]);
    };
    video.requestVideoFrameCallback(onPicture);
  }

  addEventListener("DOMContentLoaded", () => {
    const video = document.querySelector("video");
    if (video) watch(video);
    else report("the page has no video element");
  });

  window.__probe = {
    connection: null,
    drain: () => {
      const out = {};
      for (const key of Object.keys(store)) out[key] = store[key].splice(0);
      return out;
    },
    /** The browser's own counters of what it received. */
    counters: async () => {
      const found = {};
      for (const entry of (await window.__probe.connection.getStats()).values()) {
        if (entry.type === "inbound-rtp") found[entry.kind] = entry;
      }
      return found;
    },
  };
})();
