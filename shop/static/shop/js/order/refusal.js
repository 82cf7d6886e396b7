// A refused order: the reason, what has changed since it was sent, and how to go on. All of it comes from the server, so every device shows the same.

import { post } from "../api.js";
import { button, complain, el, facts, link } from "../dom.js";
import { t, tn } from "../i18n.js";
import { isZero, shown } from "../money.js";
import { forgetKey, placeAgain, placeAnyway, purchaseOf } from "../purchase.js";
import { REFUSAL } from "../words.js";

export function refusal(order, say) {
  const [title, text, way] = REFUSAL[order.error.error] || [t("未能下单"), t(order.error.msg), "again"];
  say(title, text);
  const sent = purchaseOf(order.order_number);
  if (sent) forgetKey(sent.checkoutId);
  const quote = way === "confirm" ? order.error.details.quote : null;
  return el("section", { class: "card form banner rejected", "aria-label": t("订单状态") },
    el("p", { class: "row apart" }, el("strong", { class: "status rejected" }, title), el("small", { class: "muted number" }, order.order_number)),
    el("p", {}, text),
    quote ? changes(order.requested, quote) : null,
    el("p", { class: "actions" },
      way === "unpaid" ? link(`/orders/${order.error.details.order_number}/`, t("去看那笔待支付订单"), { class: "button primary" }) : null,
      way === "unpaid" ? button(t("仍要购买"), () => buyAnyway(order, sent), { class: "button" }) : null,
      quote ? button(t("按新价格提交 {amount}", { amount: shown(quote.alipay) }), () => confirmQuote(order, quote, sent), { class: "button primary" }) : null,
      !["cart", "unpaid"].includes(way) ? button(t("重新结算"), () => checkOutAgain(order.requested), { class: quote ? "button" : "button primary" }) : null,
      link("/cart/", t("回到购物车"), { class: way !== "cart" ? "button quiet" : "button primary" })));
}

/** The agreed prices beside the current ones. Unchanged prices are left out. */
function changes(asked, quote) {
  const priceOf = new Map(asked.lines.map((line) => [line.course_id, line]));
  const moved = quote.lines.filter((line) => priceOf.get(line.course_id)?.list_price !== line.list_price);
  return facts([
    ...quote.lines.map((line) => [t("{course} 有效期", { course: priceOf.get(line.course_id)?.course_name || t("课程") }), tn("{n} 天", line.valid_period)]),
    ...moved.map((line) => [priceOf.get(line.course_id)?.course_name || t("课程"), fromTo(priceOf.get(line.course_id)?.list_price, line.list_price)]),
    asked.beili !== quote.beili ? [t("贝里"), `${asked.beili} → ${quote.beili}`] : null,
    [t("原来的应付"), el("s", {}, shown(asked.alipay))],
    [t("课程原价"), shown(quote.list_total)],
    isZero(quote.course_discount) ? null : [t("课程券"), `−${shown(quote.course_discount)}`, "saving"],
    isZero(quote.global_discount) ? null : [t("全场券"), `−${shown(quote.global_discount)}`, "saving"],
    quote.beili ? [t("{beili} 贝里", quote), `−${shown(quote.beili_amount)}`, "saving"] : null,
    [t("新的应付"), el("strong", { class: "amount big" }, shown(quote.alipay)), "sum"],
  ]);
}

const fromTo = (before, now) => (before ? [el("s", { class: "muted" }, shown(before)), " → ", shown(now)] : shown(now));

async function confirmQuote(order, quote, sent) {
  location.assign(`/orders/${await placeAgain(order.order_number, order.requested, quote, sent?.checkoutId)}/`);
}

async function buyAnyway(order, sent) {
  if (!confirm(t("这门课程会被买两次，有效期顺延。确定吗？"))) return;
  location.assign(`/orders/${await placeAnyway(order.order_number, order.requested, sent?.checkoutId)}/`);
}

async function checkOutAgain(asked) {
  try {
    const started = await post("checkout/", { course_list: asked.lines.map((line) => line.course_id) });
    location.assign(`/checkout/${started.checkout_id}/`);
  } catch (error) {
    complain(error);
  }
}
