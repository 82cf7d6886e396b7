import { get, pause, post, put, remove, requireLogin } from "../api.js";
import { button, complain, content, cover, el, empty, link, payBar, start, whileBusy } from "../dom.js";
import { t, tn } from "../i18n.js";
import { shown, sumOf } from "../money.js";
import { setCartCount } from "../site.js";

// Courses that were unticked on this page; new ones are ticked.
const unticked = new Set();

// Courses of pending order requests: course id → order number. They leave the cart by themselves.
let ordered = new Map();
const LONGEST_PAUSE_S = 30;

async function load() {
  const [cart, pending] = await Promise.all([get("cart/"), get("orders/?status=pending&page_size=100")]);
  ordered = new Map(pending.results.flatMap(({ order_number, requested }) => requested.lines.map((line) => [line.course_id, order_number])));
  show(cart);
}

/** Reloads with a backoff while courses of the cart are being ordered. */
async function watch() {
  for (let seconds = 2; ; seconds = Math.min(seconds * 2, LONGEST_PAUSE_S)) {
    await pause(seconds);
    if (!document.hidden && document.querySelector("[data-ordered]")) await load().catch(() => {});
  }
}

function show(cart) {
  const lines = Object.values(cart);
  setCartCount(lines.filter((line) => !ordered.has(line.id)).length);
  if (!lines.length) return content(empty(t("购物车还是空的。"), "/", t("去选课")));
  content(el("div", { class: "split wide-left" }, el("ul", { class: "lines" }, lines.map((line) => row(line, cart))), summary(lines)));
}

const chosenPolicy = (line) => line.price_policy_list.find((policy) => policy.id === line.choice_policy_id);
const canBeBought = (line) => !line.flags.includes("offline") && !line.flags.includes("policy_gone");
const isTicked = (line) => canBeBought(line) && !ordered.has(line.id) && !unticked.has(line.id);

function row(line, cart) {
  const policy = chosenPolicy(line);
  const tick = el("input", {
    type: "checkbox", id: `tick-${line.id}`, checked: isTicked(line), disabled: !canBeBought(line) || ordered.has(line.id), "aria-label": t("结算《{name}》", line),
    onchange: (event) => {
      if (event.target.checked) unticked.delete(line.id);
      else unticked.add(line.id);
      show(cart);
    },
  });
  return el("li", { class: "card line", "data-ordered": ordered.has(line.id) },
    tick,
    cover(line.course_img),
    el("div", { class: "grow" },
      el("h2", {}, canBeBought(line) || !line.flags.includes("offline") ? link(`/courses/${line.id}/`, line.name) : line.name),
      remarks(line, policy),
      ordered.has(line.id) ? el("p", { class: "remark info" }, t("已提交订单，正在处理。"), link(`/orders/${ordered.get(line.id)}/`, t("查看订单"))) : null,
      el("div", { class: "row" },
        policyChoice(line),
        policy ? el("strong", { class: "amount" }, shown(policy.price)) : null,
        button(t("移除"), () => take(line), { class: "button quiet small", "aria-label": t("移除《{name}》", line) }))));
}

function remarks(line, policy) {
  const words = {
    offline: t("课程已下架，暂时不能购买"),
    policy_gone: t("原来选的有效期已不再提供，请重新选择"),
    price_changed: policy && t("价格有变化：加入时 {before}，现在 {now}", { before: shown(line.price_seen), now: shown(policy.price) }),
    owned: t("您已拥有这门课程，再次购买会顺延有效期"),
    in_unpaid_order: [t("这门课程已在一笔待支付订单中："), link(`/orders/${line.unpaid_order_number}/`, t("去看那笔订单"))],
  };
  const kinds = { offline: "bad", policy_gone: "bad", price_changed: "warn", owned: "info", in_unpaid_order: "warn" };
  return line.flags.map((flag) => el("p", { class: `remark ${kinds[flag]}` }, words[flag]));
}

function policyChoice(line) {
  const id = `policy-${line.id}`;
  const select = el("select", {
    id, "aria-label": t("《{name}》的有效期", line), disabled: line.flags.includes("offline") || ordered.has(line.id),
    onchange: () => whileBusy(select, async () => {
      try {
        let cart;
        let sent;
        do {
          sent = select.value;
          cart = await put(`cart/${line.id}/`, { policy_id: Number(sent) });
        } while (select.value !== sent); // somebody may choose again meanwhile
        show(cart);
      } catch (error) {
        await load();
        complain(error);
      }
    }),
  },
  chosenPolicy(line) ? null : el("option", { value: "", selected: true, disabled: true }, t("请选择有效期")),
  line.price_policy_list.map((policy) => el("option", { value: policy.id, selected: policy.id === line.choice_policy_id }, `${t(policy.period)} ${shown(policy.price)}`)));
  return select;
}

async function take(line) {
  await remove(`cart/${line.id}/`);
  await load();
  document.getElementById("main").focus();
}

function summary(lines) {
  const ticked = lines.filter(isTicked);
  return el("aside", { class: "card form sticky", "aria-label": t("合计") },
    payBar(tn("已选 {n} 门", ticked.length), shown(sumOf(ticked.map((line) => chosenPolicy(line).price))),
      button(t("去结算"), () => checkOut(ticked), { class: "button primary wide", disabled: ticked.length === 0 })),
    el("p", { class: "muted" }, t("优惠券和贝里在下一步使用。")),
    button(t("清空购物车"), clear, { class: "button quiet wide" }));
}

async function checkOut(ticked) {
  const started = await post("checkout/", { course_list: ticked.map((line) => line.id) });
  location.assign(`/checkout/${started.checkout_id}/`);
}

async function clear() {
  if (!confirm(t("确定清空购物车吗？"))) return;
  await remove("cart/");
  await load();
}

if (requireLogin()) start(load).then(watch);
