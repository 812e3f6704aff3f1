// What every page of somebody signed in needs: who they are, and how to ask the API.

export const config = JSON.parse(document.getElementById("config").textContent);

/** An answer that says what went wrong; `status` 0 where there was no answer at all. */
export class Problem extends Error {
  constructor(status, detail, remedy = "") {
    super(detail);
    this.status = status;
    this.remedy = remedy;
  }

  /** Whether the same request may succeed later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Ask the API; its answer, or a Problem thrown. */
export async function ask(method, path, options) {
  try {
    return await send(method, path, options);
  } catch (problem) {
    // Signed in anew in another tab, the session has another token.
    if (problem.status === 403 && method !== "GET" && (await renewToken())) {
      return send(method, path, options);
    }
    throw problem;
  }
}

/** Whether the session has another token than this page knows; never somebody else's. */
async function renewToken() {
  const session = await (await send("GET", "/session")).json();
  if (session.name !== config.user.name) {
    throw new Problem(401, `${session.name} is signed in by now, not ${config.user.name}.`);
  }
  const renewed = session.csrf_token !== config.csrfToken;
  config.csrfToken = session.csrf_token;
  return renewed;
}

async function send(method, path, { body, key } = {}) {
  const headers = {};
  if (config.csrfToken) headers["X-CSRF-Token"] = config.csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Problem(0, "The server does not answer.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, told.detail ?? answer.statusText, told.remedy);
}

export async function askJson(method, path, options) {
  const answer = await ask(method, path, options);
  return answer.json();
}

/** Show a number as people read it: few digits, no exponent where none is needed. */
export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(digits - 1);
  return String(Number(value.toPrecision(digits)));
}

/** An element with attributes and content, text or elements. */
export function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

document.querySelector("[data-sign-out]")?.addEventListener("click", async () => {
  await ask("POST", "/sign-out");
  location.assign("/sign-in");
});
