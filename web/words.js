/** What the page says. Plain words: what happened, and what to do. */

const FULL_RATE = 25;

/**
 * @typedef {object} Words
 * @property {string} title
 * @property {string} text
 */

/**
 * @param {import("./call.js").StateDetail} detail
 * @returns {Words | null} nothing when the person hung up
 */
export function endWords({ reason, message }) {
  switch (reason) {
    case "mic-refused":
      return {
        title: "The microphone is blocked",
        text: "Allow it for this page (the icon beside the address), then call again.",
      };
    case "mic-missing":
      return {
        title: "No microphone was found",
        text: "Plug one in or switch it on, then call again.",
      };
    case "mic-busy":
      return {
        title: "The microphone does not start",
        text: "Another program may be holding it. Close that one, then call again.",
      };
    case "insecure":
      return {
        title: "This address cannot use a microphone",
        text: "Browsers allow it only on https:// pages and on localhost.",
      };
    case "unsupported":
      return {
        title: "This browser cannot make the call",
        text: message || "A current Chrome, Edge, Firefox or Safari can.",
      };
    case "full":
      return {
        title: "All lines are busy",
        text: "The server is carrying as many calls as it can.",
      };
    case "unreachable":
      return {
        title: "The server does not answer",
        text: "Check your connection, and that the server is running.",
      };
    case "no-path":
      return {
        title: "The call did not get through",
        text: "A firewall may be stopping sound and picture on the way (UDP).",
      };
    case "rejected":
      return { title: "The server turned the call down", text: sentence(message) };
    case "lost":
      return { title: "The connection was lost", text: "The call has ended. You can call again." };
    default:
      return null;
  }
}

/**
 * @param {number} seconds
 * @returns {string}
 */
export function waitWords(seconds) {
  return seconds > 0 ? ` You can try again in ${seconds} s.` : " You can try again now.";
}

/**
 * @param {number | null} rate pictures a second that the server has for a call
 * @returns {string} nothing at the full rate, or where it is not known
 */
export function rateWords(rate) {
  return rate !== null && rate < FULL_RATE
    ? `The server is busy: ${Math.floor(rate)} pictures a second.`
    : "";
}

/** @param {string | undefined} text */
function sentence(text) {
  if (!text) return "It gave no reason.";
  const first = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
