import { ApiError, get, post, requireLogin } from "../api.js";
import { date, shopNow } from "../clock.js";
import { button, complain, content, el, empty, notify, pager, start } from "../dom.js";
import "../site.js";
import { RECORD_STATUS } from "../words.js";

async function load() {
  const [campaigns, records] = await Promise.all([get("coupons/?page_size=100"), get("coupons/mine/?page_size=100")]);
  show(campaigns, records);
}

function show(campaigns, records) {
  const claimed = new Set(records.results.map((record) => record.coupon.id));
  content(
    el("h2", {}, "可以领取"),
    campaigns.results.length
      ? el("ul", { class: "cards coupons" }, campaigns.results.map((campaign) => campaignCard(campaign, claimed.has(campaign.id))))
      : empty("现在没有可以领取的优惠券。"),
    el("h2", {}, "我的优惠券"),
    records.results.length
      ? el("ul", { class: "cards coupons" }, records.results.map(recordCard))
      : el("p", { class: "muted" }, "还没有优惠券，先领一张吧。"),
    pager(records, async (page) => show(campaigns, await get(`coupons/mine/?page_size=100&page=${page}`))));
}

function campaignCard(campaign, isClaimed) {
  const isGone = campaign.remaining === 0;
  const action = isClaimed
    ? el("button", { class: "button", type: "button", disabled: true }, "已领取")
    : button(isGone ? "已领完" : "领取", () => claim(campaign), { class: "button primary", disabled: isGone, "aria-label": `领取 ${campaign.name}` });
  return ticket(campaign, validity(campaign), action);
}

function recordCard(record) {
  return ticket(record.coupon, span(record.valid_from_date, record.valid_until_date), el("span", { class: `status ${record.status}` }, RECORD_STATUS[record.status]), record.status === "unused" || record.status === "reserved");
}

function ticket(coupon, days, action, isGood = true) {
  return el("li", { class: isGood ? "card ticket" : "card ticket off" },
    el("p", { class: "worth" }, coupon.summary),
    el("div", { class: "grow" },
      el("h3", {}, coupon.name),
      el("p", { class: "muted" }, scope(coupon)),
      el("p", { class: "muted" }, days)),
    el("div", { class: "right" }, action));
}

function scope(coupon) {
  if (coupon.scope === "course") return `限《${coupon.course_name}》`;
  return coupon.scope === "any_course" ? "任选一门课程" : "全场通用";
}

function validity(campaign) {
  const days = campaign.coupon_valid_days && `领取后 ${campaign.coupon_valid_days} 天内有效`;
  const dates = campaign.valid_end_date && span(campaign.valid_begin_date, campaign.valid_end_date);
  return [days, dates].filter(Boolean).join("，");
}

/** Both days are in; the first one is said only while it is to come. */
const span = (first, last) => (Date.parse(`${first}T00:00+08:00`) > shopNow() ? `${date(first)} 起可用，至 ${date(last)}` : `有效期至 ${date(last)}`);

async function claim(campaign) {
  try {
    await post(`coupons/${campaign.id}/claim/`);
    notify("good", `已领取“${campaign.name}”，结算时会自动为您选好最省的组合。`);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    complain(error);
  }
  await load();
}

if (requireLogin()) start(load);
