import { ApiError, NetworkError, pause, post, request, requireLogin } from "../api.js";
import { countdown, date } from "../clock.js";
import { button, clearNotices, complain, content, cover, el, empty, facts, fill, link, loading, main, notify, payBar, query, start, subject } from "../dom.js";
import { t, tn } from "../i18n.js";
import { isZero, shown } from "../money.js";
import { placeOrder } from "../purchase.js";
import "../site.js";
import { couponReason, worth } from "../words.js";

const TYPING_PAUSE_MS = 350;
const LONGEST_PAUSE_S = 5;

let checkout; // the API's response
let choice; // {byCourse: Map(course id → record id), globalId, beili}
let quote; // the server's quote for `choice`
let asked = 0; // counts requested quotes: an outdated response is dropped
let isQuoting = false;
let isOver = false;

async function load() {
  try {
    checkout = await decided(subject() ? `checkout/${subject()}/` : "checkout/");
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    return content(empty(t("结算单不存在或已过期。课程还在购物车里，重新结算即可。"), "/cart/", t("回到购物车")));
  }
  if (!subject()) main().dataset.subject = checkout.checkout_id;
  if (query("left_out")) notify("info", t("有课程已不能购买，没有放进这次结算。"));
  history.replaceState(null, "", `/checkout/${checkout.checkout_id}/`);
  if (checkout.status === "failed") return content(empty(t(checkout.error.msg), "/cart/", t("回到购物车")));
  begin();
}

/** Polls the checkout until a worker has priced it, first after the server's Retry-After, then with a backoff. */
async function decided(path) {
  for (let patience = 1; ; patience = Math.min(patience + 1, LONGEST_PAUSE_S)) {
    const { data, retryAfterS } = await request("GET", path, { retries: 2 });
    if (data.status !== "pending") return data;
    content(loading(t("正在核对价格和优惠券…")));
    await pause(Math.max(retryAfterS, patience));
    path = `checkout/${data.checkout_id}/`;
  }
}

const courses = () => Object.values(checkout.payment_list.policy_course_dict);

function begin() {
  quote = checkout.quote;
  choice = {
    byCourse: new Map(quote.lines.map((line) => [line.course_id, line.coupon_record_id])),
    globalId: quote.coupon_record_id,
    beili: quote.beili,
    buyAgain: false,
  };
  content(el("div", { class: "split wide-left" },
    el("div", {},
      el("section", { "aria-label": t("课程") }, courses().map((course) => el("article", { class: "card", id: `course-${course.course_id}` }))),
      el("section", { class: "card form", id: "global", "aria-label": t("全场券") }),
      el("section", { class: "card form", id: "beili", "aria-label": t("贝里") }, beiliForm())),
    el("aside", { class: "card form sticky", id: "summary", "aria-label": t("应付金额") })));
  show();
}

function show() {
  const focused = document.activeElement?.id;
  const openLists = [...document.querySelectorAll("details[open]")].map((node) => node.id);
  courses().forEach(showCourse);
  fill(document.getElementById("global"),
    couponList("global", t("全场优惠券"), Object.values(checkout.payment_list.global_coupon_record_dict), choice.globalId, (id) => (choice.globalId = id)));
  showBeili();
  showSummary();
  openLists.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  if (focused) document.getElementById(focused)?.focus();
}

function showCourse(course) {
  const line = quote.lines.find((entry) => entry.course_id === course.course_id);
  const coupons = course.coupon_record_list.map((coupon) => takenElsewhere(course, coupon));
  fill(document.getElementById(`course-${course.course_id}`),
    el("div", { class: "line" },
      cover(course.course_img),
      el("div", { class: "grow" }, el("h2", {}, course.course_name), el("p", { class: "muted" }, t(course.policy_period)), unpaidRemark(course)),
      el("p", { class: "right" },
        el("strong", { class: "amount" }, shown(course.policy_price)),
        isZero(line.course_discount) ? null : el("small", { class: "saving" }, `−${shown(line.course_discount)}`))),
    coupons.length > 1
      ? couponList(`course-${course.course_id}`, t("课程优惠券"), coupons, choice.byCourse.get(course.course_id), (id) => choice.byCourse.set(course.course_id, id))
      : null);
}

function unpaidRemark(course) {
  if (!course.unpaid_order_number) return null;
  return el("p", { class: "remark warn" }, t("这门课程已在一笔待支付订单中："), link(`/orders/${course.unpaid_order_number}/`, t("去看那笔订单")));
}

/** A course in another unpaid order is only bought again after an explicit confirmation. */
function buyAgainForm() {
  if (!courses().some((course) => course.unpaid_order_number)) return null;
  return el("label", { class: "option" },
    el("input", {
      type: "checkbox", id: "buy-again", checked: choice.buyAgain, disabled: isOver,
      onchange: (event) => {
        choice.buyAgain = event.target.checked;
        showSummary();
      },
    }),
    el("span", { class: "grow" }, t("我确认要再买一次")));
}

/** A coupon for any course can be used for one of them only. */
function takenElsewhere(course, coupon) {
  const other = courses().find((entry) => entry.course_id !== course.course_id && coupon.id && choice.byCourse.get(entry.course_id) === coupon.id);
  return other ? { ...coupon, applicable: false, taken: t("已用于《{course}》", { course: other.course_name }) } : coupon;
}

function couponList(name, legend, coupons, chosenId, choose) {
  const option = (coupon) => {
    const usable = coupon.id === 0 || coupon.applicable;
    return el("label", { class: usable ? "option" : "option off" },
      el("input", {
        type: "radio", name, id: `${name}-${coupon.id}`, value: coupon.id, checked: coupon.id === chosenId, disabled: !usable || isOver,
        onchange: () => {
          choose(coupon.id);
          ask();
        },
      }),
      el("span", { class: "grow" }, coupon.id ? t("{name}（{worth}）", { name: coupon.name, worth: worth(coupon) }) : t("不使用优惠券"), coupon.id ? el("small", { class: "muted" }, ` ${t("有效期至 {last}", { last: date(coupon.valid_until) })}`) : null),
      el("span", { class: usable ? "saving" : "muted" }, coupon.id === 0 ? "" : coupon.applicable ? t("省 {amount}", { amount: shown(coupon.saving) }) : coupon.taken || couponReason(coupon)));
  };
  const usable = coupons.filter((coupon) => coupon.id === 0 || coupon.applicable);
  const others = coupons.filter((coupon) => !usable.includes(coupon));
  const none = usable.length === 1 ? el("p", { class: "muted" }, t("没有可用的优惠券。")) : null;
  return el("fieldset", {}, el("legend", {}, legend),
    none || usable.toSorted((one, other) => Number(one.id === 0) - Number(other.id === 0)).map(option),
    others.length ? el("details", { id: `${name}-others` }, el("summary", {}, tn("{n} 张暂不可用", others.length)), others.map(option)) : null);
}

function beiliForm() {
  let typing;
  const input = el("input", {
    id: "beili-input", inputmode: "numeric", autocomplete: "off", maxlength: 12, "aria-describedby": "beili-hint",
    oninput: () => {
      clearTimeout(typing);
      input.value = input.value.replace(/\D/g, "");
      setQuoting();
      typing = setTimeout(() => wish(Number(input.value)), TYPING_PAUSE_MS);
    },
    onblur: () => {
      if (!isQuoting) input.value = String(quote.beili);
    },
  });
  const wish = (beili) => {
    choice.beili = beili;
    ask();
  };
  return [
    el("label", { for: "beili-input" }, t("使用贝里")),
    el("div", { class: "row" }, input, el("button", { class: "button", type: "button", id: "beili-all", onclick: () => wish(mostBeili()) }, t("全部使用"))),
    el("p", { class: "muted", id: "beili-hint" }),
  ];
}

const mostBeili = () => Math.min(checkout.balance, quote.beili_max);

function showBeili() {
  const input = document.getElementById("beili-input");
  // The field isn't corrected while somebody types a larger number; the hint shows what will be used.
  if (document.activeElement !== input || Number(input.value) > mostBeili()) input.value = String(quote.beili);
  input.disabled = isOver;
  document.getElementById("beili-all").disabled = isOver || mostBeili() === 0;
  document.getElementById("beili-hint").textContent =
    t("您有 {balance} 贝里，本单最多可用 {most}（{rate} 贝里抵 1 元）。", { balance: checkout.balance, most: mostBeili(), rate: checkout.beili_per_yuan });
}

function showSummary() {
  const off = (amount) => `−${shown(amount)}`;
  fill(document.getElementById("summary"),
    facts([
      [t("课程原价"), shown(quote.list_total)],
      isZero(quote.course_discount) ? null : [t("课程券"), off(quote.course_discount), "saving"],
      isZero(quote.global_discount) ? null : [t("全场券"), off(quote.global_discount), "saving"],
      quote.beili ? [t("{beili} 贝里", quote), off(quote.beili_amount), "saving"] : null,
    ]),
    buyAgainForm(),
    payBar(t("支付宝应付"), el("span", { id: "alipay", "aria-live": "polite" }, shown(quote.alipay)), submitButton()),
    isOver
      ? el("p", { class: "remark bad" }, t("结算单已过期，请回到购物车重新结算。"))
      : el("p", { class: "muted center" }, t("价格保留 "), countdown(checkout.expires_at, end)));
}

function submitButton() {
  const node = button(isZero(quote.alipay) ? t("提交订单（无需支付）") : t("提交订单"), submit, { class: "button primary wide", id: "submit" });
  node.disabled = isQuoting || isOver || (!choice.buyAgain && courses().some((course) => course.unpaid_order_number));
  return node;
}

function end() {
  if (isOver) return;
  isOver = true;
  show();
}

/** Until the server has responded, the amount on the page isn't the one to be agreed to. */
function setQuoting() {
  isQuoting = true;
  const node = document.getElementById("submit");
  if (node) node.disabled = true;
}

async function ask() {
  const mine = (asked += 1);
  setQuoting();
  try {
    const answer = await post(`checkout/${checkout.checkout_id}/quote/`, {
      course_price_list: courses().map((course) => ({ course_id: course.course_id, coupon_record_id: choice.byCourse.get(course.course_id) })),
      coupon_record_id: choice.globalId,
      balance: choice.beili,
    }, { retries: 2 });
    if (mine !== asked) return;
    clearNotices();
    accept(answer);
  } catch (error) {
    if (mine !== asked) return;
    if (error instanceof ApiError && error.slug === "coupon_not_applicable" && choice.globalId) {
      choice.globalId = 0;
      await ask();
      return notify("info", t("换了课程优惠券之后，所选全场券不再满足条件，已取消选择。"));
    }
    if (error instanceof ApiError && error.slug === "checkout_not_found") return end();
    complain(error, ask);
  }
}

function accept(answer) {
  isQuoting = false;
  quote = answer.quote;
  choice.beili = quote.beili;
  checkout.payment_list.global_coupon_record_dict = answer.global_coupon_record_dict;
  show();
}

async function submit() {
  const body = {
    checkout_id: checkout.checkout_id,
    course_price_list: quote.lines.map((line) => ({
      course_id: line.course_id,
      policy_id: checkout.payment_list.policy_course_dict[line.course_id].policy_id,
      coupon_record_id: line.coupon_record_id,
    })),
    coupon_record_id: quote.coupon_record_id,
    balance: quote.beili,
    alipay: quote.alipay,
    buy_again: choice.buyAgain,
  };
  try {
    location.assign(`/orders/${await placeOrder(body)}/`);
    await new Promise(() => {}); // the page is being left; the button stays as it is
  } catch (error) {
    if (error instanceof ApiError && error.slug === "checkout_used" && error.details.order_number) {
      return location.assign(`/orders/${error.details.order_number}/`);
    }
    if (error instanceof ApiError && ["checkout_expired", "checkout_mismatch"].includes(error.slug)) {
      end();
      return notify("bad", el("span", {}, error.message), link("/cart/", t("回到购物车"), { class: "button small" }));
    }
    if (error instanceof NetworkError) return notify("bad", t("没有收到回应，订单可能已经收到。请再点一次“提交订单”，不会重复下单。"));
    throw error;
  }
}

if (requireLogin()) start(load);
