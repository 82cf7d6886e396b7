import { get, requireLogin } from "../api.js";
import { moment } from "../clock.js";
import { content, el, empty, link, pager, query, setQuery, start } from "../dom.js";
import { shown } from "../money.js";
import "../site.js";
import { ORDER_STATUS } from "../words.js";

const FILTERS = ["", "awaiting_payment", "paid", "cancelled", "expired", "refunded"];

async function show(status, page) {
  const list = await get(`orders/?page=${page}&page_size=10${status ? `&status=${status}` : ""}`);
  setQuery({ status, page: page > 1 && page });
  const turnTo = (to) => start(() => show(status, to));
  content(
    filters(status),
    list.results.length
      ? el("ul", { class: "lines" }, list.results.map(row))
      : empty(status ? `没有“${ORDER_STATUS[status]}”的订单。` : "还没有订单。", "/", "去选课"),
    pager(list, turnTo));
}

function filters(current) {
  return el("div", { class: "tabs", role: "group", "aria-label": "按状态筛选" },
    FILTERS.map((status) => el("button", {
      class: "tab", type: "button", "aria-pressed": String(status === current), onclick: () => start(() => show(status, 1)),
    }, ORDER_STATUS[status] || "全部")));
}

function row(order) {
  return el("li", { class: "card order" },
    el("div", { class: "row apart" },
      el("span", { class: `status ${order.status}` }, ORDER_STATUS[order.status]),
      el("span", { class: "muted" }, moment(order.created_at))),
    el("h2", {}, link(`/orders/${order.order_number}/`, order.lines.map((line) => line.course_name).join("、"), { class: "whole" })),
    el("div", { class: "row apart" }, el("small", { class: "muted number" }, order.order_number), el("strong", { class: "amount" }, shown(order.amounts.alipay))));
}

if (requireLogin()) start(() => show(FILTERS.includes(query("status")) ? query("status") : "", Number(query("page")) || 1));
