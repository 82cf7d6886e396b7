// What the API's words mean, said to buyers.

import { date } from "./clock.js";
import { t } from "./i18n.js";
import { shown } from "./money.js";

export const ORDER_STATUS = {
  pending: t("处理中"),
  rejected: t("未能下单"),
  awaiting_payment: t("待支付"),
  paid: t("已支付"),
  cancelled: t("已取消"),
  expired: t("已超时关闭"),
  refunded: t("已退款"),
};

/** How an order that awaits its payment stands: a word and a sentence. */
export const PAYMENT_STATE = {
  payable: [t("待支付"), t("订单已创建，请在倒计时结束前完成支付。")],
  confirming: [t("确认支付中"), t("正在确认支付，请勿重复付款。支付宝的结果通常几秒内就到；可以离开此页，付款不会丢失。")],
  overdue: [t("支付时间已过"), t("支付时间已过，正在确认…如果您刚刚付款，订单会自动变为已支付；否则订单将关闭，占用的优惠券和贝里退回。")],
  cancelling: [t("取消中"), t("正在取消订单…")],
};

export const SLOW = t("处理得比平时慢。订单已经收到，不会丢失，也不会重复扣款；可以离开此页，稍后在“订单”里查看。");

export const ORDER_STATUS_TEXT = {
  pending: t("正在核对价格和优惠券，通常只要一两秒。"),
  paid: t("支付成功，课程已经开通。"),
  cancelled: t("订单已取消，占用的优惠券和贝里已退回。"),
  expired: t("超过支付时间，订单已关闭，占用的优惠券和贝里已退回。如果您刚刚付款，款项会自动退回或恢复订单。"),
  refunded: t("款项已退回，课程已停止。"),
};

export const PAYMENT_TYPE = { 1: t("支付宝"), 2: t("优惠券全额抵扣"), 3: t("贝里全额抵扣") };

export const RECORD_STATUS = { unused: t("未使用"), reserved: t("待支付订单占用中"), used: t("已使用"), expired: t("已过期") };

export const REFUND_STATUS = { requested: t("待审核"), sent: t("退款中"), unknown: t("退款中"), succeeded: t("已退款"), failed: t("客服处理中"), rejected: t("未通过") };

/** What a coupon does. */
export function worth(coupon) {
  const [value, minimum] = [coupon.money_equivalent_value, coupon.minimum_consume].map((yuan) => yuan.replace(/\.?0+$/, ""));
  switch (coupon.coupon_type) {
    case 0:
      return t("立减{value}元", { value });
    case 1:
      return t("满{minimum}减{value}", { minimum, value });
    default:
      return t("{tenths}折", { tenths: coupon.off_percent / 10, off: 100 - coupon.off_percent });
  }
}

/** Why a coupon can't be used, beside it. */
export function couponReason(coupon) {
  switch (coupon.reason) {
    case "below_minimum":
      return t("未满 {amount}", { amount: shown(coupon.minimum_consume) });
    case "not_yet_valid":
      return t("{date} 起可用", { date: date(coupon.valid_from) });
    case "nothing_left":
      return t("已无可减金额");
    default:
      return t("不适用");
  }
}

/** What moved in the 贝里 account, and its sign for what the buyer can spend. */
export const TRANSFER = {
  "beili_issued>beili_available": [t("发放"), 1],
  "beili_available>beili_held": [t("下单锁定"), -1],
  "beili_held>beili_available": [t("订单关闭退回"), 1],
  "beili_held>beili_spent": [t("支付完成，扣除锁定"), 0],
  "beili_spent>beili_available": [t("退款退回"), 1],
  "beili_available>beili_spent": [t("扣除"), -1],
  "beili_available>beili_issued": [t("收回"), -1],
};

/**
 * Why an order was refused, and the way on: "confirm" the new quote, "again" through a new checkout, pay the other "unpaid" order or buy
 * all the same, or back to the "cart".
 */
export const REFUSAL = {
  quote_changed: [t("报价有变化"), t("提交之后价格、有效期或优惠有变化，没有产生任何扣款。请确认新的报价。"), "confirm"],
  course_in_unpaid_order: [t("课程已在另一笔待支付订单中"), t("为避免重复购买，这笔订单没有提交，也没有产生任何扣款。"), "unpaid"],
  free_course_owned: [t("您已拥有这门免费课程"), t("剩余有效期还很长，快到期时可以再次领取。没有产生任何扣款。"), "cart"],
  access_too_long: [t("有效期已经足够长"), t("这门课程暂时不能继续续期，没有产生任何扣款。请在购物车中移除后再结算。"), "cart"],
  amount_too_large: [t("金额超过支付宝单笔上限"), t("请减少课程，分成几笔订单购买。没有产生任何扣款。"), "cart"],
  balance_insufficient: [t("贝里余额不足"), t("您的贝里可能已用在别的订单里，没有产生任何扣款。"), "again"],
  coupon_unavailable: [t("优惠券已不能使用"), t("它可能已用在别的订单里，或者刚刚过期。没有产生任何扣款。"), "again"],
  coupon_not_applicable: [t("优惠券不适用"), t("所选优惠券不再满足使用条件，没有产生任何扣款。"), "again"],
  course_not_on_sale: [t("课程已下架"), t("订单里有课程暂时不能购买，没有产生任何扣款。请在购物车中移除后再结算。"), "cart"],
  policy_not_found: [t("所选有效期已不再提供"), t("请在购物车中重新选择有效期。没有产生任何扣款。"), "cart"],
  order_failed: [t("订单没有处理成功"), t("这是我们的问题，没有产生任何扣款。请重新下单。"), "again"],
};
