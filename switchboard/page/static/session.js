// Who is signed in, on every page: the form, what a tab has kept, and the demo's own agent.
import { html, useState } from "/static/vendor/htm-preact.js";

export const TOKEN = "switchboard-token";

// Sign in with what this tab has kept; in the demo, with its agent.
export async function resume(signIn) {
  const kept = sessionStorage.getItem(TOKEN);
  if (kept) { try { await signIn(kept); return; } catch { sessionStorage.removeItem(TOKEN); } }
  if (document.body.dataset.demo === undefined) return;
  const answer = await fetch("/api/demo/session", { method: "POST", headers: { "X-Switchboard-Demo": "1" } });
  if (answer.ok) await signIn((await answer.json()).token);
}

export function SignIn({ signIn }) {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState("");
  const submit = async (e) => {
    e.preventDefault();
    try { await signIn(token.trim()); } catch (error) { setProblem(error.message); }
  };
  return html`<form onSubmit=${submit}>
    <label for="token">Your token (from <code>switchboard agents token NAME</code>)</label>
    <input id="token" type="password" autocomplete="off" required value=${token} onInput=${(e) => setToken(e.target.value)}
      aria-describedby="token-problem" />
    <p id="token-problem" role="alert" class="bad">${problem}</p>
    <div class="row end"><button class="primary">Sign in</button></div></form>`;
}
