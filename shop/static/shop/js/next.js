// Where a URL may redirect to: a path of this site, and nothing else.

/** `wanted` as a path of this site, or "/" for anything else: another site, another scheme, or a path that browsers read as a host. */
export function safePath(wanted, origin = location.origin) {
  let url;
  try {
    url = new URL(wanted || "/", origin);
  } catch {
    return "/";
  }
  // "/.//evil.example" is on this site but has the path "//evil.example", which would be another site's URL.
  const isOurs = url.origin === origin && !url.username && !url.password && !/^\/[/\\]/.test(url.pathname);
  return isOurs ? url.pathname + url.search + url.hash : "/";
}
