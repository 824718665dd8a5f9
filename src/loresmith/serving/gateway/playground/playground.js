// What anybody said is put on the page as text, never as HTML. The key is sent to this gateway alone; it is kept in
// memory, or in the tab's session storage where that is asked for.
"use strict";

const KEPT = "loresmith-key";
const element = (id) => document.getElementById(id);
const [errorLine, connect, chat, log, statusLine, ask, message, send, stop] =
  ["error", "connect", "chat", "log", "status", "ask", "message", "send", "stop"].map(element);

let key = "";
let messages = [];
let running = null;

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function showError(text) {
  errorLine.textContent = text;
  errorLine.hidden = !text;
}

async function request(path, body, signal) {
  let answer;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      signal,
    });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Error("the gateway cannot be reached");
  }
  if (answer.ok) return answer;
  let said = `the gateway answers with status ${answer.status}`;
  try {
    said = (await answer.json()).error.message;
  } catch { /* it is no JSON, then */ }
  const wait = answer.headers.get("retry-after");
  throw new Error(answer.status === 401 ? "this key opens nothing here" : wait ? `${said} (try again in ${wait} s)` : said);
}

// The JSON of each server-sent event of an answer.
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const whole = held.split("\n\n");
    held = whole.pop();
    for (const one of whole) {
      const data = one.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

function addTurn(role, text) {
  const turn = make("li", role);
  const words = make("p", "text", text);
  turn.append(make("p", "who", role === "user" ? "You" : "Model"), words);
  log.append(turn);
  turn.scrollIntoView({ block: "end" });
  return { turn, words };
}

function showSources(turn, sources) {
  const list = make("ul", "sources");
  list.setAttribute("aria-label", "Sources");
  for (const source of sources) {
    const pages = source.pages.length ? `, page ${source.pages.join(", ")}` : "";
    list.append(make("li", "", `[${source.number}] ${source.path}${pages}, characters ${source.start} to ${source.end}`));
  }
  turn.append(list);
}

function addRating(turn, response) {
  const row = make("div", "rating");
  const told = make("span");
  told.setAttribute("role", "status");
  const buttons = [["up", "\u{1F44D}", "Good answer"], ["down", "\u{1F44E}", "Bad answer"]].map(([rating, sign, name]) => {
    const button = make("button", "", sign);
    button.type = "button";
    button.setAttribute("aria-label", name);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", async () => {
      told.textContent = "";
      try {
        await request("/v1/feedback", { response, rating });
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        told.textContent = "Thank you.";
      } catch (problem) {
        told.textContent = problem.message;
      }
    });
    return button;
  });
  row.append(...buttons, told);
  turn.append(row);
}

function setRunning(controller) {
  running = controller;
  send.disabled = Boolean(controller);
  stop.disabled = !controller;
}

async function answerTo(text) {
  const asked = { role: "user", content: text };
  addTurn("user", text);
  const { turn, words } = addTurn("assistant", "");
  turn.setAttribute("aria-busy", "true");
  statusLine.textContent = "The model answers…";
  const controller = new AbortController();
  setRunning(controller);
  const conversation = messages;
  let response = "", finish = "", sources = [], said = "", ended = "The answer is complete.";
  try {
    const body = { model: element("model").value, messages: [...conversation, asked], stream: true };
    if (element("consent").checked) body.metadata = { consent: "true" };
    for await (const chunk of events(await request("/v1/chat/completions", body, controller.signal))) {
      if (chunk.error) throw new Error(chunk.error.message);
      response = chunk.id;
      for (const choice of chunk.choices) {
        const delta = choice.delta;
        said += delta.content || "";
        words.textContent = said;
        if (delta.refusal) turn.append(make("p", "problem", delta.refusal));
        if (delta.sources) sources = delta.sources;
        finish = choice.finish_reason || finish;
      }
    }
    if (finish === "length") ended = "The answer has reached its limit of tokens.";
    if (sources.length) showSources(turn, sources);
    if (response) addRating(turn, response);
  } catch (problem) {
    if (problem.name === "AbortError") {
      ended = "The answer was stopped.";
    } else {
      ended = "There is no answer.";
      turn.append(make("p", "problem", problem.message));
      showError(problem.message);
    }
  }
  conversation.push(asked, { role: "assistant", content: said });
  if (!said) conversation.splice(-2);
  turn.removeAttribute("aria-busy");
  if (running === controller) {
    statusLine.textContent = ended;
    setRunning(null);
  }
  turn.scrollIntoView({ block: "end" });
}

async function open(given) {
  showError("");
  key = given;
  const answer = await request("/v1/models");
  const models = (await answer.json()).data.filter((model) => !model.embeds);
  if (!models.length) throw new Error("there is no model that this key may ask");
  element("model").replaceChildren(...models.map((model) => {
    const option = make("option", "", model.labels.length ? `${model.id} (${model.labels.join(", ")})` : model.id);
    option.value = model.id;
    return option;
  }));
  connect.hidden = true;
  chat.hidden = false;
  message.focus();
}

function begin() {
  if (running) running.abort();
  setRunning(null);
  messages = [];
  log.replaceChildren();
  statusLine.textContent = "";
  showError("");
}

connect.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = element("key").value.trim();
  try {
    await open(given);
    if (element("keep").checked) sessionStorage.setItem(KEPT, given);
    element("key").value = "";
  } catch (problem) {
    key = "";
    sessionStorage.removeItem(KEPT);
    showError(problem.message);
    element("key").focus();
  }
});

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = message.value.trim();
  if (!text || running) return;
  showError("");
  message.value = "";
  answerTo(text);
});

message.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    ask.requestSubmit();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running) running.abort();
});
stop.addEventListener("click", () => running && running.abort());
element("new").addEventListener("click", () => {
  begin();
  message.focus();
});
element("leave").addEventListener("click", () => {
  begin();
  key = "";
  sessionStorage.removeItem(KEPT);
  chat.hidden = true;
  connect.hidden = false;
  element("key").focus();
});

const kept = sessionStorage.getItem(KEPT);
if (kept) open(kept).catch((problem) => {
  key = "";
  sessionStorage.removeItem(KEPT);
  showError(problem.message);
});
