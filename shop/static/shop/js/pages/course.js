// One course. The server renders the public part of the page; this script adds the viewer's access and the actions.

import { ApiError, get, getIntent, goToLogin, isLoggedIn, post, setIntent } from "../api.js";
import { dateOf } from "../clock.js";
import { content, cover, el, empty, link, notify, setTitle, start, subject, whileBusy } from "../dom.js";
import { t, tn } from "../i18n.js";
import { setCartCount } from "../site.js";

const offer = document.getElementById("offer");

/** A course that is offline stays reachable for its owners only. */
async function showHidden() {
  let course;
  try {
    course = await get(`courses/${subject()}/`);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    setTitle(t("没有这门课程"));
    return content(empty(t("它可能已经下架，或者地址有误。"), "/", t("看看其他课程")));
  }
  setTitle(course.name);
  content(el("div", { class: "split" },
    el("div", {}, cover(course.course_img, { loading: "eager" }), el("p", { class: "lead" }, course.brief)),
    el("section", { class: "card form", "aria-label": t("我的课程") },
      el("p", {}, el("strong", { class: "status paid" }, t("您已拥有这门课程"))),
      el("p", {}, t("课程已下架，不再出售；您已购买的有效期不受影响。")),
      el("p", { class: "actions" }, link("/me/", t("去我的课程"), { class: "button primary" })))));
}

/** Adds the viewer's access to the course, and continues an action from before the login. */
async function personalise() {
  wire();
  if (!isLoggedIn()) return;
  const course = await get(`courses/${subject()}/`);
  document.getElementById("mine").replaceChildren(...standing(course));
  if (course.access_by === "purchase") course.period_list.forEach(showRenewal);
  await resume();
}

function standing({ access_by: by, access_until: until, unpaid_order_number: unpaid, is_on_sale: isOnSale }) {
  const words = {
    purchase: isOnSale
      ? t("您已拥有这门课程，有效期至 {date}。再次购买会从那时起顺延。", { date: until && dateOf(until) })
      : t("您已拥有这门课程，有效期至 {date}。", { date: until && dateOf(until) }),
    membership: t("您是 VIP 会员，可以学习到 {date}。", { date: until && dateOf(until) }),
  };
  return [
    by ? el("p", { class: "remark info" }, words[by]) : null,
    unpaid ? el("p", { class: "remark warn" }, t("这门课程已在一笔待支付订单中："), link(`/orders/${unpaid}/`, t("去看那笔订单"))) : null,
  ].filter(Boolean);
}

/** The period that a renewal adds. */
function showRenewal({ policy_id: id, valid_from: from, valid_until: until }) {
  const node = document.getElementById(`period-${id}`);
  if (node) node.textContent = tn("增加 {n} 天：{from} → {until}", Number(node.dataset.days), { from: dateOf(from), until: dateOf(until) });
}

function wire() {
  if (!offer) return;
  offer.addEventListener("submit", (event) => event.preventDefault());
  offer.addEventListener("change", showPrice);
  document.getElementById("add").addEventListener("click", () => press("cart"));
  document.getElementById("buy").addEventListener("click", () => press("buy"));
  showPrice();
}

const chosen = () => offer.querySelector("input[name=policy]:checked");

function showPrice() {
  document.getElementById("price").textContent = chosen().dataset.price;
}

const DEEDS = { cart: ["add", add], buy: ["buy", buyNow] };

function press(then) {
  const [id, deed] = DEEDS[then];
  return whileBusy(document.getElementById(id), () => deed(Number(chosen().value)));
}

/** Continues an action from before the login. */
async function resume() {
  const intent = getIntent();
  if (!offer || String(intent?.course_id) !== subject()) return;
  setIntent(null);
  const policy = offer.querySelector(`input[name=policy][value="${Number(intent.policy_id)}"]`);
  if (!policy) return;
  policy.checked = true;
  showPrice();
  await press(intent.then);
}

/** Puts the course into the cart and returns the cart; without a login, redirects to it and continues afterwards. */
async function put(policyId, then) {
  setIntent({ course_id: Number(subject()), policy_id: policyId, name: offer.dataset.name, period: chosen().dataset.period, then });
  if (!isLoggedIn()) {
    goToLogin("login");
    return new Promise(() => {}); // the page is being left
  }
  // An expired token leads to the login page, and the choice is kept.
  const cart = await post("cart/", { course_id: Number(subject()), policy_id: policyId }).finally(() => setIntent(null));
  setCartCount(Object.keys(cart).length);
  return cart;
}

async function add(policyId) {
  const cart = await put(policyId, "cart");
  const isOwned = cart[subject()]?.flags.includes("owned");
  notify("good",
    el("span", {}, isOwned ? t("已加入购物车。您已拥有这门课程，购买后有效期会顺延。") : t("已加入购物车。")),
    link("/cart/", t("去购物车"), { class: "button small" }));
}

async function buyNow(policyId) {
  await put(policyId, "buy");
  const started = await post("checkout/", { course_list: [Number(subject())] });
  location.assign(`/checkout/${started.checkout_id}/`);
  await new Promise(() => {}); // the page is being left; the button stays as it is
}

start(document.getElementById("about") ? personalise : showHidden);
