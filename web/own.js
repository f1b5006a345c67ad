/** The dialog in which a picture becomes an avatar: bring it, fit it, hear it, keep it. */

import { Camera } from "./camera.js";
import { Fit } from "./fit.js";
import { bring, change, forget, keep, Refusal, sample } from "./portraits.js";
import { byId } from "./ui.js";

/** @typedef {import("./portraits.js").Draft} Draft */
/** @typedef {"bring" | "camera" | "fit"} Step */

const KINDS = /^image\//;

/** Events: `kept` (detail: {name, title}). */
export class Own extends EventTarget {
  /**
   * @param {import("./portraits.js").Offer} offer what the server takes
   * @param {() => URLSearchParams} look asked for with each sample
   */
  constructor(offer, look) {
    super();
    this.offer = offer;
    this.look = look;
    this.dialog = /** @type {HTMLDialogElement} */ (byId("own"));
    this.file = /** @type {HTMLInputElement} */ (byId("file"));
    this.picture = /** @type {HTMLImageElement} */ (byId("fit-picture"));
    this.film = /** @type {HTMLVideoElement} */ (byId("sample"));
    this.title = /** @type {HTMLInputElement} */ (byId("own-name"));
    this.consent = /** @type {HTMLInputElement} */ (byId("consent"));
    this.camera = new Camera(/** @type {HTMLVideoElement} */ (byId("camera")));
    const mesh = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (byId("fit-mesh")));
    this.fit = new Fit(byId("fit"), mesh, byId("fit-anchors"), (words) => this.#say(words));
    /** @type {Draft | null} */
    this.draft = null;
    /** @type {AbortController | null} */
    this.filming = null;
    /** Requests of the draft, one after the other. */
    this.chain = Promise.resolve();
    this.working = 0;
    this.#listen();
  }

  /** @param {Blob} [picture] brought already, as by a drop on the page */
  open(picture) {
    if (!this.dialog.open) {
      this.#step("bring");
      this.#complain(null);
      this.dialog.showModal();
    }
    if (picture) this.#bring(picture);
  }

  #listen() {
    const on = (/** @type {string} */ id, /** @type {() => void} */ act) => byId(id).addEventListener("click", act);
    on("own-close", () => this.dialog.close());
    on("pick", () => this.file.click());
    on("use-camera", () => this.#openCamera());
    on("camera-back", () => this.#step("bring"));
    on("shoot", () => this.#shoot());
    on("again", () => this.#start());
    on("play", () => this.#play());
    this.file.addEventListener("change", () => {
      const [picture] = this.file.files ?? [];
      this.file.value = "";
      if (picture) this.#bring(picture);
    });
    byId("keep-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#keep();
    });
    for (const input of [this.title, this.consent]) {
      input.addEventListener("input", () => this.#mark(input, true));
    }
    this.fit.addEventListener("moved", (event) => {
      const anchors = /** @type {CustomEvent} */ (event).detail;
      this.#change({ anchors });
    });
    this.film.addEventListener("ended", () => this.#showFilm(false));
    this.dialog.addEventListener("close", () => this.#leave());
    // A press on the ground beside the dialog closes it only where nothing would be lost.
    this.dialog.addEventListener("pointerdown", (event) => {
      if (event.target === this.dialog && !this.draft && !this.working) this.dialog.close();
    });
  }

  /** @param {Step} step */
  #step(step) {
    if (step !== "camera") this.camera.close();
    if (step !== "fit") this.#showFilm(false);
    this.dialog.dataset.step = step;
    this.#say("");
    if (this.dialog.open) byId("own-title").focus();
  }

  /** Back to the beginning; what was brought is forgotten. */
  #start() {
    this.#forget();
    this.#complain(null);
    this.#step("bring");
  }

  async #openCamera() {
    this.#complain(null);
    this.#step("camera");
    const shoot = /** @type {HTMLButtonElement} */ (byId("shoot"));
    shoot.disabled = true;
    this.#say("Please allow the camera");
    try {
      if (!(await this.camera.open())) return;
      shoot.disabled = false;
      shoot.focus();
      this.#say("Look straight into the camera, mouth closed.");
    } catch (error) {
      this.#step("bring");
      this.#complain("The camera cannot be used", error instanceof Error ? error.message : String(error));
    }
  }

  async #shoot() {
    const picture = await this.camera.shoot();
    this.#step("bring");
    await this.#bring(picture);
  }

  /** @param {Blob} picture */
  async #bring(picture) {
    if (this.working) return;
    this.#forget();
    this.#complain(null);
    this.#step("bring");
    if (picture.type && !KINDS.test(picture.type)) {
      this.#complain("This is no picture", `Expected ${this.offer.kinds}.`);
      return;
    }
    await this.#work("Looking for the face…", async () => {
      const draft = await bring(picture, this.offer.max_bytes);
      if (!this.dialog.open) {
        forget(draft.token);
        return;
      }
      this.#step("fit");
      this.#show(draft);
      this.#say("The face was found.");
    }, "This picture cannot be used");
  }

  /** @param {Draft} draft */
  #show(draft) {
    const other = draft.picture !== this.draft?.picture;
    this.draft = draft;
    if (other) this.picture.src = draft.picture;
    this.fit.show(draft);
    this.#showFilm(false);
    byId("warnings").replaceChildren(
      ...draft.warnings.map((words) => Object.assign(document.createElement("li"), { textContent: words })),
    );
    this.#showFaces(draft);
  }

  /** @param {Draft} draft */
  #showFaces(draft) {
    const faces = byId("faces");
    faces.hidden = !draft.whole;
    if (!draft.whole) return;
    const whole = /** @type {HTMLImageElement} */ (byId("faces-whole"));
    if (!whole.src.endsWith(draft.whole)) whole.src = draft.whole;
    const held = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.face;
    whole.parentElement?.querySelectorAll("button").forEach((button) => button.remove());
    for (const face of draft.faces) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "face";
      button.dataset.face = String(face.number);
      button.setAttribute("aria-pressed", String(face.number === draft.face));
      button.setAttribute("aria-label", `Face ${face.number} from the left${face.refused ? `: ${face.refused}` : ""}`);
      button.disabled = Boolean(face.refused);
      const [x, y, wide, high] = face.box.map((share) => `${100 * share}%`);
      Object.assign(button.style, { left: x, top: y, width: wide, height: high });
      button.addEventListener("click", () => this.#change({ face: face.number }));
      whole.parentElement?.append(button);
      if (held === button.dataset.face) button.focus();
    }
  }

  /** @param {Parameters<typeof change>[1]} changes */
  #change(changes) {
    this.#showFilm(false);
    this.#complain(null);
    this.chain = this.chain.then(async () => {
      const draft = this.draft;
      if (!draft) return;
      try {
        const changed = await change(draft.token, changes);
        if (this.draft?.token === draft.token) this.#show(changed);
      } catch (error) {
        this.fit.show(draft);
        this.#refused("This cannot be done", error);
      }
    });
  }

  async #play() {
    if (this.filming || this.working) return;
    if (!this.film.hidden) {
      this.#showFilm(false);
      return;
    }
    const filming = new AbortController();
    this.filming = filming;
    this.#complain(null);
    await this.chain;
    await this.#work("Making a sentence…", async () => {
      if (!this.draft) return;
      const film = await sample(this.draft.token, this.look(), filming.signal);
      if (filming.signal.aborted) return;
      URL.revokeObjectURL(this.film.src);
      this.film.src = URL.createObjectURL(film);
      this.#showFilm(true);
      this.film.play().catch(() => this.#say("Press play on the picture."));
    }, "The sample could not be made");
    if (this.filming === filming) this.filming = null;
  }

  /** @param {boolean} shown */
  #showFilm(shown) {
    if (!shown) this.film.pause();
    this.film.hidden = !shown;
    // The button is far below the picture on a phone.
    if (shown) this.film.scrollIntoView({ block: "nearest" });
    this.fit.reveal(!shown);
    byId("play-label").textContent = shown ? "Back to the points" : "Hear it speak";
  }

  async #keep() {
    if (this.working || !this.draft) return;
    const title = this.title.value.trim();
    const named = this.#mark(this.title, title !== "");
    const agreed = this.#mark(this.consent, this.consent.checked);
    if (!named || !agreed) {
      (named ? this.consent : this.title).focus();
      return;
    }
    this.#complain(null);
    await this.chain;
    const { token } = this.draft;
    await this.#work("Keeping it…", async () => {
      const kept = await keep(token, title, true);
      this.draft = null;
      this.dialog.close();
      this.dispatchEvent(new CustomEvent("kept", { detail: kept }));
    }, "It could not be kept");
  }

  /**
   * Shows whether a field is filled in.
   * @param {HTMLInputElement} input
   * @param {boolean} good
   */
  #mark(input, good) {
    input.setAttribute("aria-invalid", String(!good));
    byId(`${input.id}-needed`).hidden = good;
    return good;
  }

  /**
   * @param {string} words
   * @param {() => Promise<void>} job
   * @param {string} title of what is said when it fails
   */
  async #work(words, job, title) {
    this.working += 1;
    this.dialog.classList.add("working");
    this.dialog.setAttribute("aria-busy", "true");
    this.#say(words);
    try {
      await job();
      if (this.draft && this.dialog.open) this.#say("");
    } catch (error) {
      this.#say("");
      this.#refused(title, error);
    } finally {
      this.working -= 1;
      this.dialog.classList.remove("working");
      this.dialog.removeAttribute("aria-busy");
    }
  }

  /**
   * @param {string} title
   * @param {unknown} error
   */
  #refused(title, error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 404) this.#start();
    this.#complain(title, sentence(error.message));
  }

  /**
   * @param {string | null} title nothing to complain of
   * @param {string} [text]
   */
  #complain(title, text = "") {
    byId("own-notice").hidden = title === null;
    byId("own-notice-title").textContent = title ?? "";
    byId("own-notice-text").textContent = text;
  }

  /** @param {string} words */
  #say(words) {
    byId("own-status").textContent = words;
  }

  #forget() {
    this.filming?.abort();
    this.filming = null;
    if (this.draft) forget(this.draft.token);
    this.draft = null;
  }

  #leave() {
    this.camera.close();
    this.#showFilm(false);
    this.#forget();
    this.title.value = "";
    this.consent.checked = false;
    this.#mark(this.title, true);
    this.#mark(this.consent, true);
    this.picture.removeAttribute("src");
  }
}

/** @param {string} text */
function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
