// The machine that the figures were measured on, without the names of places.
import { readFileSync } from 'node:fs';
import os from 'node:os';

export function machine() {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    vectors: nativeVectors(),
    system: `${os.type()} ${os.arch()}`,
    node: process.versions.node,
    v8: process.versions.v8,
  };
}

/** Widest vectors that native code finds, the ones of onnxruntime-node; Linux on x86-64 tells. */
function nativeVectors() {
  try {
    const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim().split(/\s+/) ?? [];
    if (flags.includes('avx512f')) return 'AVX-512';
    return flags.includes('avx2') ? 'AVX2, no AVX-512' : undefined;
  } catch {
    return undefined;
  }
}
