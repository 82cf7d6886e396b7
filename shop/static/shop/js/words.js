// What the API's words mean, said to buyers.

import { date } from "./clock.js";
import { shown } from "./money.js";

export const ORDER_STATUS = {
  pending: "处理中",
  rejected: "未能下单",
  awaiting_payment: "待支付",
  paid: "已支付",
  cancelled: "已取消",
  expired: "已超时关闭",
  refunded: "已退款",
};

/** How an order that awaits its payment stands: a word and a sentence. */
export const PAYMENT_STATE = {
  payable: ["待支付", "订单已创建，请在倒计时结束前完成支付。"],
  confirming: ["确认支付中", "正在确认支付，请勿重复付款。支付宝的结果通常几秒内就到；可以离开此页，付款不会丢失。"],
  overdue: ["支付时间已过", "支付时间已过，正在确认…如果您刚刚付款，订单会自动变为已支付；否则订单将关闭，占用的优惠券和贝里退回。"],
  cancelling: ["取消中", "正在取消订单…"],
};

export const SLOW = "处理得比平时慢。订单已经收到，不会丢失，也不会重复扣款；可以离开此页，稍后在“订单”里查看。";

export const ORDER_STATUS_TEXT = {
  pending: "正在核对价格和优惠券，通常只要一两秒。",
  paid: "支付成功，课程已经开通。",
  cancelled: "订单已取消，占用的优惠券和贝里已退回。",
  expired: "超过支付时间，订单已关闭，占用的优惠券和贝里已退回。如果您刚刚付款，款项会自动退回或恢复订单。",
  refunded: "款项已退回，课程已停止。",
};

export const PAYMENT_TYPE = { 1: "支付宝", 2: "优惠券全额抵扣", 3: "贝里全额抵扣" };

export const RECORD_STATUS = { unused: "未使用", reserved: "待支付订单占用中", used: "已使用", expired: "已过期" };

export const REFUND_STATUS = { requested: "待审核", sent: "退款中", unknown: "退款中", succeeded: "已退款", failed: "客服处理中", rejected: "未通过" };

/** Why a coupon can't be used, beside it. */
export function couponReason(coupon) {
  switch (coupon.reason) {
    case "below_minimum":
      return `未满 ${shown(coupon.minimum_consume)}`;
    case "not_yet_valid":
      return `${date(coupon.valid_from)} 起可用`;
    case "nothing_left":
      return "已无可减金额";
    default:
      return "不适用";
  }
}

/** What moved in the 贝里 account, and its sign for what the buyer can spend. */
export const TRANSFER = {
  "beili_issued>beili_available": ["发放", 1],
  "beili_available>beili_held": ["下单锁定", -1],
  "beili_held>beili_available": ["退回", 1],
  "beili_held>beili_spent": ["支付完成，扣除锁定", 0],
  "beili_spent>beili_available": ["退款退回", 1],
  "beili_available>beili_spent": ["扣除", -1],
  "beili_available>beili_issued": ["收回", -1],
};

/**
 * Why an order was refused, and the way on: "confirm" the new quote, "again" through a new checkout, pay the other "unpaid" order or buy
 * all the same, or back to the "cart".
 */
export const REFUSAL = {
  quote_changed: ["报价有变化", "提交之后价格、有效期或优惠有变化，没有产生任何扣款。请确认新的报价。", "confirm"],
  course_in_unpaid_order: ["课程已在另一笔待支付订单中", "为避免重复购买，这笔订单没有提交，也没有产生任何扣款。", "unpaid"],
  free_course_owned: ["您已拥有这门免费课程", "剩余有效期还很长，快到期时可以再次领取。没有产生任何扣款。", "cart"],
  access_too_long: ["有效期已经足够长", "这门课程暂时不能继续续期，没有产生任何扣款。请在购物车中移除后再结算。", "cart"],
  amount_too_large: ["金额超过支付宝单笔上限", "请减少课程，分成几笔订单购买。没有产生任何扣款。", "cart"],
  balance_insufficient: ["贝里余额不足", "您的贝里可能已用在别的订单里，没有产生任何扣款。", "again"],
  coupon_unavailable: ["优惠券已不能使用", "它可能已用在别的订单里，或者刚刚过期。没有产生任何扣款。", "again"],
  coupon_not_applicable: ["优惠券不适用", "所选优惠券不再满足使用条件，没有产生任何扣款。", "again"],
  course_not_on_sale: ["课程已下架", "订单里有课程暂时不能购买，没有产生任何扣款。请在购物车中移除后再结算。", "cart"],
  policy_not_found: ["所选有效期已不再提供", "请在购物车中重新选择有效期。没有产生任何扣款。", "cart"],
  order_failed: ["订单没有处理成功", "这是我们的问题，没有产生任何扣款。请重新下单。", "again"],
};
