/** Entry for browsers, run by a page whose policy forbids WebAssembly: posts the error that createRuntime gives. */
import { createRuntime } from 'acnet-wasm';

const answer = await createRuntime().then(
  () => ({ error: null }),
  (error: unknown) => ({
    error: error instanceof Error ? { name: error.name, message: error.message } : String(error),
  }),
);
await fetch('/report', { method: 'POST', body: JSON.stringify(answer) });
