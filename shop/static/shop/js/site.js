// What every page has: the account link and the number beside the cart.

import { isLoggedIn, request, username } from "./api.js";
import { tn } from "./i18n.js";

const COUNT_KEY = "shop.cart-count";

/** Remembers and shows how many courses are in the cart. */
export function setCartCount(count) {
  sessionStorage.setItem(COUNT_KEY, String(count));
  showCartCount(count);
}

/** Asks for the cart, for its number only. A failure here is nobody's concern. */
export async function refreshCartCount() {
  if (!isLoggedIn()) return;
  try {
    // A login that has ended is no reason to leave a page that everybody may see.
    const { data } = await request("GET", "cart/", { staysOn401: true });
    setCartCount(Object.keys(data).length);
  } catch {
    // the number stays as it was
  }
}

function showCartCount(count) {
  const badge = document.getElementById("cart-count");
  badge.hidden = count === 0;
  badge.textContent = String(count);
  badge.setAttribute("aria-label", tn("，{n} 门课程", count));
}

export function startSite() {
  const account = document.getElementById("account-link");
  if (isLoggedIn()) account.textContent = username();
  else [account.textContent, account.href] = [account.dataset.login, "/login/"];
  const known = sessionStorage.getItem(COUNT_KEY);
  if (known !== null) showCartCount(Number(known));
  else refreshCartCount();
}

startSite();
