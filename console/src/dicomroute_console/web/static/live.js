// Lets the part of a page that changes (#live) renew itself: when its stream says that something happened, and slowly
// besides, for what is no event. Without a stream, or while it is broken, it renews every few seconds.
const WITHOUT_STREAM = 5000;
const BESIDE_STREAM = 10000;
const APART = 1000;

let stream = null;
let last = Date.now();
let waiting = null;

const part = () => document.getElementById("live");

function renew() {
  clearTimeout(waiting);
  waiting = null;
  last = Date.now();
  const element = part();
  if (element && !document.hidden) element.dispatchEvent(new Event("renew"));
}

function soon() {
  if (waiting === null) waiting = setTimeout(renew, Math.max(0, last + APART - Date.now()));
}

function isOpen() {
  return stream !== null && stream.readyState === EventSource.OPEN;
}

function show() {
  document.documentElement.dataset.stream = isOpen() ? "open" : "none";
}

function open() {
  const address = part()?.dataset.events;
  if (!address || stream !== null || document.hidden) return;
  stream = new EventSource(address);
  stream.onopen = () => { show(); soon(); };
  stream.onmessage = soon;
  // A browser comes back by itself after a break, and never after an answer that is no stream.
  stream.onerror = show;
}

function close() {
  if (stream !== null) stream.close();
  stream = null;
  show();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    close();
  } else {
    open();
    soon();
  }
});
addEventListener("pagehide", close);
setInterval(() => {
  if (Date.now() - last >= (isOpen() ? BESIDE_STREAM : WITHOUT_STREAM)) renew();
}, 500);
show();
open();
