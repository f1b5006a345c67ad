/** Holds the pictures for as long as the sound is late, and no longer. */

/**
 * What sound usually waits in a browser, buffer and sound card together: the server sends it ahead
 * of its picture by so much.
 */
export const USUAL_MS = 72;
/** Readings whose middle counts. */
const READINGS = 3;
/** Of a hold asked for, what decoding and drawing take anyway. */
const DRAWING_MS = 15;
/** Holding begins at the first and ends at the second: the step between the two is no small one. */
const BEGIN_MS = 20;
const END_MS = 10;
const STEP_MS = 8;
/** The server's playout-delay lets the browser hold no picture longer. */
const LIMIT_MS = 200;

/**
 * A browser delays pictures itself where sound and picture are one stream, but Chromium keeps that
 * delay when the sound is back in time. So where the page can set it, it parts the streams and
 * does it.
 */
export class LipSync {
  #holdMs = 0;
  /** @type {number[]} */
  #waits = [];

  /**
   * Takes one reading a second.
   * @param {number | null} soundWaitMs from the arrival of sound to the ear
   * @returns {number | null} ms that pictures shall be held, 0 for none; null where nothing changes
   */
  follow(soundWaitMs) {
    if (soundWaitMs === null) return null;
    this.#waits = [...this.#waits, soundWaitMs].slice(-READINGS);
    if (this.#waits.length < READINGS) return null;
    const lateMs = [...this.#waits].sort((a, b) => a - b)[READINGS >> 1] - USUAL_MS;
    const holdMs = lateMs < (this.#holdMs ? END_MS : BEGIN_MS) ? 0 : Math.min(lateMs + DRAWING_MS, LIMIT_MS);
    if (holdMs === this.#holdMs || (holdMs && Math.abs(holdMs - this.#holdMs) < STEP_MS)) return null;
    this.#holdMs = holdMs;
    return holdMs;
  }
}
