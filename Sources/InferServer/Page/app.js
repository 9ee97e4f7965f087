// What people do.

async function send() {
  const text = $("input").value.trim();
  if (!text && !files.length || current && running.has(current.id)) return;
  const chat = current ?? chats.create((text || files[0].name).replace(/\s+/g, " ").slice(0, 60));
  if (!current) {
    const name = modelOf(null);
    if (name) chat.model = name;
    drafts.set(null, "");
    current = chat;
    history.replaceState(null, "", "#" + chat.id);
  }
  const sent = files;
  files = [];
  $("input").value = "";
  grow();
  showFiles();
  // A chat that was opened a moment ago may still be read.
  if (!chats.messages.has(chat.id)) await chats.open(chat.id);
  chats.add(chat, chats.path(chat).at(-1), { role: "user", content: text, ...(sent.length && { files: sent }) });
  if (current === chat) keepDraft();
  answer(chat);
}
function fit(area) {
  area.style.height = "auto";
  area.style.height = Math.min(area.scrollHeight + 2, innerHeight * 0.4) + "px";
}
function grow() { fit($("input")); }

// ---- Files ----
const sizeText = (bytes) => bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB`
  : `${(bytes / 1e6).toFixed(1)} MB`;
async function attach(list) {
  for (const file of list) {
    if (file.size > 4_000_000) { toast(`${file.name} is larger than 4 MB.`); continue; }
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = null;
    try { if (!bytes.includes(0)) text = new TextDecoder("utf-8", { fatal: true }).decode(bytes); } catch { /* no text */ }
    if (text === null) { toast(`${file.name} is no text: the models of this server read text only.`); continue; }
    if (!text) { toast(`${file.name} is empty.`); continue; }
    files = [...files, { name: file.name, text }];
  }
  showFiles();
}
function showFiles() {
  $("files").replaceChildren(...files.map((file) => {
    const remove = make("button", { type: "button", className: "quiet icon", textContent: "✕",
      onclick: () => { files = files.filter((one) => one !== file); showFiles(); } });
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    return make("span", { className: "file" }, make("span", { textContent: `${file.name} · ${sizeText(file.text.length)}` }),
      remove);
  }));
}
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("drop");
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("drop"); });
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("drop");
  attach([...event.dataTransfer.files]);
});
$("input").addEventListener("paste", (event) => {
  const list = [...event.clipboardData.files];
  if (list.length && !event.clipboardData.types.includes("text/plain")) { event.preventDefault(); attach(list); }
});
$("attach").onclick = () => $("picker").click();
$("picker").onchange = () => {
  attach([...$("picker").files]);
  $("picker").value = "";
  $("input").focus();
};

// ---- Export and import ----
function saveFile(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
$("export").onclick = async () => {
  const date = new Date().toISOString().slice(0, 10);
  saveFile(`infer-chats-${date}.json`, JSON.stringify(await chats.exported(chats.list()), null, 1));
};
$("import").onclick = () => $("importer").click();
$("importer").onchange = async () => {
  const list = [...$("importer").files];
  $("importer").value = "";
  for (const file of list) {
    try {
      const count = await chats.imported(JSON.parse(await file.text()));
      toast(`${count} ${count === 1 ? "chat is" : "chats are"} here now.`);
    } catch (error) { toast(`${file.name} cannot be imported: ${error.message}.`); }
  }
  show();
};

// ---- Search ----
let searching = null;
$("search").oninput = () => {
  query = $("search").value.trim().toLowerCase();
  hits = null;
  showList();
  clearTimeout(searching);
  if (!query) return;
  searching = setTimeout(async () => {
    const asked = query;
    const found = (await store.all("messages")).filter((one) => one.content?.toLowerCase().includes(asked));
    if (asked !== query) return;
    hits = new Set(found.map((one) => one.chat));
    showList();
  }, 150);
};
$("search").onkeydown = (event) => {
  if (event.key !== "Escape" || !query) return;
  event.stopPropagation();
  $("search").value = "";
  $("search").oninput();
};

// ---- Settings ----
const fields = () => [...$("dialog").querySelector("form").elements].filter((one) => one.name && one.name !== "scope");
const isForChat = () => $("dialog").querySelector("[name=scope]").value === "chat";
function fillSettings() {
  const values = isForChat() ? current?.settings ?? {} : settings;
  for (const field of fields()) {
    if (field.type === "checkbox") { field.checked = !!settings[field.name]; continue; }
    field.dataset.placeholder ??= field.placeholder;
    field.value = values[field.name] ?? "";
    // What counts where this chat has nothing of its own.
    field.placeholder = isForChat() && settings[field.name] ? settings[field.name] : field.dataset.placeholder;
  }
  $("dialog").classList.toggle("own", isForChat());
}
function openSettings(focus) {
  const scope = $("dialog").querySelector("[name=scope]");
  scope.value = current && Object.values(current.settings ?? {}).some((value) => value !== "") && focus !== "key" ? "chat" : "";
  scope.options[1].disabled = !current;
  $("problem").hidden = true;
  fillSettings();
  if (!$("dialog").open) $("dialog").showModal();
  if (typeof focus === "string") $("dialog").querySelector(`[name=${focus}]`).focus();
}
$("dialog").querySelector("[name=scope]").onchange = fillSettings;
// Before the dialog is gone: its "close" comes later, when a question may be on its way.
$("dialog").querySelector("form").onsubmit = (event) => {
  const own = {};
  for (const field of fields()) own[field.name] = field.type === "checkbox" ? field.checked : field.value;
  try {
    const more = own.more.trim() ? JSON.parse(own.more) : {};
    if (more === null || typeof more !== "object" || Array.isArray(more)) throw new Error("expected an object");
  } catch (error) {
    event.preventDefault();
    $("problem").textContent = `More parameters: ${error.message}`;
    $("problem").hidden = false;
    return;
  }
  if (isForChat() && current) {
    const { key, plain, ...rest } = own;
    current.settings = { ...rest, ...(current.settings?.thinking && { thinking: current.settings.thinking }) };
    chats.keep(current);
  } else {
    Object.assign(settings, own);
    preferences.set("settings", settings);
  }
  checkServer();
  show();
};
$("cancel").onclick = () => $("dialog").close();
$("settings").onclick = () => openSettings();
$("model").onchange = () => {
  preferences.set("model", $("model").value);
  if (current) { current.model = $("model").value; chats.keep(current); }
  showControls();
  if (current) showGauge(chats.path(current));
};
$("thinking").onchange = () => {
  const thinking = $("thinking").value;
  settings.thinking = thinking;
  preferences.set("settings", settings);
  if (current) { current.settings = { ...current.settings, thinking }; chats.keep(current); }
};
const THEMES = { "": ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };
function showTheme() {
  const theme = preferences.get("theme", "");
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = THEMES[theme]?.[0] ?? "◐";
  $("theme").title = `Theme: ${THEMES[theme]?.[1] ?? ""}`;
  $("theme").setAttribute("aria-label", $("theme").title);
}
$("theme").onclick = () => {
  const names = Object.keys(THEMES);
  preferences.set("theme", names[(names.indexOf(preferences.get("theme", "")) + 1) % names.length]);
  showTheme();
};

// ---- Keys and the mouse ----
$("ask").onsubmit = (event) => { event.preventDefault(); send(); };
$("input").oninput = () => { keepDraft(); grow(); };
$("input").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
  if (event.key === "ArrowUp" && !$("input").value && current && !running.has(current.id)) {
    const last = chats.path(current).findLast((one) => one.role === "user");
    if (last) { event.preventDefault(); edit(last); }
  }
};
const stop = () => { if (current) running.get(current.id)?.controller.abort(); };
$("stop").onclick = () => { stop(); $("input").focus(); };
$("new").onclick = () => openChat(null);
$("menu").onclick = () => {
  $("menu").setAttribute("aria-expanded", String(document.body.classList.toggle("menu")));
};
$("page").addEventListener("click", (event) => {
  if ($("menu").contains(event.target)) return;
  document.body.classList.remove("menu");
  $("menu").setAttribute("aria-expanded", "false");
});
$("trash").onclick = () => { showsDeleted = !showsDeleted; showList(); };
$("clear").onclick = () => removeChats(chats.list());
$("log").addEventListener("click", (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  copyText(button.closest(".block").querySelector("code").textContent);
  flash(button, "Copied");
});
$("log").addEventListener("scroll", () => { $("down").hidden = isAtEnd(); }, { passive: true });
$("down").onclick = () => { $("log").scrollTop = $("log").scrollHeight; };
document.addEventListener("keydown", (event) => {
  const command = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
  if (event.key === "Escape" && !$("dialog").open) {
    if (document.body.classList.contains("menu")) $("menu").click(); else stop();
  }
  if (command && event.shiftKey && key === "o") { event.preventDefault(); openChat(null); }
  if (command && !event.shiftKey && key === "k") {
    event.preventDefault();
    if (isPhone() && !document.body.classList.contains("menu")) $("menu").click();
    $("search").select();
  }
  if (command && event.key === ",") { event.preventDefault(); openSettings(); }
});
window.addEventListener("pagehide", () => {
  keepDraft();
  drafts.leave();
  isLeaving = true;
  for (const { message } of running.values()) chats.keepMessage(message);
});
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  isLeaving = false;
  preferences.set("draft", undefined);
});
window.addEventListener("storage", (event) => {
  if (event.key === "infer.theme") showTheme();
  if (event.key === "infer.settings") Object.assign(settings, preferences.get("settings", {}));
});
window.addEventListener("hashchange", () => {
  const chat = chats.all.get(location.hash.slice(1));
  if (chat && chat !== current && !chat.deleted) openChat(chat);
});

// ---- The beginning ----
store.onTrouble = (text) => toast(text);
store.onChange = (kind, record) => {
  if (kind === "messages" && running.get(record.chat)?.message.id === record.id) return;
  if (kind === "messages" && record.partial) elsewhere.set(record.id, Date.now());
  chats.merge(kind, record);
  if (kind === "messages" && record.chat !== current?.id) return;
  if (current?.deleted) openChat(null);
  else if (kind === "chats" && record.id !== current?.id) showList();
  else show();
};
async function begin() {
  showTheme();
  drafts.adopt();
  onServerChange();
  const server = checkServer();
  await chats.load();
  const chat = chats.all.get(location.hash.slice(1));
  await openChat(chat && !chat.deleted ? chat : null);
  await server;
  document.documentElement.dataset.ready = "";
}
begin();
