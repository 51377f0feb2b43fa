/** Steps that a plan adds itself: a value to the other layout, a value to other memory. */
import { convert } from '../residence.js';
import type { Move } from './memory/lower.js';
import { floatCount, type Step, type StepContext } from './steps/step.js';
import { writeWalk } from './steps/strided.js';

export function move(node: Move, context: StepContext): Step {
  const { runtime, output } = context;
  const [name] = node.inputs;
  const from = context.slot(name);
  if (node.op === 'convert') {
    const dims = context.dims(name);
    return (at) => convert(runtime, at[from]!, at[output.slot]!, dims, output.layout);
  }
  const table = writeWalk(context, [{ size: floatCount(name, context), strides: [4, 4, 0] }]);
  return (at) => runtime.kernels.copyStrided(table, at[from]!, at[output.slot]!);
}
