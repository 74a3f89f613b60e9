// The common part of the URL standard: absolute URLs with a host, file URLs, references relative to a base.
const PORTS = { 'http:': '80', 'https:': '443', 'ftp:': '21', 'ws:': '80', 'wss:': '443', 'file:': '' };
const SHAPE = /^([a-z][a-z0-9+.-]*:)(?:\/\/(?:([^/?#@:]*)(?::([^/?#@]*))?@)?(\[[0-9a-f:.]+\]|[^/?#:\[\]]*)(?::(\d*))?)?([^?#]*)(\?[^#]*)?(#.*)?$/is;
const shortened = (path) => {
  const parts = [];
  const all = path.split('/').slice(1);
  all.forEach((part, index) => {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
    if ((part === '..' || part === '.') && index === all.length - 1) parts.push('');
  });
  return '/' + parts.join('/');
};
const escaped = (text) => text.replace(/[^\x21-\x7e]|["<>`{}\\^|]/gu, (c) => (c === '\\' ? '/' : encodeURIComponent(c)));
class URL {
  #query;
  constructor(reference, base) {
    let text = String(reference).trim().replace(/[\t\n\r]/g, '');
    let parts = SHAPE.exec(text);
    if (!parts && base !== undefined) {
      const from = new URL(base);
      const start = `${from.protocol}//${from.username ? from.username + (from.password ? ':' + from.password : '') + '@' : ''}${from.host}`;
      if (text.startsWith('//')) text = from.protocol + text;
      else if (text.startsWith('/')) text = start + text;
      else if (text.startsWith('?')) text = start + from.pathname + text;
      else if (text.startsWith('#') || text === '') text = start + from.pathname + from.search + text;
      else text = start + from.pathname.replace(/[^/]*$/, '') + text;
      parts = SHAPE.exec(text);
    }
    const protocol = parts?.[1].toLowerCase();
    const special = protocol in PORTS;
    const host = parts?.[4];
    const bad = !parts || (special && protocol !== 'file:' && !host) || Number(parts[5] || 0) > 65535
      || (special && /[\s<>^|%]/.test(host ?? ''));
    if (bad) throw Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL', input: String(reference) });
    this.protocol = protocol;
    this.username = parts[2] ?? '';
    this.password = parts[3] ?? '';
    this.hostname = special ? (host ?? '').toLowerCase() : host ?? '';
    this.port = parts[5] && String(Number(parts[5])) !== PORTS[protocol] ? String(Number(parts[5])) : '';
    this.pathname = special ? shortened(escaped(parts[6]) || '/') : parts[6];
    this.hash = parts[8] && parts[8] !== '#' ? escaped(parts[8]) : '';
    this.hasAuthority = host !== undefined;
    Object.defineProperty(this, 'hasAuthority', { enumerable: false });
    this.#query = new global.URLSearchParams(parts[7] ?? '');
    this.#written = parts[7] && parts[7] !== '?' ? escaped(parts[7]) : '';
    this.#said = this.#query.toString();
  }
  #written;
  #said;
  get searchParams() { return this.#query; }
  get search() {
    const said = this.#query.toString();
    return said === this.#said ? this.#written : said && '?' + said;
  }
  get host() { return this.hostname + (this.port && ':' + this.port); }
  get origin() { return ['http:', 'https:', 'ws:', 'wss:', 'ftp:'].includes(this.protocol) ? `${this.protocol}//${this.host}` : 'null'; }
  get href() {
    const who = this.username && `${this.username}${this.password && ':' + this.password}@`;
    return `${this.protocol}${this.hasAuthority || this.protocol in PORTS ? '//' : ''}${who}${this.host}${this.pathname}${this.search}${this.hash}`;
  }
  toString() { return this.href; }
  toJSON() { return this.href; }
  static canParse(reference, base) {
    try { new URL(reference, base); return true; } catch { return false; }
  }
  static parse(reference, base) {
    try { return new URL(reference, base); } catch { return null; }
  }
}
return URL;
