// Paying an order: the link to the cashier, a QR code for the phone, and the states in between.

import { post } from "../api.js";
import { countdown, shopNow } from "../clock.js";
import { button, clearNotices, el, link, notify, payBar } from "../dom.js";
import { t } from "../i18n.js";
import { shown } from "../money.js";

let code = null; // the displayed QR code, as an SVG node
let isPhone = /Mobi/.test(navigator.userAgent);

/** The state of the order's payment: the server's, or overdue once the deadline has passed. */
export function paymentState(order) {
  const isOver = order.payment_state === "payable" && (!order.pay_url || Date.parse(order.expires_at) <= shopNow());
  return isOver ? "overdue" : order.payment_state;
}

/** The available actions: none while it is uncertain whether the order is paid. */
export function payment(order, page) {
  if (paymentState(order) !== "payable") {
    code = null;
    return null;
  }
  return [
    el("p", {}, t("剩余支付时间 "), countdown(order.expires_at, page.showAgain)),
    code ? scan(page) : null,
    el("div", { class: "actions" },
      payBar(t("应付"), shown(order.amounts.alipay), el("a", { class: "button primary", href: order.pay_url }, t("去支付"), amount(order))),
      code ? null : other(order, page),
      button(t("取消订单"), () => cancel(page), { class: "button quiet" })),
  ];
}

/** The button shows the total if no bar shows it beside the button. */
const amount = (order) => el("span", { class: "amount" }, `\u00a0${shown(order.amounts.alipay)}`);

/** Alternatives: the page for computers on a phone, and a QR code on a computer. */
function other(order, page) {
  if (isPhone) return link(`${order.pay_url}?product=page`, t("用电脑版网页支付"), { class: "button" });
  return button(t("扫码支付"), () => showCode(page), { class: "button" });
}

async function showCode({ path, showAgain }) {
  const started = await post(`${path}payments/`, { product: "qr" });
  const drawn = new DOMParser().parseFromString(started.qr_svg, "image/svg+xml").documentElement;
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", t("支付宝付款码"));
  drawn.setAttribute("class", "code");
  code = document.importNode(drawn, true);
  showAgain();
}

const scan = ({ showAgain }) => el("div", { class: "scan" },
  code,
  el("p", {}, t("用手机支付宝扫码付款，付完后此页会自动更新。")),
  button(t("收起付款码"), () => { code = null; showAgain(); }, { class: "button small" }));

async function cancel({ path, lookAgain }) {
  if (!confirm(t("确定取消这个订单吗？优惠券和贝里会退回。"))) return;
  await post(`${path}cancel/`);
  notify("info", t("正在取消订单…"));
  await lookAgain();
  clearNotices();
}
