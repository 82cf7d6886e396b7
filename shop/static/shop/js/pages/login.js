import { isLoggedIn, logIn } from "../api.js";
import { clearNotices, query, whileBusy } from "../dom.js";
import "../site.js";

/** Where to go on to: only a page of this site. */
function next() {
  const wanted = new URL(query("next") || "/", location.origin);
  return wanted.origin === location.origin && !wanted.pathname.startsWith("/login") ? wanted.pathname + wanted.search : "/";
}

const form = document.getElementById("login");
form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearNotices();
  whileBusy(form.querySelector("button"), async () => {
    await logIn(form.elements.username.value.trim(), form.elements.password.value);
    location.replace(next());
  });
});

if (isLoggedIn()) location.replace(next());
else form.elements.username.focus();
