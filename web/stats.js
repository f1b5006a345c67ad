/** Live figures of a call, from the browser's own counters and the server's. */

import { USUAL_MS } from "./lipsync.js";

/**
 * @typedef {object} Figures
 * @property {number | null} fps pictures shown a second
 * @property {number | null} latencyMs from the voice to the avatar's, see `Gauge.read`
 * @property {number | null} skewMs picture ahead of sound when positive
 * @property {number | null} soundWaitMs from the arrival of sound to the ear
 * @property {number | null} kbps sound and picture received
 * @property {number | null} rate pictures a second that the server has for this call
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
      if (entry.type === "media-playout") found.playout = entry;
      if (entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded") found.pair = entry;
    }
    const { video, audio, playout, pair } = found;
    const rate = typeof server?.rate === "number" ? server.rate : null;
    const now = {
      timeMs: video?.timestamp ?? audio?.timestamp ?? 0,
      bytes: (video?.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0),
      frames: video?.framesDecoded ?? 0,
      emitted: video?.jitterBufferEmittedCount ?? 0,
      delayS: video?.jitterBufferDelay ?? 0,
      samples: audio?.jitterBufferEmittedCount ?? 0,
      soundDelayS: audio?.jitterBufferDelay ?? 0,
      played: playout?.totalSamplesCount ?? 0,
      playoutS: playout?.totalPlayoutDelay ?? 0,
    };
    const before = this.last;
    this.last = now;
    const elapsedMs = before ? now.timeMs - before.timeMs : 0;
    if (!before || elapsedMs <= 0) {
      return { fps: null, latencyMs: null, skewMs: null, soundWaitMs: null, kbps: null, rate };
    }

    const mean = (/** @type {keyof typeof now} */ sum, /** @type {keyof typeof now} */ count) =>
      now[count] > before[count] ? ((now[sum] - before[sum]) / (now[count] - before[count])) * 1000 : null;
    const pictureWaitMs = mean("delayS", "emitted") ?? 0;
    const bufferMs = mean("soundDelayS", "samples");
    const playoutMs = mean("playoutS", "played");
    const soundWaitMs = bufferMs === null || playoutMs === null ? null : bufferMs + playoutMs;
    const tripMs = (pair?.currentRoundTripTime ?? 0) * 1000;
    return {
      fps: ((now.frames - before.frames) * 1000) / elapsedMs,
      latencyMs:
        typeof server?.latency_ms === "number"
          ? MICROPHONE_MS + server.latency_ms + tripMs + pictureWaitMs
          : null,
      skewMs: this.#smooth(
        estimatedSkew(video, audio) ?? (soundWaitMs === null ? null : soundWaitMs - pictureWaitMs - USUAL_MS),
      ),
      soundWaitMs,
      kbps: ((now.bytes - before.bytes) * 8) / elapsedMs,
      rate,
    };
  }

  #smooth(/** @type {number | null} */ skewMs) {
    if (skewMs === null) return this.skewMs;
    const before = this.skewMs ?? skewMs;
    this.skewMs = before + SKEW_SMOOTHING * (skewMs - before);
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

/**
 * The browser's own opinion, which it has where it synchronises the two: both times name the
 * sender's clock at which the thing now shown, or heard, was sent.
 * @param {any} video
 * @param {any} audio
 * @returns {number | null} picture ahead of sound, ms
 */
function estimatedSkew(video, audio) {
  if (!video?.estimatedPlayoutTimestamp || !audio?.estimatedPlayoutTimestamp) return null;
  return video.estimatedPlayoutTimestamp - audio.estimatedPlayoutTimestamp;
}
