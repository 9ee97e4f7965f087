"use strict";
// Trees of plain objects, and elements that are brought to look like them with as few changes as possible, so that what
// a reader has selected, opened or scrolled stays while an answer grows.

const MATHML = "http://www.w3.org/1998/Math/MathML";
const el = (tag, attributes = {}, ...kids) => ({ tag, attributes, kids });
const $ = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

function patch(parent, kids) {
  let node = parent.firstChild;
  for (const kid of kids) {
    const next = node?.nextSibling ?? null;
    if (typeof kid === "string" ? node?.nodeType === Node.TEXT_NODE : node?.localName === kid.tag) update(node, kid);
    else if (node) node.replaceWith(created(kid, parent));
    else parent.append(created(kid, parent));
    node = next;
  }
  while (node) {
    const next = node.nextSibling;
    node.remove();
    node = next;
  }
}
function created(kid, parent) {
  if (typeof kid === "string") return document.createTextNode(kid);
  const space = kid.tag === "math" || parent.namespaceURI === MATHML ? MATHML : parent.namespaceURI;
  const node = document.createElementNS(space, kid.tag);
  update(node, kid);
  return node;
}
function update(node, kid) {
  if (typeof kid === "string") {
    if (node.data === kid) return;
    // Appended, because a text that is set anew loses its selection.
    if (kid.startsWith(node.data)) node.appendData(kid.slice(node.data.length));
    else node.data = kid;
    return;
  }
  for (const { name } of [...node.attributes]) {
    // Whether something is open is the reader's business.
    if (!(name in kid.attributes) && name !== "open") node.removeAttribute(name);
  }
  for (const name in kid.attributes) {
    if (node.getAttribute(name) !== kid.attributes[name]) node.setAttribute(name, kid.attributes[name]);
  }
  patch(node, kid.kids);
}

/// Brings the children of an element to the blocks of a text; those with the same key are left alone.
function patchBlocks(parent, blocks) {
  blocks.forEach((block, index) => {
    const node = parent.children[index];
    if (node?.blockKey === block.key) return;
    const kid = block.node;
    let target = node;
    if (node?.localName === kid.tag) update(node, kid);
    else {
      target = created(kid, parent);
      if (node) node.replaceWith(target); else parent.append(target);
    }
    target.blockKey = block.key;
  });
  while (parent.children.length > blocks.length) parent.lastElementChild.remove();
}

async function copyText(text) {
  try { await navigator.clipboard.writeText(text); } catch {
    // Without a secure context there is no clipboard but this one.
    const area = make("textarea", { value: text });
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
function flash(button, text) {
  const before = button.dataset.text ??= button.textContent;
  button.textContent = text;
  clearTimeout(button.timer);
  button.timer = setTimeout(() => { button.textContent = before; }, 1500);
}
