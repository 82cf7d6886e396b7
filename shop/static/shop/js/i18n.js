// Texts in the page's language. The source is in Chinese; for other languages the page loads a catalogue before its script.

const catalogue = globalThis.shopCatalogue || {};

/** The page's language, as `Intl` and `Accept-Language` name it. */
export const LANGUAGE = document.documentElement.lang;

/** `text` in the page's language; `{name}` in it is replaced by the value of that name. */
export const t = (text, values) => filled([catalogue[text] || text].flat().at(-1), values);

/** The same for a text with a number `n`. Chinese has one form; a catalogue may have two, for one and for more. */
export const tn = (text, n, values = {}) => filled([catalogue[text] || text].flat().at(n === 1 ? 0 : -1), { n, ...values });

const filled = (text, values) => (values ? text.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole)) : text);
