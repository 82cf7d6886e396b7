// Downloads the file while it is generated and shows the progress. Without this script the browser downloads the form's response itself.
"use strict";

const form = document.getElementById("export");
const progress = document.getElementById("export-progress");

// The page contains the texts, in its language.
function say(what, values = {}) {
  progress.textContent = progress.dataset[what].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

async function download(event) {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  say("preparing");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), credentials: "same-origin" });
    if (!answer.ok || !answer.headers.get("Content-Disposition")) {
      form.removeEventListener("submit", download);
      form.submit(); // the page shows the errors
      return;
    }
    await save(answer);
  } catch {
    say("broken");
  } finally {
    button.disabled = false;
  }
}

async function save(answer) {
  const most = Number(answer.headers.get("X-Rows-At-Most"));
  const reader = answer.body.getReader();
  const parts = [];
  let lines = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    for (const byte of value) if (byte === 10) lines += 1;
    const share = most ? Math.min(100, Math.round((100 * lines) / most)) : 0;
    say(most ? "share" : "some", { lines: Math.max(lines - 1, 0), share });
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
  link.download = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))[1];
  link.click();
  URL.revokeObjectURL(link.href);
  say("done", { lines: Math.max(lines - 1, 0) });
}

form.addEventListener("submit", download);
