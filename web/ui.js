/** The page's elements and how they look in each state. No call logic. */

import { rateWords } from "./words.js";

/**
 * @typedef {object} AvatarInfo
 * @property {string} name
 * @property {string} title
 * @property {string} picture address of a still
 * @property {boolean} own whether it can be removed
 */

/**
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export const byId = (id) => /** @type {T} */ (/** @type {unknown} */ (document.getElementById(id)));

const FLEETING_MS = 2_600;
const RESTING_MS = 2_800;

/** Everything visible. */
export class View {
  constructor() {
    this.stage = byId("stage");
    this.portrait = byId("portrait");
    this.still = /** @type {HTMLImageElement} */ (byId("still"));
    this.picture = /** @type {HTMLVideoElement} */ (byId("picture"));
    this.callButton = /** @type {HTMLButtonElement} */ (byId("call"));
    this.muteButton = byId("mute");
    this.hearButton = byId("hear");
    this.fullButton = byId("full");
    this.endButton = byId("end");
    this.meter = byId("meter");
    this.meterFill = byId("meter-fill");
    this.status = byId("status");
    this.noticeText = byId("notice-text");
    this.statusTimer = 0;
    this.restTimer = 0;
    this.spokenLevel = -1;
  }

  /**
   * @param {AvatarInfo[]} avatars
   * @param {string} chosen name
   * @param {(name: string) => void} choose
   */
  offerAvatars(avatars, chosen, choose) {
    const picker = byId("picker");
    picker.querySelectorAll("label").forEach((label) => label.remove());
    picker.hidden = avatars.length < 2 && byId("add").hidden;
    document.body.classList.toggle("many", !picker.hidden);
    for (const avatar of avatars) {
      const label = document.createElement("label");
      label.className = "choice";
      label.title = avatar.title;
      const input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "avatar", value: avatar.name, checked: avatar.name === chosen });
      input.addEventListener("change", () => choose(avatar.name));
      const image = document.createElement("img");
      Object.assign(image, { src: avatar.picture, alt: avatar.title, width: 52, height: 52 });
      label.append(input, image);
      byId("add").before(label);
    }
  }

  /** @param {AvatarInfo} avatar */
  showAvatar(avatar) {
    this.still.src = avatar.picture;
    this.still.alt = `Portrait of ${avatar.title}`;
    this.still.hidden = false;
    this.picture.setAttribute("aria-label", avatar.title);
    byId("title").textContent = avatar.title;
    byId("who").textContent = avatar.title;
    byId("with").textContent = `In a call with ${avatar.title}`;
    byId("lead").textContent = `Speak, and ${avatar.title} speaks in your place.`;
    this.labelCall(`Call ${avatar.title}`);
    this.callButton.disabled = false;
    byId("remove").hidden = !avatar.own;
    byId("remove").textContent = `Remove ${avatar.title}`;
  }

  /** @param {string} text */
  labelCall(text) {
    byId("call-label").textContent = text;
  }

  /** @param {import("./call.js").CallState} state */
  setState(state) {
    document.body.dataset.state = state;
    const during = state === "live" || state === "weak";
    const had = document.activeElement;
    byId("before").hidden = during;
    byId("during").hidden = !during;
    byId("who").hidden = !during;
    byId("picker").toggleAttribute("disabled", state === "asking" || state === "connecting");
    // Focus must not fall to the page's top when the pressed button goes away.
    if (during && (had === this.callButton || had === document.body)) this.muteButton.focus();
    if (state === "ended") {
      this.portrait.classList.remove("showing");
      this.stage.classList.remove("idle");
      this.callButton.focus();
    }
  }

  /**
   * @param {string} text empty clears
   * @param {boolean} [fleeting] fades by itself
   */
  say(text, fleeting = false) {
    clearTimeout(this.statusTimer);
    this.status.textContent = text;
    this.status.classList.remove("spent");
    if (fleeting && text) {
      this.statusTimer = window.setTimeout(() => this.status.classList.add("spent"), FLEETING_MS);
    }
  }

  /** @param {import("./words.js").Words | null} words */
  notify(words) {
    const notice = byId("notice");
    byId("notice-title").textContent = words?.title ?? "";
    this.noticeText.textContent = words?.text ?? "";
    notice.hidden = !words;
    byId("lead").hidden = Boolean(words);
    byId("fine").hidden = Boolean(words);
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.#toggle(this.muteButton, muted, muted ? "i-mic-off" : "i-mic");
    this.muteButton.title = `${muted ? "Be heard again" : "Mute"} (M)`;
    document.body.classList.toggle("muted", muted);
  }

  /** @param {boolean} heard */
  setHeard(heard) {
    this.picture.muted = !heard;
    this.#toggle(this.hearButton, heard, heard ? "i-sound" : "i-sound-off");
  }

  /** @param {boolean} full */
  setFull(full) {
    this.#toggle(this.fullButton, full, full ? "i-small" : "i-full");
  }

  /**
   * @param {HTMLElement} button
   * @param {boolean} pressed
   * @param {string} icon
   */
  #toggle(button, pressed, icon) {
    button.setAttribute("aria-pressed", String(pressed));
    button.querySelector("use")?.setAttribute("href", `#${icon}`);
  }

  /** @param {number} level in [0, 1] */
  setLevel(level) {
    this.meterFill.style.transform = `translateX(${(level - 1) * 100}%)`;
    const spoken = Math.round(level * 10) * 10;
    if (spoken !== this.spokenLevel) this.meter.setAttribute("aria-valuenow", String(spoken));
    this.spokenLevel = spoken;
  }

  /** @param {number} seconds */
  setClock(seconds) {
    const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    byId("clock").textContent =
      (hours ? `${hours}:${two(minutes)}` : String(minutes)) + `:${two(Math.floor(seconds) % 60)}`;
  }

  /** @param {import("./stats.js").Figures | null} figures */
  setFigures(figures) {
    const put = (/** @type {string} */ id, /** @type {number | null | undefined} */ value, /** @type {(v: number) => string} */ form) => {
      byId(id).textContent = form(value ?? NaN).replace(/[+−]?NaN/, "–");
    };
    put("f-fps", figures?.fps, (v) => `${Math.round(v)} fps`);
    put("f-latency", figures?.latencyMs, (v) => `${Math.round(v)} ms`);
    put("f-skew", figures?.skewMs, (v) => `${v >= 0.5 ? "+" : v <= -0.5 ? "−" : ""}${Math.abs(Math.round(v))} ms`);
    put("f-rate", figures?.kbps, (v) => (v < 1000 ? `${Math.round(v)} kb/s` : `${(v / 1000).toFixed(1)} Mb/s`));
  }

  /**
   * Says that the server is short of time for this call's pictures; nothing where it is not.
   * @param {number | null} rate pictures a second, see `Figures`
   */
  setRate(rate) {
    const words = rateWords(rate);
    // The same words again would be read aloud again.
    if (byId("busy").textContent !== words) byId("busy").textContent = words;
  }

  /** Shows full-screen controls, and lets them go when nothing moves. */
  stir() {
    clearTimeout(this.restTimer);
    this.stage.classList.remove("idle");
    if (document.fullscreenElement) {
      this.restTimer = window.setTimeout(() => this.stage.classList.add("idle"), RESTING_MS);
    }
  }
}
