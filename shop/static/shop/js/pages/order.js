import { ApiError, NetworkError, pause, request, requireLogin } from "../api.js";
import { moment, shopNow } from "../clock.js";
import { announce, button, clearNotices, complain, content, cover, el, empty, facts, fill, link, notify, query, setTabTitle, start, subject } from "../dom.js";
import { t } from "../i18n.js";
import { isZero, shown } from "../money.js";
import { payment, paymentState } from "../order/payment.js";
import { hasRefundUnderWay, refundedWord, refunds, showRefunds } from "../order/refunds.js";
import { refusal } from "../order/refusal.js";
import { buyAgain } from "../purchase.js";
import { refreshCartCount } from "../site.js";
import { ORDER_STATUS, ORDER_STATUS_TEXT, PAYMENT_STATE, PAYMENT_TYPE, SLOW } from "../words.js";

const ORDERS = t("订单");
const WAIT_S = 20;
const SLOW_AFTER_MS = 10_000;
const FINAL = new Set(["rejected", "paid", "cancelled", "expired", "refunded"]);
const REFUNDABLE = new Set(["paid", "refunded"]);
// A pause follows every response. It doubles with each consecutive response that wasn't held.
const SHORTEST_PAUSE_S = 0.3;
const LONGEST_PAUSE_S = 10;
const HELD_S = 1;

const path = `orders/${subject()}/`;
let order;
let etag = null;
let isFollowing = false;
let unheld = 0; // consecutive polls that were answered at once
let asked = 0; // counts reads; two may be in flight, and the older one's response must not overwrite the newer one's
let shownRead = 0;

async function load() {
  try {
    await read(0);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    return content(empty(t("没有找到这个订单。"), "/orders/", t("查看全部订单")));
  }
  sayWhyBack();
  document.addEventListener("visibilitychange", () => document.hidden || lookAgain());
  window.addEventListener("pageshow", (event) => event.persisted && lookAgain());
  window.addEventListener("offline", sayAway);
  window.addEventListener("online", () => (clearNotices(), lookAgain()));
  await follow();
}

/** The pay link redirects back here while Alipay doesn't say whether the order is paid. */
function sayWhyBack() {
  if (query("pay") !== "confirming") return;
  history.replaceState(null, "", location.pathname);
  if (order.status === "awaiting_payment") notify("bad", t("支付宝暂时没有回应，无法确认这个订单是否已付款。请勿重复付款，稍后再试。"));
}

/** Reads the order and shows changes; with `waitS` it is a long poll. Returns how soon to poll again. */
async function read(waitS) {
  const started = performance.now();
  const mine = (asked += 1);
  const answer = await request("GET", waitS ? `${path}?wait=${waitS}` : path, { headers: etag ? { "If-None-Match": etag } : {}, retries: waitS ? 0 : 2 });
  if (mine > shownRead) {
    shownRead = mine;
    etag = answer.etag;
    if (answer.status !== 304) accept(answer.data);
  }
  unheld = performance.now() - started < HELD_S * 1000 ? unheld + 1 : 0;
  const patience = Math.min(SHORTEST_PAUSE_S * 2 ** unheld, LONGEST_PAUSE_S);
  return answer.status === 304 && unheld ? Math.max(answer.retryAfterS, patience) : patience;
}

function accept(data) {
  const isNew = JSON.stringify(data) !== JSON.stringify(order);
  order = data;
  if (isNew) show();
}

/** Polls the order until it is settled. Pauses in a hidden tab; backs off if there is no response. */
async function follow() {
  if (isFollowing) return;
  isFollowing = true;
  let silences = 0;
  while (!FINAL.has(order.status) || hasRefundUnderWay()) {
    if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    try {
      await pause(await read(WAIT_S));
      if (silences) clearNotices();
      silences = 0;
    } catch (error) {
      if (!(error instanceof NetworkError || error instanceof ApiError)) throw error;
      silences += 1;
      if (silences === 1) sayAway();
      await pause(Math.min(Math.max(error.retryAfterS || 0, 2 * silences), LONGEST_PAUSE_S));
    }
  }
  isFollowing = false;
}

const sayAway = () => notify("bad", t("暂时联系不上商店，正在重试。您的订单不受影响。"));

/** Polls at once: the buyer has done something here, or has returned to the page. */
async function lookAgain() {
  try {
    await read(0);
  } catch (error) {
    if (!(error instanceof NetworkError || error instanceof ApiError)) throw error;
    return; // the page stays as it was
  }
  follow();
}

let isCounted = false;

/** Updates the cart, which the courses leave shortly after the order is created. */
async function countCart() {
  if (isCounted || order.status === "pending" || order.status === "rejected") return;
  isCounted = true;
  await pause(0.5);
  await refreshCartCount();
}

const head = el("div", { class: "part" });
const side = el("div");
// It stays in place: moving it would take the focus from somebody who types the reason for a refund.
const layout = el("div", { class: "split wide-left" }, el("div", {}, head, refunds), side);

function show() {
  countCart();
  fill(head, banner(), lines());
  fill(side, order.amounts ? [amounts(), timeline()] : null);
  if (!layout.isConnected) content(layout);
  if (REFUNDABLE.has(order.status)) showRefunds(order, { path, lookAgain, showAgain: show });
}

/** The order's status: a word and a sentence. */
function state() {
  if (order.status === "awaiting_payment") return PAYMENT_STATE[paymentState(order)];
  return [ORDER_STATUS[order.status], order.status === "pending" && isSlow() ? SLOW : ORDER_STATUS_TEXT[order.status]];
}

const isSlow = () => shopNow() - Date.parse(order.created_at) > SLOW_AFTER_MS;

function banner() {
  if (order.status === "rejected") return refusal(order, say);
  const [word, text] = state();
  say(word, text);
  if (order.status === "pending" && !isSlow()) setTimeout(show, Date.parse(order.created_at) + SLOW_AFTER_MS + 100 - shopNow());
  const isWaiting = order.status === "pending" || (order.status === "awaiting_payment" && paymentState(order) !== "payable");
  return el("section", { class: `card form banner ${order.status}`, "aria-label": t("订单状态") },
    el("p", { class: "row apart" }, el("strong", { class: `status ${isWaiting ? "pending" : order.status}` }, word), el("small", { class: "muted number" }, order.order_number)),
    el("p", { class: isWaiting ? "loading" : null }, text),
    order.status === "awaiting_payment" ? payment(order, { path, lookAgain, showAgain: show }) : null,
    order.status === "paid" ? el("p", { class: "actions" }, link("/me/", t("去我的课程"), { class: "button primary" })) : null,
    order.status === "cancelled" || order.status === "expired" ? el("p", { class: "actions" }, button(t("再次购买"), () => buyAgain(order.order_number), { class: "button primary" }), link("/", t("看看其他课程"), { class: "button" })) : null);
}

/** Repeats the banner in the tab's title and to screen readers. */
function say(word, text) {
  setTabTitle(`${word} · ${ORDERS}`);
  announce(t("{word}。{text}", { word, text }));
}

/** The courses of the order, or of the request. */
function lines() {
  const asked = order.requested;
  return el("section", { class: "card form", "aria-label": t("课程") }, el("h2", {}, t("课程")),
    el("ul", { class: "plain" }, asked ? asked.lines.map((line) => courseLine(line, line.list_price)) : order.lines.map((line) => courseLine(line, line.cash_amount))),
    asked ? facts([[order.status === "pending" ? t("提交的金额") : t("原来的应付"), shown(asked.alipay), "sum"]]) : null);
}

function courseLine(line, price) {
  const gone = refundedWord(order, line);
  return el("li", { class: "line" },
    cover(line.course_img),
    el("div", { class: "grow" },
      el("h3", {}, link(`/courses/${line.course_id}/`, line.course_name)),
      el("p", { class: "muted" }, line.valid_period_display ? t(line.valid_period_display) : ""),
      gone ? el("p", {}, el("span", { class: "status off" }, gone)) : null),
    price === null ? null : el("p", { class: "right" },
      el("strong", { class: "amount" }, shown(price)),
      price === line.list_price ? null : el("small", { class: "muted" }, el("s", {}, shown(line.list_price)))));
}

function amounts() {
  const sums = order.amounts;
  return el("section", { class: "card form", "aria-label": t("金额") }, el("h2", {}, t("金额")), facts([
    [t("课程原价"), shown(sums.list_total)],
    isZero(sums.course_discount) ? null : [t("课程券"), `−${shown(sums.course_discount)}`, "saving"],
    isZero(sums.global_discount) ? null : [t("全场券"), `−${shown(sums.global_discount)}`, "saving"],
    sums.beili ? [t("{beili} 贝里", sums), `−${shown(sums.beili_amount)}`, "saving"] : null,
    [order.status === "paid" || order.status === "refunded" ? t("实付") : t("应付"), el("strong", { class: "amount big" }, shown(sums.alipay)), "sum"],
    isZero(sums.refunded) ? null : [t("已退款"), shown(sums.refunded)],
    [t("支付方式"), PAYMENT_TYPE[order.payment_type]],
    [t("下单时间"), moment(order.created_at)],
    order.paid_at ? [t("支付时间"), moment(order.paid_at)] : null,
  ]));
}

function timeline() {
  return el("section", { class: "card form", "aria-label": t("订单进度") }, el("h2", {}, t("订单进度")), el("ol", { class: "timeline" }, order.timeline.map((event) =>
    el("li", {}, el("span", {}, t(event.text), remark(event)), el("time", { class: "muted", datetime: event.at }, moment(event.at))))));
}

function remark({ kind, details }) {
  if (kind === "coupons_reserved" && details.saved) return el("small", { class: "muted" }, ` ${t("省 {amount}", { amount: shown(details.saved) })}`);
  if (kind === "beili_held" && details.beili) return el("small", { class: "muted" }, ` ${t("{beili} 贝里", details)}`);
  if (kind === "refund_rejected" && details.why) return el("small", { class: "muted" }, ` ${details.why}`);
  return null;
}

if (requireLogin()) start(load).catch(complain);
