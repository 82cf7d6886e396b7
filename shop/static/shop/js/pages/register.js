import { isLoggedIn, logIn, post } from "../api.js";
import { query } from "../dom.js";
import { onSubmit } from "../form.js";
import { safePath } from "../next.js";
import "../site.js";

const next = safePath(query("next"));
const form = document.getElementById("register");

if (isLoggedIn()) location.replace(next);
else if (form) {
  document.getElementById("to-login").href = `/login/${location.search}`;
  form.elements.username.focus();
  onSubmit(form, async (values) => {
    await post("auth/register/", { ...values, username: values.username.trim() });
    await logIn(values.username.trim(), values.password);
    location.replace(next);
  }, (slug) => (slug === "username_taken" ? "username" : null));
}
