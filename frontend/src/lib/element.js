/** An element with attributes and children; strings become text, never markup. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value);
  node.append(...children);
  return node;
}

/** Sets a node's text, and leaves the page alone when it says that already. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** "1 click", "5 clicks", "2 processes" */
export function counted(n, noun, nouns = `${noun}s`) {
  return `${n} ${n === 1 ? noun : nouns}`;
}
