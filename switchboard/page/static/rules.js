// The rules page: the policy as people read it, a text to try, a draft over what was recorded.
import { html, render, useEffect, useRef, useState } from "/static/vendor/htm-preact.js";
import { SignIn, TOKEN, resume } from "/static/session.js";

const KINDS = { queue: "Queue", tier: "Tier", answer: "Answer", outcome: "Outcome" };
const shown = (value) => value || "none";

async function call(token, method, path, body) {
  const response = await fetch(path, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
    signal: AbortSignal.timeout(60000),
  });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.detail || answer.title), answer);
  return answer;
}

// --- the policy ------------------------------------------------------------------------------------------------

const Node = ({ node }) => html`${node.text}${node.parts.length > 0 && html`:<ul>
  ${node.parts.map((part) => html`<li><${Node} node=${part} /></li>`)}</ul>`}`;

function Rule({ rule, open }) {
  return html`<li class="rule" id=${`rule-${rule.name}`}>
    <div class="rule-head"><h3>${rule.name}</h3><span class="hits soft">${rule.hits} ${rule.hits === 1 ? "hit" : "hits"}</span></div>
    <div>${rule.when ? html`<b>If</b> <${Node} node=${rule.when} />` : html`<b>Always</b>`}${rule.on && html` <span class="soft">(${rule.on})</span>`}</div>
    <p><b>then</b> ${rule.then.join("; ")}.</p>
    ${rule.examples.length > 0 && html`<p class="soft">Last: ${rule.examples.map((each, n) => html`${n > 0 && " · "}<a
      href=${`#interaction=${encodeURIComponent(each.id)}`} onClick=${(e) => { e.preventDefault(); open(each.id, e.target); }}>${each.reference} <span dir="auto">${each.subject || "without a subject"}</span></a>`)}</p>`}
  </li>`;
}

function Policy({ policy, open }) {
  const [wanted, setWanted] = useState("");
  const rules = policy.rules.filter((r) => JSON.stringify(r).toLowerCase().includes(wanted.toLowerCase()));
  return html`<section class="card" id="policy" tabindex="-1" aria-labelledby="policy-title">
    <header><h2 id="policy-title">What is decided, from top to bottom</h2>
      <p class="soft">Version ${policy.version}. The first rule that sets something wins. Hits: of the ${policy.looked_at} decisions of today and the six days before (UTC).</p></header>
    <label for="find">Find in the rules</label>
    <input id="find" type="search" autocomplete="off" value=${wanted} onInput=${(e) => setWanted(e.target.value)} />
    <p class="soft" role="status">${wanted ? `${rules.length} of ${policy.rules.length} rules` : `${rules.length} rules`}</p>
    <ol class="rule-list">${rules.map((rule) => html`<${Rule} key=${rule.name} rule=${rule} open=${open} />`)}</ol>
  </section>`;
}

// --- try a text ------------------------------------------------------------------------------------------------

function Try({ token }) {
  const [given, setGiven] = useState({ channel: "email", subject: "", text: "", language: "", customer_tier: "" });
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState("");
  const set = (name) => (e) => setGiven({ ...given, [name]: e.target.value });
  const submit = async (e) => {
    e.preventDefault();
    setProblem("");
    const filled = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ""));
    try { setFound(await call(token, "POST", "/api/ops/rules/try", filled)); } catch (error) { setProblem(error.message); }
  };
  return html`<section class="card" id="try" aria-labelledby="try-title">
    <header><h2 id="try-title">Try a text</h2><p class="soft">What the active policy would decide now. Nothing is sent.</p></header>
    <form class="stack" onSubmit=${submit}>
      <div class="fields"><div><label for="try-channel">Channel</label><select id="try-channel" value=${given.channel} onChange=${set("channel")}>
          <option value="email">Email</option><option value="chat">Chat</option><option value="web_form">Web form</option><option value="phone_log">Phone</option></select></div>
        <div><label for="try-language">Language</label><input id="try-language" placeholder="en" value=${given.language} onInput=${set("language")} /></div></div>
      <div><label for="try-tier">Customer tier</label><input id="try-tier" autocomplete="off" value=${given.customer_tier} onInput=${set("customer_tier")} /></div>
      <div><label for="try-subject">Subject</label><input id="try-subject" autocomplete="off" value=${given.subject} onInput=${set("subject")} /></div>
      <div><label for="try-text">Text</label><textarea id="try-text" rows="4" value=${given.text} onInput=${set("text")}></textarea></div>
      <div class="row end"><button class="primary">Decide</button></div>
    </form>
    <div role="status" aria-label="The decision">${problem && html`<p class="bad">${problem}</p>`}
      ${found && html`<ul class="why">${found.why.map((line) => html`<li>${line}</li>`)}</ul>
        ${found.answer && html`<h3>The answer</h3><pre class="answer" dir="auto">${found.answer}</pre>`}`}</div>
  </section>`;
}

// --- a draft ---------------------------------------------------------------------------------------------------

// Old on the left, new on the right, a band for each move; as wide as there are interactions in it.
function Flow({ moves, kind }) {
  const total = moves.reduce((sum, move) => sum + move.count, 0), height = 220, gap = 14;
  const sums = (side) => moves.reduce((all, move) => all.set(shown(move[side]), (all.get(shown(move[side])) || 0) + move.count), new Map());
  const place = (all) => {
    let y = 10;
    const scale = height / total;
    return new Map([...all].map(([name, count]) => {
      const at = { y, size: Math.max(count * scale, 2), used: 0, count };
      y += at.size + gap;
      return [name, at];
    }));
  };
  const left = place(sums("before")), right = place(sums("after"));
  const tall = 20 + height + gap * Math.max(left.size, right.size);
  const bands = moves.map((move) => {
    const a = left.get(shown(move.before)), b = right.get(shown(move.after)), size = Math.max((move.count / total) * height, 1.5);
    const from = a.y + a.used + size / 2, to = b.y + b.used + size / 2;
    a.used += size;
    b.used += size;
    return html`<path d=${`M 158 ${from} C 250 ${from}, 270 ${to}, 362 ${to}`} stroke-width=${size}><title>${shown(move.before)} → ${shown(move.after)}: ${move.count}</title></path>`;
  });
  const bars = (all, x, textX, anchor) => [...all].map(([name, at]) => html`<g><rect x=${x} y=${at.y} width="8" height=${at.size} />
    <text x=${textX} y=${at.y + at.size / 2 + 4} text-anchor=${anchor}>${name} (${at.count})</text></g>`);
  return html`<svg class="flow" viewBox=${`0 0 520 ${tall}`} role="img" aria-label=${`${KINDS[kind]}: what moves where; the table below says the same`}>
    ${bands}${bars(left, 150, 144, "end")}${bars(right, 362, 376, "start")}</svg>`;
}

function Moves({ found, open }) {
  const kinds = Object.keys(KINDS).filter((kind) => found.changes[kind] > 0);
  const [kind, setKind] = useState(kinds[0] || "queue");
  const current = kinds.includes(kind) ? kind : kinds[0];
  if (!kinds.length) return html`<p class="good">Nothing would change in ${found.looked_at} interactions.</p>`;
  const moves = found.moves.filter((move) => move.kind === current);
  return html`<p><b>${found.changed}</b> of ${found.looked_at} interactions would be decided otherwise${found.all_of_them ? "" : " (the first of the time; the command runs over all)"}.</p>
    <div class="row" role="group" aria-label="What to show">${kinds.map((each) => html`<button aria-pressed=${each === current ? "true" : "false"}
      class=${each === current ? "primary" : ""} onClick=${() => setKind(each)}>${KINDS[each]} (${found.changes[each]})</button>`)}</div>
    <${Flow} moves=${moves} kind=${current} />
    <div class="scroll" tabindex="0" role="region" aria-label="What moves where"><table><caption class="hidden">${KINDS[current]}: what moves where</caption>
      <thead><tr><th scope="col">before</th><th scope="col">after</th><th scope="col">count</th><th scope="col">examples</th></tr></thead>
      <tbody>${moves.map((move) => html`<tr><th scope="row">${shown(move.before)}</th><td>${shown(move.after)}</td><td class="count">${move.count}</td>
        <td>${move.examples.map((each, n) => html`${n > 0 && " · "}<a href=${`#interaction=${encodeURIComponent(each.id)}`}
          onClick=${(e) => { e.preventDefault(); open(each.id, e.target); }}>${each.reference}</a>`)}</td></tr>`)}</tbody></table></div>`;
}

function Draft({ token, open }) {
  const [text, setText] = useState("");
  const [days, setDays] = useState("7");
  const [found, setFound] = useState(null);
  const [problems, setProblems] = useState([]);
  const [busy, setBusy] = useState(false);
  const submit = async (e) => {
    e.preventDefault();
    setBusy(true);
    setProblems([]);
    setFound(null);
    try {
      setFound(await call(token, "POST", "/api/ops/rules/dry-run", { rules: text, days: Number(days) }));
    } catch (error) {
      setProblems(error.problems || [error.message]);
    }
    setBusy(false);
  };
  const load = async (e) => { if (e.target.files[0]) setText(await e.target.files[0].text()); };
  return html`<section class="card" id="draft" aria-labelledby="draft-title">
    <header><h2 id="draft-title">Run a draft over what was recorded</h2>
      <p class="soft">Rules that would stand for all of the present ones, decided with the facts of the moment. Nothing is changed.</p></header>
    <form class="stack" onSubmit=${submit}>
      <div><label for="draft-file">A file of rules</label><input id="draft-file" type="file" accept=".yaml,.yml" onChange=${load} /></div>
      <div><label for="draft-text">The rules (YAML)</label><textarea id="draft-text" class="code" rows="6" spellcheck="false" required value=${text} onInput=${(e) => setText(e.target.value)}></textarea></div>
      <div><label for="draft-days">Days back</label><input id="draft-days" type="number" min="1" max="90" required value=${days} onInput=${(e) => setDays(e.target.value)} /></div>
      <div class="row end"><button class="primary" disabled=${busy}>${busy ? "Running …" : "Run the draft"}</button></div>
    </form>
    <div role="status" aria-label="The draft's result">${problems.length > 0 && html`<ul class="why bad">${problems.map((line) => html`<li>${line}</li>`)}</ul>`}
      ${found && html`<${Moves} found=${found} open=${open} />`}</div>
  </section>`;
}

// --- the page --------------------------------------------------------------------------------------------------

function App() {
  const [token, setToken] = useState("");
  const [policy, setPolicy] = useState(null);
  const [shownOne, setShownOne] = useState(null);
  const [problem, setProblem] = useState("");
  const dialog = useRef(null), from = useRef(null);

  const signIn = async (secret) => {
    setPolicy(await call(secret, "GET", "/api/ops/rules"));
    sessionStorage.setItem(TOKEN, secret);
    setToken(secret);
  };
  useEffect(() => { resume(signIn); }, []);
  const open = async (id, element) => {
    from.current = element || null;
    setProblem("");
    try {
      setShownOne(await call(token, "GET", `/api/ops/rules/interactions/${encodeURIComponent(id)}`));
      dialog.current.showModal();
    } catch (error) { setProblem(error.message); }
  };
  useEffect(() => {  // a link that somebody was given
    const wanted = new URLSearchParams(location.hash.slice(1)).get("interaction");
    if (token && wanted) open(wanted);
  }, [token]);

  return html`
    <div class="top" role="banner"><div class="top-row"><h1>Rules</h1><p class="soft">The policy as it decides: <a href="/">back to the desk</a></p></div>
      <p role="alert" class="bad">${problem}</p></div>
    <nav class="jump" aria-label="Parts of the page"><a href="#try">Try</a><a href="#draft">Draft</a><a href="#policy">Rules</a></nav>
    <main class="rules">
      ${policy && token ? html`<${Policy} policy=${policy} open=${open} /><div class="side"><${Try} token=${token} /><${Draft} token=${token} open=${open} /></div>`
        : html`<section class="card" aria-labelledby="sign-in"><h2 id="sign-in">Sign in</h2><${SignIn} signIn=${signIn} /></section>`}
    </main>
    <dialog ref=${dialog} aria-labelledby="one-title" onClose=${() => from.current && from.current.focus()}>
      ${shownOne && html`<h2 id="one-title">${shownOne.reference} <span dir="auto">${shownOne.subject}</span></h2>
        <pre class="answer" dir="auto">${shownOne.text}</pre><h3>Why it was decided so</h3><ul class="why">${shownOne.why.map((line) => html`<li>${line}</li>`)}</ul>`}
      <form method="dialog" class="row end"><button class="primary" autofocus>Close</button></form></dialog>`;
}

const root = document.getElementById("app");
root.textContent = "";
render(html`<${App} />`, root);
