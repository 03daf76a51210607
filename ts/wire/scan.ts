import { WireError } from './errors.js';
import { LIMITS } from './protocol.gen.js';

const MAX_DEPTH = LIMITS.maxDepth;

/** What one type byte announces: bytes of payload and values that follow inside. */
interface Item {
  /** Bytes after the type byte, up to the next value. */
  readonly payload: number;
  /** Values inside: a map has two for each entry. */
  readonly children: number;
  readonly isMap: boolean;
  readonly isString: boolean;
}

function malformed(offset: number, what: string): WireError {
  return new WireError('malformed', `The message is malformed at byte ${offset}: ${what}.`);
}

const scalar = (payload: number): Item => ({ payload, children: 0, isMap: false, isString: false });
const text = (payload: number): Item => ({ payload, children: 0, isMap: false, isString: true });
const list = (payload: number, length: number): Item => ({
  payload,
  children: length,
  isMap: false,
  isString: false,
});
const map = (payload: number, length: number): Item => ({
  payload,
  children: 2 * length,
  isMap: true,
  isString: false,
});

/** Reads type bytes, lengths and 64-bit integers of a body, never past its end. */
class Reader {
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.#view.byteLength;
  }

  #need(offset: number, bytes: number): void {
    if (offset + bytes > this.length) throw malformed(offset, 'it ends in the middle of a value');
  }

  unsigned(offset: number, bytes: 1 | 2 | 4): number {
    this.#need(offset, bytes);
    if (bytes === 1) return this.#view.getUint8(offset);
    return bytes === 2 ? this.#view.getUint16(offset) : this.#view.getUint32(offset);
  }

  /** A 64-bit integer must be one that a double holds exactly. */
  checkInteger(offset: number, signed: boolean): void {
    this.#need(offset, 8);
    const value = signed ? this.#view.getBigInt64(offset) : this.#view.getBigUint64(offset);
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) {
      throw malformed(offset, `the integer ${value} is outside ±(2^53 - 1)`);
    }
  }
}

function itemAt(reader: Reader, offset: number): Item {
  const type = reader.unsigned(offset, 1);
  if (type <= 0x7f || type >= 0xe0) return scalar(0);
  if (type <= 0x8f) return map(0, type & 0x0f);
  if (type <= 0x9f) return list(0, type & 0x0f);
  if (type <= 0xbf) return text(type & 0x1f);
  switch (type) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return scalar(0);
    case 0xca: // float 32
      return scalar(4);
    case 0xcb: // float 64
      return scalar(8);
    case 0xcc: // unsigned 8, 16, 32
    case 0xcd:
    case 0xce:
      return scalar(1 << (type - 0xcc));
    case 0xd0: // signed 8, 16, 32
    case 0xd1:
    case 0xd2:
      return scalar(1 << (type - 0xd0));
    case 0xcf: // unsigned 64
    case 0xd3: // signed 64
      reader.checkInteger(offset + 1, type === 0xd3);
      return scalar(8);
    case 0xd9: // string with an 8-, 16- or 32-bit length
      return text(1 + reader.unsigned(offset + 1, 1));
    case 0xda:
      return text(2 + reader.unsigned(offset + 1, 2));
    case 0xdb:
      return text(4 + reader.unsigned(offset + 1, 4));
    case 0xdc:
      return list(2, reader.unsigned(offset + 1, 2));
    case 0xdd:
      return list(4, reader.unsigned(offset + 1, 4));
    case 0xde:
      return map(2, reader.unsigned(offset + 1, 2));
    case 0xdf:
      return map(4, reader.unsigned(offset + 1, 4));
    default:
      // Binary belongs into tensor frames; extension types would let a peer choose classes of ours.
      throw malformed(offset, `the type byte 0x${type.toString(16)} is not allowed in a body`);
  }
}

/**
 * Walks over a body without building anything, so that what it announces (a list of 2^32 values in five bytes, a
 * million nested lists) costs nothing before it is refused.
 *
 * @throws WireError `malformed`: not one whole MessagePack value of the types allowed.
 */
export function scanBody(bytes: Uint8Array): void {
  const reader = new Reader(bytes);
  // Values still to come at each open level, and whether that level is a map.
  const open: { left: number; readonly isMap: boolean }[] = [{ left: 1, isMap: false }];
  let offset = 0;
  for (let level = open[0]; level !== undefined; level = open[open.length - 1]) {
    if (level.left === 0) {
      open.pop();
      continue;
    }
    const item = itemAt(reader, offset);
    if (level.isMap && level.left % 2 === 0 && !item.isString)
      throw malformed(offset, 'a map key is no string');
    level.left -= 1;
    const end = offset + 1 + item.payload;
    // Every value takes a byte at least, so a list cannot hold more values than bytes are left.
    if (end + item.children > reader.length) throw malformed(offset, 'it announces more than it holds');
    offset = end;
    if (item.children > 0) {
      if (open.length > MAX_DEPTH) throw malformed(offset, `it nests deeper than ${MAX_DEPTH}`);
      open.push({ left: item.children, isMap: item.isMap });
    }
  }
  if (offset !== reader.length) throw malformed(offset, 'bytes follow the value');
}
