// PyTorch in a child process that makes a step when told to, with as many threads as asked for and no more.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('steps.py', import.meta.url));
/** Debian's, since another one on the path may lack PyTorch. */
const PYTHON = process.env.PYTHON ?? '/usr/bin/python3';
export const LAYOUTS = ['channels_last', 'default'];

/** @throws Error that says what to install */
export async function openPytorch(threads, keepsMemory) {
  const child = spawn(PYTHON, [SCRIPT, String(threads)], {
    env: environment(threads, keepsMemory),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (!done) return value;
    throw new Error('PyTorch did not answer. On Debian: apt-get install -y python3-torch libopenblas0');
  };
  const ask = (line) => {
    child.stdin.write(`${line}\n`);
    return answer();
  };
  return {
    version: await answer(),
    /** Makes a network in both layouts. */
    open: (network, form) => ask(`open ${network} ${form}`),
    /** Milliseconds of a step. */
    step: async (layout) => Number(await ask(`step ${layout}`)),
    close: () => child.stdin.end(),
  };
}

/**
 * torch.set_num_threads binds neither OpenBLAS nor OpenMP. A core type or cache size set for OpenBLAS may be slow, and
 * a malloc that returns every large block to the system spends more time in page faults than the step takes.
 */
function environment(threads, keepsMemory) {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('OPENBLAS_'));
  return {
    ...Object.fromEntries(own),
    OPENBLAS_NUM_THREADS: String(threads),
    OMP_NUM_THREADS: String(threads),
    ...(keepsMemory && { MALLOC_TRIM_THRESHOLD_: '1000000000', MALLOC_MMAP_THRESHOLD_: '1000000000' }),
  };
}
