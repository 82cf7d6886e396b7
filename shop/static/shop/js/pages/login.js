import { ApiError, getIntent, isLoggedIn, logIn } from "../api.js";
import { clearNotices, query, whileBusy } from "../dom.js";
import { t } from "../i18n.js";
import { safePath } from "../next.js";
import "../site.js";

/** The page to continue with: only one of this site, and not this one. */
function next() {
  const path = safePath(query("next"));
  return /^\/login(\/|\?|#|$)/.test(path) ? "/" : path;
}

/** Why the login page is shown. The URL only names one of these. */
const WHY = {
  login: t("请先登录，"),
  expired: t("登录已过期，请重新登录，"),
};

/** What happens by itself after the login. */
const THEN = {
  cart: ({ name, period }) => t("之后《{name}》（{period}）会自动加入购物车。", { name, period }),
  buy: ({ name, period }) => t("之后会直接结算《{name}》（{period}）。", { name, period }),
};

function sayWhy() {
  const intent = getIntent();
  const then = intent && Object.hasOwn(THEN, intent.then) ? THEN[intent.then](intent) : t("之后会回到刚才的页面。");
  const words = Object.hasOwn(WHY, query("why")) && WHY[query("why")] + then;
  const node = document.getElementById("why");
  node.hidden = !words;
  node.textContent = words || "";
}

const form = document.getElementById("login");
const error = document.getElementById("login-error");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearNotices();
  whileBusy(form.querySelector("button"), async () => {
    const password = form.elements.password;
    error.textContent = "";
    password.removeAttribute("aria-invalid");
    try {
      await logIn(form.elements.username.value.trim(), password.value);
    } catch (refusal) {
      if (!(refusal instanceof ApiError && refusal.status < 500)) throw refusal;
      error.textContent = refusal.message;
      password.setAttribute("aria-invalid", "true");
      password.focus();
      return password.select();
    }
    location.replace(next());
  });
});

if (isLoggedIn()) location.replace(next());
else {
  sayWhy();
  const register = document.getElementById("to-register");
  if (register) register.href = `/register/${location.search}`;
  form.elements.username.focus();
}
