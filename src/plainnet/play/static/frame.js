// The binary answer of the server: the length of a JSON header, the header, then its arrays.

const TYPES = { "<f8": Float64Array, "|u1": Uint8Array, "|i1": Int8Array };

export function decodeFrame(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let start = 4 + length;
  const arrays = {};
  for (const [name, type, size] of header.arrays) {
    const Kind = TYPES[type];
    arrays[name] = new Kind(buffer, start, size);
    start += size * Kind.BYTES_PER_ELEMENT;
  }
  const beside = arrays.beside ? decodeFrame(arrays.beside.slice().buffer) : null;
  return { ...header, ...arrays, beside };
}
