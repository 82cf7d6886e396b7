"use strict";
// The panel is an ordinary client of the control API; its only state is the language.

const TEXTS = {
  zh: {
    title: "支付宝网关模拟器", trades: "交易", deliveries: "通知投递", requests: "网关请求", clock: "虚拟时钟", faults: "故障注入",
    merchants: "商户", order: "商户订单号", amount: "金额", status: "状态", product: "产品", created: "创建时间", sent: "发送时间", event: "事件",
    attempt: "次数", answer: "商户应答", next: "下次", at: "时间", method: "接口", result: "结果", fault: "故障", took: "耗时", speed: "速度",
    kind: "故障", params: "参数（JSON）", only: "仅限订单号", times: "次数", add: "添加", clear: "清除全部故障", wipe: "清空交易与日志",
    close: "关闭", pay: "付款", scan: "扫码", shut: "关闭", replay: "重放", remove: "移除", frozen: "静止", real: "实时", hits: "命中",
    always: "一直", balance: "余额", nothing: "还没有数据。商户发起付款后会显示在这里。", noFaults: "没有生效的故障",
    sure: "清空全部交易、通知、日志和故障？商户与密钥保留。", offline: "无法连接模拟器", waiting: "等待付款", paid: "已付款", finished: "已完结", closed: "已关闭",
    refund: "后台退款", refundTitle: "在商家后台退款", refundAmount: "金额（元，不填为全部余额）", refundNumber: "退款请求号（不填由后台生成）",
    unscanned: "未扫码", delivered: "已送达", exhausted: "不再重试", sending: "发送中", dropped: "已丢弃", refused: "未送达", notified: "已送达", gateway: "网关", notification: "通知", business: "业务",
  },
  en: {
    title: "Alipay gateway simulator", trades: "Trades", deliveries: "Notification deliveries", requests: "Gateway requests", clock: "Virtual clock",
    faults: "Faults", merchants: "Merchants", order: "Order", amount: "Amount", status: "Status", product: "Product", created: "Created", sent: "Sent",
    event: "Event", attempt: "Attempt", answer: "Shop's answer", next: "Next", at: "At", method: "Method", result: "Result", fault: "Fault", took: "Took",
    speed: "Speed", kind: "Fault", params: "Parameters (JSON)", only: "Only this order", times: "Times", add: "Add", clear: "Clear all faults",
    wipe: "Wipe trades and logs", close: "Close", pay: "Pay", scan: "Scan", shut: "Close", replay: "Replay", remove: "Remove", frozen: "frozen",
    real: "real time", hits: "hits", always: "always", balance: "balance", nothing: "Nothing yet. Trades appear here when a shop starts a payment.",
    noFaults: "No faults", sure: "Wipe all trades, notifications, logs and faults? Merchants and keys stay.", offline: "The simulator can't be reached",
    waiting: "Waiting", paid: "Paid", finished: "Finished", closed: "Closed", unscanned: "Not scanned", delivered: "delivered", exhausted: "given up", sending: "sending", dropped: "dropped", refused: "Undelivered", notified: "Delivered",
    refund: "Refund in console", refundTitle: "Refund in the merchant's console", refundAmount: "Amount (yuan; empty: all that is left)",
    refundNumber: "Request number (empty: generated)", gateway: "Gateway", notification: "Notification", business: "Business",
  },
};
const STATUS = { WAIT_BUYER_PAY: ["waiting", "warn"], TRADE_SUCCESS: ["paid", "good"], TRADE_FINISHED: ["finished", "good"], TRADE_CLOSED: ["closed", ""], NOT_EXIST: ["unscanned", ""] };
const JUMPS = [["+1m", 60], ["+4m", 240], ["+10m", 600], ["+1h", 3600], ["+1d", 86400], ["+25h", 90000]];
const SPEEDS = [0, 1, 10, 60, 600, 3600];
let language = localStorage.getItem("language") || "zh";
let kinds = [];

const $ = (id) => document.getElementById(id);
const t = (key) => TEXTS[language][key] || key;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

async function call(method, path, body) {
  const options = { method, headers: { "Content-Type": "application/json" } };
  if (body !== undefined) options.body = JSON.stringify(body);
  const response = await fetch(`/control${path}`, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.msg || answer.error);
  return answer;
}

function say(text) {
  $("notice").hidden = !text;
  $("notice").textContent = text || "";
}

async function act(method, path, body) {
  try {
    await call(method, path, body);
    say("");
  } catch (error) {
    say(error.message);
  }
  await refresh();
}

// A table of the latest rows doesn't need the year.
const short = (time) => (time || "").slice(5);
const chip = (text, look) => element("span", { class: `chip ${look}` }, text);
const cell = (content, look = "") => element("td", { class: look, title: typeof content === "string" ? content : undefined }, content);
const small = (label, run) => element("button", { type: "button", class: "plain small", onclick: run }, label);

function fill(id, rows, columns) {
  const empty = element("tr", {}, element("td", { class: "empty", colspan: columns }, t("nothing")));
  $(id).replaceChildren(...(rows.length ? rows : [empty]));
}

function tradeRow(order) {
  const [name, look] = STATUS[order.status];
  const path = `/trades/${encodeURIComponent(order.out_trade_no)}`;
  const app = `?app_id=${order.app_id}`;
  const actions = element("td", {});
  if (order.status === "NOT_EXIST") actions.append(small(t("scan"), () => act("POST", `${path}/scan${app}`, {})));
  if (["NOT_EXIST", "WAIT_BUYER_PAY"].includes(order.status)) actions.append(small(t("pay"), () => act("POST", `${path}/pay${app}`, {})));
  if (order.status === "WAIT_BUYER_PAY") actions.append(small(t("shut"), () => act("POST", `${path}/close${app}`, {})));
  if (order.status === "TRADE_SUCCESS") actions.append(small(t("refund"), () => askRefund(order, `${path}/refund${app}`)));
  const refunded = order.refunded_amount && order.refunded_amount !== "0.00" ? ` (−${order.refunded_amount})` : "";
  const link = element("a", { href: "#", onclick: (event) => { event.preventDefault(); showOrder(order); } }, order.out_trade_no);
  return element("tr", {}, element("td", { class: "text", title: order.subject }, link), cell(`¥${order.total_amount}${refunded}`, "num"),
    element("td", {}, chip(t(name), look)), cell(order.product), cell(short(order.created_at_text), "num"), actions);
}

function deliveryRow(row) {
  const outcome = row.error ? row.error.split(":")[0] : `${row.status} ${row.answer.slice(0, 24)}`;
  const next = row.is_latest ? short(row.next_at_text) || t(row.state) : "";
  return element("tr", {}, cell(short(row.sent_at_text), "num"), cell(row.out_trade_no, "text"), cell(row.trade_status),
    cell(row.copy ? `${row.attempt} · ${row.copy}` : String(row.attempt), "num"),
    element("td", { class: "text", title: row.error || row.answer }, chip(outcome, row.is_accepted ? "good" : "bad")),
    cell(next, "num"), element("td", {}, small(t("replay"), () => act("POST", `/notifications/${row.notify_id}/replay`, {}))));
}

function requestRow(row) {
  const result = row.sub_code || row.code || String(row.http_status);
  return element("tr", {}, cell(short(row.at_text), "num"), cell(row.method.replace("alipay.", "")), cell(row.out_trade_no, "text"),
    element("td", {}, chip(result, row.sub_code ? "warn" : "good")), cell(row.fault), cell(`${row.duration_ms.toFixed(1)} ms`, "num"));
}

function ruleRow(rule) {
  const where = [rule.out_trade_no, rule.method, rule.trade_status].filter(Boolean).join(" ");
  const text = `${t("hits")} ${rule.hits}/${rule.times ?? t("always")} ${where} ${JSON.stringify(rule.params)}`;
  return element("li", {}, element("div", {}, element("b", {}, rule.kind), element("div", { class: "dim" }, text)),
    small(t("remove"), () => act("DELETE", `/faults/${rule.fault_id}`)));
}

function showFigures(state) {
  const figures = [["unscanned", state.open_requests], ["waiting", state.trades.WAIT_BUYER_PAY], ["paid", state.trades.TRADE_SUCCESS],
    ["finished", state.trades.TRADE_FINISHED], ["closed", state.trades.TRADE_CLOSED], ["notified", state.notifications.delivered],
    ["refused", (state.notifications.waiting || 0) + (state.notifications.sending || 0) + (state.notifications.exhausted || 0)]];
  $("figures").replaceChildren(...figures.map(([name, count]) => element("div", {}, element("b", {}, String(count || 0)), element("span", {}, t(name)))));
}

async function refresh() {
  let view;
  try {
    view = await call("GET", "/overview");
  } catch (error) {
    say(`${t("offline")} (${error.message})`);
    return;
  }
  const { state } = view;
  $("now").textContent = state.clock.now_text;
  $("scale").textContent = state.clock.scale === 1 ? t("real") : state.clock.scale === 0 ? t("frozen") : `×${state.clock.scale}`;
  if (document.activeElement !== $("speed")) $("speed").value = String(state.clock.scale);
  showFigures(state);
  fill("trades", view.orders.map(tradeRow), 6);
  fill("deliveries", view.deliveries.map(deliveryRow), 7);
  fill("requests", view.requests.map(requestRow), 6);
  $("faults").replaceChildren(...(state.faults.length ? state.faults.map(ruleRow) : [element("li", { class: "dim" }, t("noFaults"))]));
  $("merchants").replaceChildren(...state.merchants.map((merchant) => element("li", {}, element("div", {}, element("b", {}, merchant.app_id),
    element("div", { class: "dim" }, `${merchant.seller_id} · ${t("balance")} ¥${merchant.balance_amount}`)))));
}

async function showOrder(order) {
  const view = await call("GET", `/trades/${encodeURIComponent(order.out_trade_no)}?app_id=${order.app_id}`);
  $("detail-title").textContent = view.out_trade_no;
  const parts = ["trade", "refunds", "notifications", "requests", "sessions"].filter((name) => view[name] && view[name].length !== 0);
  $("detail-body").replaceChildren(...parts.flatMap((name) => [element("h3", {}, name), element("pre", {}, JSON.stringify(view[name], null, 2))]));
  $("detail").showModal();
}

function askRefund(order, path) {
  const form = $("refund-form");
  form.reset();
  $("refund-order").textContent = `${order.out_trade_no} · ¥${order.total_amount}`;
  $("refund-amount").placeholder = ((Number(order.total_amount) * 100 - Number(order.refunded_amount) * 100) / 100).toFixed(2);
  $("refund").onclose = () => {
    if ($("refund").returnValue !== "refund") return;
    const given = [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
    act("POST", path, Object.fromEntries(given));
  };
  $("refund").returnValue = "";
  $("refund").showModal();
}

function showKind() {
  const kind = kinds.find((one) => one.name === $("kinds").value);
  if (!kind) return;
  $("kind-text").textContent = language === "zh" ? kind.chinese : kind.english;
  $("params").value = JSON.stringify(kind.params);
}

function showLanguage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  $("language").textContent = language === "zh" ? "English" : "中文";
  const groups = ["gateway", "notification", "business"].map((category) => element("optgroup", { label: t(category) },
    ...kinds.filter((kind) => kind.category === category).map((kind) => element("option", { value: kind.name }, kind.name))));
  const chosen = $("kinds").value;
  $("kinds").replaceChildren(...groups);
  if (chosen) $("kinds").value = chosen;
  showKind();
  $("speed").replaceChildren(...SPEEDS.map((speed) => element("option", { value: String(speed) }, speed === 0 ? t("frozen") : speed === 1 ? t("real") : `×${speed}`)));
  refresh();
}

function addFault(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  let params;
  try {
    params = JSON.parse(form.get("params") || "{}");
  } catch (error) {
    say(error.message);
    return;
  }
  const times = form.get("times").trim();
  act("POST", "/faults", { kind: form.get("kind"), params, out_trade_no: form.get("out_trade_no").trim(), times: times ? Number(times) : null });
}

async function start() {
  $("language").addEventListener("click", () => { language = language === "zh" ? "en" : "zh"; localStorage.setItem("language", language); showLanguage(); });
  $("kinds").addEventListener("change", showKind);
  $("add-fault").addEventListener("submit", addFault);
  $("clear-faults").addEventListener("click", () => act("DELETE", "/faults"));
  $("wipe").addEventListener("click", () => { if (confirm(t("sure"))) act("POST", "/wipe", {}); });
  $("speed").addEventListener("change", () => { const scale = Number($("speed").value); $("speed").blur(); act("PUT", "/clock", { scale }); });
  $("jumps").replaceChildren(...JUMPS.map(([label, seconds]) => element("button", { type: "button", class: "plain", onclick: () => act("POST", "/clock/advance", { seconds }) }, label)));
  try {
    kinds = (await call("GET", "/faults/kinds")).kinds;
  } catch (error) {
    say(error.message);
  }
  showLanguage();
  setInterval(() => { if (!document.hidden) refresh(); }, 1000);
}

start();
