// UTF-8 only.
return class TextDecoder {
  constructor(label = 'utf-8') {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`TextDecoder knows utf-8 only, not ${label}`);
  }
  get encoding() { return 'utf-8'; }
  decode(view = new Uint8Array()) {
    const bytes = ArrayBuffer.isView(view) ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(view);
    let text = '';
    for (let at = 0; at < bytes.length; ) {
      const first = bytes[at++];
      const more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1;
      let code = more < 0 ? 0xfffd : more === 0 ? first : first & (0x3f >> more);
      for (let left = more; left > 0; left--) {
        if ((bytes[at] & 0xc0) !== 0x80) { code = 0xfffd; break; }
        code = (code << 6) | (bytes[at++] & 63);
      }
      if ((code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) code = 0xfffd;
      text += String.fromCodePoint(code);
    }
    return text.startsWith('\ufeff') ? text.slice(1) : text;
  }
};
