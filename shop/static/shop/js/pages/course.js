import { ApiError, get, getIntent, goToLogin, isLoggedIn, post, setIntent } from "../api.js";
import { button, content, cover, el, empty, link, notify, setTitle, start, subject, whileBusy } from "../dom.js";
import { shown } from "../money.js";
import { setCartCount } from "../site.js";

async function show() {
  let course;
  try {
    course = await get(`courses/${subject()}/`);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    setTitle("没有这门课程");
    return content(empty("它可能已经下架，或者地址有误。", "/", "看看其他课程"));
  }
  setTitle(course.name);
  content(el("div", { class: "split" },
    el("div", {}, cover(course.course_img, { loading: "eager" }), el("p", { class: "lead" }, course.brief), course.type === "付费" ? null : el("p", { class: "muted" }, course.type)),
    offer(course)));
  await resume(course);
}

function offer(course) {
  if (!course.is_on_sale) return owned();
  return course.price_policy_list.length ? policies(course) : el("p", { class: "card form" }, "这门课程暂未定价。");
}

/** Off sale, and shown to those who have it only. */
const owned = () => el("section", { class: "card form", "aria-label": "我的课程" },
  el("p", {}, el("strong", { class: "status paid" }, "您已拥有这门课程")),
  el("p", {}, "课程已下架，不再出售；您已购买的有效期不受影响。"),
  el("p", { class: "actions" }, link("/me/", "去我的课程", { class: "button primary" })));

/** Goes on with what somebody chose before they had to log in. */
async function resume(course) {
  const intent = getIntent();
  if (!isLoggedIn() || intent?.course_id !== course.id) return;
  setIntent(null);
  const chosen = document.querySelector(`input[name="policy"][value="${Number(intent.policy_id)}"]`);
  if (!chosen) return;
  chosen.checked = true;
  await whileBusy(document.getElementById("add"), () => add(course, intent.policy_id));
}

function policies(course) {
  const choices = course.price_policy_list.map((policy, position) =>
    el("label", { class: "option" },
      el("input", { type: "radio", name: "policy", value: policy.id, checked: position === 0 }),
      el("span", { class: "grow" }, policy.period, el("small", { class: "muted" }, ` ${policy.valid_period} 天`)),
      el("strong", { class: "amount" }, shown(policy.price))));
  const form = el("form", { class: "card form" }, el("fieldset", {}, el("legend", {}, "选择有效期"), choices));
  form.append(button("加入购物车", () => add(course, Number(new FormData(form).get("policy"))), { class: "button primary wide", id: "add" }));
  form.addEventListener("submit", (event) => event.preventDefault());
  return form;
}

async function add(course, policyId) {
  const { period } = course.price_policy_list.find((policy) => policy.id === policyId);
  setIntent({ course_id: course.id, policy_id: policyId, name: course.name, period });
  if (!isLoggedIn()) return goToLogin("cart");
  // A login that has ended sends people to the login page, and the choice goes with them.
  const cart = await post("cart/", { course_id: course.id, policy_id: policyId }).finally(() => setIntent(null));
  setCartCount(Object.keys(cart).length);
  const isOwned = cart[course.id]?.flags.includes("owned");
  notify("good", el("span", {}, isOwned ? "已加入购物车。您已拥有这门课程，购买后有效期会顺延。" : "已加入购物车。"), link("/cart/", "去购物车", { class: "button small" }));
}

start(show);
