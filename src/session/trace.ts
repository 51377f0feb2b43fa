/**
 * Profiles as Chrome's trace viewer (chrome://tracing, also ui.perfetto.dev) shows them: the JSON Object Format of the
 * Trace Event Format, one complete event (`ph: 'X'`) per step, times in microseconds. The steps stand one behind the
 * other on one line, each as long as its median.
 */
import type { StepTime } from './profile.js';

export interface ChromeTrace {
  readonly displayTimeUnit: 'ms';
  readonly traceEvents: readonly TraceEvent[];
}

export interface TraceEvent {
  readonly name: string;
  /** Operation. */
  readonly cat: string;
  readonly ph: 'X';
  /** Begin and duration in microseconds. */
  readonly ts: number;
  readonly dur: number;
  readonly pid: number;
  readonly tid: number;
  readonly args: Readonly<Record<string, string | number>>;
}

/**
 * A Chrome trace of what `session.profile` returns; `JSON.stringify` makes the file.
 * @example
 * await writeFile('trace.json', JSON.stringify(toChromeTrace(session.profile())));
 */
export function toChromeTrace(profile: readonly StepTime[]): ChromeTrace {
  let ts = 0;
  const traceEvents = profile.map((step): TraceEvent => {
    const { op, path, output, dims, milliseconds, multiplyAdds, algorithm } = step;
    const dur = milliseconds * 1000;
    const args = { output, dims: dims.join(' x '), multiplyAdds, ...(algorithm && { algorithm }) };
    const event: TraceEvent = { name: path || output, cat: op, ph: 'X', ts, dur, pid: 1, tid: 1, args };
    ts += dur;
    return event;
  });
  return { displayTimeUnit: 'ms', traceEvents };
}
