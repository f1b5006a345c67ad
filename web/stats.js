/** Live figures of a call, from the browser's own counters and the server's. */

/**
 * @typedef {object} Figures
 * @property {number | null} fps pictures shown a second
 * @property {number | null} latencyMs from the voice to the avatar's, see `Gauge.read`
 * @property {number | null} skewMs picture ahead of sound when positive
 * @property {number | null} kbps sound and picture received
 */

/** The server has forgotten the call. */
export class CallGone extends Error {}

const SKEW_SMOOTHING = 0.3;
/** One buffer of capture and one packet of sound pass before anything can leave the browser. */
const MICROPHONE_MS = 20;

/** Reads figures of one call; differences are taken between readings. */
export class Gauge {
  /**
   * @param {RTCPeerConnection} connection
   * @param {string | null} url where the server keeps the call
   */
  constructor(connection, url) {
    this.connection = connection;
    this.url = url;
    /** @type {Record<string, number> | null} */
    this.last = null;
    /** @type {number | null} */
    this.skewMs = null;
  }

  /**
   * Latency adds what the microphone takes, the server's own time, the way there and back, and the
   * wait in the browser's picture buffer.
   * @returns {Promise<Figures>}
   * @throws {CallGone} the server answers 404
   */
  async read() {
    const [report, server] = await Promise.all([this.connection.getStats(), this.#askServer()]);
    /** @type {Record<string, any>} */
    const found = {};
    for (const entry of report.values()) {
      if (entry.type === "inbound-rtp") found[entry.kind] = entry;
      if (entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded") found.pair = entry;
    }
    const { video, audio, pair } = found;
    const now = {
      timeMs: video?.timestamp ?? audio?.timestamp ?? 0,
      bytes: (video?.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0),
      frames: video?.framesDecoded ?? 0,
      emitted: video?.jitterBufferEmittedCount ?? 0,
      delayS: video?.jitterBufferDelay ?? 0,
    };
    const before = this.last;
    this.last = now;
    const elapsedMs = before ? now.timeMs - before.timeMs : 0;
    if (!before || elapsedMs <= 0) return { fps: null, latencyMs: null, skewMs: null, kbps: null };

    const emitted = now.emitted - before.emitted;
    const bufferMs = emitted > 0 ? ((now.delayS - before.delayS) / emitted) * 1000 : 0;
    const tripMs = (pair?.currentRoundTripTime ?? 0) * 1000;
    return {
      fps: ((now.frames - before.frames) * 1000) / elapsedMs,
      latencyMs:
        typeof server?.latency_ms === "number"
          ? MICROPHONE_MS + server.latency_ms + tripMs + bufferMs
          : null,
      skewMs: this.#skew(video, audio),
      kbps: ((now.bytes - before.bytes) * 8) / elapsedMs,
    };
  }

  /** Both times name the sender's clock at which the thing now shown, or heard, was sent. */
  #skew(/** @type {any} */ video, /** @type {any} */ audio) {
    if (!video?.estimatedPlayoutTimestamp || !audio?.estimatedPlayoutTimestamp) return this.skewMs;
    const skewMs = video.estimatedPlayoutTimestamp - audio.estimatedPlayoutTimestamp;
    this.skewMs = this.skewMs === null ? skewMs : this.skewMs + SKEW_SMOOTHING * (skewMs - this.skewMs);
    return this.skewMs;
  }

  async #askServer() {
    if (!this.url) return null;
    let response;
    try {
      response = await fetch(this.url, { cache: "no-store" });
    } catch {
      return null;
    }
    if (response.status === 404) throw new CallGone(this.url);
    return response.ok ? response.json() : null;
  }
}
