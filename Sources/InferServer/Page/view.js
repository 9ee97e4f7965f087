// What is on the screen.

const settings = preferences.get("settings", {});
const store = new Store();
const chats = new Chats(store);
let current = null;         // the open chat; null: one to come
let files = [];             // attached to the message being written
const news = new Set();     // chats whose answer ended while another one was open
const elsewhere = new Map();  // messages that another tab writes → when it last did
const isPhone = () => matchMedia("(max-width: 720px)").matches;
const nodes = new Map();    // the open chat's messages by id → their elements

// ---- The list of chats ----
let query = "", hits = null, showsDeleted = false;

function showList() {
  const deleted = chats.list(true);
  if (!deleted.length) showsDeleted = false;
  const list = (showsDeleted ? deleted : chats.list()).filter((chat) => !query || chat.title.toLowerCase().includes(query) || hits?.has(chat.id));
  let group = "";
  const wanted = [];
  const heading = (text) => make("li", { className: "group", textContent: text });
  for (const chat of list) {
    const name = showsDeleted ? "Deleted: kept for 30 days" : groupOf(chat);
    if (name !== group) wanted.push(heading(name));
    group = name;
    wanted.push(showsDeleted ? deletedItem(chat) : listItem(chat));
  }
  if (!list.length && query) wanted.push(heading("Nothing found"));
  // What stays the same stays where it is: somebody may just be clicking on it.
  const keep = new Set(wanted);
  for (const node of [...$("list").children]) if (!keep.has(node)) node.remove();
  wanted.forEach((node, index) => {
    if ($("list").children[index] !== node) $("list").insertBefore(node, $("list").children[index] ?? null);
  });
  $("clear").hidden = $("export").hidden = showsDeleted || !chats.list().length;
  $("trash").hidden = !deleted.length;
  $("trash").textContent = showsDeleted ? "Back" : `Deleted (${deleted.length})`;
  $("trash").setAttribute("aria-pressed", String(showsDeleted));
}
function restore(list) {
  for (const chat of list) { delete chat.deleted; chats.keep(chat); }
  showList();
}
function deletedItem(chat) {
  const restores = make("button", { className: "quiet", textContent: "Restore", onclick: () => restore([chat]) });
  restores.setAttribute("aria-label", `Restore ${chat.title}`);
  return make("li", {}, make("span", { className: "open", textContent: chat.title || "New chat" }), restores);
}
const listItems = new Map();  // chat → its element
function groupOf(chat) {
  if (chat.pinned) return "Pinned";
  const today = new Date().setHours(0, 0, 0, 0), day = 86_400_000;
  if (chat.changed >= today) return "Today";
  if (chat.changed >= today - day) return "Yesterday";
  return chat.changed >= today - 7 * day ? "Last seven days" : "Earlier";
}
function listItem(chat) {
  const key = JSON.stringify([chat.title, chat.pinned, running.has(chat.id), news.has(chat.id), chat === current]);
  const known = listItems.get(chat.id);
  if (known?.key === key) return known;
  const hadFocus = known?.contains(document.activeElement) && !known.querySelector("input");
  const made = Object.assign(makeListItem(chat), { key });
  listItems.set(chat.id, made);
  if (hadFocus) {
    const place = [...known.querySelectorAll("button")].indexOf(document.activeElement);
    setTimeout(() => made.querySelectorAll("button")[place]?.focus());
  }
  return made;
}
function makeListItem(chat) {
  const open = make("button", { className: "open", title: chat.title, onclick: () => openChat(chat) },
    chat.title || "New chat");
  if (running.has(chat.id)) open.prepend(make("span", { className: "dot busy", title: "An answer is coming" }));
  else if (news.has(chat.id)) open.prepend(make("span", { className: "dot", title: "Answered" }));
  if (chat === current) open.setAttribute("aria-current", "page");
  const action = (sign, title, run) => {
    const button = make("button", { className: "quiet icon", textContent: sign, title, onclick: run });
    button.setAttribute("aria-label", `${title} ${chat.title}`);
    return button;
  };
  const node = make("li", { className: chat === current ? "current" : "" }, open,
    action(chat.pinned ? "★" : "☆", chat.pinned ? "Unpin" : "Pin", () => {
      chat.pinned = chat.pinned ? 0 : 1;
      chats.keep(chat);
      showList();
    }),
    action("✎", "Rename", () => rename(chat, node)),
    action("✕", "Delete", () => removeChats([chat])));
  node.dataset.chat = chat.id;
  return node;
}
function rename(chat, node) {
  const field = make("input", { value: chat.title, className: "rename" });
  field.setAttribute("aria-label", "Name of the chat");
  let isDone = false;
  const end = (keeps) => {
    if (isDone) return;
    isDone = true;
    if (keeps && field.value.trim()) { chat.title = field.value.trim().slice(0, 200); chats.keep(chat); }
    listItems.delete(chat.id);
    showList();
    $("list").querySelector(`[data-chat="${chat.id}"] .open`)?.focus();
  };
  field.onkeydown = (event) => {
    if (event.key === "Enter" && !event.isComposing) end(true);
    if (event.key === "Escape") { event.stopPropagation(); end(false); }
  };
  field.onblur = () => end(true);
  node.replaceChildren(field);
  field.select();
}
function removeChats(list) {
  const wasOpen = list.includes(current);
  for (const chat of list) {
    running.get(chat.id)?.controller.abort();
    chat.deleted = Date.now();
    chats.keep(chat);
  }
  if (wasOpen) openChat(null); else showList();
  const what = list.length === 1 ? `“${list[0].title.slice(0, 40)}” is deleted.` : `${list.length} chats are deleted.`;
  toast(what, "Undo", () => {
    restore(list);
    if (wasOpen && list.length === 1) openChat(list[0]);
  });
}
function toast(text, action, run) {
  const node = make("div", { className: "toast" }, make("span", { textContent: text }));
  const close = () => node.remove();
  if (action) node.append(make("button", { textContent: action, onclick: () => { close(); run(); } }));
  node.append(make("button", { className: "quiet icon", textContent: "✕", ariaLabel: "Close", onclick: close }));
  $("toasts").append(node);
  while ($("toasts").children.length > 3) $("toasts").firstElementChild.remove();
  setTimeout(close, action ? 12_000 : 8000);
}

// ---- The open chat ----
async function openChat(chat) {
  current = chat;
  files = [];
  news.delete(chat?.id);
  document.body.classList.remove("menu");
  $("menu").setAttribute("aria-expanded", "false");
  // A reload opens the same chat again.
  history.replaceState(null, "", chat ? "#" + chat.id : location.pathname + location.search);
  $("input").value = drafts.get(chat?.id);
  grow();
  showFiles();
  if (!isPhone()) $("input").focus();
  if (chat) await chats.open(chat.id);
  if (current !== chat) return;
  nodes.clear();
  $("log").replaceChildren();
  show();
  $("log").scrollTop = $("log").scrollHeight;
}
const keepDraft = () => drafts.set(current?.id, $("input").value);

function show() {
  showList();
  showControls();
  const log = $("log");
  const path = current ? chats.path(current) : [];
  document.title = current?.title ? `${current.title} – infer` : "infer";
  if (!path.length) {
    nodes.clear();
    log.replaceChildren(hint());
    return;
  }
  log.querySelector(".hint")?.remove();
  const follows = isAtEnd();
  const wanted = [];
  for (const [index, message] of path.entries()) {
    if (message.id === current.from && index) wanted.push(divider());
    let node = nodes.get(message.id);
    if (!node) nodes.set(message.id, node = makeMessage(message));
    fillMessage(node, message, path, index);
    wanted.push(node);
  }
  for (const [id, node] of nodes) if (!wanted.includes(node)) { node.remove(); nodes.delete(id); }
  log.querySelectorAll(".divider").forEach((node) => node.remove());
  wanted.forEach((node, index) => { if (log.children[index] !== node) log.insertBefore(node, log.children[index] ?? null); });
  if (follows) log.scrollTop = log.scrollHeight;
  showGauge(path);
}
const isAtEnd = () => $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 80;

function hint() {
  return make("div", { className: "hint" }, make("h2", { textContent: "What shall we talk about?" }),
    make("p", { textContent: "Enter sends, Shift+Enter starts a line, Esc stops the answer. Chats stay in this browser." }));
}
function divider() {
  return make("div", { className: "divider" }, make("span", { textContent: "What stands above is not sent any more." }),
    make("button", { className: "quiet", textContent: "Send it again", onclick: () => {
      delete current.from;
      chats.keep(current);
      show();
    } }));
}

function makeMessage(message) {
  const node = make("article", { className: "message " + message.role });
  node.setAttribute("aria-label", message.role === "user" ? "You" : "Answer");
  node.append(make("div", { className: "body" }), make("div", { className: "tools" }));
  return node;
}
function fillMessage(node, message, path, index) {
  if (node.querySelector(".editor")) return;
  const isBusy = running.get(current.id)?.message === message;
  const isLast = index === path.length - 1;
  fillBody(node.querySelector(".body"), message, isBusy);
  const tools = node.querySelector(".tools");
  const key = JSON.stringify([isBusy, running.has(current.id), isLast, message.note, message.cut, message.stopped,
    message.partial, message.error, chats.replies(current, parentOf(message)).map((one) => one.id), !!message.content, writers().length]);
  if (tools.key === key) return;
  tools.key = key;
  // A button that had the focus has it again.
  const focused = tools.contains(document.activeElement) ? document.activeElement.textContent : null;
  tools.replaceChildren(...toolsOf(message, isBusy, isLast));
  if (focused) [...tools.querySelectorAll("button")].find((one) => one.textContent === focused)?.focus();
}
const parentOf = (message) => message.parent ? chats.messages.get(current.id).get(message.parent) : null;

function toolsOf(message, isBusy, isLast) {
  const list = [];
  const tool = (text, run, title) => list.push(make("button", { className: "quiet", textContent: text, title: title ?? "",
    onclick: run }));
  const note = (text) => list.push(make("span", { className: "speed", textContent: text }));
  const replies = chats.replies(current, parentOf(message));
  if (replies.length > 1) {
    const place = replies.indexOf(message);
    const turn = (sign, label, other) => {
      const button = make("button", { className: "quiet turn", textContent: sign, disabled: !other,
        onclick: () => { chats.choose(current, other); show(); } });
      button.setAttribute("aria-label", label);
      return button;
    };
    list.push(make("span", { className: "branches" }, turn("‹", "Version before", replies[place - 1]),
      make("span", { textContent: `${place + 1}/${replies.length}` }),
      turn("›", "Next version", replies[place + 1])));
  }
  if (isBusy) { note("…"); return list; }
  const isFree = !running.has(current.id);
  if (message.role === "user") {
    tool("Edit", () => edit(message));
    tool("Copy", (event) => { copyText(message.content); flash(event.target, "Copied"); });
    if (isLast && isFree) tool("Answer", () => answer(current));
    return list;
  }
  if (message.partial && Date.now() - (elsewhere.get(message.id) ?? 0) < 4000) { note("is written in another tab"); return list; }
  tool("Copy", (event) => { copyText(message.content); flash(event.target, "Copied"); });
  if (isFree) {
    tool("Regenerate", () => regenerate(message), "Another answer; this one stays");
    const isUnfinished = message.cut || message.stopped || message.partial || message.error;
    if (isLast && isUnfinished && message.content) tool("Continue", () => answer(current, message, true), "Go on where it ended");
  }
  if (message.partial) note("interrupted");
  else if (message.note) note(message.note);
  if (message.model && writers().length > 1) list.push(make("span", { className: "by", textContent: message.model }));
  return list;
}

function fillBody(body, message, isBusy) {
  if (message.role === "user") {
    const key = message.content + "\0" + settings.plain;
    if (body.key === key) return;
    body.key = key;
    body.classList.toggle("rich", !!settings.plain);
    if (settings.plain) patchBlocks(body, markdown(message.content)); else body.textContent = message.content;
    for (const file of message.files ?? []) {
      body.append(make("details", { className: "attached" },
        make("summary", { textContent: `${file.name} (${sizeText(file.text.length)})` }),
        make("pre", { tabIndex: 0, textContent: file.text })));
    }
    return;
  }
  let thought = body.querySelector(":scope > details.thought");
  let text = body.querySelector(":scope > .text");
  if (!text) body.append(text = make("div", { className: "text" }));
  if (message.reasoning) {
    if (!thought) {
      body.prepend(thought = make("details", { className: "thought" }, make("summary"), make("div")));
    }
    update(thought.firstChild, el("summary", {}, message.content || !isBusy ? "Thought" : "Thinking…"));
    patch(thought.lastChild, [message.reasoning.trim()]);
  } else thought?.remove();
  if (text.source !== message.content) {
    text.source = message.content;
    patchBlocks(text, markdown(message.content));
  }
  let error = body.querySelector(":scope > .error");
  const key = message.error ? message.error + message.kind : "";
  if (error?.key !== key) {
    error?.remove();
    if (message.error) body.append(error = Object.assign(errorNode(message), { key }));
  }
}
/// What went wrong, and what can be done.
function errorNode(message) {
  const node = make("div", { className: "error" }, make("p", { textContent: message.error }));
  node.setAttribute("role", "alert");
  const again = () => message.content ? answer(current, message, true) : regenerate(message, true);
  const offer = (text, run) => node.append(make("button", { textContent: text, onclick: run }));
  const advice = (text) => node.append(make("p", { textContent: text }));
  if (message.kind === "gone") {
    advice("Is infer serve still running? Nothing is lost: what you wrote is kept here.");
    offer("Try again", again);
  } else if (message.kind === "key") {
    advice("The key belongs into the settings.");
    offer("Settings", () => openSettings("key"));
    offer("Try again", again);
  } else if (message.kind === "full") {
    advice("The conversation has outgrown what the model can read at once. Its older half can be left out, or the "
      + "server started with a larger --ctx-size.");
    offer("Leave out the older half", () => leaveOut(message));
    offer("New chat", () => openChat(null));
  } else offer("Try again", again);
  return node;
}
function leaveOut(message) {
  const path = chats.path(current);
  const first = Math.max(0, path.findIndex((one) => one.id === current.from));
  const questions = path.slice(first + 1, path.indexOf(message)).filter((one) => one.role === "user");
  if (!questions.length) { toast("The last question alone does not fit. Shorten it, or leave out a file."); return; }
  current.from = questions[Math.floor(questions.length / 2)].id;
  chats.keep(current);
  regenerate(message, true);
}
/// Another answer beside this one, or instead of one that is only an error.
function regenerate(message, replaces = false) {
  const chat = current;
  if (running.has(chat.id)) return;
  if (replaces && !message.content) {
    chats.messages.get(chat.id).delete(message.id);
    store.removeRecord("messages", message.id);
  }
  answer(chat, chats.add(chat, parentOf(message), newAnswer(chat)));
}

function edit(message) {
  const node = nodes.get(message.id);
  const text = make("textarea", { value: preferences.get("draft." + message.id, message.content) });
  text.setAttribute("aria-label", "The question, edited");
  const end = () => { preferences.set("draft." + message.id, undefined); nodes.delete(message.id); node.remove(); show(); };
  const send = () => {
    if (!text.value.trim() || running.has(current.id)) return;
    preferences.set("draft." + message.id, undefined);
    nodes.delete(message.id);
    node.remove();
    chats.add(current, parentOf(message), { role: "user", content: text.value.trim(), files: message.files });
    answer(current);
  };
  text.oninput = () => { preferences.set("draft." + message.id, text.value); fit(text); };
  text.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    if (event.key === "Escape") { event.stopPropagation(); end(); }
  };
  const editor = make("div", { className: "editor" }, text,
    make("div", {}, make("button", { textContent: "Cancel", onclick: end }),
      make("button", { className: "main", textContent: "Send", onclick: send })));
  node.querySelector(".body").replaceChildren(editor);
  node.querySelector(".body").key = null;
  node.querySelector(".tools").replaceChildren();
  text.focus();
  fit(text);
}

// ---- While answers come ----
let drawing = false, drawingTook = 0;
function onAnswerChange(chat, message, what, meter) {
  if (what === "grow") {
    if (chat !== current || drawing) return;
    drawing = true;
    const draw = () => {
      const start = performance.now();
      drawing = false;
      const node = nodes.get(message.id);
      if (!node || chat !== current || running.get(chat.id)?.message !== message) return;
      const follows = isAtEnd();
      fillBody(node.querySelector(".body"), message, true);
      const speed = node.querySelector(".tools .speed");
      if (speed) speed.textContent = meter.live;
      if (follows) $("log").scrollTop = $("log").scrollHeight;
      drawingTook = performance.now() - start;
    };
    // A long answer is drawn less often, so that the page stays at hand.
    setTimeout(() => requestAnimationFrame(draw), Math.min(1000, drawingTook > 15 ? drawingTook * 4 : 0));
    return;
  }
  if (what === "end" && chat !== current && !chat.deleted) news.add(chat.id);
  // Said once, not with every word.
  $("status").textContent = what === "begin" ? "The answer begins." : message.error ? "" : "The answer has ended.";
  if (chat === current) show(); else showList();
  if (what === "begin" && chat === current) $("log").scrollTop = $("log").scrollHeight;
  showControls();
}

// ---- What stands around ----
function showControls() {
  const isBusy = current !== null && running.has(current.id);
  $("stop").hidden = !isBusy;
  $("send").hidden = isBusy;
  const name = modelOf(current);
  const kid = (id) => el("option", { value: id }, id);
  patch($("model"), writers().length ? writers().map((one) => kid(one.id))
    : [el("option", { value: "" }, serverState === "gone" ? "no connection" : "no model")]);
  $("model").value = writers().some((one) => one.id === name) ? name : "";
  const model = models.find((one) => one.id === name);
  $("thinking").hidden = !model?.can.includes("thinking");
  $("thinking").value = settingsOf(current).thinking ?? "";
}
function showGauge(path) {
  const context = models.find((one) => one.id === modelOf(current))?.context;
  const used = path.findLast((one) => one.used)?.used;
  $("gauge").hidden = !context || !used;
  if ($("gauge").hidden) return;
  Object.assign($("meter"), { max: context, high: context * 0.85, value: used });
  $("meter").title = $("gauge").title = `${used} of the ${context} tokens that the model can read at once are in use`;
  $("used").textContent = `${Math.min(999, Math.round(used / context * 100))} %`;
}
function onServerChange() {
  const banner = $("banner");
  const encoders = models.map((one) => one.id).join(", ");
  const text = {
    gone: ["The server does not answer.", "Start it with infer serve --model FILE. This page tries again by itself."],
    key: ["This server wants an API key.", ""],
    encoders: [`This server only has models that make embeddings (${encoders}).`,
      "To chat, start infer serve with a model that writes."],
    none: ["This server has no model.", "Start it with infer serve --model FILE."],
  }[serverState];
  banner.hidden = !text;
  if (text && banner.dataset.state !== serverState) {
    banner.replaceChildren(make("strong", { textContent: text[0] }), make("span", { textContent: " " + text[1] }));
    if (serverState === "key") {
      const field = make("input", { type: "password", autocomplete: "off", placeholder: "API key" });
      field.setAttribute("aria-label", "API key");
      banner.append(make("form", { onsubmit: (event) => {
        event.preventDefault();
        settings.key = field.value.trim();
        preferences.set("settings", settings);
        checkServer();
      } }, field, make("button", { className: "main", textContent: "Use" })));
    } else banner.append(make("button", { textContent: "Try now", onclick: checkServer }));
  }
  banner.dataset.state = serverState;
  showControls();
  if (current) show();
}
