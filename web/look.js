/** The two sliders of the look: expression and liveliness. Kept in the browser. */

const KEY = "visavis.look";
const EXPRESSIONS = ["serious", "neutral", "warm"];
const WORDS = [
  [0.05, "still"],
  [0.75, "calm"],
  [1.25, "natural"],
  [2.1, "lively"],
];

export class Look {
  /**
   * @param {HTMLInputElement} expression
   * @param {HTMLInputElement} liveliness
   */
  constructor(expression, liveliness) {
    this.inputs = { expression, liveliness };
    const kept = read();
    expression.value = String(Math.max(EXPRESSIONS.indexOf(kept.expression), 0));
    liveliness.value = String(kept.liveliness);
    for (const input of [expression, liveliness]) {
      input.addEventListener("input", () => this.#tell());
      input.addEventListener("change", () => this.#keep());
    }
    this.#tell();
  }

  /** @returns {URLSearchParams} for a call or a sample */
  get query() {
    return new URLSearchParams({ expression: this.#expression, liveliness: this.inputs.liveliness.value });
  }

  get #expression() {
    return EXPRESSIONS[Number(this.inputs.expression.value)] ?? "neutral";
  }

  #tell() {
    const { expression, liveliness } = this.inputs;
    const lively = Number(liveliness.value);
    const word = WORDS.find(([most]) => lively <= Number(most))?.[1] ?? "";
    say(expression, this.#expression);
    say(liveliness, `${word} (${lively.toFixed(1)})`);
  }

  #keep() {
    const value = { expression: this.#expression, liveliness: Number(this.inputs.liveliness.value) };
    try {
      localStorage.setItem(KEY, JSON.stringify(value));
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

function read() {
  const usual = { expression: "neutral", liveliness: 1 };
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const lively = Number(kept.liveliness);
    return {
      expression: EXPRESSIONS.includes(kept.expression) ? kept.expression : usual.expression,
      liveliness: kept.liveliness !== undefined && lively >= 0 && lively <= 2 ? lively : usual.liveliness,
    };
  } catch {
    return usual;
  }
}
