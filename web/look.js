/** The two sliders of the look: expression and liveliness. Kept in the browser. */

const KEY = "visavis.look";
const EXPRESSIONS = ["serious", "neutral", "warm"];
const WORDS = [
  [0.05, "still"],
  [0.75, "calm"],
  [1.25, "natural"],
  [2.1, "lively"],
];

/** @typedef {{expression?: string, liveliness?: number}} Chosen what a person has moved */

export class Look {
  /**
   * @param {HTMLInputElement} expression
   * @param {HTMLInputElement} liveliness
   */
  constructor(expression, liveliness) {
    this.inputs = { expression, liveliness };
    this.chosen = read();
    expression.value = String(EXPRESSIONS.indexOf(this.chosen.expression ?? "neutral"));
    liveliness.value = String(this.chosen.liveliness ?? 1);
    expression.addEventListener("input", () => {
      this.chosen.expression = EXPRESSIONS[Number(expression.value)];
      this.#tell();
    });
    liveliness.addEventListener("input", () => {
      this.chosen.liveliness = Number(liveliness.value);
      this.#tell();
    });
    for (const input of [expression, liveliness]) input.addEventListener("change", () => this.#keep());
    this.#tell();
  }

  /**
   * For a call or a sample. What nobody moved is left to the server, whose owner may have set it.
   * @returns {URLSearchParams}
   */
  get query() {
    return new URLSearchParams(Object.entries(this.chosen).map(([name, value]) => [name, String(value)]));
  }

  #tell() {
    const { expression, liveliness } = this.chosen;
    const word = WORDS.find(([most]) => (liveliness ?? 0) <= Number(most))?.[1] ?? "";
    say(this.inputs.expression, expression ?? "usual");
    say(this.inputs.liveliness, liveliness === undefined ? "usual" : `${word} (${liveliness.toFixed(1)})`);
  }

  #keep() {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.chosen));
    } catch {
      // Storage may be closed to the page: the look then lasts as long as the page.
    }
  }
}

/**
 * @param {HTMLInputElement} input
 * @param {string} words
 */
function say(input, words) {
  input.setAttribute("aria-valuetext", words);
  const output = document.getElementById(`${input.id}-says`);
  if (output) output.textContent = words;
}

/** @returns {Chosen} */
function read() {
  /** @type {Chosen} */
  const chosen = {};
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    if (EXPRESSIONS.includes(kept.expression)) chosen.expression = kept.expression;
    const lively = kept.liveliness;
    if (typeof lively === "number" && lively >= 0 && lively <= 2) chosen.liveliness = lively;
  } catch {
    // Nothing that can be read: nothing is chosen.
  }
  return chosen;
}
