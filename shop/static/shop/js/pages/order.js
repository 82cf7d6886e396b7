import { ApiError, NetworkError, get, pause, post, request, requireLogin } from "../api.js";
import { countdown, moment } from "../clock.js";
import { button, clearNotices, complain, content, cover, el, empty, facts, fill, link, notify, start, subject } from "../dom.js";
import { isZero, shown } from "../money.js";
import { forgetKey, placeAgain, placeAnyway, purchaseOf } from "../purchase.js";
import { refreshCartCount } from "../site.js";
import { ORDER_STATUS, ORDER_STATUS_TEXT, PAYMENT_TYPE, REFUND_STATUS, REFUSAL } from "../words.js";

const WAIT_S = 20;
const LONGEST_SILENCE_S = 10;
const FINAL = new Set(["rejected", "paid", "cancelled", "expired", "refunded"]);

const REFUNDABLE = new Set(["paid", "refunded"]);
const UNDER_WAY = new Set(["sent", "unknown"]);

const path = `orders/${subject()}/`;
let order;
let etag = null;
let isFollowing = false;
let unheld = 0; // looks in a row that were answered at once without news: the server is busy, and is asked ever more seldom
let asked = 0; // counts reads; two may be under way at once, and the older one's answer must not undo the newer one's
let shownRead = 0;

async function load() {
  try {
    await read(0);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    return content(empty("没有找到这个订单。", "/orders/", "查看全部订单"));
  }
  await follow();
}

/** Reads the order; with `waitS` the server answers when there is news, or after that long. Answers how soon to ask again. */
async function read(waitS) {
  const started = performance.now();
  const mine = (asked += 1);
  const answer = await request("GET", waitS ? `${path}?wait=${waitS}` : path, { headers: etag ? { "If-None-Match": etag } : {}, retries: waitS ? 0 : 2 });
  if (mine < shownRead) return 0;
  shownRead = mine;
  etag = answer.etag;
  if (answer.status !== 304) {
    order = answer.data;
    show();
  }
  const wasHeld = performance.now() - started > 1000;
  unheld = waitS && answer.status === 304 && !wasHeld ? unheld + 1 : 0;
  return unheld ? Math.max(answer.retryAfterS, Math.min(1 + unheld, LONGEST_SILENCE_S)) : 0;
}

/** Follows the order until it is settled. A hidden tab rests; silence is met with more and more patience. */
async function follow() {
  if (isFollowing) return;
  isFollowing = true;
  let silences = 0;
  while (!FINAL.has(order.status)) {
    if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    try {
      await pause(await read(WAIT_S));
      if (silences) clearNotices();
      silences = 0;
    } catch (error) {
      if (!(error instanceof NetworkError || error instanceof ApiError)) throw error;
      silences += 1;
      notify("info", "暂时联系不上商店，正在重试。您的订单不受影响。");
      await pause(Math.min(error.retryAfterS || 2 * silences, LONGEST_SILENCE_S));
    }
  }
  isFollowing = false;
}

let isCounted = false;

/** What was bought leaves the cart a moment after the order is made. */
async function countCart() {
  if (isCounted || order.status === "pending" || order.status === "rejected") return;
  isCounted = true;
  await pause(0.5);
  await refreshCartCount();
}

function show() {
  countCart();
  content(el("div", { class: "split wide-left" },
    el("div", {}, banner(), order.lines.length ? lines() : null, REFUNDABLE.has(order.status) ? refunds() : null),
    order.amounts ? el("div", {}, amounts(), timeline()) : null));
}

function banner() {
  if (order.status === "rejected") return refusal();
  return el("section", { class: `card form banner ${order.status}`, "aria-label": "订单状态" },
    el("p", { class: "row apart" }, el("strong", { class: `status ${order.status}` }, ORDER_STATUS[order.status]), el("small", { class: "muted number" }, order.order_number)),
    el("p", { class: order.status === "pending" ? "loading" : null }, ORDER_STATUS_TEXT[order.status]),
    order.status === "awaiting_payment" ? payment() : null,
    order.status === "paid" ? el("p", { class: "actions" }, link("/me/", "去我的课程", { class: "button primary" })) : null,
    order.status === "cancelled" || order.status === "expired" ? el("p", { class: "actions" }, link("/", "重新选课", { class: "button" })) : null);
}

function payment() {
  if (order.timeline.some(({ kind }) => kind === "cancel_requested")) return el("p", { class: "remark" }, "正在取消订单…");
  if (!order.pay_url) return el("p", { class: "remark warn" }, "支付时间已过，正在确认最后的支付结果…");
  return [
    el("p", {}, "剩余支付时间 ", countdown(order.expires_at, deadline)),
    el("p", { class: "actions" },
      link(order.pay_url, `去支付 ${shown(order.amounts.alipay)}`, { class: "button primary" }),
      button("取消订单", cancel, { class: "button quiet" })),
  ];
}

/** The order hasn't changed, but its link is gone: read it as if it were new. */
async function deadline() {
  await pause(1);
  etag = null;
  start(() => read(0));
}

async function cancel() {
  if (!confirm("确定取消这个订单吗？优惠券和贝里会退回。")) return;
  await post(`${path}cancel/`);
  notify("info", "正在取消订单…");
  await read(0);
  clearNotices();
}

function refusal() {
  const [title, text, way] = REFUSAL[order.error.error] || ["未能下单", `${order.error.msg}没有产生任何扣款。`, "again"];
  const purchase = purchaseOf(order.order_number);
  if (purchase) forgetKey(purchase.checkoutId);
  const quote = way === "confirm" && purchase ? order.error.details.quote : null;
  return el("section", { class: "card form banner rejected", "aria-label": "订单状态" },
    el("p", { class: "row apart" }, el("strong", { class: "status rejected" }, title), el("small", { class: "muted number" }, order.order_number)),
    el("p", {}, text),
    quote ? newQuote(quote, purchase) : null,
    el("p", { class: "actions" },
      way === "unpaid" ? link(`/orders/${order.error.details.order_number}/`, "去看那笔待支付订单", { class: "button primary" }) : null,
      way === "unpaid" && purchase ? button("仍要购买", () => buyAnyway(purchase), { class: "button" }) : null,
      quote ? button(`按新报价提交 ${shown(quote.alipay)}`, () => confirmQuote(quote, purchase), { class: "button primary" }) : null,
      !["cart", "unpaid"].includes(way) && purchase ? button("重新结算", () => checkOutAgain(purchase), { class: quote ? "button" : "button primary" }) : null,
      link("/cart/", "回到购物车", { class: way === "unpaid" || (way !== "cart" && purchase) ? "button quiet" : "button primary" })));
}

function newQuote(quote, purchase) {
  return facts([
    ["原来的应付", el("s", {}, shown(purchase.body.alipay))],
    ...quote.lines.map((line, number) => [quote.lines.length > 1 ? `第 ${number + 1} 门课程的有效期` : "有效期", `${line.valid_period} 天`]),
    ["课程原价", shown(quote.list_total)],
    isZero(quote.course_discount) ? null : ["课程券", `−${shown(quote.course_discount)}`, "saving"],
    isZero(quote.global_discount) ? null : ["全场券", `−${shown(quote.global_discount)}`, "saving"],
    quote.beili ? [`${quote.beili} 贝里`, `−${shown(quote.beili_amount)}`, "saving"] : null,
    ["新的应付", el("strong", { class: "amount big" }, shown(quote.alipay)), "sum"],
  ]);
}

async function confirmQuote(quote, purchase) {
  location.assign(`/orders/${await placeAgain(order.order_number, purchase, quote)}/`);
}

async function buyAnyway(purchase) {
  if (!confirm("这门课程会被买两次，有效期顺延。确定吗？")) return;
  location.assign(`/orders/${await placeAnyway(order.order_number, purchase)}/`);
}

async function checkOutAgain(purchase) {
  try {
    const started = await post("checkout/", { course_list: purchase.body.course_price_list.map((line) => line.course_id) });
    location.assign(`/checkout/${started.checkout_id}/`);
  } catch (error) {
    complain(error);
  }
}

function lines() {
  return el("section", { class: "card form", "aria-label": "课程" }, el("h2", {}, "课程"), el("ul", { class: "plain" }, order.lines.map((line) =>
    el("li", { class: "line" },
      cover(line.course_img),
      el("div", { class: "grow" }, el("h3", {}, link(`/courses/${line.course_id}/`, line.course_name)), el("p", { class: "muted" }, line.valid_period_display)),
      el("p", { class: "right" }, el("strong", { class: "amount" }, shown(line.cash_amount)), line.cash_amount === line.list_price ? null : el("small", { class: "muted" }, el("s", {}, shown(line.list_price))))))));
}

/** The order's refunds, and the form to ask for one. Nothing stands here until the server has answered. */
function refunds() {
  const place = el("section", { "aria-label": "退款" });
  showRefunds(place).catch(complain);
  return place;
}

async function showRefunds(place, patience = 5) {
  const known = await get(`${path}refunds/`);
  const gone = new Set(known.filter((refund) => refund.status !== "rejected").flatMap((refund) => refund.lines));
  const left = order.lines.filter((line) => !gone.has(line.course_id));
  fill(place,
    known.length ? el("div", { class: "card form" }, el("h2", {}, "退款"), el("ul", { class: "plain" }, known.map(refundRow))) : null,
    order.status === "paid" && left.length ? refundForm(left) : null);
  if (patience && known.some((refund) => UNDER_WAY.has(refund.status) || (refund.approved_at && !refund.finished_at))) {
    await pause(2);
    if (place.isConnected) await showRefunds(place, patience - 1);
  } else if (known.some((refund) => refund.status === "succeeded") && isZero(order.amounts.refunded) && order.status === "paid") {
    await read(0);
  }
}

function refundRow(refund) {
  const names = order.lines.filter((line) => refund.lines.includes(line.course_id)).map((line) => line.course_name);
  const sums = [isZero(refund.amount) ? null : shown(refund.amount), refund.beili ? `${refund.beili} 贝里` : null].filter(Boolean);
  return el("li", {},
    el("div", { class: "row apart" }, el("strong", {}, names.join("、") || "多付款项"), el("span", { class: "status" }, REFUND_STATUS[refund.status] || refund.status_text)),
    el("p", { class: "muted" }, [sums.join(" + "), moment(refund.requested_at)].filter(Boolean).join("，")));
}

function refundForm(left) {
  const form = el("form", { class: "form" },
    el("fieldset", {}, el("legend", {}, "退哪些课程"), left.map((line) =>
      el("label", { class: "option" }, el("input", { type: "checkbox", name: "line", value: line.course_id, checked: true }), el("span", { class: "grow" }, line.course_name)))),
    el("label", { for: "reason" }, "原因（可不填）"),
    el("input", { id: "reason", name: "reason", maxlength: 200, autocomplete: "off" }),
    el("p", { class: "muted" }, "款项按支付方式原路退回，退款成功后课程随即停止。"));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.append(button("提交退款申请", () => askForRefund(form)));
  return el("details", { class: "card" }, el("summary", {}, "申请退款"), form);
}

async function askForRefund(form) {
  const chosen = new FormData(form);
  const courseIds = chosen.getAll("line").map(Number);
  if (!courseIds.length) return notify("info", "请选择要退的课程。");
  await post(`${path}refunds/`, { lines: courseIds, reason: chosen.get("reason") });
  notify("good", "已收到退款申请。");
  etag = null;
  await read(0);
}

function amounts() {
  const sums = order.amounts;
  return el("section", { class: "card form", "aria-label": "金额" }, el("h2", {}, "金额"), facts([
    ["课程原价", shown(sums.list_total)],
    isZero(sums.course_discount) ? null : ["课程券", `−${shown(sums.course_discount)}`, "saving"],
    isZero(sums.global_discount) ? null : ["全场券", `−${shown(sums.global_discount)}`, "saving"],
    sums.beili ? [`${sums.beili} 贝里`, `−${shown(sums.beili_amount)}`, "saving"] : null,
    [order.status === "paid" || order.status === "refunded" ? "实付" : "应付", el("strong", { class: "amount big" }, shown(sums.alipay)), "sum"],
    isZero(sums.refunded) ? null : ["已退款", shown(sums.refunded)],
    ["支付方式", PAYMENT_TYPE[order.payment_type]],
    ["下单时间", moment(order.created_at)],
    order.paid_at ? ["支付时间", moment(order.paid_at)] : null,
  ]));
}

function timeline() {
  return el("section", { class: "card form", "aria-label": "订单进度" }, el("h2", {}, "订单进度"), el("ol", { class: "timeline" }, order.timeline.map((event) =>
    el("li", {}, el("span", {}, event.text, remark(event)), el("time", { class: "muted", datetime: event.at }, moment(event.at))))));
}

function remark({ kind, details }) {
  if (kind === "coupons_reserved" && details.saved) return el("small", { class: "muted" }, ` 省 ${shown(details.saved)}`);
  if (kind === "beili_held" && details.beili) return el("small", { class: "muted" }, ` ${details.beili} 贝里`);
  return null;
}

if (requireLogin()) start(load);
