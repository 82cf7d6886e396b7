// Amounts in yuan as in the API ("19.90"), added up in whole fen. They are never charged: only the server's quote is authoritative.

/** "19.90" → 1990 */
export function fenOf(yuan) {
  const match = /^(\d+)\.(\d{2})$/.exec(yuan);
  if (!match) throw new RangeError(`not an amount: ${yuan}`);
  return Number(match[1]) * 100 + Number(match[2]);
}

/** 1990 → "19.90" */
export const yuanOf = (fen) => `${Math.floor(fen / 100)}.${String(fen % 100).padStart(2, "0")}`;

/** The sum of amounts such as "19.90", in the same form. */
export const sumOf = (amounts) => yuanOf(amounts.reduce((sum, amount) => sum + fenOf(amount), 0));

export const isZero = (yuan) => fenOf(yuan) === 0;

/** "1234.50" → "¥1,234.50" */
export function shown(yuan) {
  const [whole, fen] = yuan.split(".");
  return `¥${whole.replace(/\B(?=(\d{3})+$)/g, ",")}.${fen}`;
}
