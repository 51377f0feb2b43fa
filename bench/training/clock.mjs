// What a step's time is: with one thread that of the processor, since others may be using the machine; with more, that of
// the clock on the wall, since threads wait for each other.

/** @returns a function that gives milliseconds */
export function clockFor(threads) {
  return threads === 1 ? processorTime : () => performance.now();
}

function processorTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
