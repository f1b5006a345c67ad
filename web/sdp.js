/** Pure text work on session descriptions. */

/** Opus settings asked of the server: small packets, repair in band, one channel. */
const OPUS = { minptime: "10", useinbandfec: "1", stereo: "0" };
const PTIME_MS = 10;

/**
 * Shapes an offer for low delay: Opus settings and packet time in the audio section.
 * @param {string} sdp
 * @returns {string}
 */
export function shapeOffer(sdp) {
  return sdp.replace(/m=audio[\s\S]*?(?=\r\nm=|$)/, (section) => {
    const opus = /a=rtpmap:(\d+) opus\/48000/i.exec(section)?.[1];
    if (!opus) return section;
    const lines = section.replace(/\s+$/, "").split("\r\n").filter((line) => !/^a=(max)?ptime:/.test(line));
    const prefix = `a=fmtp:${opus} `;
    const at = lines.findIndex((line) => line.startsWith(prefix));
    const settings = { ...(at < 0 ? {} : parseSettings(lines[at].slice(prefix.length))), ...OPUS };
    const line = prefix + Object.entries(settings).map(([key, value]) => `${key}=${value}`).join(";");
    if (at < 0) lines.push(line);
    else lines[at] = line;
    lines.push(`a=ptime:${PTIME_MS}`);
    return lines.join("\r\n") + (section.endsWith("\r\n") ? "\r\n" : "");
  });
}

/**
 * Gives the picture a media stream of its own, so that the browser does not synchronise it.
 * @param {string} sdp
 * @returns {string}
 */
export function partStreams(sdp) {
  return sdp.replace(/m=video[\s\S]*?(?=\r\nm=|$)/, (section) =>
    section.replace(/^(a=(?:ssrc:\d+ )?msid:)(\S+)/gm, "$1$2-picture"));
}

/**
 * @param {string} text such as `minptime=10;useinbandfec=1`
 * @returns {Record<string, string>}
 */
function parseSettings(text) {
  return Object.fromEntries(
    text.split(";").map((pair) => pair.trim()).filter(Boolean).map((pair) => {
      const [key, ...rest] = pair.split("=");
      return [key, rest.join("=")];
    }),
  );
}

/**
 * Sorts codecs into the wanted order; unnamed ones (repair formats) keep their places behind.
 * @template {{mimeType: string}} T
 * @param {T[]} codecs
 * @param {string[]} order mime types, best first
 * @returns {T[]}
 */
export function orderCodecs(codecs, order) {
  const rank = (/** @type {T} */ codec) => {
    const at = order.findIndex((type) => type.toLowerCase() === codec.mimeType.toLowerCase());
    return at < 0 ? order.length : at;
  };
  return [...codecs].sort((a, b) => rank(a) - rank(b));
}
