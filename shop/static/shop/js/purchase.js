// Requests whose outcome is unknown, kept across reloads so that nothing is ordered twice.

import { post } from "./api.js";

/** The idempotency key for a checkout and body. The same purchase gets the same key, so a double click or a reload repeats it and never adds one. */
function keyFor(checkoutId, body) {
  const name = `shop.key.${checkoutId}`;
  const text = JSON.stringify(body);
  const known = JSON.parse(sessionStorage.getItem(name) || "null");
  if (known && known.body === text) return known.key;
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  sessionStorage.setItem(name, JSON.stringify({ key, body: text }));
  return key;
}

/** Places the order; returns its number. */
export function placeOrder(body) {
  return send(body, keyFor(body.checkout_id, body), body.checkout_id);
}

/**
 * Places a refused order anew under the server's new quote. The key is made of the refused order's number, so that two tabs which
 * confirm the same quote make one order. Without the checkout: its prices are the old ones, and the new amounts are what is agreed to.
 */
export function placeAgain(orderNumber, requested, quote, checkoutId = null) {
  const policyOf = new Map(requested.lines.map((line) => [line.course_id, line.policy_id]));
  const body = {
    checkout_id: null,
    course_price_list: quote.lines.map((line) => ({
      course_id: line.course_id,
      policy_id: policyOf.get(line.course_id),
      coupon_record_id: line.coupon_record_id,
      valid_period: line.valid_period,
    })),
    coupon_record_id: quote.coupon_record_id,
    balance: quote.beili,
    alipay: quote.alipay,
    buy_again: requested.buy_again === true,
  };
  return send(body, `requote-${orderNumber}`, checkoutId);
}

/** Places an order again that was refused because its course waits in another unpaid one: the buyer wants both. */
export function placeAnyway(orderNumber, requested, checkoutId = null) {
  const body = {
    checkout_id: null,
    course_price_list: requested.lines.map((line) => ({
      course_id: line.course_id,
      policy_id: line.policy_id,
      coupon_record_id: line.coupon_record_id,
    })),
    coupon_record_id: requested.coupon_record_id,
    balance: requested.beili,
    alipay: requested.alipay,
    buy_again: true,
  };
  return send(body, `anyway-${orderNumber}`, checkoutId);
}

async function send(body, key, checkoutId) {
  const placed = await post("orders/", body, { headers: { "Idempotency-Key": key }, retries: 2 });
  sessionStorage.setItem(`shop.purchase.${placed.order_number}`, JSON.stringify({ checkoutId, body }));
  return placed.order_number;
}

/** Checks out again what an order held, as it can be bought now. Courses that can't are said on the checkout's page. */
export async function buyAgain(orderNumber) {
  const { checkout_id: id, left_out: leftOut } = await post(`orders/${orderNumber}/again/`);
  location.assign(`/checkout/${id}/${leftOut.length ? "?left_out=1" : ""}`);
}

/** What this tab sent for an order, or null. */
export const purchaseOf = (orderNumber) => JSON.parse(sessionStorage.getItem(`shop.purchase.${orderNumber}`) || "null");

/** A refused order ended: the same purchase sent again is a new one and needs a new key. */
export function forgetKey(checkoutId) {
  sessionStorage.removeItem(`shop.key.${checkoutId}`);
}
