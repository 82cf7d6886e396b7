// Where a page may lead on to when an address says so: a path of this site, and nothing else.

/** `wanted` as a path of this site, or "/" when it is anything else: another site, another scheme, or a path that browsers read as a site. */
export function safePath(wanted, origin = location.origin) {
  let url;
  try {
    url = new URL(wanted || "/", origin);
  } catch {
    return "/";
  }
  // "/.//evil.example" is of this site and has the path "//evil.example", which would be another site's address.
  const isOurs = url.origin === origin && !url.username && !url.password && !/^\/[/\\]/.test(url.pathname);
  return isOurs ? url.pathname + url.search + url.hash : "/";
}
