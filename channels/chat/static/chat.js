// The visitor's side of the chat protocol. A message stays in the outbox until it is accepted, under one id,
// so that sending it again can never make two of it; a reply is shown once and acknowledged every time.

export class Chat extends EventTarget {
  constructor(url, storageKey) {
    super();
    this.url = url;
    this.key = storageKey;
    this.outbox = new Map();
    this.seen = new Set();
    this.retry = 500;
    this.closed = false;
  }

  open() {
    this.emit("status", { text: "connecting …" });
    this.socket = new WebSocket(this.url);
    this.socket.onopen = () => {
      const session = sessionStorage.getItem(this.key);
      this.transmit({ type: "hello", page: location.href, ...(session ? { session } : {}) });
    };
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = () => {
      if (this.closed) return;
      this.emit("status", { text: "connection lost, trying again …" });
      setTimeout(() => this.open(), this.retry);
      this.retry = Math.min(this.retry * 2, 10000);
    };
  }

  send(text) {
    const message = { type: "message", id: newId(), text };
    this.outbox.set(message.id, message);
    this.emit("message", { id: message.id, text, state: "sending", at: new Date().toISOString() });
    this.transmit(message);
    return message.id;
  }

  transmit(frame) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  receive(frame) {
    switch (frame.type) {
      case "welcome":
        this.retry = 500;
        sessionStorage.setItem(this.key, frame.session);
        this.emit("status", { text: "connected" });
        for (const line of frame.history) {
          if (line.type === "reply") this.reply(line);
          else this.emit("message", { id: `seq-${line.seq}`, text: line.text, state: "accepted", at: line.at, old: true });
        }
        for (const message of this.outbox.values()) this.transmit(message);
        break;
      case "accepted":
        this.outbox.delete(frame.id);
        this.emit("accepted", frame);
        break;
      case "reply":
        this.reply(frame);
        this.transmit({ type: "ack", id: frame.id });
        break;
      case "busy":
        setTimeout(() => {
          const message = this.outbox.get(frame.id);
          if (message) this.transmit(message);
        }, frame.retry_after * 1000);
        break;
      case "error":
        this.emit("problem", frame);
        break;
    }
  }

  reply(frame) {
    if (this.seen.has(frame.id)) return;
    this.seen.add(frame.id);
    this.emit("reply", frame);
  }

  close() {
    this.closed = true;
    if (this.socket) this.socket.close();
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

// crypto.randomUUID is there on https and localhost only.
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function chatUrl(account) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return `${scheme}://${location.host}/chat/${encodeURIComponent(account)}/ws`;
}

function page() {
  const account = document.body.dataset.account;
  if (!account) return;
  const log = document.getElementById("log");
  const status = document.getElementById("status");
  const text = document.getElementById("text");
  const chat = new Chat(chatUrl(account), `switchboard-chat-${account}`);
  const lines = new Map();

  function add(id, who, words, kind) {
    if (lines.has(id)) return lines.get(id);
    const item = document.createElement("li");
    item.className = kind;
    const author = document.createElement("span");
    author.className = "who";
    author.textContent = who;
    const body = document.createElement("p");
    body.dir = "auto";
    body.textContent = words;
    item.append(author, body);
    log.append(item);
    log.scrollTop = log.scrollHeight;
    lines.set(id, item);
    return item;
  }

  chat.addEventListener("status", (e) => (status.textContent = e.detail.text));
  chat.addEventListener("message", (e) => {
    const item = add(e.detail.id, "You", e.detail.text, "mine");
    if (e.detail.state === "sending") item.classList.add("sending");
  });
  chat.addEventListener("accepted", (e) => {
    const item = lines.get(e.detail.id);
    if (item) item.classList.remove("sending");
    lines.set(`seq-${e.detail.seq}`, item);
    status.textContent = `connected · your reference is ${e.detail.reference}`;
  });
  chat.addEventListener("reply", (e) =>
    add(e.detail.id, e.detail.author.name || "Automatic answer", e.detail.text, "theirs"));
  chat.addEventListener("problem", (e) => (status.textContent = e.detail.detail));

  function submit() {
    const words = text.value.trim();
    if (!words) return;
    chat.send(words);
    text.value = "";
    text.focus();
  }
  document.getElementById("form").addEventListener("submit", (e) => {
    e.preventDefault();
    submit();
  });
  text.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
      e.preventDefault();
      submit();
    }
  });
  chat.open();
}

page();
