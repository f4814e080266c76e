// The chat: a WebSocket to the page's server, which speaks to the platform's edge.
//
// The server renders the way of a turn and what is remarkable about it; texts of people and agents
// come as text, and are shown as text.

const FIRST = 500;
const LONGEST = 5000;
/** Milliseconds until a lost connection is opened again. */
let wait = FIRST;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const log = byId("log");
const transcript = byId("transcript");
const form = /** @type {HTMLFormElement} */ (byId("say"));
const text = /** @type {HTMLTextAreaElement} */ (byId("text"));
const send = /** @type {HTMLButtonElement} */ (byId("send"));
const state = byId("chat-state");
const way = byId("way");
/** @type {WebSocket | null} */
let socket = null;
let isReady = false;
let isAsking = false;
/** Whether the platform cannot be used any more, until it is started anew from the command line. */
let hasFailed = false;

function refresh() {
  send.disabled = !isReady || isAsking;
}

/**
 * @param {string} words
 * @param {string} name
 */
function add(words, name) {
  const item = document.createElement("li");
  item.className = name;
  item.textContent = words;
  transcript.append(item);
  log.scrollTop = log.scrollHeight;
  return item;
}

/** @param {string} html of the server's templates */
function addRemark(html) {
  const item = add("", "remark");
  item.innerHTML = html;
  log.scrollTop = log.scrollHeight;
}

/** @param {{kind: string, text?: string, note?: string, html?: string}} message */
function receive(message) {
  switch (message.kind) {
    case "ready":
      isReady = true;
      wait = FIRST;
      state.textContent = "ready";
      break;
    case "failed":
      hasFailed = true;
      state.textContent = "the platform did not start";
      break;
    case "busy":
      isAsking = false;
      state.textContent = "this conversation has a turn under way";
      break;
    case "way":
      way.innerHTML = message.html ?? "";
      break;
    case "answer":
      isAsking = false;
      state.textContent = "ready";
      if (message.text) add(message.text, "theirs");
      addRemark(message.note ?? "");
      way.innerHTML = message.html ?? "";
      break;
  }
  refresh();
}

function open() {
  const { mode, query } = byId("stage").dataset;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/${mode}/chat?${query}`);
  socket.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    if (isAsking) add("The connection was lost before the answer came.", "remark");
    isReady = isAsking = false;
    if (hasFailed) return refresh();
    state.textContent = "reconnecting";
    refresh();
    setTimeout(open, wait);
    wait = Math.min(2 * wait, LONGEST);
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (send.disabled || !words || socket?.readyState !== WebSocket.OPEN) return;
  socket.send(words);
  isAsking = true;
  state.textContent = "waiting for the answer";
  add(words, "mine");
  refresh();
});

// Enter sends; Shift with Enter begins a line.
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

for (const each of document.querySelectorAll("[data-question]")) {
  each.addEventListener("click", () => {
    text.value = each.textContent ?? "";
    text.focus();
  });
}

open();
