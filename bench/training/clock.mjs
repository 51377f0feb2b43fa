// How a step is timed: with one thread by processor time, since others may be using the machine; with more by
// wall-clock time, since threads wait for each other.

/** @returns a function that gives milliseconds */
export function clockFor(threads) {
  return threads === 1 ? processorTime : () => performance.now();
}

function processorTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
