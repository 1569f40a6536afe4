// Making elements.

/**
 * @param {string} tag
 * @param {Record<string, string | undefined>} attributes absent ones are left out
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} an element of the page */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (found);
}

/** @param {string} testId @param {string} text */
export function show(testId, text) {
  const found = document.querySelector(`[data-testid="${testId}"]`);
  if (found && found.textContent !== text) found.textContent = text;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** @param {number} ms Unix time @returns {string} e.g. 14:03:59 */
export function clock(ms) {
  return CLOCK.format(ms);
}
