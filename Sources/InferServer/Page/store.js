// What is kept in the browser. Every message is a record of its own, and so is what else is known of a chat, so that
// tabs that write at the same time only ever add to each other. A change is first put into localStorage, at once, and
// leaves it when the database has it: a page that is closed in between finds it there again.

const preferences = {
  get(name, fallback) {
    try { return JSON.parse(localStorage.getItem("infer." + name)) ?? fallback; } catch { return fallback; }
  },
  set(name, value) {
    try {
      if (value === undefined) localStorage.removeItem("infer." + name);
      else localStorage.setItem("infer." + name, JSON.stringify(value));
      return true;
    } catch { return false; }
  },
};

const newId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(36).padStart(2, "0")).join("");

class Store {
  constructor() {
    this.database = null;
    /// Called with a sentence when something could not be kept.
    this.onTrouble = () => {};
    /// Called with "chats" or "messages" and a record that another tab wrote.
    this.onChange = () => {};
    this.channel = "BroadcastChannel" in self ? new BroadcastChannel("infer") : null;
    if (this.channel) this.channel.onmessage = ({ data }) => this.onChange(data.kind, data.record);
  }

  /// Opens the database and brings in what was left in localStorage, by this page or by an older one.
  async open() {
    try { this.database = await this.opened(); } catch (error) { console.info("no database", error); }
    if (!this.database) this.memory = { chats: new Map(), messages: new Map() };
    let keys = [];
    try { keys = Object.keys(localStorage); } catch { /* a browser that keeps nothing */ }
    for (const key of keys) {
      const [, kind] = /^infer\.pending\.(chats|messages)\./.exec(key) ?? [];
      const record = kind && preferences.get(key.slice(6), null);
      // Without a word to other tabs: one of them may be writing just this.
      if (record?.id) await this.put(kind, record, false);
    }
    await this.takeOver(preferences.get("chats", null));
  }

  opened() {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open("infer", 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("chats", { keyPath: "id" });
        request.result.createObjectStore("messages", { keyPath: "id" }).createIndex("chat", "chat");
      };
      request.onsuccess = () => {
        // Another tab wants a newer form, or to delete it.
        request.result.onversionchange = () => request.result.close();
        resolve(request.result);
      };
      request.onerror = () => reject(request.error);
      request.onblocked = () => reject(new Error("blocked"));
    });
  }

  /// The list that this page kept before, whole chats in one text.
  async takeOver(list) {
    if (!Array.isArray(list)) return;
    const start = Date.now() - list.length;
    for (const [place, old] of list.entries()) {
      const time = start + list.length - place;
      // The same in every tab that takes them over at this moment.
      const id = `old${place}-${[...JSON.stringify(old)].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 2 ** 40, 7)}`;
      const chat = { id, title: old.title ?? "", created: time, changed: time };
      let parent = null;
      for (const [index, one] of (old.messages ?? []).entries()) {
        const message = { ...one, id: `${id}-${index}`, chat: id, parent, created: time };
        parent = message.id;
        await this.put("messages", message);
      }
      await this.put("chats", chat);
    }
    preferences.set("chats", undefined);
  }

  /// Keeps a record. Of two versions the later one stays.
  async put(kind, record, tells = true) {
    const copy = structuredClone(record);
    const pending = `pending.${kind}.${copy.id}`;
    const isNoted = preferences.set(pending, copy);
    if (tells) this.channel?.postMessage({ kind, record: copy });
    if (!this.database) {
      this.memory[kind].set(copy.id, copy);
      if (!isNoted) this.onTrouble("This browser has no room left: what you write now is lost when the page is closed.");
      return;
    }
    try {
      const transaction = this.database.transaction(kind, "readwrite");
      transaction.objectStore(kind).put(copy);
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = transaction.onerror = () => reject(transaction.error);
      });
      // Unless it has changed meanwhile.
      if (localStorage.getItem("infer." + pending) === JSON.stringify(copy)) preferences.set(pending, undefined);
    } catch (error) {
      if (isNoted) return;
      this.onTrouble(`This chat could not be kept (${error?.name ?? "no room"}). Export it, or delete others.`);
    }
  }

  async all(kind, chat) {
    if (!this.database) {
      return [...this.memory[kind].values()].filter((one) => !chat || one.chat === chat);
    }
    const store = this.database.transaction(kind).objectStore(kind);
    const request = chat ? store.index("chat").getAll(chat) : store.getAll();
    return await new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  /// Removes a chat for good.
  async remove(chat) {
    for (const message of await this.all("messages", chat)) await this.removeRecord("messages", message.id);
    await this.removeRecord("chats", chat);
  }
  async removeRecord(kind, id) {
    preferences.set(`pending.${kind}.${id}`, undefined);
    if (!this.database) { this.memory[kind].delete(id); return; }
    await new Promise((resolve) => {
      const transaction = this.database.transaction(kind, "readwrite");
      transaction.objectStore(kind).delete(id);
      transaction.oncomplete = transaction.onabort = resolve;
    });
  }
}

/// What is typed but not sent: each chat's own, and that of a chat to come, which belongs to this tab.
const drafts = {
  get(chat) {
    if (chat) return preferences.get("draft." + chat, "");
    try { return sessionStorage.getItem("infer.draft") ?? ""; } catch { return ""; }
  },
  set(chat, text) {
    if (chat) { preferences.set("draft." + chat, text || undefined); return; }
    try { sessionStorage.setItem("infer.draft", text); } catch { /* then it lives as long as the page */ }
  },
  /// A tab that was closed leaves its text to the next one.
  adopt() {
    const left = preferences.get("draft", "");
    preferences.set("draft", undefined);
    if (left && !this.get(null)) this.set(null, left);
  },
  leave() { if (this.get(null)) preferences.set("draft", this.get(null)); },
};

/// Chats and their messages as trees: an edited question or a new answer stands beside the old one.
class Chats {
  constructor(store) {
    this.store = store;
    this.all = new Map();       // id → chat
    this.messages = new Map();  // chat → its messages by id; only of chats that were opened
  }

  async load() {
    await this.store.open();
    for (const chat of await this.store.all("chats")) {
      // What was deleted can be taken back for a month.
      if (chat.deleted && Date.now() - chat.deleted > 30 * 86_400_000) await this.store.remove(chat.id);
      else this.all.set(chat.id, chat);
    }
  }

  /// The latest first.
  list(isDeleted = false) {
    return [...this.all.values()].filter((chat) => !!chat.deleted === isDeleted)
      .sort((a, b) => (b.pinned ?? 0) - (a.pinned ?? 0) || b.changed - a.changed);
  }

  async open(id) {
    if (this.messages.has(id)) return;
    const found = new Map((await this.store.all("messages", id)).map((one) => [one.id, one]));
    // What came from another tab while the database was read is later.
    for (const [key, one] of this.messages.get(id) ?? []) found.set(key, one);
    this.messages.set(id, found);
  }

  create(title) {
    const now = Date.now();
    const chat = { id: newId(), title, created: now, changed: now };
    this.all.set(chat.id, chat);
    this.messages.set(chat.id, new Map());
    return chat;
  }
  keep(chat) { return this.store.put("chats", chat); }
  touch(chat) { chat.changed = Date.now(); return this.keep(chat); }
  keepMessage(message) { return this.store.put("messages", message); }

  /// Adds a message behind another one, which it becomes the chosen reply of.
  add(chat, parent, message) {
    const made = { id: newId(), chat: chat.id, parent: parent?.id ?? null, created: Date.now(), ...message };
    this.messages.get(chat.id).set(made.id, made);
    chat.chosen = { ...chat.chosen, [made.parent ?? ""]: made.id };
    this.keepMessage(made);
    this.touch(chat);
    return made;
  }

  replies(chat, parent) {
    return [...(this.messages.get(chat.id)?.values() ?? [])].filter((one) => (one.parent ?? "") === (parent?.id ?? ""))
      .sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
  }

  /// The messages of the chosen branch, from the first to the last.
  path(chat) {
    const byParent = new Map();
    for (const one of this.messages.get(chat.id)?.values() ?? []) {
      const key = one.parent ?? "";
      byParent.set(key, [...(byParent.get(key) ?? []), one]);
    }
    const path = [];
    for (let key = ""; byParent.has(key) && path.length < 100_000;) {
      const replies = byParent.get(key).sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
      const chosen = replies.find((one) => one.id === chat.chosen?.[key]) ?? replies.at(-1);
      path.push(chosen);
      byParent.delete(key);
      key = chosen.id;
    }
    return path;
  }
  choose(chat, message) {
    chat.chosen = { ...chat.chosen, [message.parent ?? ""]: message.id };
    this.keep(chat);
  }

  /// A record from another tab. Choices of branches are joined; of the rest the later one counts.
  merge(kind, record) {
    if (kind === "chats") {
      const mine = this.all.get(record.id);
      if (mine && mine.changed > record.changed) return;
      const chosen = { ...record.chosen, ...mine?.chosen };
      this.all.set(record.id, Object.assign(mine ?? {}, record, { chosen }));
      for (const name of ["deleted", "from"]) if (mine && record[name] === undefined) delete mine[name];
    } else {
      const known = this.messages.get(record.chat);
      const mine = known?.get(record.id);
      if (mine) Object.assign(mine, record); else known?.set(record.id, record);
      if (mine && !record.partial) delete mine.partial;
    }
  }

  // ---- Export and import ----
  async exported(list) {
    const chats = [];
    for (const chat of list) chats.push({ ...chat, messages: await this.store.all("messages", chat.id) });
    return { format: "infer chats", version: 1, chats };
  }
  /// - Returns how many chats were taken in.
  async imported(value) {
    const list = Array.isArray(value) ? [{ messages: value }] : value?.chats ?? (value?.messages ? [value] : null);
    if (!Array.isArray(list) || !list.length) throw new Error("there are no chats in this file");
    for (const one of list) await this.importChat(one);
    return list.length;
  }
  async importChat(one) {
    if (!Array.isArray(one?.messages)) throw new Error("a chat has no list of messages");
    const text = (content) => typeof content === "string" ? content
      : Array.isArray(content) ? content.map((part) => part?.text ?? "").join("") : "";
    const known = typeof one.id === "string" ? this.all.get(one.id) : null;
    const { messages, ...rest } = one;
    const now = Date.now();
    const chat = known ?? {
      ...(rest.id ? rest : {}), id: typeof one.id === "string" ? one.id : newId(), created: Number(one.created) || now,
      title: String(one.title || text(messages.find((m) => m?.role === "user")?.content) || "Imported").slice(0, 200),
      changed: Number(one.changed) || now,
    };
    delete chat.deleted;
    this.all.set(chat.id, chat);
    await this.open(chat.id);
    let parent = null;
    for (const message of messages) {
      if (message?.role !== "user" && message?.role !== "assistant") continue;
      const id = typeof message.id === "string" ? message.id : newId();
      const made = { ...message, id, chat: chat.id, content: text(message.content), created: message.created ?? now,
        parent: message.parent === undefined ? parent : message.parent };
      delete made.partial;
      parent = id;
      if (this.messages.get(chat.id).has(id)) continue;
      this.messages.get(chat.id).set(id, made);
      await this.keepMessage(made);
    }
    await this.keep(chat);
  }
}
