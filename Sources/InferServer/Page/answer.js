// Asking the server. Any number of chats can be answered at a time.

const running = new Map();  // chat's id → { controller, message }
let isLeaving = false;
const SAMPLERS = ["temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens", "seed"];

const settingsOf = (chat) => ({ ...settings, ...Object.fromEntries(
  Object.entries(chat?.settings ?? {}).filter(([, value]) => value !== "" && value !== undefined)) });
const headers = () => ({
  "content-type": "application/json", ...(settings.key ? { authorization: "Bearer " + settings.key } : {}),
});

/// A message as the model reads it: files behind the words, each in a fence that nothing in it can close.
function wording(message) {
  let text = message.content;
  for (const file of message.files ?? []) {
    const longest = Math.max(2, ...(file.text.match(/`+/g) ?? []).map((run) => run.length));
    const fence = "`".repeat(longest + 1);
    text += `${text ? "\n\n" : ""}${file.name}:\n${fence}\n${file.text.replace(/\n$/, "")}\n${fence}`;
  }
  return text;
}

function requestBody(chat, path, continues) {
  const own = settingsOf(chat);
  const from = path.findIndex((one) => one.id === chat.from);
  const messages = path.slice(Math.max(from, 0)).map((one) => ({ role: one.role, content: wording(one) }))
    .filter((one) => one.content);
  if (own.system?.trim()) messages.unshift({ role: "system", content: own.system });
  const body = { model: modelOf(chat) || undefined, messages, stream: true, stream_options: { include_usage: true } };
  for (const name of SAMPLERS) {
    if (own[name] !== undefined && own[name] !== "" && Number.isFinite(Number(own[name]))) body[name] = Number(own[name]);
  }
  if (own.thinking === "off") body.reasoning_effort = "none";
  if (["low", "medium", "high"].includes(own.thinking)) body.reasoning_effort = own.thinking;
  if (own.thinking === "on") body.chat_template_kwargs = { enable_thinking: true };
  if (continues) Object.assign(body, { continue_final_message: true });
  if (own.more?.trim()) Object.assign(body, JSON.parse(own.more));
  return body;
}

class ServerError extends Error {
  constructor(message, kind) { super(message); this.kind = kind; }
}
async function serverError(reply) {
  const error = (await reply.json().catch(() => null))?.error;
  const text = (typeof error === "string" ? error : error?.message) ?? `The server replied ${reply.status}.`;
  const isFull = error?.code === "context_length_exceeded" || error?.type === "exceed_context_size_error";
  return new ServerError(text, reply.status === 401 ? "key" : isFull || /the context of \d+/.test(text) ? "full" : "");
}

/// Answers the last question of a chat's chosen branch, or fills `message`, or goes on with it.
async function answer(chat, message = null, continues = false) {
  if (running.has(chat.id)) return;
  message ??= chats.add(chat, chats.path(chat).at(-1), newAnswer(chat));
  const path = chats.path(chat);
  const controller = new AbortController();
  // What is wrong with the settings is an error of the answer, too.
  let body = null, trouble = null;
  try {
    body = requestBody(chat, path.slice(0, path.indexOf(message) + (continues ? 1 : 0)), continues);
    message.model = body.model;
  } catch (error) { trouble = error; }
  Object.assign(message, { partial: true, error: undefined, kind: undefined, stopped: false, cut: false });
  running.set(chat.id, { controller, message });
  onAnswerChange(chat, message, "begin");
  const meter = new Meter();
  try {
    if (trouble) throw new Error("The parameters in the settings are not JSON: " + trouble.message);
    await read(chat, message, body, controller, meter);
    if (!meter.finish) throw new ServerError("The connection was closed before the answer ended.", "gone");
  } catch (error) {
    if (error.name === "AbortError") message.stopped = true;
    else {
      const isGone = error instanceof TypeError || error.kind === "gone";
      message.kind = isGone ? "gone" : error.kind;
      message.error = error instanceof TypeError ? "The server does not answer." : String(error.message ?? error);
      if (isGone) checkServer();
    }
  }
  // Of a page that is left the answer stays what it was: interrupted.
  if (isLeaving) return;
  meter.write(message);
  delete message.partial;
  running.delete(chat.id);
  chats.keepMessage(message);
  chats.touch(chat);
  onAnswerChange(chat, message, "end");
}

const newAnswer = (chat) => ({ role: "assistant", content: "", reasoning: "", partial: true, model: modelOf(chat) });

async function read(chat, message, body, controller, meter) {
  const reply = await fetch("v1/chat/completions", {
    method: "POST", headers: headers(), body: JSON.stringify(body), signal: controller.signal,
  });
  if (!reply.ok) throw await serverError(reply);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", kept = performance.now();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: ?/, "");
      if (event.startsWith(":") || data === "[DONE]") continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServerError(chunk.error.message ?? String(chunk.error), "");
      if (chunk.usage) Object.assign(meter, { usage: chunk.usage, timings: chunk.timings });
      const choice = chunk.choices?.[0];
      const text = choice?.delta?.content, thought = choice?.delta?.reasoning_content;
      if (text || thought) {
        meter.count();
        message.content += text ?? "";
        message.reasoning = (message.reasoning ?? "") + (thought ?? "");
        onAnswerChange(chat, message, "grow", meter);
      }
      if (choice?.finish_reason) meter.finish = choice.finish_reason;
    }
    // What there is of an answer outlives the page.
    if (performance.now() - kept > 400) { kept = performance.now(); chats.keepMessage(message); }
  }
}

/// Tokens and time of an answer.
class Meter {
  constructor() { Object.assign(this, { started: performance.now(), first: 0, tokens: 0 }); }
  count() { if (!this.tokens++) this.first = performance.now(); }
  get live() {
    const seconds = (performance.now() - this.first) / 1000;
    return this.tokens > 1 ? `${this.tokens} tokens, ${((this.tokens - 1) / seconds).toFixed(1)} per second` : "…";
  }
  write(message) {
    const { usage, timings, first, started } = this;
    const seconds = (performance.now() - (first || started)) / 1000;
    const tokens = usage?.completion_tokens ?? this.tokens;
    const notes = [`${tokens} ${tokens === 1 ? "token" : "tokens"}`];
    // Of an answer that came at once no speed can be told.
    const speed = timings?.predicted_per_second ?? (seconds > 0.1 ? tokens / seconds : 0);
    if (speed) notes.push(`${speed.toFixed(1)} per second`);
    if (first) notes.push(`first after ${((first - started) / 1000).toFixed(2)} s`);
    const cached = usage?.prompt_tokens_details?.cached_tokens;
    if (cached) notes.push(`${cached} of ${usage.prompt_tokens} prompt tokens reused`);
    if (this.finish === "length") { message.cut = true; notes.push("cut at the limit"); }
    if (message.stopped) notes.push("stopped");
    message.note = tokens || !message.error ? notes.join(", ") : "";
    if (usage) message.used = usage.prompt_tokens + usage.completion_tokens;
  }
}

// ---- The server and its models ----
let models = [];
let serverState = "";       // "", "gone", "key", "encoders", "none"
let retry = null;

async function checkServer() {
  clearTimeout(retry);
  let state = "";
  try {
    const reply = await fetch("v1/models", { headers: headers() });
    if (reply.status === 401 || reply.status === 403) state = "key";
    else if (!reply.ok) state = "gone";
    else {
      models = ((await reply.json()).data ?? []).map((one) => ({
        id: one.id, context: one.context_length ?? one.max_model_len,
        can: one.capabilities ?? ["completion"],
      }));
      if (!models.length) state = "none";
      else if (!models.some((one) => one.can.includes("completion"))) state = "encoders";
    }
  } catch { state = "gone"; }
  if (state === "gone") retry = setTimeout(checkServer, 3000);
  serverState = state;
  onServerChange();
}
const writers = () => models.filter((one) => one.can.includes("completion"));
/// The model that answers in a chat: its own choice, the latest choice, the first there is.
function modelOf(chat) {
  const names = writers().map((one) => one.id);
  return [chat?.model, preferences.get("model", ""), names[0]].find((name) => names.includes(name)) ?? chat?.model ?? "";
}
