/** Ties the call to the page. */

import { Call } from "./call.js";
import { LipSync } from "./lipsync.js";
import { Look } from "./look.js";
import { Meter } from "./meter.js";
import { Own } from "./own.js";
import { offer, Refusal, remove } from "./portraits.js";
import { CallGone, Gauge } from "./stats.js";
import { byId, View } from "./ui.js";
import { endWords, waitWords } from "./words.js";

const FIGURES_MS = 1_000;
/** After so long without any sound, the page asks about the microphone. */
const SILENCE_MS = 8_000;
const PATIENCE_MS = 300;
const HOLDING_ON = "The connection is weak. Holding on…";
const SILENCED = "The browser keeps the avatar silent. Press “Sound” to hear it.";
const CHOICE_KEY = "visavis.avatar";

const view = new View();
const look = new Look(input("expression"), input("liveliness"));
/** @type {Own | null} where the server makes avatars of pictures */
let own = null;

/** @type {import("./ui.js").AvatarInfo[]} */
let avatars = [];
/** @type {import("./ui.js").AvatarInfo | undefined} */
let chosen;
/** @type {Call | null} */
let call = null;
/** @type {Meter | null} */
let meter = null;
/** @type {WakeLockSentinel | null} */
let wakeLock = null;
let ticker = 0;
let waiter = 0;
let heard = true;
/** The browser, not the person, turned the sound off. */
let silenced = false;
let lastSoundMs = 0;
let stalled = false;

/** @param {string} id */
function input(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

/** Whether own pictures can be brought here. */
async function askOffer() {
  try {
    const here = await offer();
    if (!here.offered) return;
    own = new Own(here, () => look.query);
    own.addEventListener("kept", (event) => onKept(/** @type {CustomEvent} */ (event).detail));
    byId("add").hidden = false;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}

/** @param {{name: string, title: string}} kept */
async function onKept({ name, title }) {
  await loadAvatars(name);
  view.callButton.focus();
  view.say(`${title} can be called now.`, true);
}

async function removeOwn() {
  const gone = chosen;
  if (!gone?.own || !window.confirm(`Remove ${gone.title}? The picture is deleted from this server.`)) return;
  try {
    await remove(gone.name);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    view.notify({ title: `${gone.title} was not removed`, text: error.message });
    return;
  }
  await loadAvatars();
  view.say(`${gone.title} is removed.`, true);
  view.callButton.focus();
}

/** @param {string} [wanted] name of the avatar to show */
async function loadAvatars(wanted = undefined) {
  try {
    const response = await fetch("api/avatars", { cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    avatars = await response.json();
  } catch {
    view.notify(endWords({ state: "ended", reason: "unreachable" }));
    view.labelCall("Try again");
    view.callButton.disabled = false;
    return;
  }
  if (!avatars.length) {
    view.notify({ title: "No avatar is installed", text: "Add an avatar file on the server, then reload this page." });
    return;
  }
  view.notify(null);
  const first = wanted ?? new URLSearchParams(location.search).get("avatar") ?? remembered();
  choose(avatars.some(({ name }) => name === first) ? String(first) : avatars[0].name);
  view.offerAvatars(avatars, chosen?.name ?? "", choose);
}

/** @param {string} name */
function choose(name) {
  chosen = avatars.find((avatar) => avatar.name === name);
  if (!chosen) return;
  view.showAvatar(chosen);
  try {
    localStorage.setItem(CHOICE_KEY, name);
  } catch {
    // Storage may be closed to the page: the choice then lasts as long as the page.
  }
}

function remembered() {
  try {
    return localStorage.getItem(CHOICE_KEY);
  } catch {
    return null;
  }
}

/** @param {MouseEvent} event */
async function onCallButton(event) {
  // The second half of a double click would cancel what the first began.
  if (event.detail > 1) return;
  if (call && !call.ended) {
    call.hangUp();
    return;
  }
  if (view.callButton.getAttribute("aria-disabled") === "true") return;
  if (!chosen) {
    await loadAvatars();
    return;
  }
  const current = new Call(chosen.name, look.query);
  call = current;
  current.addEventListener("state", (event) => onState(current, /** @type {CustomEvent} */ (event).detail));
  current.addEventListener("microphone", (event) => onMicrophone(/** @type {CustomEvent} */ (event).detail));
  current.addEventListener("microphone-ended", () => view.say("The microphone has stopped. Hang up and call again to use another."));
  current.addEventListener("media", (event) => onMedia(/** @type {CustomEvent} */ (event).detail));
  await current.start();
}

/**
 * @param {Call} current
 * @param {import("./call.js").StateDetail} detail
 */
function onState(current, detail) {
  if (current !== call) return;
  const name = chosen?.title ?? "The avatar";
  view.setState(detail.state);
  switch (detail.state) {
    case "asking":
      clearInterval(waiter);
      view.notify(null);
      view.labelCall("Cancel");
      view.say("");
      // Where leave was given before, nothing is asked and nothing need be said.
      setTimeout(() => current.state === "asking" && view.say("Please allow the microphone"), PATIENCE_MS);
      break;
    case "connecting":
      view.say("Connecting…");
      break;
    case "live":
      if (silenced) view.say(SILENCED);
      else view.say(`Connected. ${name} speaks as you do.`, true);
      if (!ticker) begin(current);
      break;
    case "weak":
      view.say(HOLDING_ON);
      break;
    case "ended":
      finish(detail);
      break;
  }
}

/** @param {Call} current */
function begin(current) {
  const since = performance.now();
  const gauge = new Gauge(/** @type {RTCPeerConnection} */ (current.connection), current.url);
  const lipSync = new LipSync();
  lastSoundMs = since;
  stalled = false;
  view.setMuted(false);
  view.setHeard(heard);
  view.setClock(0);
  view.setFigures(null);
  view.setRate(null);
  document.title = `${chosen?.title} – Visavis`;
  navigator.wakeLock?.request("screen").then((lock) => (wakeLock = lock), () => {});
  ticker = window.setInterval(async () => {
    view.setClock((performance.now() - since) / 1000);
    watchSilence();
    try {
      const figures = await gauge.read();
      if (current !== call || current.ended) return;
      view.setFigures(figures);
      if (figures.rate !== null) view.setRate(figures.rate);
      watchPicture(figures.fps);
      const holdMs = lipSync.follow(figures.soundWaitMs);
      if (holdMs !== null) current.holdPicture(holdMs);
    } catch (error) {
      if (error instanceof CallGone) current.dropped();
      else if (!current.ended) throw error;
    }
  }, FIGURES_MS);
}

/** @param {import("./call.js").StateDetail} detail */
function finish(detail) {
  clearInterval(ticker);
  ticker = 0;
  meter?.close();
  meter = null;
  wakeLock?.release().catch(() => {});
  wakeLock = null;
  if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  view.picture.srcObject = null;
  document.title = "Visavis";
  const words = endWords(detail);
  view.notify(words);
  view.say(detail.reason === "hung-up" ? "Call ended" : "", true);
  view.labelCall(words ? "Call again" : `Call ${chosen?.title}`);
  if (words && detail.retryAfterS !== undefined) countDown(words, detail.retryAfterS);
}

/**
 * @param {import("./words.js").Words} words
 * @param {number} seconds
 */
function countDown(words, seconds) {
  const step = () => {
    view.noticeText.textContent = words.text + waitWords(seconds);
    view.callButton.setAttribute("aria-disabled", String(seconds > 0));
    if (seconds-- <= 0) clearInterval(waiter);
  };
  clearInterval(waiter);
  waiter = window.setInterval(step, 1_000);
  step();
}

/** @param {MediaStream} stream */
function onMicrophone(stream) {
  meter?.close();
  meter = new Meter(stream, (level) => {
    view.setLevel(level);
    if (level > 0) lastSoundMs = performance.now();
  });
}

/** @param {MediaStream} stream */
function onMedia(stream) {
  if (view.picture.srcObject === stream) return;
  view.picture.srcObject = stream;
  view.picture.muted = !heard;
  view.picture.play().catch((error) => {
    if (error.name !== "NotAllowedError") return;
    // The browser wants another gesture before it plays sound: go on silently and say so.
    silenced = true;
    heard = false;
    view.setHeard(false);
    view.picture.play().catch(() => {});
    view.say(SILENCED);
  });
}

/** @param {number | null} fps tells of a broken connection seconds before the connection does */
function watchPicture(fps) {
  if (fps === null || (fps === 0) === stalled) return;
  stalled = fps === 0;
  view.say(stalled ? HOLDING_ON : "The picture is back", !stalled);
}

function watchSilence() {
  const silentMs = performance.now() - lastSoundMs;
  if (call?.muted) lastSoundMs = performance.now();
  else if (silentMs > SILENCE_MS && silentMs < SILENCE_MS + FIGURES_MS * 1.5) {
    view.say("Nothing is heard from the microphone. Is it the right one, and switched on?", true);
  }
}

function toggleMute() {
  if (!call || call.state === "ended") return;
  call.muted = !call.muted;
  view.setMuted(call.muted);
  if (call.muted) view.say("You are muted");
  else view.say("You can be heard", true);
}

function toggleHear() {
  heard = !heard;
  silenced = false;
  view.setHeard(heard);
  view.say(heard ? "You hear the avatar" : "The avatar is silent for you", true);
}

function toggleFull() {
  if (document.fullscreenElement) {
    document.exitFullscreen().catch(() => {});
  } else if (view.stage.requestFullscreen) {
    view.stage.requestFullscreen().catch(() => {});
  } else {
    // Phones that show only a video in full screen.
    /** @type {any} */ (view.picture).webkitEnterFullscreen?.();
  }
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target instanceof HTMLInputElement && event.target.type === "text") return;
  view.stir();
  const during = call?.state === "live" || call?.state === "weak";
  const key = event.key.toLowerCase();
  if (during && key === "m") toggleMute();
  else if (during && key === "s") toggleHear();
  else if (during && key === "f") toggleFull();
  else if (key === "escape" && (call?.state === "asking" || call?.state === "connecting")) call.hangUp();
}

view.callButton.addEventListener("click", onCallButton);
view.muteButton.addEventListener("click", toggleMute);
view.hearButton.addEventListener("click", toggleHear);
view.fullButton.addEventListener("click", toggleFull);
view.endButton.addEventListener("click", () => call?.hangUp());
view.picture.addEventListener("loadeddata", () => view.portrait.classList.add("showing"));
view.picture.addEventListener("dblclick", toggleFull);
document.addEventListener("keydown", onKey);
document.addEventListener("pointermove", () => view.stir(), { passive: true });
document.addEventListener("pointerdown", () => view.stir(), { passive: true });
document.addEventListener("fullscreenchange", () => {
  view.setFull(Boolean(document.fullscreenElement));
  view.stir();
});
window.addEventListener("pagehide", () => call?.hangUp());
byId("add").addEventListener("click", () => own?.open());
byId("look").addEventListener("toggle", ({ currentTarget: sheet }) => {
  // It opens below the screen's edge on most screens.
  if (sheet instanceof HTMLDetailsElement && sheet.open) sheet.scrollIntoView({ block: "nearest" });
});
byId("remove").addEventListener("click", removeOwn);

/**
 * A picture dropped or pasted anywhere, when no call is on.
 * @param {DataTransfer | null} data
 */
function picked(data) {
  const [file] = data?.files ?? [];
  const during = call && !call.ended;
  if (file && own && !during) own.open(file);
}
document.addEventListener("dragover", (event) => {
  if (!own || !event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dragging");
  if (!own || !event.dataTransfer?.files.length) return;
  event.preventDefault();
  picked(event.dataTransfer);
});
document.addEventListener("paste", (event) => picked(event.clipboardData));

await askOffer();
await loadAvatars();
