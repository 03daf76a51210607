import { existsSync } from 'node:fs';

/** There as soon as an NVIDIA driver is loaded. */
const DRIVER = '/dev/nvidiactl';

/**
 * What to do where a worker sees no GPU on a machine that has an NVIDIA driver; null where all is as it should be, or the
 * user hides the GPUs.
 *
 * @param devices that the worker names.
 * @param driver a file that is there where the driver is.
 */
export function unusedGpu(devices: readonly string[], driver = DRIVER): string | null {
  // CUDA takes what is listed up to the first entry that is none.
  const shown = /^\s*(\d|GPU-|MIG-)/.test(process.env.CUDA_VISIBLE_DEVICES ?? '0');
  if (!shown || !existsSync(driver) || devices.some((name) => name.startsWith('cuda'))) return null;
  return (
    'this machine has an NVIDIA driver, and PyTorch sees no GPU: `nvidia-smi` says up to which CUDA the driver goes, and ' +
    'PyTorch must be built for that one or an older (AMMD_PIP_ARGS names an index, AMMD_PYTHON_ENV an environment of ' +
    'yours); where it is, `torch.cuda.init()` in Python tells why CUDA does not start'
  );
}
