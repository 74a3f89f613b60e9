// What a script finds besides the language, and the door through which it is called. Evaluates to `host(op, a, b)`;
// nothing of it is reachable for a script except the globals it sets.
(function (global) {
  'use strict';
  const { parse, stringify } = JSON;
  const { keys, defineProperty, getPrototypeOf } = Object;
  const ownKeys = Reflect.ownKeys;
  const now = performance.now.bind(performance);
  const Plain = Function;
  const soon = Promise;
  const NOT_FINITE = '\u0001not finite: ';

  let files = {};         // path -> { code, kind } | { denied: true } | null (no such file)
  let shims = {};         // name -> source of a global that is made when first used
  let loaded = {};        // path -> module
  let unread = [];        // paths somebody asked for that are not in `files` yet
  let settled = null;     // what a promise became
  let target = null;
  let root = null;
  let baseline = 0;
  const inlines = new Map();  // text -> function; the names are part of the realm's key
  let timers = [];
  let timerCount = 0;

  class NeedsNode extends Error {
    get name() { return 'NeedsNode'; }
  }
  class NoFunction extends Error {
    get name() { return 'NoFunction'; }
  }

  // Timers -----------------------------------------------------------------------------------------------------------

  function later(run, delay, again, values) {
    if (typeof run !== 'function') throw new TypeError('a timer needs a function');
    const wait = Math.max(Number(delay) || 0, again ? 1 : 0);
    timers.push({ id: ++timerCount, due: now() + wait, every: again ? wait : null, run, values });
    return timerCount;
  }
  function never(id) {
    timers = timers.filter((timer) => timer.id !== id);
  }
  function tick() {
    if (timers.length === 0) return -1;
    timers.sort((a, b) => a.due - b.due || a.id - b.id);
    const first = timers[0], wait = first.due - now();
    if (wait > 0) return wait;
    timers.shift();
    if (first.every !== null) timers.push({ ...first, due: now() + first.every });
    first.run(...first.values);
    return 0;
  }

  // Modules ----------------------------------------------------------------------------------------------------------

  const path = {
    sep: '/',
    delimiter: ':',
    normalize(name) {
      const parts = [], rooted = name.startsWith('/');
      for (const part of name.split('/')) {
        if (part === '' || part === '.') continue;
        if (part === '..' && parts.length && parts.at(-1) !== '..') parts.pop();
        else if (part !== '..' || !rooted) parts.push(part);
      }
      return (rooted ? '/' : '') + parts.join('/') || (rooted ? '/' : '.');
    },
    join(...parts) { return path.normalize(parts.filter((part) => part !== '').join('/') || '.'); },
    isAbsolute(name) { return name.startsWith('/'); },
    resolve(...parts) {
      let all = '';
      for (const part of [root ?? '/', ...parts]) all = part.startsWith('/') ? part : `${all}/${part}`;
      return path.normalize(all);
    },
    dirname(name) {
      const at = name.replace(/\/+$/, '').lastIndexOf('/');
      return at < 0 ? '.' : name.slice(0, at) || '/';
    },
    basename(name, extension = '') {
      const base = name.replace(/\/+$/, '').split('/').at(-1);
      return extension && base !== extension && base.endsWith(extension) ? base.slice(0, -extension.length) : base;
    },
    extname(name) {
      const base = path.basename(name), at = base.lastIndexOf('.');
      return at <= 0 ? '' : base.slice(at);
    },
    relative(from, to) {
      const a = path.resolve(from).split('/'), b = path.resolve(to).split('/');
      let same = 0;
      while (same < a.length && same < b.length && a[same] === b[same]) same++;
      return [...a.slice(same).map(() => '..'), ...b.slice(same)].join('/');
    },
  };
  path.posix = path;

  function found(name) {
    if (!(name in files)) {
      unread.push(name);
      return undefined;
    }
    if (files[name]?.denied) throw new NeedsNode(`${name} is outside of the suite's directory`);
    return files[name];
  }
  function text(name) {
    const file = found(typeof name === 'string' ? path.resolve(name.replace(/^file:\/\//, '')) : name.pathname);
    if (!file) throw Object.assign(new Error(`ENOENT: no such file or directory, open '${name}'`), { code: 'ENOENT' });
    return file.raw ?? file.code;
  }
  const fs = {
    readFileSync: text,
    existsSync(name) { return Boolean(found(path.resolve(name))); },
    promises: { async readFile(name) { return text(name); } },
  };
  const builtin = {
    path, fs, 'path/posix': path, 'fs/promises': fs.promises,
    url: {
      fileURLToPath: (url) => decodeURIComponent(String(url.href ?? url).replace(/^file:\/\//, '')),
      pathToFileURL: (name) => new global.URL('file://' + encodeURI(path.resolve(name))),
      get URL() { return global.URL; },
      get URLSearchParams() { return global.URLSearchParams; },
    },
  };
  builtin.module = { createRequire: (from) => requireFrom(path.dirname(builtin.url.fileURLToPath(from))) };
  for (const name of keys(builtin)) {
    const known = builtin[name];
    builtin[name] = new Proxy(known, {
      get(_, key) {
        if (key === 'default') return builtin[name];
        if (key === '__esModule') return true;
        if (key in known || typeof key === 'symbol' || key === 'then') return known[key];
        throw new NeedsNode(`needs Node: ${name}.${key}`);
      },
    });
  }

  function requireFrom(directory) {
    return function require(name) {
      const known = name.replace(/^node:/, '');
      if (Object.hasOwn(builtin, known)) return builtin[known];
      if (!/^(\.{0,2}\/|\.{1,2}$)/.test(name)) throw new NeedsNode(`needs Node: module ${name}`);
      if (directory === null) {
        throw new NeedsNode(`${name} cannot be read: this script has no directory on disk`);
      }
      const base = path.resolve(directory, name);
      const candidates = [base, ...['.js', '.cjs', '.mjs', '.json', '/index.js', '/index.mjs'].map((end) => base + end)];
      for (const candidate of candidates) if (!(candidate in files)) unread.push(candidate);
      if (unread.length) throw new Error(`${name} is not read yet`);
      const hit = candidates.find((candidate) => files[candidate] && found(candidate));
      if (hit === undefined) {
        const denied = candidates.find((candidate) => files[candidate]?.denied);
        if (denied) found(denied);
        throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' });
      }
      return load(hit);
    };
  }

  function load(name) {
    if (loaded[name]) return loaded[name].exports;
    const file = files[name], module = { exports: {}, id: name, filename: name };
    loaded[name] = module;
    try {
      if (file.kind === 'unsupported') throw new NeedsNode(file.code);
      if (file.kind === 'json') module.exports = parse(file.code);
      else run(module, name, file);
    } catch (error) {
      delete loaded[name];
      throw error;
    }
    return module.exports;
  }
  function run(module, name, file) {
    const directory = name === '' ? null : path.dirname(name), require = requireFrom(directory);
    const esm = file.kind === 'esm';
    if (esm) defineProperty(module.exports, '__esModule', { value: true });
    const publish = (getters) => {
      for (const key of keys(getters)) {
        if (!Object.hasOwn(module.exports, key)) {
          defineProperty(module.exports, key, { get: getters[key], enumerable: true, configurable: true });
        }
      }
    };
    const meta = { url: 'file://' + name, filename: name, dirname: directory };
    const wanted = async (what) => namespace(require(what));
    const given = esm
      ? { __require: require, __publish: publish, __every: every, __meta: meta, __import: wanted, __namespace: namespace }
      : { exports: module.exports, require, module, __filename: name, __dirname: directory, __import: wanted };
    const body = (esm ? '"use strict";' : '') + file.code + '\n';
    new Plain(...keys(given), body).apply(esm ? undefined : module.exports, Object.values(given));
  }
  function every(exports) {
    return Object.fromEntries(keys(exports).filter((key) => key !== 'default').map((key) => [key, () => exports[key]]));
  }
  function namespace(exports) {
    if (exports?.__esModule) return exports;
    const made = { default: exports };
    if (exports !== null && ['object', 'function'].includes(typeof exports)) {
      for (const key of keys(exports)) if (key !== 'default') made[key] = exports[key];
    }
    return made;
  }

  function pick(exports, name) {
    if (name.startsWith('new ')) return made(exports, name.slice(4));
    if (name === '' || name === 'default') {
      const one = [exports, exports?.default, exports?.default?.default].find((each) => typeof each === 'function');
      if (one) return one;
      throw new NoFunction('the file must export a function: module.exports = …, or export default …');
    }
    const one = exports?.[name] ?? exports?.default?.[name];
    if (typeof one === 'function') return one;
    throw new NoFunction(`the file exports no function ${name}`);
  }
  function made(exports, method) {
    const one = [exports?.default, exports].find((each) => typeof each === 'function' || typeof each?.[method] === 'function');
    return (first, ...rest) => {
      const instance = typeof one === 'function' ? new one(first) : one;
      if (typeof instance?.[method] !== 'function') throw new NoFunction(`what the file exports has no method ${method}`);
      return instance[method](...rest);
    };
  }

  // Results ----------------------------------------------------------------------------------------------------------

  function replaced(key, value) {
    if (typeof value === 'number' && !Number.isFinite(value)) return NOT_FINITE + value;
    if (typeof value === 'bigint') throw new TypeError('a BigInt is not JSON');
    return value;
  }
  function encoded(value) {
    if (value === undefined) return 'null';
    if (typeof value === 'function' || typeof value === 'symbol') throw new TypeError(`a ${typeof value} is not JSON`);
    const said = stringify(value, replaced);
    if (said === undefined) throw new TypeError('it is not JSON');
    return said.includes('\\u0001not finite: ') ? said.replace(/"\\u0001not finite: (-?Infinity|NaN)"/g, '$1') : said;
  }
  function value(result) {
    let said;
    try {
      said = encoded(result);
    } catch (error) {
      if (error?.name === 'InternalError') return failure(error);  // memory
      return flagged('e', stringify({ name: 'NotJson', message: String(error?.message), stack: '' }));
    }
    return flagged('v', said);
  }
  function failure(error) {
    // Without memory for an error, the engine throws null.
    if (error === null) return flagged('e', '{"name": "OutOfMemory", "message": "", "stack": ""}');
    const known = typeof error === 'object';
    let name = 'an exception', message = '', stack = '';
    try {
      name = String(known ? error.name ?? getPrototypeOf(error)?.constructor?.name ?? 'Object' : typeof error);
      message = String(known ? error.message ?? stringify(error) : error);
      stack = String(known ? error.stack ?? '' : '');
    } catch {
      // An error whose own getters throw is still an error.
    }
    return flagged('e', stringify({ name, message, stack }));
  }
  function flagged(kind, rest) {
    if (unread.length) return ['m ', stringify(unread.splice(0))].join('');
    const left = timers.length > 0 || ownKeys(global).length !== baseline;
    return [kind, left ? '!' : ' ', rest].join('');  // flat: the binding does not know ropes
  }
  function isThenable(result) {
    return result !== null && (typeof result === 'object' || typeof result === 'function') && typeof result.then === 'function';
  }
  function call(values) {
    settled = null;
    try {
      const result = target(...parse(values));
      if (!isThenable(result)) return value(result);
      soon.resolve(result).then((one) => { settled = value(one); }, (error) => { settled = failure(error); });
      return 'p ';
    } catch (error) {
      return failure(error);
    }
  }

  // Globals ----------------------------------------------------------------------------------------------------------

  function set(name, value) {
    defineProperty(global, name, { value, writable: true, configurable: true, enumerable: false });
  }
  function lazily(name) {
    defineProperty(global, name, {
      configurable: true,
      get() {
        const made = new Plain('global', shims[name])(global);
        set(name, made);
        return made;
      },
      set(value) { set(name, value); },
    });
  }
  function boot(options) {
    const silent = () => undefined;
    root = options.root;
    shims = options.shims;
    set('console', Object.fromEntries(
      ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table', 'group', 'groupEnd', 'time', 'timeEnd', 'assert', 'count']
        .map((name) => [name, silent])));
    const require = requireFrom(root);
    set('process', {
      env: options.env, argv: [], platform: 'linux', versions: {}, version: '', cwd: () => root ?? '/', mainModule: { require },
      nextTick: (run, ...values) => queueMicrotask(() => run(...values)),
    });
    set('global', global);
    set('setTimeout', (run, delay, ...values) => later(run, delay, false, values));
    set('setInterval', (run, delay, ...values) => later(run, delay, true, values));
    set('setImmediate', (run, ...values) => later(run, 0, false, values));
    for (const name of ['clearTimeout', 'clearInterval', 'clearImmediate']) set(name, never);
    for (const name of keys(shims)) lazily(name);
    if (root !== null) set('require', require);
    files = options.files;
    baseline = ownKeys(global).length;
  }

  return function host(op, a, b) {
    switch (op) {
      case 'call': return call(a);
      case 'settled': return settled ?? 'p ';
      case 'tick': return tick();
      case 'boot': return boot(parse(a));
      case 'inline':
        try {
          target = inlines.get(b);
          if (target === undefined) inlines.set(b, target = new Plain(...parse(a), b));
          return 'v ';
        } catch (error) {
          return failure(error);
        }
      default: // 'file'
        try {
          target = pick(load(a), b);
          return flagged('v', '');
        } catch (error) {
          return failure(error);
        }
    }
  };
})(globalThis)
