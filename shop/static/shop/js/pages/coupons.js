import { ApiError, get, post, requireLogin } from "../api.js";
import { date, shopNow } from "../clock.js";
import { button, complain, content, el, empty, notify, pager, start } from "../dom.js";
import { t, tn } from "../i18n.js";
import "../site.js";
import { RECORD_STATUS, worth } from "../words.js";

async function load() {
  const [campaigns, records] = await Promise.all([get("coupons/?page_size=100"), get("coupons/mine/?page_size=100")]);
  show(campaigns, records);
}

function show(campaigns, records) {
  const claimed = new Set(records.results.map((record) => record.coupon.id));
  content(
    el("h2", {}, t("可以领取")),
    campaigns.results.length
      ? el("ul", { class: "cards coupons" }, campaigns.results.map((campaign) => campaignCard(campaign, claimed.has(campaign.id))))
      : empty(t("现在没有可以领取的优惠券。")),
    el("h2", {}, t("我的优惠券")),
    records.results.length
      ? el("ul", { class: "cards coupons" }, records.results.map(recordCard))
      : el("p", { class: "muted" }, t("还没有优惠券，先领一张吧。")),
    pager(records, async (page) => show(campaigns, await get(`coupons/mine/?page_size=100&page=${page}`))));
}

function campaignCard(campaign, isClaimed) {
  const isGone = campaign.remaining === 0;
  const action = isClaimed
    ? el("button", { class: "button", type: "button", disabled: true }, t("已领取"))
    : button(isGone ? t("已领完") : t("领取"), () => claim(campaign), { class: "button primary", disabled: isGone, "aria-label": t("领取 {name}", { name: campaign.name }) });
  return ticket(campaign, validity(campaign), action);
}

function recordCard(record) {
  return ticket(record.coupon, span(record.valid_from_date, record.valid_until_date), el("span", { class: `status ${record.status}` }, RECORD_STATUS[record.status]), record.status === "unused" || record.status === "reserved");
}

function ticket(coupon, days, action, isGood = true) {
  return el("li", { class: isGood ? "card ticket" : "card ticket off" },
    el("p", { class: "worth" }, worth(coupon)),
    el("div", { class: "grow" },
      el("h3", {}, coupon.name),
      el("p", { class: "muted" }, scope(coupon)),
      el("p", { class: "muted" }, days)),
    el("div", { class: "right" }, action));
}

function scope(coupon) {
  if (coupon.scope === "course") return t("限《{course}》", { course: coupon.course_name });
  return coupon.scope === "any_course" ? t("任选一门课程") : t("全场通用");
}

function validity(campaign) {
  const days = campaign.coupon_valid_days && tn("领取后 {n} 天内有效", campaign.coupon_valid_days);
  const dates = campaign.valid_end_date && span(campaign.valid_begin_date, campaign.valid_end_date);
  return [days, dates].filter(Boolean).join(t("，"));
}

/** Both days are included; the first one is only shown while it is in the future. */
const span = (first, last) => (Date.parse(`${first}T00:00+08:00`) > shopNow() ? t("{first} 起可用，至 {last}", { first: date(first), last: date(last) }) : t("有效期至 {last}", { last: date(last) }));

async function claim(campaign) {
  try {
    await post(`coupons/${campaign.id}/claim/`);
    notify("good", t("已领取“{name}”，结算时会自动为您选好最省的组合。", { name: campaign.name }));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    complain(error);
  }
  await load();
}

if (requireLogin()) start(load);
