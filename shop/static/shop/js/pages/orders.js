import { get, pause, requireLogin } from "../api.js";
import { moment } from "../clock.js";
import { button, content, el, empty, link, pager, query, setQuery, start } from "../dom.js";
import { t } from "../i18n.js";
import { shown } from "../money.js";
import { buyAgain } from "../purchase.js";
import "../site.js";
import { ORDER_STATUS, REFUSAL } from "../words.js";

const FILTERS = ["", "awaiting_payment", "paid", "cancelled", "expired", "refunded", "rejected"];
const CLOSED = new Set(["cancelled", "expired"]);
const LONGEST_PAUSE_S = 30;
let turn = 0; // counts requests: a response to an earlier one is dropped

async function show(status, page) {
  const mine = (turn += 1);
  const list = await get(`orders/?page=${page}&page_size=10${status ? `&status=${status}` : ""}`);
  if (mine !== turn) return;
  setQuery({ status, page: page > 1 && page });
  const turnTo = (to) => start(() => show(status, to));
  content(
    filters(status),
    list.results.length
      ? el("ul", { class: "lines" }, list.results.map(row))
      : empty(status ? t("没有“{status}”的订单。", { status: ORDER_STATUS[status] }) : t("还没有订单。"), "/", t("去选课")),
    pager(list, turnTo));
}

/** Reloads with a backoff while an order is pending. */
async function watch() {
  for (let seconds = 2; ; seconds = Math.min(seconds * 2, LONGEST_PAUSE_S)) {
    await pause(seconds);
    if (!document.hidden && document.querySelector(".status.pending")) await show(wantedStatus(), wantedPage()).catch(() => {});
  }
}

function filters(current) {
  return el("div", { class: "tabs", role: "group", "aria-label": t("按状态筛选") },
    FILTERS.map((status) => el("button", {
      class: "tab", type: "button", "aria-pressed": String(status === current), onclick: () => start(() => show(status, 1)),
    }, ORDER_STATUS[status] || t("全部"))));
}

/** An order, or its request while there is no order. */
function row(order) {
  const lines = order.requested ? order.requested.lines : order.lines;
  const amount = order.requested ? order.requested.alipay : order.amounts.alipay;
  return el("li", { class: "card order" },
    el("div", { class: "row apart" },
      el("span", { class: `status ${order.status}` }, ORDER_STATUS[order.status]),
      el("span", { class: "muted" }, moment(order.created_at))),
    el("h2", {}, link(`/orders/${order.order_number}/`, lines.map((line) => line.course_name).join(t("、")), { class: "whole" })),
    order.error ? el("p", { class: "remark bad" }, REFUSAL[order.error.error]?.[0] || t(order.error.msg)) : null,
    el("div", { class: "row apart" }, el("small", { class: "muted number" }, order.order_number), el("strong", { class: "amount" }, shown(amount))),
    CLOSED.has(order.status) ? el("p", { class: "actions above" }, button(t("再次购买"), () => buyAgain(order.order_number), { class: "button small" })) : null);
}

const wantedStatus = () => (FILTERS.includes(query("status")) ? query("status") : "");
const wantedPage = () => Number(query("page")) || 1;

if (requireLogin()) start(() => show(wantedStatus(), wantedPage())).then(watch);
