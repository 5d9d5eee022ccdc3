// The live page: a customer on the left, triage in the middle, an agent on the right, the ledger on top.
import { html, render, useEffect, useRef, useState } from "/static/vendor/htm-preact.js";
import { SignIn, TOKEN, resume } from "/static/session.js";
import { added, described, Drafts, Enclosed, enclosed, isEmpty, isUnknown, newId, NOTHING, Outcomes, Undo, underWay } from "/static/mail.js";

// The customer's part needs a chat in this very process; the desk does not.
const { Chat, chatUrl } = await import("/chat-static/chat.js").catch(() => ({}));

const STATES = ["received", "queued", "answering", "answered", "held", "closed", "dead_letter"];
const OPEN = ["queued", "answering"];
const CHANNELS = { email: "Email", chat: "Chat", web_form: "Web form", phone_log: "Phone" };
const NO_LINE = { waiting: [], mine: [], unsent: [] };
const words = (name) => name.replace("_", " ");

// --- talking to the desk ---------------------------------------------------------------------------------------

async function call(token, method, path, body) {
  const response = await fetch(`/api/desk${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
    signal: AbortSignal.timeout(20000),
  });
  if (response.status === 204) return null;
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.detail || answer.title), answer);
  return answer;
}

// A socket that comes back by itself. The token goes in the first frame, never into the URL.
function useFeed(path, token, onFrame, onRefused) {
  useEffect(() => {
    if (!token) return undefined;
    let closed = false, socket, wait = 500, beat, again;
    const open = () => {
      clearInterval(beat);
      socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`);
      socket.onopen = () => {
        socket.send(JSON.stringify({ type: "auth", token }));
        beat = setInterval(() => socket.readyState === 1 && socket.send('{"type":"heartbeat"}'), 10000);
      };
      socket.onmessage = (event) => { wait = 500; onFrame(JSON.parse(event.data)); };
      socket.onclose = (event) => {
        clearInterval(beat);
        if (closed) return;
        if (event.code === 1008) { onRefused(); return; }
        again = setTimeout(open, wait);
        wait = Math.min(wait * 2, 8000);
      };
    };
    open();
    return () => { closed = true; clearTimeout(again); clearInterval(beat); socket.close(); };
  }, [token]);
}

function useNow() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function due(deadline, now) {
  const seconds = Math.round((new Date(deadline) - now) / 1000), late = seconds < 0, n = Math.abs(seconds);
  const text = n < 90 ? `${n} s` : n < 5400 ? `${Math.round(n / 60)} min` : `${Math.round(n / 3600)} h`;
  return late ? `overdue by ${text}` : `due in ${text}`;
}

const Icon = ({ channel }) => html`<svg class="icon" role="img" aria-label=${CHANNELS[channel] || channel}>
  <use href=${`/static/icons.svg#${channel}`} /></svg>`;
const Tier = ({ tier }) => (tier ? html`<span class=${`tier ${tier}`}>${tier}</span>` : null);

// --- the ledger ------------------------------------------------------------------------------------------------

function Ledger({ ledger }) {
  if (!ledger) return html`<p class="soft">The ledger appears when you are signed in.</p>`;
  const { total, channels, balanced } = ledger;
  let x = 0;
  const parts = STATES.filter((s) => total.states[s]).map((s) => {
    const width = (total.states[s] / Math.max(total.accepted, 1)) * 1000, at = x;
    x += width;
    return html`<rect class=${s} x=${at} y="0" width=${width} height="8"><title>${words(s)} ${total.states[s]}</title></rect>`;
  });
  return html`
    <p class="sum" aria-live="polite" aria-atomic="true">
      <b>${total.accepted}</b> accepted =
      ${STATES.map((s, i) => html`<span><span class=${`dot ${s}`}></span>${total.states[s]} ${words(s)}${i < 6 ? " +" : ""}</span>`)}
      <b class=${balanced ? "good" : "bad"}>${balanced ? "✓ balanced" : "✗ does not balance"}</b>
    </p>
    <svg class="bar" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">${parts}</svg>
    <details><summary>by channel</summary><div class="scroll" tabindex="0" role="region" aria-label="Ledger by channel"><table>
      <thead><tr><th scope="col">channel</th><th scope="col">accepted</th>${STATES.map((s) => html`<th scope="col">${words(s)}</th>`)}
        <th scope="col">copies</th><th scope="col">refused</th></tr></thead>
      <tbody>${channels.map((c) => html`<tr><th scope="row">${CHANNELS[c.channel]}</th><td>${c.accepted}</td>
        ${STATES.map((s) => html`<td>${c.states[s]}</td>`)}<td>${c.copies}</td><td>${c.refused}</td></tr>`)}</tbody>
    </table></div></details>`;
}

// --- 1: the customer -------------------------------------------------------------------------------------------

function Customer() {
  const [lines, setLines] = useState([]);
  const [status, setStatus] = useState("connecting …");
  const [text, setText] = useState("");
  const chat = useRef(null), log = useRef(null);
  useEffect(() => {
    const c = (chat.current = new Chat(chatUrl("website"), "switchboard-live-chat"));
    const add = (line) => setLines((old) => (old.some((l) => l.id === line.id || l.alias === line.id) ? old : [...old, line]));
    c.addEventListener("status", (e) => setStatus(e.detail.text));
    c.addEventListener("message", (e) => add({ id: e.detail.id, mine: true, who: "You", text: e.detail.text }));
    c.addEventListener("reply", (e) => add({ id: e.detail.id, who: e.detail.author.name || "Automatic answer", text: e.detail.text }));
    c.addEventListener("accepted", (e) => {
      // From now on the history, which a new connection begins with, knows the message by its number.
      const alias = `seq-${e.detail.seq}`;
      setLines((old) => old.filter((l) => l.id !== alias).map((l) => (l.id === e.detail.id ? { ...l, alias } : l)));
      setStatus(`accepted · your reference is ${e.detail.reference}`);
    });
    c.addEventListener("problem", (e) => setStatus(e.detail.detail));
    c.open();
    return () => c.close();
  }, []);
  useEffect(() => { if (log.current) log.current.scrollTop = log.current.scrollHeight; }, [lines]);
  const send = (e) => {
    e.preventDefault();
    if (text.trim()) chat.current.send(text.trim());
    setText("");
  };
  return html`<section class="card" id="customer" aria-labelledby="customer-title">
    <header><span class="step" aria-hidden="true">1</span><h2 id="customer-title">A customer writes</h2>
      <p class="soft">by chat here; as well by email, web form and phone</p></header>
    <ol class="log" role="log" aria-label="The customer's chat" tabindex="0" ref=${log}>
      ${lines.length === 0 && html`<li class="soft">Ask something: “What are your opening hours?” is answered at once, “My parcel is lost!” goes to an agent.</li>`}
      ${lines.map((l) => html`<li key=${l.id} class=${l.mine ? "mine" : ""}><span class="soft">${l.who}</span>
        <div class="bubble" dir="auto">${l.text}</div></li>`)}
    </ol>
    <form onSubmit=${send}>
      <label for="chat-text">Write as the customer</label>
      <div class="row"><input id="chat-text" autocomplete="off" maxlength="8000" value=${text} onInput=${(e) => setText(e.target.value)} /></div>
      <div class="row end"><span class="soft" role="status">${status}</span><button>Send</button></div>
    </form>
  </section>`;
}

// --- 2: triage and the queue -----------------------------------------------------------------------------------

function Triage({ waiting, recent, now, known }) {
  const nobody = known ? "Nobody waits." : "Shown to who is signed in.", nothing = known ? "Nothing yet." : nobody;
  return html`<section class="card" id="queue" aria-labelledby="queue-title">
    <header><span class="step" aria-hidden="true">2</span><h2 id="queue-title">Triage decides</h2>
      <p class="soft">every decision says why; who waits is served by promise, not by luck</p></header>
    <h3 id="waiting">Waiting for an agent${known ? ` (${waiting.length})` : ""}</h3>
    <div class="short" tabindex="0" role="region" aria-labelledby="waiting"><ol class="list">
      ${waiting.length === 0 && html`<li class="empty"><span></span>${nobody}</li>`}
      ${waiting.map((w) => html`<li key=${w.id}><${Icon} channel=${w.channel} />
        <span class="text"><b>${w.reference}</b> <span dir="auto">${w.subject}</span></span><${Tier} tier=${w.tier} />
        <span class="why soft">${w.queue} · <span class=${new Date(w.deadline) < now ? "bad" : ""}>${due(w.deadline, now)}</span>${w.reason && ` · ${w.reason}`}</span></li>`)}
    </ol></div>
    <h3 id="decided">Just decided</h3>
    <div class="short" tabindex="0" role="region" aria-labelledby="decided"><ol class="list">
      ${recent.length === 0 && html`<li class="empty"><span></span>${nothing}</li>`}
      ${recent.map((r) => html`<li key=${r.id}><${Icon} channel=${r.channel} />
        <span class="text"><b>${r.from || "somebody"}</b> <span dir="auto">${r.text}</span></span><${Tier} tier=${r.tier} />
        <span class="why soft"><span class="state"><span class=${`dot ${r.state}`}></span>${words(r.state)}</span>
          ${r.queue && OPEN.includes(r.state) ? ` → ${r.queue}` : ""}${r.reason ? ` (${r.reason})` : ""}${r.why.length ? ` · ${r.why.join(" · ")}` : ""}</span></li>`)}
    </ol></div>
  </section>`;
}

// --- 3: the desk -----------------------------------------------------------------------------------------------

function Desk({ token, me, mine, waiting, unsent, now, signIn, signOut }) {
  const [open, setOpen] = useState(null);
  // Conversation → what is being written for it: words for one customer never stand in another's box.
  const [drafts, setDrafts] = useState({});
  const [fresh, setFresh] = useState([]);
  const [notice, setNotice] = useState("");
  const [busy, setBusy] = useState(false);
  const reply = useRef(null), conversation = useRef(null), first = useRef(null);
  const sending = useRef({}), withdrawn = useRef(new Set()), opened = useRef(null), whose = useRef("");
  opened.current = open;
  const at = open ? open.item.conversation_id : "";
  const { text, mail } = drafts[at] || NOTHING;
  const write = (conversation, reference, change) =>
    setDrafts((old) => ({ ...old, [conversation]: { reference, ...change(old[conversation] || NOTHING) } }));
  const setText = (words) => write(at, open.item.reference, (old) => ({ ...old, text: words }));
  const setMail = (enclosures) => write(at, open.item.reference, (old) => ({ ...old, mail: enclosures }));
  const discard = (conversation) => setDrafts(({ [conversation]: _, ...others }) => others);
  const path = (verb) => `/work-items/${encodeURIComponent(open.item.id)}${verb}`;

  // One key per answer until the server has said yes: sending again after a lost response never makes two.
  const keyFor = (words) => {
    const whole = `${words}\n${described(mail)}`;
    if (!sending.current[at] || sending.current[at].whole !== whole) sending.current[at] = { whole, key: newId() };
    return sending.current[at].key;
  };
  const sent = () => { delete sending.current[at]; discard(at); };
  const answer = async (words) => ({ text: words, key: keyFor(words), ...(open.item.channel === "email" ? await enclosed(token, mail) : {}) });
  // The line tells what waits, in every tab of its author. What was sent just now is here before it.
  const waits = (made) => made && made.not_before && setFresh((old) => [...old, { ...made, undo_until: made.not_before }]);
  useEffect(() => setFresh((old) => old.filter((each) => !unsent.some((one) => one.id === each.id))), [unsent]);
  const gone = (id) => withdrawn.current.has(id) || (open && open.answers.some((each) => each.id === id && !each.undo_until));
  const undo = me ? [...unsent, ...fresh.filter((each) => !unsent.some((one) => one.id === each.id))]
    .filter((each) => !gone(each.id))
    .map((each) => ({ ...each, until: new Date(each.undo_until).getTime() + me.ahead })) : [];
  const withdraw = (mine) => doing(async () => {
    const given = await call(token, "POST", `/replies/${encodeURIComponent(mine.id)}/withdraw`)
      .catch((error) => { throw Object.assign(error, { reply: mine.id }); });
    withdrawn.current.add(mine.id);
    setFresh((old) => old.filter((each) => each.id !== mine.id));
    const before = drafts[given.conversation_id] || NOTHING;
    write(given.conversation_id, given.reference, (old) => added(old, given));
    const here = opened.current && opened.current.item.conversation_id === given.conversation_id;
    setTimeout(() => ((here && reply.current) || first.current).focus(), 50);
    const all = given.cc.length || given.files.length ? "All that it had is" : "Your words are";
    setNotice(`Withdrawn: nothing was sent. ${given.reference} waits for an answer again. ${all} ${here
      ? `in the box${isEmpty(before) ? " again" : ", below what you had written"}.` : `kept as a draft: in its box when you open ${given.reference}.`}`);
    if (here) setOpen(await call(token, "GET", `/work-items/${encodeURIComponent(opened.current.item.id)}`));
  });
  const settle = (mine, recipient, arrived) => doing(async () => {
    await call(token, "POST", `/replies/${encodeURIComponent(mine.id)}/settle`, { sent: arrived, recipient });
    setOpen(await call(token, "GET", path("")));
    setTimeout(() => reply.current && reply.current.focus(), 50);
    setNotice(arrived ? `Noted as sent to ${recipient}.` : `It is sent again to ${recipient}.`);
  });

  const retry = (mine) => doing(async () => {
    await call(token, "POST", `/replies/${encodeURIComponent(mine.id)}/retry`);
    setNotice("It is tried now.");
  });

  const doing = async (work) => {
    setBusy(true);
    setNotice("");
    try {
      await work();
    } catch (error) {
      if (error.code === "newer-messages") {
        setOpen(await call(token, "GET", path("")));
        setNotice("Not sent: the customer has written again. Read it, then send.");
      } else {
        setNotice([error.message, error.hint].filter(Boolean).join(" — "));
        if (error.code === "too-late") withdrawn.current.add(error.reply);
        if (error.code === "lease-lost") setOpen(null);
      }
    }
    setBusy(false);
  };
  const take = (id) => doing(async () => {
    const item = await call(token, "POST", id ? `/work-items/${encodeURIComponent(id)}/accept` : "/work-items/next");
    if (!item) { setNotice("Nobody waits."); return; }
    setOpen(item);
    setTimeout(() => reply.current && reply.current.focus(), 50);
  });
  const show = (id) => doing(async () => setOpen(await call(token, "GET", `/work-items/${encodeURIComponent(id)}`)));
  const openDraft = (conversation) => {
    const of = (item) => item.conversation_id === conversation;
    if (mine.some(of)) return () => show(mine.find(of).id);
    return waiting.some(of) ? () => take(waiting.find(of).id) : null;
  };
  // Somebody else has signed in: nothing of who was here before is theirs.
  useEffect(() => {
    if (me && whose.current && whose.current !== me.name) { setOpen(null); setDrafts({}); setFresh([]); setNotice(""); }
    if (me) whose.current = me.name;
  }, [me]);
  const finish = (words, disposition = "no_answer_needed") => doing(async () => {
    const body = { epoch: open.item.epoch, answers_through: open.highest_seq, disposition };
    const done = await call(token, "POST", path("/complete"), words ? { ...body, ...(await answer(words)) } : body);
    waits(done.reply);
    setOpen(null);
    sent();
    setTimeout(() => first.current && first.current.focus(), 50);
    setNotice(!words ? "Completed." : done.reply && done.reply.not_before ? "" : "Sent. It goes back by the customer's own channel.");
  });
  const send = () => doing(async () => {
    waits(await call(token, "POST", path("/reply"), { epoch: open.item.epoch, answers_through: open.highest_seq, ...(await answer(text)) }));
    sent();
    setOpen(await call(token, "GET", path("")));
  });
  const back = () => doing(async () => {
    await call(token, "POST", path("/release"), { epoch: open.item.epoch });
    setOpen(null);
    setTimeout(() => first.current && first.current.focus(), 50);
    setNotice("Given back, at its old place in line.");
  });
  const hold = () => doing(async () => {
    await call(token, "POST", path("/hold"), { epoch: open.item.epoch, reason: "spam" });
    setOpen(null);
    setTimeout(() => first.current && first.current.focus(), 50);
    setNotice("Set aside as spam. Below it can be released again.");
  });

  // What changed for an item that is open here: read it again, so that new messages show up at once.
  const held = open && mine.find((item) => item.id === open.item.id);
  const changed = held && held.version !== open.item.version ? held.version : 0;
  useEffect(() => {
    if (!changed) return;
    call(token, "GET", path("")).then((fresh) => {
      setOpen((old) => (old && old.item.id === fresh.item.id ? fresh : old));
      // "Not sent: …" says more and may have come first.
      if (fresh.highest_seq > open.highest_seq) setNotice((old) => old.startsWith("Not sent:") ? old : "The customer has written again.");
    }, () => {});  // the next change, or sending, finds out
  }, [changed]);
  // It is not mine any more: sent was all that was asked. What is being written stays where it is.
  const was = useRef("");
  useEffect(() => {
    if (busy) return;
    const gone = open && !held && was.current === open.item.id;
    was.current = held ? held.id : "";
    if (!gone) return;
    call(token, "GET", path("")).then((fresh) => {
      if (fresh.item.state !== "completed" || text.trim()) return;
      setOpen((old) => (old && old.item.id === fresh.item.id ? null : old));
      setNotice(`${fresh.item.reference} is done: nothing else was open.`);
    }, () => {});
  }, [Boolean(held), busy]);
  // A mail's way is no change of the item: look while there is one under way.
  const moving = open && open.answers.some(underWay) ? open.item.id : "";
  useEffect(() => {
    if (!moving) return undefined;
    const timer = setInterval(() => call(token, "GET", `/work-items/${encodeURIComponent(moving)}`).then(
      (found) => setOpen((old) => (old && old.item.id === moving ? { ...old, answers: found.answers } : old)), () => {}), 3000);
    return () => clearInterval(timer);
  }, [moving, token]);
  const shown = open ? `${open.item.id} ${open.messages.length} ${open.answers.length} ${open.answers.filter(isUnknown).length}` : "";
  const looked = useRef("");
  useEffect(() => {
    const box = conversation.current, id = open ? open.item.id : "";
    if (box) box.scrollTop = box.scrollHeight;
    // Who takes an item reads first what the customer said last, not what a machine has said to it.
    const last = box && looked.current !== id && !open.answers.some(isUnknown) && [...box.querySelectorAll("li:not(.mine)")].pop();
    if (last) box.scrollTop += Math.min(0, last.getBoundingClientRect().top - box.getBoundingClientRect().top);
    looked.current = id;
  }, [shown]);
  useEffect(() => {
    const keys = (event) => {
      if (/INPUT|TEXTAREA/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey || !me) return;
      if (event.key === "n" && !busy) { event.preventDefault(); take(); }
      if (event.key === "r" && reply.current) { event.preventDefault(); reply.current.focus(); }
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  });

  const written = open && open.item.channel !== "phone_log";
  const lines = open ? [
    ...open.messages.map((m) => ({ id: m.id, at: m.at, who: m.sender_name || m.sender || "customer", text: m.text, note: m.is_note ? "internal note, the customer has no copy" : m.automatic ? `${words(m.automatic)}, written by a machine` : m.verdict })),
    ...open.answers.map((a) => ({ id: a.id, at: a.at, who: a.author, text: a.text, mine: true, answer: a,
      note: [a.cc.length && `copies: ${a.cc.join(", ")}`, a.files.length && `files: ${a.files.join(", ")}`].filter(Boolean).join(" · ") })),
  ].sort((a, b) => a.at.localeCompare(b.at)) : [];
  const others = mine.filter((item) => !open || item.id !== open.item.id);

  return html`<section class="card" id="desk" tabindex="-1" aria-labelledby="desk-title">
    <header><span class="step" aria-hidden="true">3</span><h2 id="desk-title">An agent answers</h2>
      <p class="soft">${me ? html`signed in as <b>${me.name}</b> · <button class="quiet" onClick=${signOut}>Sign out</button>` : "the desk"}</p></header>
    ${!me && html`<${SignIn} signIn=${signIn} />`}
    ${me && html`
      <div class="row"><button class="primary" ref=${first} disabled=${busy} onClick=${() => take()}>Take the next (${waiting.length}) <kbd aria-hidden="true">n</kbd></button>
        ${others.map((item) => html`<button key=${item.id} disabled=${busy} onClick=${() => show(item.id)}>${item.reference}</button>`)}</div>
      <p role="status" class=${notice ? "notice" : ""}>${notice}</p>
      <${Undo} waiting=${undo} now=${now} withdraw=${withdraw} />
      <${Drafts} drafts=${drafts} at=${at} open=${openDraft} discard=${discard} busy=${busy} />
      ${!open && html`<p class="empty">Take the next work item: the most urgent promise comes first.</p>`}
      ${open && html`
        <h3>${open.item.reference} · ${CHANNELS[open.item.channel]} · <${Tier} tier=${open.item.tier} /> ${due(open.item.deadline, now)}</h3>
        <div class="conversation" tabindex="0" role="region" aria-label="Conversation" ref=${conversation}><ol class="log">
          ${lines.map((l) => html`<li key=${l.id} class=${l.mine ? "mine" : ""}><span class="soft">${[l.who, l.note].filter(Boolean).join(" · ")}</span>
            <div class="bubble" dir="auto">${l.text}</div>
            ${l.answer && html`<${Outcomes} answer=${l.answer} settle=${settle} retry=${retry} busy=${busy} />`}</li>`)}</ol></div>
        <details><summary>Why is this here?</summary><ul>
          ${[open.item.reason, ...(open.messages.findLast((m) => !m.is_note && m.why.length) || { why: [] }).why].filter(Boolean).map((w) => html`<li>${w}</li>`)}</ul></details>
        ${written ? html`<label for="reply-text">Your answer</label>
          <textarea id="reply-text" rows="4" ref=${reply} value=${text} onInput=${(e) => setText(e.target.value)}
            onKeyDown=${(e) => e.key === "Enter" && (e.ctrlKey || e.metaKey) && text.trim() && finish(text.trim())}></textarea>
          <${Enclosed} channel=${open.item.channel} mail=${mail} setMail=${setMail} busy=${busy} />
          <div class="row"><button class="primary" disabled=${busy || !text.trim()} onClick=${() => finish(text.trim())}>Send and complete</button>
            <button disabled=${busy || !text.trim()} onClick=${send}>Send and keep</button></div>`
          : html`<p class="notice">Call back, then complete: the call is the answer.</p>`}
        <div class="row end"><button disabled=${busy} onClick=${back}>Give back</button>
          <button disabled=${busy} onClick=${hold}>Hold as spam</button>
          <button disabled=${busy} onClick=${() => finish("")}>${written ? "No answer needed" : "I have called back"}</button></div>`}
      <${Held} token=${token} />`}
  </section>`;
}

// What a rule, a limit or a colleague has set aside: one click decides on it again, another closes it.
function Held({ token }) {
  const [shown, setShown] = useState(false);
  const [held, setHeld] = useState([]);
  const [notice, setNotice] = useState("");
  const read = () => call(token, "GET", "/held").then(setHeld, (error) => setNotice(error.message));
  useEffect(() => {
    if (!shown) return;
    read();
    const timer = setInterval(read, 5000);
    return () => clearInterval(timer);
  }, [shown]);
  const settle = async (one, verb, body, said) => {
    try { await call(token, "POST", `/held/${encodeURIComponent(one.id)}/${verb}`, body); setNotice(`${one.reference}: ${said}`); }
    catch (error) { setNotice(error.message); }
    read();
  };
  return html`<details class="aside" onToggle=${(e) => setShown(e.target.open)}><summary>Set aside${shown ? ` (${held.length})` : ""}</summary>
    <p role="status" class=${notice ? "notice" : ""}>${notice}</p>
    ${!held.length && html`<p class="empty">Nothing is set aside.</p>`}
    <ul class="aside">${held.map((one) => html`<li key=${one.id}>
      <p><b>${one.reference}</b> ${one.sender_name || one.sender || "customer"} (${one.verdict}) · <span class="soft">${one.reason}</span></p>
      <p dir="auto">${one.subject && html`<b>${one.subject}</b> `}${one.text}</p>
      <div class="row"><button onClick=${() => settle(one, "release", undefined, "released, it is decided on again.")} aria-label=${`Release ${one.reference}`}>Release</button>
        <button onClick=${() => settle(one, "close", { reason: "spam" }, "closed as spam.")} aria-label=${`Close ${one.reference} as spam`}>Close as spam</button></div></li>`)}</ul></details>`;
}

// --- the page --------------------------------------------------------------------------------------------------

function App() {
  const [token, setToken] = useState("");
  const [me, setMe] = useState(null);
  const [line, setLine] = useState(NO_LINE);
  const [live, setLive] = useState({ ledger: null, recent: [] });
  const help = useRef(null);
  const now = useNow();

  const signIn = async (secret) => {
    const who = await call(secret, "GET", "/me");
    setMe({ ...who, ahead: Date.now() - new Date(who.now) });  // this clock, of the server's
    sessionStorage.setItem(TOKEN, secret);
    setToken(secret);
  };
  const signOut = () => {
    sessionStorage.removeItem(TOKEN);
    setToken("");
    setMe(null);
    setLine(NO_LINE);
    setLive({ ledger: null, recent: [] });
  };
  useEffect(() => {
    resume(signIn);
    const keys = (e) => e.key === "?" && !/INPUT|TEXTAREA/.test(e.target.tagName) && help.current.showModal();
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  useFeed("/api/desk/ws", token, (frame) => frame.type === "line" && setLine(frame), signOut);
  useFeed("/api/ops/ws", token, (frame) => frame.type === "live" && setLive(frame), signOut);

  return html`
    <div class="top" role="banner"><div class="top-row"><h1>Switchboard</h1>
      <p class="soft">Everything that was accepted is accounted for.</p></div><${Ledger} ledger=${live.ledger} /></div>
    <nav class="jump" aria-label="Parts of the page">${Chat && html`<a href="#customer">Customer</a>`}<a href="#queue">Triage</a><a href="#desk">Desk</a></nav>
    <main class=${Chat ? "" : "desk-only"}>
      ${Chat && html`<${Customer} />`}
      <${Triage} waiting=${line.waiting} recent=${live.recent} now=${now} known=${Boolean(me)} />
      <${Desk} token=${token} me=${me} mine=${line.mine} waiting=${line.waiting} unsent=${line.unsent} now=${now} signIn=${signIn} signOut=${signOut} />
    </main>
    <footer><button onClick=${() => help.current.showModal()}>Keys <kbd>?</kbd></button>${" · "}
      <a href="/rules">rules</a> · <a href="/forms/contact">contact form</a> · <a href="/chat/website">chat page</a> · <a href="/openapi.json">API</a></footer>
    <dialog ref=${help} aria-labelledby="help-title"><h2 id="help-title">Keys</h2><dl>
      <dt><kbd>n</kbd></dt><dd>take the next work item</dd><dt><kbd>r</kbd></dt><dd>go to the answer</dd>
      <dt><kbd>Ctrl</kbd> <kbd>Enter</kbd></dt><dd>send and complete</dd><dt><kbd>?</kbd></dt><dd>this help</dd></dl>
      <form method="dialog" class="row end"><button class="primary" autofocus>Close</button></form></dialog>`;
}

const root = document.getElementById("app");
root.textContent = "";
render(html`<${App} />`, root);
