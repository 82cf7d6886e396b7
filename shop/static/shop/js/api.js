// The shop's API: the token, the envelope, and what can go wrong. Pages talk to the server through here only.

import { LANGUAGE, t } from "./i18n.js";

const ROOT = "/api/v1/";
const TOKEN_KEY = "shop.token";
const USERNAME_KEY = "shop.username";
const INTENT_KEY = "shop.intent";
const LONGEST_RETRY_S = 10;

/** The server's refusal. `slug` is stable; `message` is for people. */
export class ApiError extends Error {
  constructor(status, envelope, retryAfterS) {
    super(envelope.msg || t("系统出了点问题，请稍后再试。"));
    this.status = status;
    this.slug = envelope.error || "unknown";
    this.details = envelope.details || {};
    this.retryAfterS = retryAfterS;
  }
}

/** No answer: whether the request arrived is unknown. */
export class NetworkError extends Error {
  constructor() {
    super(t("网络不太顺畅，没有收到回应。请检查网络后重试。"));
  }
}

export const isLoggedIn = () => localStorage.getItem(TOKEN_KEY) !== null;
export const username = () => localStorage.getItem(USERNAME_KEY) || "";

/** Sends people without a token to the login page, and from there back here. Answers whether there is a token. */
export function requireLogin() {
  if (!isLoggedIn()) goToLogin("login");
  return isLoggedIn();
}

/** To the login page and back here. `why` is one of the reasons that the login page has words for. */
export function goToLogin(why) {
  forgetSession({ keepsIntent: true });
  const here = location.pathname + location.search;
  location.replace(`/login/?why=${why}&next=${encodeURIComponent(here)}`);
}

/** What somebody is about to do, kept over a login that may come between; null when it is done. */
export function setIntent(intent) {
  if (intent) sessionStorage.setItem(INTENT_KEY, JSON.stringify(intent));
  else sessionStorage.removeItem(INTENT_KEY);
}

export const getIntent = () => JSON.parse(sessionStorage.getItem(INTENT_KEY) || "null");

export async function logIn(name, password) {
  // With its cookie, by which the server tells a known device from a stranger.
  const data = await post("auth/login/", { username: name, password }, { credentials: "same-origin" });
  forgetSession({ keepsIntent: true });
  useToken(data);
}

/** What the server has answered to a login or a new password. */
export function useToken({ token, username }) {
  localStorage.setItem(TOKEN_KEY, token);
  localStorage.setItem(USERNAME_KEY, username);
}

/** The token is forgotten here whether or not the server can be told. */
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
 * One request. Answers `{status, data, etag, retryAfterS}`; 304 has no data.
 * `retries` is how often silence or a 503 is met by asking again: only for what may arrive twice without harm.
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
    // A broken connection (TypeError) or an answer that isn't ours, such as a proxy's page (SyntaxError).
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
