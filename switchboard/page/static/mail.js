// What an answer by mail has besides its words: copies, files, seconds in which it can be taken back, and a fate.
import { html, useState } from "/static/vendor/htm-preact.js";

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const kib = (bytes) => (bytes < 1024 ? `${bytes} bytes` : `${Math.ceil(bytes / 1024)} KiB`);

// crypto.randomUUID is there on https and localhost only.
export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const addresses = (cc) => cc.split(/[,;\s]+/).filter(Boolean);

// A draft: the words, and what goes with them.
export const NOTHING = { text: "", mail: { cc: "", files: [] } };
export const isEmpty = ({ text, mail }) => !text.trim() && !mail.cc.trim() && !mail.files.length;

// The draft with a mail that was withdrawn, below what stands there.
export const added = (draft, { text, cc, files }) => ({
  ...draft,
  text: draft.text.trim() ? `${draft.text.trimEnd()}\n\n${text}` : text,
  mail: {
    cc: [...new Set([...addresses(draft.mail.cc), ...cc])].join(", "),
    files: [...draft.mail.files, ...files.map((each) => ({ ...each, type: each.media_type, stamp: each.id }))],
  },
});

// As the API takes it. A file is uploaded once, however often sending is tried.
export async function enclosed(token, mail) {
  for (const each of mail.files) {
    if (each.id) continue;
    const form = new FormData();
    form.append("file", each.file);
    const response = await fetch("/api/desk/files", {
      method: "POST", body: form, headers: { Authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(120000),
    });
    const answer = await response.json();
    if (!response.ok) throw Object.assign(new Error(`${each.name}: ${answer.detail || answer.title}`), answer);
    each.id = answer.id;
  }
  return {
    cc: addresses(mail.cc),
    files: mail.files.map(({ id, inline }) => ({ id, inline })),
  };
}

export const described = (mail) => [mail.cc, ...mail.files.map(({ name, size, stamp, inline }) => `${name} ${size} ${stamp} ${inline}`)].join("\n");

export function Enclosed({ channel, mail, setMail, busy }) {
  if (channel !== "email") return html`<p class="soft">This answer carries words alone: files and copies go with mails.</p>`;
  const change = (files) => setMail({ ...mail, files });
  const choose = (event) => {
    change([...mail.files, ...[...event.target.files].map((file) => ({ file, id: "", name: file.name, type: file.type, size: file.size, stamp: file.lastModified, inline: false }))]);
    event.target.value = "";
  };
  return html`<details class="enclosed" open=${Boolean(mail.cc || mail.files.length)}><summary>Copies and files${mail.files.length ? ` (${mail.files.length})` : ""}</summary>
    <label for="reply-cc">Copies to (addresses, with commas between)</label>
    <input id="reply-cc" type="text" inputmode="email" autocomplete="off" value=${mail.cc} onInput=${(e) => setMail({ ...mail, cc: e.target.value })} />
    <label for="reply-files">Files that go with it</label>
    <input id="reply-files" type="file" multiple disabled=${busy} onChange=${choose} />
    <ul aria-label="Chosen files" aria-live="polite">${mail.files.map((each) => html`<li class="row">
      <span>${each.name} (${kib(each.size)})</span>
      ${IMAGES.includes(each.type) && html`<label><input type="checkbox" checked=${each.inline}
        onChange=${(e) => change(mail.files.map((one) => (one === each ? { ...each, inline: e.target.checked } : one)))} /> in the text</label>`}
      <button type="button" aria-label=${`Remove ${each.name}`} onClick=${() => change(mail.files.filter((one) => one !== each))}>Remove</button></li>`)}</ul></details>`;
}

// Mails that wait for `desk.undo` to pass. The words are said once; the seconds are for the eye.
export function Undo({ waiting, now, withdraw }) {
  const [busy, setBusy] = useState(false);
  const left = waiting.filter((each) => each.until > now);
  const back = async (each) => {
    setBusy(true);
    await withdraw(each);
    setBusy(false);
  };
  return html`<div class="undo" role="status" aria-live="polite">${left.map((each) => html`<p key=${each.id} class="notice row">
    <span>Your mail about ${each.reference} has not gone yet.</span>
    <span aria-hidden="true" class="seconds">${Math.max(0, Math.ceil((each.until - now) / 1000))} s</span>
    <button disabled=${busy} aria-label=${`Withdraw the mail about ${each.reference}`} onClick=${() => back(each)}>Withdraw</button></p>`)}</div>`;
}

// Words that wait for another conversation than the one that is open.
export function Drafts({ drafts, at, open, discard, busy }) {
  const kept = Object.entries(drafts).filter(([conversation, draft]) => conversation !== at && !isEmpty(draft));
  return html`<div class="drafts">${kept.map(([conversation, { reference }]) => {
    const go = open(conversation);
    return html`<p key=${conversation} class="notice row"><span>A draft for ${reference} is kept.</span>
      ${go && html`<button disabled=${busy} aria-label=${`Open ${reference} with its draft`} onClick=${go}>Open</button>`}
      <button disabled=${busy} aria-label=${`Discard the draft for ${reference}`} onClick=${() => discard(conversation)}>Discard</button></p>`;
  })}</div>`;
}

const UNDER_WAY = ["pending", "attempting", "deferred"];
export const underWay = ({ outcomes }) => !outcomes.length || outcomes.some(({ state }) => UNDER_WAY.includes(state));
export const isUnknown = ({ outcomes }) => outcomes.some(({ state }) => state === "unknown");

function moment(at) {
  const when = new Date(at), today = when.toDateString() === new Date().toDateString();
  return when.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit" } : { dateStyle: "medium", timeStyle: "short" });
}

const inWords = ({ words, at, why }) => `${words}${at ? ` at ${moment(at)}` : ""}${why ? `: ${why}` : ""}`;

// What became of an answer, for each recipient; the mail server's own words behind it.
export function Outcomes({ answer, settle, retry, busy }) {
  const { outcomes } = answer, several = outcomes.length > 1;
  return html`<ul class="outcomes" aria-label="What became of it">
    ${!outcomes.length && html`<li>${answer.delivery}</li>`}
    ${outcomes.map((each) => html`<li key=${each.recipient}>${several && html`<b>${each.recipient}</b>: `}${inWords(each)}
      ${each.said && html`<details><summary>The mail server’s words</summary><code>${each.said}</code></details>`}
      ${each.state === "unknown" && html`<${Unknown} to=${each.recipient} settle=${(arrived) => settle(answer, each.recipient, arrived)} busy=${busy} />`}</li>`)}</ul>
    ${outcomes.some(({ state }) => state === "deferred") && html`<div class="row"><button disabled=${busy} onClick=${() => retry(answer)}>Try it now</button></div>`}`;
}

// A mail whose link broke after the last dot: only a person can say what became of it.
const Unknown = ({ to, settle, busy }) => html`<div class="notice" role="group" aria-label=${`Sent or resend? The mail to ${to}`}>
  <p><b>Sent or resend?</b> The mail to ${to} may have arrived, or not: no machine can tell.</p>
  <div class="row"><button disabled=${busy} aria-label=${`It was sent to ${to}`} onClick=${() => settle(true)}>It was sent</button>
    <button disabled=${busy} aria-label=${`Send it again to ${to}`} onClick=${() => settle(false)}>Send it again</button></div></div>`;
