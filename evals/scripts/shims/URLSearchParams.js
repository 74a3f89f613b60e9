// Query strings: parsed, changed, written.
const decoded = (part) => {
  const plain = part.replace(/\+/g, ' ');
  try { return decodeURIComponent(plain); } catch { return plain; }
};
const encoded = (part) => encodeURIComponent(part).replace(/%20/g, '+').replace(/[!'()~]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
return class URLSearchParams {
  #pairs = [];
  constructor(from = '') {
    if (typeof from === 'string') {
      for (const piece of from.replace(/^\?/, '').split('&')) {
        if (piece === '') continue;
        const [name, ...rest] = piece.split('=');
        this.#pairs.push([decoded(name), decoded(rest.join('='))]);
      }
    } else {
      for (const [name, value] of Symbol.iterator in from ? from : Object.entries(from)) this.append(name, value);
    }
  }
  append(name, value) { this.#pairs.push([String(name), String(value)]); }
  delete(name) { this.#pairs = this.#pairs.filter(([one]) => one !== name); }
  get(name) { return this.#pairs.find(([one]) => one === name)?.[1] ?? null; }
  getAll(name) { return this.#pairs.filter(([one]) => one === name).map(([, value]) => value); }
  has(name) { return this.#pairs.some(([one]) => one === name); }
  set(name, value) {
    const at = this.#pairs.findIndex(([one]) => one === name);
    if (at < 0) return this.append(name, value);
    this.#pairs = this.#pairs.filter(([one], index) => one !== name || index === at);
    this.#pairs[at][1] = String(value);
  }
  sort() { this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)); }
  get size() { return this.#pairs.length; }
  forEach(run) { for (const [name, value] of this.#pairs) run(value, name, this); }
  keys() { return this.#pairs.map(([name]) => name).values(); }
  values() { return this.#pairs.map(([, value]) => value).values(); }
  entries() { return this.#pairs.map((pair) => [...pair]).values(); }
  [Symbol.iterator]() { return this.entries(); }
  toString() { return this.#pairs.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&'); }
};
