// Forms that show errors beside their fields.

import { ApiError } from "./api.js";
import { clearNotices, whileBusy } from "./dom.js";

/** Passes the form's values to `send`. The server's errors are shown beside their fields, and the first such field gets the focus. */
export function onSubmit(form, send, fieldOf = () => null) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearNotices();
    whileBusy(form.querySelector("[type=submit]"), async () => {
      clear(form);
      try {
        await send(Object.fromEntries(new FormData(form)));
      } catch (error) {
        const problems = error instanceof ApiError ? problemsIn(error, fieldOf) : null;
        if (!problems) throw error;
        tell(form, problems);
      }
    });
  });
}

function problemsIn(error, fieldOf) {
  const field = fieldOf(error.slug);
  if (field) return { [field]: [error.message] };
  return error.details.fields || null;
}

function tell(form, problems) {
  const known = Object.entries(problems).filter(([name]) => form.elements[name]);
  for (const [name, texts] of known) {
    document.getElementById(`${name}-error`).textContent = [texts].flat().join(" ");
    form.elements[name].setAttribute("aria-invalid", "true");
  }
  if (known.length) form.elements[known[0][0]].focus();
}

function clear(form) {
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    document.getElementById(`${field.name}-error`).textContent = "";
  }
}
