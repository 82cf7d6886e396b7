// The refunds of an order: their progress, the reason for a refusal, and the request form with its quote.

import { get, pause, post } from "../api.js";
import { moment } from "../clock.js";
import { button, complain, el, fill, notify } from "../dom.js";
import { t } from "../i18n.js";
import { isZero, shown } from "../money.js";
import { REFUND_STATUS } from "../words.js";

const SETTLED = new Set(["succeeded", "rejected", "failed"]);
const QUOTE_PAUSE_S = 0.2;

let known = [];
let shownFor = null; // what the section shows; it is only rebuilt when that changes
let asking = null; // the request form and the courses in it; it stays until those change, so that nobody loses their input

/** The section with the order's refunds; empty until `showRefunds`. */
export const refunds = el("section", { "aria-label": t("退款") });

/** Whether a refund waits for staff or for Alipay, so that polling its order makes sense. */
export const hasRefundUnderWay = () => known.some((refund) => !SETTLED.has(refund.status));

const refundOf = (line) => known.find((refund) => refund.status !== "rejected" && refund.lines.includes(line.course_id));

/** The mark on a line that is being or has been refunded; null on any other. */
export function refundedWord(order, line) {
  const refund = order.requested ? null : refundOf(line);
  return refund ? { succeeded: t("已退款"), failed: t("退款处理中") }[refund.status] || t("退款中") : null;
}

/** Reloads the refunds; called whenever the order changes. */
export function showRefunds(order, page) {
  readRefunds(order, page).catch(complain);
}

async function readRefunds(order, page) {
  const answer = await get(`${page.path}refunds/`);
  const state = JSON.stringify([answer, order.status]);
  if (state === shownFor) return;
  const hadNone = shownFor === null && !answer.length;
  [shownFor, known] = [state, answer];
  const left = order.lines.filter((line) => !refundOf(line));
  fill(refunds,
    known.length ? el("div", { class: "card form" }, el("h2", {}, t("退款")), el("ul", { class: "plain", role: "status" }, known.map((refund) => row(order, refund)))) : null,
    order.status === "paid" && left.length ? formFor(left, page) : null);
  if (hadNone) return;
  page.showAgain(); // to update the marks on its lines
  page.lookAgain();
}

function row(order, refund) {
  const names = order.lines.filter((line) => refund.lines.includes(line.course_id)).map((line) => line.course_name);
  return el("li", {},
    el("div", { class: "row apart" }, el("strong", {}, names.join(t("、")) || t("多付款项")), el("span", { class: `status ${refund.status}` }, REFUND_STATUS[refund.status] || t(refund.status_text))),
    el("p", { class: "muted" }, [sumOf(refund), moment(refund.requested_at)].filter(Boolean).join(t("，"))),
    refund.status === "rejected" && refund.outcome ? el("p", { class: "remark bad" }, t("未通过的原因：{reason}", { reason: refund.outcome })) : null);
}

const sumOf = ({ amount, beili }) => [isZero(amount) ? null : shown(amount), beili ? t("{beili} 贝里", { beili }) : null].filter(Boolean).join(" + ");

function formFor(left, page) {
  const courses = left.map((line) => line.course_id).join();
  if (asking?.courses !== courses) asking = { courses, node: form(left, page) };
  return asking.node;
}

/** The form. Nothing can be sent before the sum of what is ticked now is shown. */
function form(left, page) {
  const sum = el("p", { class: "total", role: "status", id: "refund-sum" });
  const node = el("form", { class: "form" },
    el("fieldset", {}, el("legend", {}, t("退哪些课程")), left.map((line) =>
      el("label", { class: "option" }, el("input", { type: "checkbox", name: "line", value: line.course_id, checked: true, onchange: () => quote() }), el("span", { class: "grow" }, line.course_name)))),
    el("label", { for: "reason" }, t("原因（可不填）")),
    el("input", { id: "reason", name: "reason", maxlength: 200, autocomplete: "off" }),
    sum,
    el("p", { class: "muted" }, t("款项按支付方式原路退回，退款成功后课程随即停止。")));
  const chosen = () => new FormData(node).getAll("line").map(Number);
  const submit = button(t("提交退款申请"), () => ask(node, chosen(), page), { disabled: true });
  node.append(submit);
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    submit.click();
  });

  let quotes = 0;
  async function quote() {
    const mine = (quotes += 1);
    const isNewest = () => mine === quotes;
    submit.disabled = true;
    await pause(QUOTE_PAUSE_S);
    if (!isNewest()) return;
    try {
      const answer = chosen().length ? await post(`${page.path}refunds/quote/`, { lines: chosen() }) : null;
      if (!isNewest()) return;
      fill(sum, answer ? [t("将退回"), el("strong", { class: "amount big" }, sumOf(answer) || shown(answer.amount))] : t("请选择要退的课程。"));
      submit.disabled = !answer;
    } catch (error) {
      if (!isNewest()) return;
      fill(sum, button(t("重新计算金额"), quote, { class: "button small" }));
      complain(error);
    }
  }
  const details = el("details", { class: "card", id: "refund-form" }, el("summary", {}, t("申请退款")), node);
  details.addEventListener("toggle", () => details.open && quote());
  return details;
}

async function ask(node, courseIds, page) {
  await post(`${page.path}refunds/`, { lines: courseIds, reason: new FormData(node).get("reason") });
  notify("good", t("已收到退款申请，进度会显示在这个页面上。"));
  [shownFor, asking] = ["asked", null];
  await page.lookAgain();
}
