import { get, logOut, requireLogin, username } from "../api.js";
import { day, moment, shopNow } from "../clock.js";
import { button, content, cover, el, facts, fill, link, pager, setTitle, start } from "../dom.js";
import { t } from "../i18n.js";
import "../site.js";
import { TRANSFER } from "../words.js";

async function load() {
  const parts = [el("section", { "aria-label": t("贝里") }), el("section", { "aria-label": t("我的课程") })];
  await Promise.all([showBeili(parts[0], 1), showCourses(parts[1], 1)]);
  setTitle(t("你好，{name}", { name: username() }));
  content(
    el("div", { class: "split wide-left" }, parts[1], el("div", {}, parts[0], link("/me/account/", t("账户设置"), { class: "button wide" }), button(t("退出登录"), leave, { class: "button quiet wide" }))));
}

async function showCourses(place, page) {
  const list = await get(`enrolments/?page=${page}&page_size=10`);
  fill(place,
    el("h2", {}, t("我的课程")),
    list.results.length
      ? el("ul", { class: "lines" }, list.results.map(enrolment))
      : el("div", { class: "card form" }, el("p", { class: "muted" }, t("还没有课程。 "), link("/", t("去选一门")))),
    pager(list, (to) => showCourses(place, to)));
}

function enrolment(item) {
  const state = stateOf(item);
  return el("li", { class: "card line" },
    cover(item.course_img),
    el("div", { class: "grow" },
      el("h3", {}, link(`/courses/${item.course_id}/`, item.course_name)),
      el("p", { class: "muted" }, t("{from} 至 {until}", { from: day(item.valid_from), until: day(item.valid_until) })),
      el("p", {}, link(`/orders/${item.order_number}/`, t("查看订单"), { class: "muted" }))),
    el("span", { class: `status ${state[1]}` }, state[0]));
}

function stateOf(item) {
  if (item.status === "revoked") return [t("已停止"), "off"];
  if (item.is_active) return [t("学习中"), "paid"];
  return Date.parse(item.valid_from) > shopNow() ? [t("尚未开始"), "pending"] : [t("已到期"), "off"];
}

async function showBeili(place, page) {
  const list = await get(`balance/?page=${page}&page_size=10`);
  fill(place,
    el("h2", {}, t("我的贝里")),
    el("div", { class: "card form" },
      facts([
        [t("可用"), el("strong", { class: "amount big" }, String(list.balance))],
        list.held_balance ? [t("待支付订单锁定"), String(list.held_balance)] : null,
      ]),
      list.results.length ? el("ul", { class: "plain history" }, list.results.map(transfer)) : el("p", { class: "muted" }, t("还没有贝里往来。")),
      pager(list, (to) => showBeili(place, to))));
}

function transfer(item) {
  const [words, sign] = TRANSFER[`${item.debit}>${item.credit}`] || [t("变动"), 0];
  const amount = sign > 0 ? `+${item.amount}` : sign < 0 ? `−${item.amount}` : String(item.amount);
  return el("li", { class: "row apart" },
    el("span", {}, isGrant(item) && item.text ? item.text : words, el("br"), el("small", { class: "muted" }, moment(item.created_at), item.order_number ? [" ", link(`/orders/${item.order_number}/`, t("查看订单"))] : null)),
    el("strong", { class: sign > 0 ? "amount saving" : sign < 0 ? "amount" : "amount muted" }, amount));
}

/** Grants and withdrawals by staff are shown with the reason that they entered. */
const isGrant = (item) => [item.debit, item.credit].includes("beili_issued");

async function leave() {
  await logOut();
  location.assign("/");
}

if (requireLogin()) start(load);
