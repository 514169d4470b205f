import { element } from "../../lib/element.js";

const ALWAYS = ["click", "hover"];

/** The names of the project's types, 1,000 at most; none while they can't be asked for. */
export async function readTypes(api) {
  const { types } = await api.get("types").catch(() => ({ types: [] }));
  return types.map(({ type }) => type);
}

/** Fills lists of options with types; a list keeps what is chosen in it, counted or not. */
export function offerTypes(lists, types) {
  for (const list of lists) {
    const chosen = list.value;
    const names = [...new Set([...ALWAYS, ...types, ...(chosen ? [chosen] : [])])].sort();
    const offered = [...list.children].map(({ value }) => value);
    if (offered.join("\n") === names.join("\n")) continue;
    list.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    if (chosen) list.value = chosen;
  }
}
