// The client of the shop's API: token, envelope and errors. Pages call the server only through this module.

import { LANGUAGE, t } from "./i18n.js";

const ROOT = "/api/v1/";
const TOKEN_KEY = "shop.token";
const USERNAME_KEY = "shop.username";
const INTENT_KEY = "shop.intent";
const LONGEST_RETRY_S = 10;

/** A refusal by the server. `slug` is stable; `message` is for people. */
export class ApiError extends Error {
  constructor(status, envelope, retryAfterS) {
    super(envelope.msg || t("系统出了点问题，请稍后再试。"));
    this.status = status;
    this.slug = envelope.error || "unknown";
    this.details = envelope.details || {};
    this.retryAfterS = retryAfterS;
  }
}

/** No response: whether the request arrived is unknown. */
export class NetworkError extends Error {
  constructor() {
    super(t("网络不太顺畅，没有收到回应。请检查网络后重试。"));
  }
}

export const isLoggedIn = () => localStorage.getItem(TOKEN_KEY) !== null;
export const username = () => localStorage.getItem(USERNAME_KEY) || "";

/** Redirects to the login page, and from there back here, if there is no token. Returns whether there is one. */
export function requireLogin() {
  if (!isLoggedIn()) goToLogin("login");
  return isLoggedIn();
}

/** Redirects to the login page and back here. `why` is one of the reasons that the login page can explain. */
export function goToLogin(why) {
  forgetSession({ keepsIntent: true });
  const here = location.pathname + location.search;
  location.replace(`/login/?why=${why}&next=${encodeURIComponent(here)}`);
}

/** Stores an action that is to be done after a login; null once it is done. */
export function setIntent(intent) {
  if (intent) sessionStorage.setItem(INTENT_KEY, JSON.stringify(intent));
  else sessionStorage.removeItem(INTENT_KEY);
}

export const getIntent = () => JSON.parse(sessionStorage.getItem(INTENT_KEY) || "null");

export async function logIn(name, password) {
  // With the cookie by which the server recognises a known device.
  const data = await post("auth/login/", { username: name, password }, { credentials: "same-origin" });
  forgetSession({ keepsIntent: true });
  useToken(data);
}

/** Stores the token from the response to a login or a password change. */
export function useToken({ token, username }) {
  localStorage.setItem(TOKEN_KEY, token);
  localStorage.setItem(USERNAME_KEY, username);
}

/** Deletes the token here, whether or not the server can be reached. */
export async function logOut() {
  try {
    await request("POST", "auth/logout/", { staysOn401: true });
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof NetworkError)) throw error;
  }
  forgetSession();
}

function forgetSession({ keepsIntent = false } = {}) {
  const intent = keepsIntent ? getIntent() : null;
  localStorage.removeItem(TOKEN_KEY);
  localStorage.removeItem(USERNAME_KEY);
  sessionStorage.clear();
  setIntent(intent);
}

export const get = (path) => data(request("GET", path, { retries: 2 }));
export const post = (path, body, options) => data(request("POST", path, { body, ...options }));
export const put = (path, body) => data(request("PUT", path, { body }));
export const remove = (path) => data(request("DELETE", path));

const data = async (pending) => (await pending).data;

/**
 * Makes one request. Returns `{status, data, etag, retryAfterS}`; 304 has no data.
 * `retries` is how often it is repeated after no response or a 503: only for idempotent requests.
 */
export async function request(method, path, { body, headers = {}, retries = 0, staysOn401 = false, credentials = "omit" } = {}) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await requestOnce(method, path, { body, headers, staysOn401, credentials });
    } catch (error) {
      const mayPass = error instanceof NetworkError || (error instanceof ApiError && error.status === 503);
      if (!mayPass || attempt >= retries) throw error;
      await pause(Math.min(error.retryAfterS || attempt + 1, LONGEST_RETRY_S));
    }
  }
}

async function requestOnce(method, path, { body, headers, staysOn401, credentials }) {
  const sent = { Accept: "application/json", "Accept-Language": LANGUAGE, ...headers };
  const token = localStorage.getItem(TOKEN_KEY);
  if (token) sent.Authorization = `Token ${token}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let response;
  let envelope = {};
  try {
    response = await fetch(path.startsWith("/") ? path : ROOT + path, {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials,
    });
    if (response.status !== 204 && response.status !== 304) envelope = await response.json();
  } catch (error) {
    // A broken connection (TypeError), or a response that isn't the shop's, such as a proxy's page (SyntaxError).
    if (response && !response.ok && error instanceof SyntaxError) envelope = {};
    else throw new NetworkError();
  }
  const retryAfterS = Number(response.headers.get("Retry-After")) || 0;
  if (response.status === 401 && envelope.error === "not_authenticated" && !staysOn401) {
    goToLogin("expired");
    return new Promise(() => {}); // the page is being left
  }
  if (!response.ok && response.status !== 304) throw new ApiError(response.status, envelope, retryAfterS);
  return { status: response.status, data: envelope.data, etag: response.headers.get("ETag"), retryAfterS };
}

export const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
