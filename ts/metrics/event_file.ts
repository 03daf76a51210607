import { crc32c } from './crc32c.js';

/**
 * The bytes of a TensorBoard event file: TFRecord frames around `Event` messages, of which we need three
 * shapes of field. The numbers are those of tensorboard's `event.proto` and `summary.proto`.
 */
const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 } as const;
const SUMMARY = { value: 1 } as const;
const VALUE = { tag: 1, simpleValue: 2 } as const;

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** First record of every event file. `wallTime` in seconds since 1970. */
export function versionRecord(wallTime: number): Buffer {
  return record([double(EVENT.wallTime, wallTime), bytes(EVENT.fileVersion, Buffer.from('brain.Event:2'))]);
}

/** One record with a step's scalars, stored as float32. */
export function scalarsRecord(wallTime: number, step: number, scalars: ReadonlyMap<string, number>): Buffer {
  const values = [...scalars].map(([tag, value]) =>
    bytes(
      SUMMARY.value,
      Buffer.concat([bytes(VALUE.tag, Buffer.from(tag)), float(VALUE.simpleValue, value)]),
    ),
  );
  return record([
    double(EVENT.wallTime, wallTime),
    integer(EVENT.step, step),
    bytes(EVENT.summary, Buffer.concat(values)),
  ]);
}

/** TFRecord: length (uint64), its masked CRC, data, their masked CRC; little endian. */
function record(fields: readonly Buffer[]): Buffer {
  const data = Buffer.concat(fields);
  const length = Buffer.alloc(8);
  length.writeUInt32LE(data.length);
  return Buffer.concat([length, maskedCrc(length), data, maskedCrc(data)]);
}

/** Rotated and shifted, so that a CRC of bytes that contain CRCs stays a good one (TFRecord's definition). */
function maskedCrc(data: Uint8Array): Buffer {
  const crc = crc32c(data);
  const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(masked);
  return buffer;
}

function double(field: number, value: number): Buffer {
  const buffer = Buffer.alloc(9);
  buffer.writeUInt8((field << 3) | WIRE.fixed64);
  buffer.writeDoubleLE(value, 1);
  return buffer;
}

function float(field: number, value: number): Buffer {
  const buffer = Buffer.alloc(5);
  buffer.writeUInt8((field << 3) | WIRE.fixed32);
  buffer.writeFloatLE(value, 1);
  return buffer;
}

function integer(field: number, value: number): Buffer {
  return Buffer.from([(field << 3) | WIRE.varint, ...varint(value)]);
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | WIRE.bytes, ...varint(value.length)]), value]);
}

function varint(value: number): number[] {
  const digits: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) digits.push((rest % 0x80) | 0x80);
  return [...digits, rest];
}
