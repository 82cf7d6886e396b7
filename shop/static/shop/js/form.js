// Forms whose fields say themselves what is wrong with them.

import { ApiError } from "./api.js";
import { clearNotices, whileBusy } from "./dom.js";

/** Hands the form's values to `send`. What the server finds wrong stands beside its field, and the first such field has the focus. */
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
