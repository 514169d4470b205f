// A spreadsheet takes such a cell for a formula, and a subject can be anybody's text.
const FORMULA = /^[\s\u0000-\u001f]*[=+\-@\uff0b\uff0d\uff1d\uff20]|^[\t\r]/;

/** Rows (arrays of text and numbers) as CSV by RFC 4180; its first sign tells Excel it is UTF-8. */
export function toCsv(rows) {
  return "\ufeff" + rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

function cell(value) {
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A name that every system takes, of parts that may be anything. */
export function fileNameOf(...parts) {
  const plain = parts.map((part) => part.replace(/[^\p{L}\p{N}.-]+/gu, "-").replace(/^[-.]+|-+$/g, ""));
  return `${plain.filter(Boolean).join("-").slice(0, 120) || "counts"}.csv`;
}

/** Has the browser save a text. */
export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
