// structuredClone of plain data, Date, RegExp, Map, Set, errors and typed arrays, also with cycles.
return function structuredClone(value) {
  const seen = new Map();
  const copy = (one) => {
    if (typeof one === 'function' || typeof one === 'symbol') throw new DOMException(`${String(one)} could not be cloned.`, 'DataCloneError');
    if (one === null || typeof one !== 'object') return one;
    if (seen.has(one)) return seen.get(one);
    const keep = (made) => { seen.set(one, made); return made; };
    if (one instanceof Date) return keep(new Date(one.getTime()));
    if (one instanceof RegExp) return keep(new RegExp(one.source, one.flags));
    if (one instanceof ArrayBuffer) return keep(one.slice(0));
    if (ArrayBuffer.isView(one)) return keep(one.slice ? one.slice() : new DataView(copy(one.buffer)));
    if (one instanceof Map) {
      const made = keep(new Map());
      for (const [key, item] of one) made.set(copy(key), copy(item));
      return made;
    }
    if (one instanceof Set) {
      const made = keep(new Set());
      for (const item of one) made.add(copy(item));
      return made;
    }
    if (one instanceof Error) return keep(Object.assign(Object.create(Object.getPrototypeOf(one)), { message: one.message, stack: one.stack }));
    const made = keep(Array.isArray(one) ? [] : {});
    for (const key of Object.keys(one)) made[key] = copy(one[key]);
    return made;
  };
  return copy(value);
};
