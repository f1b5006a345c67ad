/** One call: microphone, signalling over HTTP, connection state. Knows nothing of the page. */

import { orderCodecs, partStreams, shapeOffer } from "./sdp.js";

/** Video codecs in the order in which they are offered. */
const VIDEO_CODECS = ["video/VP8", "video/H264"];
const GATHER_MS = 3_000;
const CONNECT_MS = 15_000;
/** How long a broken connection may try to mend itself. */
const WEAK_MS = 6_000;
/** How long the connection stays for the server to be told of the end. */
const FORGET_MS = 1_000;

/** @type {MediaTrackConstraints} */
const MICROPHONE = {
  channelCount: { ideal: 1 },
  // The avatar's voice comes out of the same machine: without cancellation it would hear itself.
  echoCancellation: { ideal: true },
  noiseSuppression: { ideal: true },
  autoGainControl: { ideal: true },
};

/**
 * @typedef {"idle" | "asking" | "connecting" | "live" | "weak" | "ended"} CallState
 *
 * @typedef {"hung-up" | "mic-refused" | "mic-missing" | "mic-busy" | "insecure" | "unsupported"
 *   | "full" | "unreachable" | "rejected" | "no-path" | "lost"} EndReason
 *
 * @typedef {object} StateDetail
 * @property {CallState} state
 * @property {EndReason} [reason] set when ended
 * @property {string} [message] the server's own words
 * @property {number} [retryAfterS] when the server is full
 */

/** Ends a call that could not be made; carries what the page needs to explain it. */
class CallFailure extends Error {
  /**
   * @param {EndReason} reason
   * @param {string} [message]
   * @param {number} [retryAfterS]
   */
  constructor(reason, message = "", retryAfterS = undefined) {
    super(message || reason);
    this.reason = reason;
    this.words = message;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * A call, used once. Events: `state` (detail: StateDetail), `media` (detail: MediaStream, the
 * avatar), `microphone` (detail: MediaStream), `microphone-ended`.
 */
export class Call extends EventTarget {
  /**
   * @param {string} avatar name of the avatar that speaks
   * @param {URLSearchParams} look how it moves and looks
   */
  constructor(avatar, look) {
    super();
    this.query = new URLSearchParams(look);
    this.query.set("avatar", avatar);
    /** @type {CallState} */
    this.state = "idle";
    /** @type {RTCPeerConnection | null} */
    this.connection = null;
    /** @type {string | null} where the server keeps this call */
    this.url = null;
    /** @type {MediaStream | null} */
    this.microphone = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Asks for the microphone and connects. Never throws: a failure ends the call with its reason. */
  async start() {
    try {
      this.#become({ state: "asking" });
      await this.#openMicrophone();
      if (this.ended) return;
      this.#become({ state: "connecting" });
      this.timer = setTimeout(() => this.#end({ reason: "no-path" }), CONNECT_MS);
      await this.#connect();
    } catch (error) {
      if (error instanceof CallFailure) {
        this.#end({ reason: error.reason, message: error.words, retryAfterS: error.retryAfterS });
      } else {
        this.#end({ reason: "unsupported", message: String(error) });
      }
    }
  }

  get ended() {
    return this.state === "ended";
  }

  get muted() {
    return this.microphone?.getAudioTracks().every((track) => !track.enabled) ?? false;
  }

  set muted(value) {
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !value;
  }

  /** Ends the call. Also right while the page goes away. */
  hangUp() {
    this.#end({ reason: "hung-up" });
  }

  /**
   * Has the browser show each picture later; does nothing where it cannot.
   * @param {number} ms 0 for at once
   */
  holdPicture(ms) {
    if (!canHold()) return;
    const receiver = this.connection?.getReceivers().find(({ track }) => track.kind === "video");
    if (receiver) receiver.jitterBufferTarget = ms || null;
  }

  /** The server says that it no longer knows this call. */
  dropped() {
    this.#end({ reason: "lost" });
  }

  async #openMicrophone() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new CallFailure(window.isSecureContext ? "unsupported" : "insecure");
    }
    if (typeof RTCPeerConnection === "undefined") throw new CallFailure("unsupported");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE, video: false });
    } catch (error) {
      throw new CallFailure(microphoneFailure(error));
    }
    this.microphone = stream;
    if (this.ended) {
      this.#release();
      return;
    }
    const [track] = stream.getAudioTracks();
    // Speech: the encoder may favour clarity over music's width.
    if ("contentHint" in track) track.contentHint = "speech";
    track.addEventListener("ended", () => this.#emit("microphone-ended", undefined));
    this.#emit("microphone", stream);
  }

  async #connect() {
    const connection = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
    this.connection = connection;
    connection.addEventListener("connectionstatechange", () => this.#follow());
    const avatar = new MediaStream();
    connection.addEventListener("track", ({ track }) => {
      avatar.addTrack(track);
      this.#emit("media", avatar);
    });

    const stream = /** @type {MediaStream} */ (this.microphone);
    connection.addTransceiver(stream.getAudioTracks()[0], { direction: "sendrecv", streams: [stream] });
    const video = connection.addTransceiver("video", { direction: "recvonly" });
    const codecs = RTCRtpReceiver.getCapabilities?.("video")?.codecs;
    if (codecs && video.setCodecPreferences) {
      video.setCodecPreferences(orderCodecs(codecs, VIDEO_CODECS));
    }
    await connection.setLocalDescription();
    await gathered(connection);
    if (this.ended) return;

    const sdp = await this.#exchange(shapeOffer(connection.localDescription?.sdp ?? ""));
    if (this.ended) {
      this.#forget();
      return;
    }
    // One stream would have the browser delay the pictures by rules of its own.
    const answer = canHold() ? partStreams(sdp) : sdp;
    await connection.setRemoteDescription({ type: "answer", sdp: answer });
    this.#followEnd(connection);
  }

  /**
   * A server that ends a call, or stops, says so in DTLS; the connection's own state tells it
   * seconds later, as if the network had broken.
   * @param {RTCPeerConnection} connection
   */
  #followEnd(connection) {
    const transport = connection.getReceivers()[0]?.transport;
    transport?.addEventListener("statechange", () => {
      if (transport.state === "closed" && this.state !== "connecting") this.#end({ reason: "lost" });
    });
  }

  /**
   * @param {string} offer
   * @returns {Promise<string>} the answer
   */
  async #exchange(offer) {
    let response;
    try {
      response = await fetch(`api/call?${this.query}`, {
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: offer,
      });
    } catch {
      throw new CallFailure("unreachable");
    }
    if (response.status === 503) {
      throw new CallFailure("full", await serverWords(response), retryAfter(response));
    }
    if (!response.ok) throw new CallFailure("rejected", await serverWords(response));
    this.url = response.headers.get("Location");
    return response.text();
  }

  #follow() {
    const state = this.connection?.connectionState;
    if (this.ended) return;
    if (state === "connected") {
      clearTimeout(this.timer);
      this.#become({ state: "live" });
    } else if (state === "disconnected") {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.#end({ reason: "lost" }), WEAK_MS);
      this.#become({ state: "weak" });
    } else if (state === "failed" || state === "closed") {
      this.#end({ reason: this.state === "connecting" ? "no-path" : "lost" });
    }
  }

  /** @param {Omit<StateDetail, "state">} detail */
  #end(detail) {
    if (this.ended) return;
    clearTimeout(this.timer);
    this.#release();
    this.#become({ state: "ended", ...detail });
  }

  #release() {
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
    const close = () => this.connection?.close();
    // The server is told first: of a closed connection's call it knows nothing any more.
    this.#forget().finally(close);
    setTimeout(close, FORGET_MS);
  }

  /** Tells the server; `keepalive` lets the request outlive the page. */
  async #forget() {
    const { url } = this;
    this.url = null;
    if (url) await fetch(url, { method: "DELETE", keepalive: true }).catch(() => {});
  }

  /** @param {StateDetail} detail */
  #become(detail) {
    if (this.state === detail.state) return;
    this.state = detail.state;
    this.#emit("state", detail);
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Whether the page keeps pictures and sound together: only Chromium's waits are known. */
function canHold() {
  /** @type {{brand: string}[]} */
  const brands = /** @type {any} */ (navigator).userAgentData?.brands ?? [];
  return brands.some(({ brand }) => brand === "Chromium") && "jitterBufferTarget" in RTCRtpReceiver.prototype;
}

/**
 * @param {unknown} error from getUserMedia
 * @returns {EndReason}
 */
function microphoneFailure(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "mic-refused";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "mic-missing";
  if (name === "NotReadableError" || name === "AbortError") return "mic-busy";
  return "unsupported";
}

/**
 * Waits until all addresses are known: the server takes them with the offer alone.
 * @param {RTCPeerConnection} connection
 * @returns {Promise<void>}
 */
function gathered(connection) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS);
    const check = () => {
      if (connection.iceGatheringState !== "complete" && connection.signalingState !== "closed") return;
      clearTimeout(timer);
      resolve();
    };
    connection.addEventListener("icegatheringstatechange", check);
    connection.addEventListener("signalingstatechange", check);
    check();
  });
}

/**
 * @param {Response} response
 * @returns {Promise<string>} the sentence in a JSON error, or nothing
 */
async function serverWords(response) {
  try {
    const { error } = await response.json();
    return typeof error === "string" ? error : "";
  } catch {
    return "";
  }
}

/**
 * @param {Response} response
 * @returns {number | undefined} seconds
 */
function retryAfter(response) {
  const text = response.headers.get("Retry-After");
  if (!text) return undefined;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}
