/** Requests that make an avatar of a picture. Knows nothing of the page. */

/** A server's refusal; its message is fit to be shown. */
export class Refusal extends Error {
  /**
   * @param {number} status 0 where the server did not answer
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @typedef {[number, number]} Point x and y in pixels of the square picture
 *
 * @typedef {object} Draft
 * @property {string} token
 * @property {string} picture address of the square picture
 * @property {number} size_px its side
 * @property {number} face number of the face chosen
 * @property {{number: number, box: [number, number, number, number], refused: string | null}[]} faces
 * @property {string | null} whole address of the whole picture, where there are several faces
 * @property {Point[]} landmarks
 * @property {Record<string, Point>} anchors
 * @property {string[]} warnings
 * @property {[number, number][]} [mesh] pairs of landmarks, in the first answer alone
 *
 * @typedef {object} Offer
 * @property {boolean} offered
 * @property {string} kinds
 * @property {number} max_bytes
 */

const LONGEST_PX = 2560;

/** @returns {Promise<Offer>} */
export async function offer() {
  return (await ask("api/portraits")).json();
}

/**
 * Brings a picture. One that is too large, or of a kind that only this browser reads, is drawn
 * anew here first.
 * @param {Blob} picture
 * @param {number} maxBytes
 * @returns {Promise<Draft>}
 */
export async function bring(picture, maxBytes) {
  let sent = picture;
  if (picture.size > maxBytes || /hei[cf]/i.test(picture.type)) sent = (await redrawn(picture)) ?? picture;
  const headers = { "Content-Type": "application/octet-stream" };
  return (await ask("api/portraits", { method: "POST", headers, body: sent })).json();
}

/**
 * @param {string} token
 * @param {{face?: number, anchors?: Record<string, Point>}} changes
 * @returns {Promise<Draft>}
 */
export async function change(token, changes) {
  return (await ask(`api/portraits/${token}`, { method: "PUT", ...json(changes) })).json();
}

/**
 * @param {string} token
 * @param {URLSearchParams} look
 * @param {AbortSignal} signal
 * @returns {Promise<Blob>} a film
 */
export async function sample(token, look, signal) {
  const query = new URLSearchParams(look);
  query.set("kind", playsMp4() ? "mp4" : "webm");
  return (await ask(`api/portraits/${token}/sample?${query}`, { method: "POST", signal })).blob();
}

/**
 * @param {string} token
 * @param {string} title
 * @param {boolean} consent
 * @returns {Promise<{name: string, title: string}>}
 */
export async function keep(token, title, consent) {
  return (await ask(`api/portraits/${token}/keep`, { method: "POST", ...json({ title, consent }) })).json();
}

/** @param {string} token */
export function forget(token) {
  fetch(`api/portraits/${token}`, { method: "DELETE", keepalive: true }).catch(() => {});
}

/** @param {string} name of an own avatar */
export async function remove(name) {
  await ask(`api/avatars/${encodeURIComponent(name)}`, { method: "DELETE" });
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(0, "The server does not answer.");
  }
  if (response.ok) return response;
  let words = "";
  try {
    words = (await response.json()).error;
  } catch {
    // Something between here and the server answered.
  }
  throw new Refusal(response.status, words || `The server answered ${response.status}.`);
}

/** @param {unknown} value */
function json(value) {
  return { headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
}

function playsMp4() {
  return document.createElement("video").canPlayType('video/mp4; codecs="avc1.64001f, mp4a.40.2"') !== "";
}

/**
 * @param {Blob} picture
 * @returns {Promise<Blob | null>} a JPEG; nothing where this browser cannot read it either
 */
async function redrawn(picture) {
  try {
    const bitmap = await createImageBitmap(picture, { imageOrientation: "from-image" });
    const scale = Math.min(1, LONGEST_PX / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(bitmap.width * scale);
    canvas.height = Math.round(bitmap.height * scale);
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.93));
  } catch {
    return null;
  }
}
