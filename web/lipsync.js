/** Notices a machine that plays the avatar's voice late: a wireless headset, a far sound card. */

const LATE_MS = 75;
const READINGS = 8;

/** The server has pictures shown at once; asked to, it lets the browser hold them for the sound. */
export class LipSync {
  #late = 0;
  #asked = false;

  /**
   * Takes one reading a second.
   * @param {number | null} skewMs picture ahead of sound when positive
   * @returns {boolean} true once, when the sound has been late for a while
   */
  follow(skewMs) {
    this.#late = (skewMs ?? 0) > LATE_MS ? this.#late + 1 : 0;
    if (this.#asked || this.#late < READINGS) return false;
    this.#asked = true;
    return true;
  }
}
