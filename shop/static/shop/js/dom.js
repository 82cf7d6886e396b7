// Building blocks of pages: elements, notices, busy buttons, paginated lists.

import { ApiError, NetworkError } from "./api.js";
import { t } from "./i18n.js";

/** An element. `props` are attributes; `onclick` and the like are listeners; false and null leave an attribute out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/**
 * Replaces the content of `node` by `children`, without null and false. If the focus was inside, it stays on the same element, or else moves to
 * the page's heading, and is never lost.
 */
export function fill(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  const name = focused && nameOf(focused);
  node.replaceChildren(...children.flat().filter(Boolean));
  if (!focused || document.activeElement === focused || !node.isConnected) return;
  const same = focused.isConnected ? focused : [...node.querySelectorAll(FOCUSABLE)].find((other) => nameOf(other) === name);
  (same || document.getElementById("title")).focus({ preventScroll: true });
}

const FOCUSABLE = "a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), summary, [tabindex]";

/** Identifies an element across renderings: by its id, or its tag and text. */
const nameOf = (node) => node.id || [node.tagName, node.name, node.name && node.value, node.getAttribute("aria-label") || node.textContent.trim()].join("|");

export const main = () => document.getElementById("main");
export const subject = () => main().dataset.subject || "";
export const content = (...children) => fill(document.getElementById("content"), ...children);

export function setTitle(text) {
  document.getElementById("title").textContent = text;
  setTabTitle(text);
}

const SHOP = t("课程商店");

/** Sets the title of the window or tab, which shows the status while people look elsewhere. */
export function setTabTitle(text) {
  document.title = `${text} · ${SHOP}`;
}

/** Announces a text that the page shows to screen readers. The same text is announced once. */
export function announce(text) {
  const node = document.getElementById("status");
  if (node && node.textContent !== text) node.textContent = text;
}

const NOTICE_S = 8;
let leaving;

/**
 * Shows one notice in place of the last one, on top of the page. `kind`: "info", "good" or "bad". Screen readers announce it.
 * A good notice without a button disappears by itself.
 */
export function notify(kind, ...children) {
  clearTimeout(leaving);
  const close = el("button", { class: "close", type: "button", "aria-label": t("关闭提示"), onclick: clearNotices }, "×");
  const node = el("div", { class: `notice ${kind}` }, el("div", { class: "grow" }, ...children), close);
  document.getElementById("notices").replaceChildren(node);
  if (kind !== "bad" && !node.querySelector(".grow :is(a, button)")) leaving = setTimeout(() => node.remove(), NOTICE_S * 1000);
}

export function clearNotices() {
  clearTimeout(leaving);
  document.getElementById("notices").replaceChildren();
}

/** Shows what went wrong, with a button to retry. Bugs are also logged to the console. */
export function complain(error, retry) {
  if (!(error instanceof ApiError || error instanceof NetworkError)) {
    notify("bad", t("页面出了点问题，请刷新后重试。"));
    throw error;
  }
  const again = retry && el("button", { class: "button small", type: "button", onclick: () => (clearNotices(), retry()) }, t("重试"));
  notify("bad", el("span", {}, error.message), again);
}

/** Runs `load` now, and again when people retry after a failure. */
export async function start(load) {
  try {
    await load();
  } catch (error) {
    if (document.querySelector("#content > .loading")) content();
    complain(error, () => {
      content(loading());
      start(load);
    });
  }
}

export const loading = (text = t("正在加载…")) => el("p", { class: "loading" }, text);

/** A button that can't be pressed twice: it is inert until its action has ended, and keeps the focus. */
export function button(text, onpress, props = {}) {
  const node = el("button", { class: "button", type: "button", ...props }, text);
  node.addEventListener("click", () => whileBusy(node, onpress));
  return node;
}

export async function whileBusy(node, work) {
  if (node.disabled || node.hasAttribute("aria-busy")) return;
  node.setAttribute("aria-disabled", "true");
  node.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    complain(error);
  } finally {
    node.removeAttribute("aria-disabled");
    node.removeAttribute("aria-busy");
  }
}

export const link = (href, text, props = {}) => el("a", { href, ...props }, text);

/** An empty state, with a link to go on. */
export const empty = (text, href, label) => el("div", { class: "empty" }, el("p", {}, text), href && link(href, label, { class: "button primary" }));

export const cover = (src, props = {}) => el("img", { class: "cover", src, alt: "", loading: "lazy", width: 480, height: 300, ...props });

/** A bar with the total and the main button. On phones it stays at the bottom of the screen. */
export const payBar = (label, amount, ...actions) =>
  el("div", { class: "paybar" }, el("p", { class: "total" }, el("span", {}, label), el("strong", { class: "amount big" }, amount)), ...actions);

/** Rows of a name and a value. */
export const facts = (rows, props = {}) =>
  el("dl", { class: "facts", ...props }, rows.filter(Boolean).map(([name, value, kind]) => el("div", { class: kind }, el("dt", {}, name), el("dd", {}, value))));

/** Previous and next buttons of a paginated list; nothing if there is only one page. */
export function pager(list, show) {
  const last = Math.max(1, Math.ceil(list.count / list.page_size));
  if (last === 1) return null;
  const turn = (page, text) => button(text, () => show(page), { disabled: page < 1 || page > last });
  return el("nav", { class: "pager", "aria-label": t("分页") },
    turn(list.page - 1, t("上一页")), el("span", {}, t("第 {page} / {last} 页", { page: list.page, last })), turn(list.page + 1, t("下一页")));
}

/** Stores the page's filters in the URL, so that reload and back keep them. */
export function setQuery(values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
}

export const query = (name) => new URLSearchParams(location.search).get(name) || "";
