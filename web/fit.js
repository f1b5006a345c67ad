/** The mesh over a picture, and the points that a person may drag. */

/** @typedef {import("./portraits.js").Point} Point */
/** @typedef {import("./portraits.js").Draft} Draft */

/** @type {Record<string, string>} */
const NAMES = {
  left_eye: "Left eye",
  right_eye: "Right eye",
  left_mouth: "Left corner of the mouth",
  right_mouth: "Right corner of the mouth",
  chin: "Chin",
};
/** How far a dragged point takes the mesh along, in face widths, until the server answers. */
const REACH = 0.5;
const FACE_SIDES = [234, 454];
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FINE = 0.003;
const COARSE = 0.015;

/** Events: `moved` (detail: all anchors, in pixels of the picture) when a point was let go. */
export class Fit extends EventTarget {
  /**
   * @param {HTMLElement} frame holds picture, mesh and points
   * @param {SVGSVGElement} mesh
   * @param {HTMLElement} points
   * @param {(words: string) => void} say
   */
  constructor(frame, mesh, points, say) {
    super();
    this.frame = frame;
    this.path = /** @type {SVGPathElement} */ (mesh.firstElementChild);
    this.svg = mesh;
    this.points = points;
    this.say = say;
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map();
    /** @type {[number, number][]} */
    this.edges = [];
    /** @type {Record<string, Point>} */
    this.anchors = {};
    /** @type {Point[]} */
    this.landmarks = [];
    this.side = 1;
    this.keyTimer = 0;
  }

  /** @param {Draft} draft */
  show(draft) {
    this.edges = draft.mesh ?? this.edges;
    this.landmarks = draft.landmarks;
    this.anchors = structuredClone(draft.anchors);
    this.side = draft.size_px;
    this.svg.setAttribute("viewBox", `0 0 ${this.side} ${this.side}`);
    this.#draw(this.landmarks);
    for (const name of Object.keys(draft.anchors)) this.#place(name);
  }

  /** @param {boolean} shown */
  reveal(shown) {
    this.svg.toggleAttribute("hidden", !shown);
    this.points.hidden = !shown;
  }

  /** @param {string} name */
  #place(name) {
    const button = this.buttons.get(name) ?? this.#make(name);
    const [x, y] = this.anchors[name];
    button.style.left = `${(100 * x) / this.side}%`;
    button.style.top = `${(100 * y) / this.side}%`;
    const [across, down] = [x, y].map((value) => Math.round((100 * value) / this.side));
    button.setAttribute("aria-label", `${NAMES[name] ?? name}, ${across} % across, ${down} % down`);
  }

  /** @param {string} name */
  #make(name) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "anchor";
    button.dataset.anchor = name;
    button.title = NAMES[name] ?? name;
    button.setAttribute("aria-roledescription", "movable point");
    button.addEventListener("pointerdown", (event) => this.#drag(name, button, event));
    button.addEventListener("keydown", (event) => this.#key(name, event));
    this.buttons.set(name, button);
    this.points.append(button);
    return button;
  }

  /**
   * @param {string} name
   * @param {HTMLButtonElement} button
   * @param {PointerEvent} down
   */
  #drag(name, button, down) {
    if (down.button !== 0) return;
    const start = this.anchors[name];
    const scale = this.side / this.frame.getBoundingClientRect().width;
    button.setPointerCapture(down.pointerId);
    button.classList.add("held");
    const move = (/** @type {PointerEvent} */ event) => {
      const way = [(event.clientX - down.clientX) * scale, (event.clientY - down.clientY) * scale];
      this.#move(name, [start[0] + way[0], start[1] + way[1]]);
    };
    const end = (/** @type {PointerEvent} */ event) => {
      button.removeEventListener("pointermove", move);
      button.removeEventListener("pointerup", end);
      button.removeEventListener("pointercancel", end);
      button.classList.remove("held");
      if (event.type === "pointercancel") this.#move(name, start);
      else if (this.anchors[name] !== start) this.#done(name);
    };
    button.addEventListener("pointermove", move);
    button.addEventListener("pointerup", end);
    button.addEventListener("pointercancel", end);
  }

  /**
   * @param {string} name
   * @param {KeyboardEvent} event
   */
  #key(name, event) {
    const step = STEPS[/** @type {keyof typeof STEPS} */ (event.key)];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const far = (event.shiftKey ? COARSE : FINE) * this.side;
    const [x, y] = this.anchors[name];
    this.#move(name, [x + step[0] * far, y + step[1] * far]);
    // A held key repeats: the server is asked when it rests.
    clearTimeout(this.keyTimer);
    this.keyTimer = window.setTimeout(() => this.#done(name), 350);
  }

  /**
   * @param {string} name
   * @param {Point} to
   */
  #move(name, to) {
    const inside = /** @type {Point} */ (to.map((value) => Math.min(Math.max(value, 0), this.side)));
    const [from] = [this.anchors[name]];
    const way = [inside[0] - from[0], inside[1] - from[1]];
    const [a, b] = FACE_SIDES.map((index) => this.landmarks[index]);
    const reach = REACH * Math.hypot(a[0] - b[0], a[1] - b[1]);
    this.landmarks = this.landmarks.map(([x, y]) => {
      const r = Math.min(Math.hypot(x - from[0], y - from[1]) / reach, 1);
      const share = (1 - r) ** 4 * (4 * r + 1);
      return [x + share * way[0], y + share * way[1]];
    });
    this.anchors[name] = inside;
    this.#place(name);
    this.#draw(this.landmarks);
  }

  /** @param {string} name */
  #done(name) {
    this.say(this.buttons.get(name)?.getAttribute("aria-label") ?? "");
    this.dispatchEvent(new CustomEvent("moved", { detail: structuredClone(this.anchors) }));
  }

  /** @param {Point[]} points */
  #draw(points) {
    const at = (/** @type {number} */ index) => points[index].map((value) => value.toFixed(1)).join(" ");
    this.path.setAttribute("d", this.edges.map(([a, b]) => `M${at(a)}L${at(b)}`).join(""));
  }
}
