// A page in Node.js, for frameworks that render into one. To be imported before them.

import { Window } from "happy-dom";

const window = new Window({ url: "http://app.test/" });
Object.assign(globalThis, { window, document: window.document, HTMLElement: window.HTMLElement, Element: window.Element, Node: window.Node, SVGElement: window.SVGElement, IS_REACT_ACT_ENVIRONMENT: true });

Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });

/** @returns {HTMLElement} */
export function place() {
  return /** @type {HTMLElement} */ (/** @type {unknown} */ (window.document.createElement("div")));
}
