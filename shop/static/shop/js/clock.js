// Times by the shop's clock, displayed in Shanghai time.

import { LANGUAGE } from "./i18n.js";

const loadedAt = performance.now();
const shopAtLoad = Date.parse(document.documentElement.dataset.now) || Date.now();

/** The present by the shop's clock in ms, based on the time in the page: the buyer's own clock may be wrong. */
export const shopNow = () => shopAtLoad + (performance.now() - loadedAt);

const MOMENT = new Intl.DateTimeFormat("zh-CN", {
  timeZone: "Asia/Shanghai", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(LANGUAGE, { timeZone: "Asia/Shanghai", year: "numeric", month: "long", day: "numeric" });

export const moment = (iso) => MOMENT.format(new Date(iso)).replaceAll("/", "-");
export const day = (iso) => DAY.format(new Date(iso));

/** "2027-11-23" → "2027.11.23": a date that isn't broken across lines. */
export const date = (text) => text.replaceAll("-", ".");

/** A moment's date in the same form. */
export const dateOf = (iso) => date(moment(iso).slice(0, 10));

/** A node that counts down to `deadline` (ISO) and calls `onEnd` once. It stops when it is removed from the page. */
export function countdown(deadline, onEnd) {
  const node = document.createElement("span");
  node.className = "countdown";
  node.setAttribute("role", "timer");
  const end = Date.parse(deadline);
  let wasShown = false;
  const tick = () => {
    wasShown ||= node.isConnected;
    if (wasShown && !node.isConnected) return;
    const seconds = Math.max(0, Math.ceil((end - shopNow()) / 1000));
    node.textContent = duration(seconds);
    if (seconds > 0) setTimeout(tick, 1000 - ((performance.now() - loadedAt) % 1000));
    else onEnd();
  };
  tick();
  return node;
}

function duration(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}
