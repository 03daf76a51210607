import { WireError } from './errors.js';
import type { TensorRef } from './protocol.gen.js';

const CONSTRUCTORS = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  uint8: Uint8Array,
} as const;

export type TensorDtype = keyof typeof CONSTRUCTORS;
export type TensorData<Dtype extends TensorDtype> = InstanceType<(typeof CONSTRUCTORS)[Dtype]>;

/**
 * The elements of a tensor frame in row-major order; a copy, because a received frame's memory is the transport's
 * and may begin at any address. Wire and every platform Node runs on with ZeroMQ are little-endian.
 *
 * @throws WireError `malformed`: another dtype, no such frame, or a frame of another size than the shape's.
 */
export function readTensor<Dtype extends TensorDtype>(
  reference: TensorRef,
  dtype: Dtype,
  frames: readonly Uint8Array[],
): TensorData<Dtype> {
  const frame = frames[reference.frame];
  if (reference.dtype !== dtype) {
    throw new WireError('malformed', `The tensor is of dtype ${reference.dtype}, not ${dtype}.`);
  }
  if (frame === undefined) {
    throw new WireError('malformed', `The tensor refers to frame ${reference.frame} of ${frames.length}.`);
  }
  const construct = CONSTRUCTORS[dtype];
  const expected = reference.shape.reduce((product, size) => product * size, construct.BYTES_PER_ELEMENT);
  if (frame.byteLength !== expected) {
    throw new WireError(
      'malformed',
      `Frame ${reference.frame} has ${frame.byteLength} bytes; a ${dtype} tensor of shape [${reference.shape}] has ${expected}.`,
    );
  }
  const copy = new Uint8Array(frame).buffer;
  return new construct(copy) as TensorData<Dtype>;
}
