/** Notices a machine that plays the avatar's voice late: a wireless headset, a far sound card. */

const LATE_MS = 75;
const READINGS = 15;
/** What browsers keep of sound when all is well; more means a rough network or a busy machine. */
const USUAL_BUFFER_MS = 40;

/** The server has pictures shown at once; asked to, it lets the browser hold them for the sound. */
export class LipSync {
  #late = 0;
  #asked = false;

  /**
   * Takes one reading a second. What the browser's own buffer adds passes, and pictures once held
   * would stay so: only lateness beyond it counts.
   * @param {number | null} skewMs picture ahead of sound when positive
   * @param {number | null} bufferMs that sound waits in the browser's buffer
   * @returns {boolean} true once, when the sound has been late for a while
   */
  follow(skewMs, bufferMs) {
    const lateMs = (skewMs ?? 0) - Math.max((bufferMs ?? 0) - USUAL_BUFFER_MS, 0);
    this.#late = lateMs > LATE_MS ? this.#late + 1 : 0;
    if (this.#asked || this.#late < READINGS) return false;
    this.#asked = true;
    return true;
  }
}
