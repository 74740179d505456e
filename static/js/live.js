/**
 * News from the controller: server-sent events over `fetch`, because an EventSource cannot send the session's header. Where the
 * controller has no such stream, or the line is bad, listeners are told every few seconds to look for themselves. Nothing is asked
 * while the tab is hidden.
 * @typedef {"live" | "polling" | "paused" | "off"} LineState
 * @typedef {{topic: "attempts" | "changes" | "poll", data: any}} News `poll`: look yourself, something may have changed
 */
import { OWN, outdate, reach } from "./api.js";
import { session } from "./session.js";

const POLL_MS = 15_000;
const AGAIN_MS = 3000;

/** @type {Set<(news: News) => void>} */
const listeners = new Set();
/** @type {Set<(state: LineState) => void>} */
const watchers = new Set();
/** @type {LineState} */
let state = "off";
/** @type {AbortController | null} */
let running = null;
let hasStream = true;
let lastId = "";

export const lineState = () => state;

/** @param {(state: LineState) => void} fn */
export function watchLine(fn) {
  watchers.add(fn);
  fn(state);
}

/** Listen; gives the function that ends it. @param {(news: News) => void} fn */
export function listen(fn) {
  listeners.add(fn);
  return () => listeners.delete(fn);
}

/** @param {LineState} now */
function become(now) {
  state = now;
  for (const watcher of watchers) watcher(now);
}

/** @param {News} news */
function tell(news) {
  outdate();
  for (const listener of listeners) listener(news);
}

/** Begin, once somebody is signed in. */
export function startLive() {
  stopLive();
  if (document.hidden) return become("paused");
  running = new AbortController();
  run(running.signal);
}

export function stopLive() {
  running?.abort();
  running = null;
  become("off");
}

/** @param {AbortSignal} signal */
async function run(signal) {
  while (!signal.aborted && session()) {
    const ended = hasStream ? await stream(signal).catch(() => "broken") : "none";
    if (signal.aborted) return;
    if (ended === "none") hasStream = false;
    become("polling");
    await pause(hasStream ? AGAIN_MS : POLL_MS, signal);
    if (!signal.aborted) tell({ topic: "poll", data: null });
  }
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Read one stream to its end. @param {AbortSignal} signal @returns {Promise<"none" | "ended">} "none": this controller has no stream */
async function stream(signal) {
  const headers = lastId ? { "Last-Event-ID": lastId } : undefined;
  const call = { method: "GET", path: `${OWN}/events`, query: { topics: "attempts,changes" }, accept: "text/event-stream", headers, signal };
  const response = await reach(call);
  if (response.status === 404 || response.status === 405 || response.status === 401) return response.status === 401 ? "ended" : "none";
  if (!response.ok || !response.body) return "ended";
  become("live");
  // What pages showed before the first stream was open, nobody watched: they look once more.
  if (!lastId) tell({ topic: "poll", data: null });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return "ended";
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() || "";
    for (const block of blocks) take(block);
  }
}

/** One event of the stream (HTML Living Standard, 9.2.6). @param {string} block */
function take(block) {
  /** @type {Record<string, string>} */
  const found = {};
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    if (at > 0) found[line.slice(0, at)] = line.slice(at + 1).replace(/^ /, "");
  }
  if (found.id) lastId = found.id;
  if (!found.data) return;
  if (found.event === "gap") tell({ topic: "poll", data: null });
  else tell({ topic: found.event === "attempts" ? "attempts" : "changes", data: JSON.parse(found.data) });
}

document.addEventListener("visibilitychange", () => {
  if (!session()) return;
  if (document.hidden) {
    running?.abort();
    running = null;
    become("paused");
  } else {
    startLive();
    tell({ topic: "poll", data: null });
  }
});
