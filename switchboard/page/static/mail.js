// What an answer by mail has besides its words: copies, files, and some seconds in which it can be taken back.
import { html, useState } from "/static/vendor/htm-preact.js";

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const kib = (bytes) => (bytes < 1024 ? `${bytes} bytes` : `${Math.ceil(bytes / 1024)} KiB`);

export const NOTHING = { cc: "", files: [] };

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
    if (!response.ok) throw Object.assign(new Error(`${each.file.name}: ${answer.detail || answer.title}`), answer);
    each.id = answer.id;
  }
  return {
    cc: mail.cc.split(/[,;\s]+/).filter(Boolean),
    files: mail.files.map(({ id, inline }) => ({ id, inline })),
  };
}

export const described = (mail) => [mail.cc, ...mail.files.map(({ file, inline }) => `${file.name} ${file.size} ${file.lastModified} ${inline}`)].join("\n");

export function Enclosed({ channel, mail, setMail, busy }) {
  if (channel !== "email") return html`<p class="soft">This answer carries words alone: files and copies go with mails.</p>`;
  const change = (files) => setMail({ ...mail, files });
  const choose = (event) => {
    change([...mail.files, ...[...event.target.files].map((file) => ({ file, id: "", inline: false }))]);
    event.target.value = "";
  };
  return html`<details class="enclosed" open=${Boolean(mail.cc || mail.files.length)}><summary>Copies and files${mail.files.length ? ` (${mail.files.length})` : ""}</summary>
    <label for="reply-cc">Copies to (addresses, with commas between)</label>
    <input id="reply-cc" type="text" inputmode="email" autocomplete="off" value=${mail.cc} onInput=${(e) => setMail({ ...mail, cc: e.target.value })} />
    <label for="reply-files">Files that go with it</label>
    <input id="reply-files" type="file" multiple disabled=${busy} onChange=${choose} />
    <ul aria-label="Chosen files" aria-live="polite">${mail.files.map((each) => html`<li class="row">
      <span>${each.file.name} (${kib(each.file.size)})</span>
      ${IMAGES.includes(each.file.type) && html`<label><input type="checkbox" checked=${each.inline}
        onChange=${(e) => change(mail.files.map((one) => (one === each ? { ...each, inline: e.target.checked } : one)))} /> in the text</label>`}
      <button type="button" aria-label=${`Remove ${each.file.name}`} onClick=${() => change(mail.files.filter((one) => one !== each))}>Remove</button></li>`)}</ul></details>`;
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

// A mail that waits until it is tried again.
export const Deferred = ({ answer, retry, busy }) => html`<div class="row">
  <button disabled=${busy} onClick=${() => retry(answer)}>Try it now</button></div>`;

// A mail whose link broke after the last dot: only a person can say what became of it.
export function Unknown({ answer, settle, busy }) {
  return html`<div class="notice" role="group" aria-label="Sent or resend?">
    <p><b>Sent or resend?</b> The link broke at the very end: this mail may have arrived, or not.</p>
    <div class="row"><button disabled=${busy} onClick=${() => settle(answer, true)}>It was sent</button>
      <button disabled=${busy} onClick=${() => settle(answer, false)}>Send it again</button></div></div>`;
}
